//! One notification that was accepted, followed to its end and counted.

use std::time::{Duration, Instant};

use chrono::NaiveDateTime;
use diesel::prelude::*;
use queqiao::db::schema::deliveries;
use queqiao::ids::NotificationId;
use queqiao::models::delivery::DeliveryState;
use queqiao::simulator::Stats;

use crate::stage::Stage;
use crate::support::wait_until;

/// How often the progress is asked for.
const ASKED: usize = 21;
const PATIENCE: Duration = Duration::from_secs(180);

/// A notification that was accepted.
pub(crate) struct Notified<'a> {
    pub(crate) stage: &'a Stage<'a>,
    pub(crate) id: i64,
    pub(crate) recipients: u32,
    pub(crate) started: Instant,
    pub(crate) accept: Duration,
    pub(crate) before: Stats,
}

/// What became of it.
pub(crate) struct Tally {
    recipients: u32,
    accept: Duration,
    /// From the request to the last delivery recorded as sent.
    sent: Duration,
    /// From the request to the last one recorded as delivered.
    delivered: Option<Duration>,
    /// What it takes to ask how far it has come.
    asked: Duration,
    /// From the request to the answer of each send, in order, milliseconds.
    answered: Vec<f64>,
}

impl Notified<'_> {
    /// Waits for its end, and proves that everybody saw it once.
    pub(crate) fn settle(self, receipts: bool) -> Tally {
        let stage = self.stage;
        wait_until(PATIENCE, "sending", || {
            let due = "SELECT COUNT(*) AS n FROM \
                       (SELECT 1 FROM deliveries WHERE due_at IS NOT NULL LIMIT 1) AS due";
            stage.count(due) == 0
        });
        let sent = self.started.elapsed();
        if receipts {
            let pending = format!(
                "SELECT COUNT(*) AS n FROM (SELECT 1 FROM deliveries WHERE notification_id = {} \
                 AND state <> 'delivered' LIMIT 1) AS pending",
                self.id
            );
            wait_until(PATIENCE, "receipts", || {
                // Looking costs what the service could use.
                std::thread::sleep(Duration::from_millis(u64::from(self.recipients) / 1_000));
                stage.count(&pending) == 0
            });
        }
        let delivered = receipts.then(|| self.started.elapsed());
        let seen = stage.seen();
        assert_eq!(
            seen.messages - self.before.messages,
            u64::from(self.recipients),
            "each person saw one message"
        );
        assert_eq!(seen.repeats, self.before.repeats, "none was sent twice");
        let asked = match self.recipients {
            1 => Duration::ZERO,
            _ => self.ask(),
        };
        Tally {
            asked,
            recipients: self.recipients,
            accept: self.accept,
            sent,
            delivered,
            answered: self.answered(receipts),
        }
    }

    /// How long `GET /notifications/{id}` takes, the middle of many.
    fn ask(&self) -> Duration {
        let stage = self.stage;
        let url = format!(
            "http://{}/api/v1/notifications/{}",
            stage.service.address, self.id
        );
        let mut took: Vec<Duration> = (0..ASKED)
            .map(|_| {
                let started = Instant::now();
                let request = stage.http.get(&url).bearer_auth(&stage.key);
                let answer = async { request.send().await?.error_for_status()?.bytes().await };
                stage.runtime.block_on(answer).expect("the progress");
                started.elapsed()
            })
            .collect();
        took.sort();
        took.get(ASKED / 2).copied().unwrap_or_default()
    }

    /// When each delivery's send was answered; all of them are in the state they should be in.
    fn answered(&self, receipts: bool) -> Vec<f64> {
        let mut conn = self.stage.db.connect().expect("the database answers");
        let rows: Vec<(DeliveryState, i32, NaiveDateTime, Option<NaiveDateTime>)> =
            deliveries::table
                .filter(deliveries::notification_id.eq(NotificationId(self.id)))
                .select((
                    deliveries::state,
                    deliveries::attempts,
                    deliveries::created_at,
                    deliveries::sent_at,
                ))
                .load(&mut conn)
                .expect("deliveries");
        assert_eq!(rows.len(), self.recipients as usize, "a delivery for each");
        let state = match receipts {
            true => DeliveryState::Delivered,
            false => DeliveryState::Sent,
        };
        let mut answered: Vec<f64> = rows
            .iter()
            .map(|(is, attempts, created_at, sent_at)| {
                assert_eq!((*is, *attempts), (state, 1));
                let took = sent_at.expect("a time of sending") - *created_at;
                took.as_seconds_f64() * 1e3
            })
            .collect();
        answered.sort_by(f64::total_cmp);
        answered
    }
}

impl Tally {
    /// Deliveries per second from the acceptance to the last one recorded as sent.
    pub(crate) fn per_second(&self) -> f64 {
        f64::from(self.recipients) / (self.sent - self.accept).as_secs_f64()
    }

    pub(crate) fn print(&self, bare: f64, peak_mib: f64) {
        let delivered = self.delivered.map_or_else(String::new, |delivered| {
            let seconds = (delivered - self.accept).as_secs_f64();
            format!("{:.0}", f64::from(self.recipients) / seconds)
        });
        let quantile = |per_cent: usize| {
            let at = (self.answered.len() * per_cent / 100).min(self.answered.len() - 1);
            self.answered.get(at).copied().unwrap_or_default()
        };
        println!(
            "{:<16} {:>9.1} {:>10.0} {:>8.2} {delivered:>11} {:>9.1} {:>9.1} {:>11.2} {peak_mib:>8.0}",
            format!("{} staff", self.recipients),
            self.accept.as_secs_f64() * 1e3,
            self.per_second(),
            self.per_second() / bare,
            quantile(50),
            quantile(99),
            self.asked.as_secs_f64() * 1e3,
        );
    }
}
