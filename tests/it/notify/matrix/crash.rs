//! A process that stops at each step of a delivery, on each channel, and another that takes over.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use chrono::TimeDelta;
use queqiao::db::DbError;
use queqiao::models::delivery::{self, Claim};
use queqiao::models::notification::Priority;
use queqiao::simulator::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{ALL, Matrix, path};

/// Where the process stops.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stop {
    /// The delivery is claimed, and nothing else was done.
    Claimed,
    /// The permission is taken, and WeChat has not got the message.
    Permitted,
    /// The message is taken, and that is not recorded.
    Accepted,
    /// That is recorded, and the receipt has not come.
    Recorded,
}

impl Matrix {
    /// As a process that claims what is due, and stops.
    async fn claim_and_stop(&self) {
        let app = &self.endpoint.app;
        let now = app.clock.now();
        let claimed = app.bridge.db.write(move |conn| {
            let mut claimed = 0;
            for head in delivery::heads(conn, now)? {
                let claim = Claim {
                    lane: head.lane,
                    priority: Priority::Normal,
                    now,
                    lease: TimeDelta::seconds(120),
                    limit: 10,
                    ended: None,
                };
                claimed += delivery::claim_due(conn, &claim)?.len();
            }
            Ok::<_, DbError>(claimed)
        });
        assert_eq!(claimed.await.unwrap(), 1);
    }

    /// As a process that stops while it sends.
    async fn send_and_stop(&self, channel: &str, person: u32, kind: FaultKind) {
        let (calls, shown) = (self.calls(channel), self.shown(person));
        let gate = match channel {
            "webhook" => Some(self.endpoint.receiver.hold().await),
            _ => {
                let fault = Fault::at(path(channel), kind).times(1);
                self.endpoint.world().add_fault(fault).unwrap();
                None
            }
        };
        let bridge = self.endpoint.app.bridge.clone();
        let doomed = tokio::spawn(async move { bridge.run(StepName::Deliver).await.map(drop) });
        let there = || match kind {
            FaultKind::TimeOutBefore => self.calls(channel) > calls,
            _ => self.shown(person) > shown,
        };
        while !there() {
            tokio::task::yield_now().await;
        }
        doomed.abort();
        assert!(doomed.await.unwrap_err().is_cancelled());
        drop(gate);
    }
}

both_engines! {
    nobody_sees_a_message_twice_wherever_a_process_stops,
}

async fn nobody_sees_a_message_twice_wherever_a_process_stops(all: Matrix) {
    let mut person = 0;
    for channel in ALL {
        for stop in [
            Stop::Claimed,
            Stop::Permitted,
            Stop::Accepted,
            Stop::Recorded,
        ] {
            person += 1;
            let staff = all.member(person).await;
            all.permit(channel, person).await;
            let second = if channel == "webhook" {
                "template"
            } else {
                "webhook"
            };
            all.channels(&[channel, second]).await;
            let endpoint = &all.endpoint;
            let list = endpoint.notify(&staff).await;
            match stop {
                Stop::Claimed => all.claim_and_stop().await,
                // An endpoint asks for no permission.
                Stop::Permitted if channel == "webhook" => all.claim_and_stop().await,
                Stop::Permitted => {
                    all.send_and_stop(channel, person, FaultKind::TimeOutBefore)
                        .await;
                }
                Stop::Accepted => {
                    all.send_and_stop(channel, person, FaultKind::TimeOutAfter)
                        .await;
                }
                Stop::Recorded => drop(endpoint.app.bridge.run(StepName::Deliver).await.unwrap()),
            }
            let (replica, _server) = endpoint.app.replica();
            // The lease holds.
            endpoint.app.drain_by(&replica).await;
            let calls = all.calls(channel);
            endpoint.app.advance(Duration::from_secs(130));
            endpoint.app.drain_by(&replica).await;
            let delivery = endpoint.delivery(&list).await;
            let repeats = matches!(channel, "template" | "webhook");
            let (state, reason, shown, more) = match stop {
                Stop::Recorded => ("delivered", Value::Null, 1, 0),
                _ if repeats => ("delivered", Value::Null, 1, 1),
                // Its try had not begun, and it still has its permission.
                Stop::Claimed => ("delivered", Value::Null, 1, 1),
                Stop::Accepted => ("unknown", json!("unsettled"), 1, 0),
                _ => ("unknown", json!("unsettled"), 0, 0),
            };
            let found = (
                delivery["state"].as_str().unwrap(),
                &delivery["reason"],
                all.shown(person),
                all.calls(channel) - calls,
            );
            assert_eq!(
                found,
                (state, &reason, shown, more),
                "{channel} {stop:?}: {delivery}"
            );
            assert_eq!(
                delivery["route"], 0,
                "it never goes on to another route: {channel} {stop:?}"
            );
        }
    }
}
