//! Time-outs, crashes and crowds on each channel: nobody sees a message twice.

use queqiao::bridge::steps::StepName;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use queqiao::bridge::Bridge;
use queqiao::simulator::{Fault, FaultKind};
use queqiao::wechat::client::{Client, ClientOptions};
use serde_json::{Value, json};

use super::routes::{CHANNELS, MP_SEND, RouteFixture, verdicts};
use crate::support::setup::MP;

/// What goes wrong, and whether the person sees the message all the same.
const SILENCE: [(FaultKind, usize); 5] = [
    (FaultKind::TimeOutBefore, 0),
    (FaultKind::TimeOutAfter, 1),
    (FaultKind::Reset, 0),
    (FaultKind::ResetAfter, 1),
    (FaultKind::HttpError { status: 502 }, 0),
];

impl RouteFixture {
    /// Everybody has one permission, and the channel goes before another.
    async fn at_channel(&self, staff: &str, person: u32, channel: &str, account: &str) {
        self.member(staff, person).await;
        if channel != "template" {
            self.allow(account, person).await;
        }
        let next = if channel == "template" {
            "mp_subscribe"
        } else {
            "template"
        };
        self.allow(MP, person).await;
        self.channels(&[channel, next]).await;
    }

    fn one_by_one(&self) -> Bridge {
        let mut bridge = self.app.bridge.clone();
        let mut config = (*bridge.config).clone();
        config.deliver.batch_rows = 1;
        bridge.config = Arc::new(config);
        bridge
    }

    async fn all_of(&self, paths: &[String]) -> Vec<Value> {
        let mut found = Vec::new();
        for path in paths {
            found.push(self.delivery(path).await);
        }
        found
    }
}

both_engines! {
    silence_is_never_answered_with_a_second_message,
    what_certainly_was_not_sent_is_sent_again,
    a_crash_after_sending_shows_no_second_message,
    one_permission_is_used_once,
    nothing_is_sent_under_a_lease_that_may_run_out,
    messages_to_one_openid_go_one_after_another,
}

async fn silence_is_never_answered_with_a_second_message(routes: RouteFixture) {
    let (impatient, _server) = routes.impatient();
    let mut person = 0;
    for (channel, account, path) in CHANNELS {
        for (kind, shown) in SILENCE {
            person += 1;
            let staff = format!("s{person}");
            routes.at_channel(&staff, person, channel, account).await;
            let world = routes.world();
            let before = world.calls(path, None).unwrap();
            world.add_fault(Fault::at(path, kind).times(1)).unwrap();
            let deliveries = routes.notify(&staff).await;
            routes.app.drain_by(&impatient).await;
            routes.pass(30, 5).await;
            let delivery = routes.delivery(&deliveries).await;
            let calls = world.calls(path, None).unwrap() - before;
            if channel == "template" {
                assert_eq!(
                    (&delivery["state"], calls),
                    (&json!("delivered"), 2),
                    "{kind:?}"
                );
                assert_eq!(routes.seen(person), 1, "{channel} {kind:?}");
            } else {
                assert_eq!(
                    (&delivery["state"], &delivery["reason"]),
                    (&json!("unknown"), &json!("unsettled")),
                    "{kind:?}"
                );
                assert_eq!(
                    (routes.seen(person), calls),
                    (shown, 1),
                    "{channel} {kind:?}"
                );
            }
            assert_eq!(
                verdicts(&delivery),
                [(channel, "taken")],
                "it may have been seen: {kind:?}"
            );
        }
    }
}

async fn what_certainly_was_not_sent_is_sent_again(routes: RouteFixture) {
    // Nobody listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let lost = Client::new(ClientOptions::new(url.parse().unwrap())).unwrap();
    for (person, (channel, account, _)) in (1..).zip(CHANNELS) {
        let staff = format!("s{person}");
        routes.at_channel(&staff, person, channel, account).await;
        let left = routes.left(&staff).await;
        let path = routes.notify(&staff).await;
        let mut bridge = routes.app.bridge.clone();
        bridge.wechat = lost.clone();
        // The token is known, and only the send is lost.
        bridge.run(StepName::Deliver).await.unwrap();
        let delivery = routes.delivery(&path).await;
        assert_eq!(
            (&delivery["state"], routes.left(&staff).await),
            (&json!("queued"), left),
            "{delivery}"
        );
        assert_eq!(delivery["attempts"][0]["outcome"], "not_sent");
        routes.pass(100, 20).await;
        let delivery = routes.delivery(&path).await;
        assert_eq!(
            (&delivery["state"], routes.seen(person)),
            (&json!("delivered"), 1),
            "{delivery}"
        );
    }
}

async fn a_crash_after_sending_shows_no_second_message(routes: RouteFixture) {
    for (person, (channel, account, path)) in (1..).zip(CHANNELS) {
        let staff = format!("s{person}");
        routes.at_channel(&staff, person, channel, account).await;
        let world = routes.world();
        world
            .add_fault(Fault::at(path, FaultKind::TimeOutAfter).times(1))
            .unwrap();
        let left = routes.left(&staff).await;
        let deliveries = routes.notify(&staff).await;
        let bridge = routes.app.bridge.clone();
        let doomed = tokio::spawn(async move { bridge.run(StepName::Deliver).await.map(drop) });
        while routes.seen(person) == 0 {
            tokio::task::yield_now().await;
        }
        doomed.abort();
        assert!(doomed.await.unwrap_err().is_cancelled());
        routes.pass(130, 10).await;
        let delivery = routes.delivery(&deliveries).await;
        assert_eq!(delivery["attempts"][0]["outcome"], "interrupted");
        assert_eq!(routes.seen(person), 1, "{delivery}");
        match channel {
            "template" => assert_eq!(delivery["state"], "delivered"),
            _ => {
                assert_eq!(
                    (&delivery["state"], &delivery["reason"]),
                    (&json!("unknown"), &json!("unsettled"))
                );
                assert_eq!(
                    routes.left(&staff).await,
                    left - 1,
                    "the permission is used"
                );
            }
        }
    }
}

async fn one_permission_is_used_once(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.allow(MP, 1).await;
    routes.channels(&["mp_subscribe"]).await;
    let paths = [routes.notify("s1").await, routes.notify("s1").await];
    routes.pass(32, 1).await;
    let mut ends: Vec<(Value, Value)> = Vec::new();
    for delivery in routes.all_of(&paths).await {
        ends.push((delivery["state"].clone(), delivery["reason"].clone()));
    }
    ends.sort_by_key(|(state, _)| state.to_string());
    assert_eq!(
        ends,
        [
            (json!("delivered"), Value::Null),
            (json!("unreachable"), json!("no_credit"))
        ]
    );
    let world = routes.world();
    assert_eq!(
        (routes.seen(1), world.calls(MP_SEND, None).unwrap()),
        (1, 1),
        "the other was not even tried"
    );
}

async fn nothing_is_sent_under_a_lease_that_may_run_out(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.channels(&["mp_subscribe"]).await;
    for _ in 0..2 {
        routes.pass(60, 60).await;
        routes.allow(MP, 1).await;
    }
    let world = routes.world();
    world
        .set_latency(MP_SEND, Duration::from_millis(300))
        .unwrap();
    let before = world.calls(MP_SEND, None).unwrap();
    let paths = [routes.notify("s1").await, routes.notify("s1").await];
    let bridge = routes.app.bridge.clone();
    let batch = tokio::spawn(async move { bridge.run(StepName::Deliver).await.map(drop) });
    while world.calls(MP_SEND, None).unwrap() == before {
        tokio::task::yield_now().await;
    }
    // The first takes so long that another process may soon claim the second.
    routes.app.advance(Duration::from_secs(60));
    batch.await.unwrap().unwrap();
    assert_eq!(
        (routes.seen(1), routes.left("s1").await),
        (1, 1),
        "its permission is given back"
    );
    routes.pass(2, 1).await;
    assert_eq!((routes.seen(1), routes.left("s1").await), (2, 0));
    for delivery in routes.all_of(&paths).await {
        assert_eq!(delivery["state"], "delivered", "{delivery}");
        assert_eq!(
            delivery["attempts"].as_array().unwrap().len(),
            1,
            "{delivery}"
        );
    }
}

async fn messages_to_one_openid_go_one_after_another(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.channels(&["mp_subscribe"]).await;
    for _ in 0..8 {
        routes.pass(60, 60).await;
        routes.allow(MP, 1).await;
    }
    let world = routes.world();
    world
        .set_latency(MP_SEND, Duration::from_millis(30))
        .unwrap();
    let mut paths = Vec::new();
    for _ in 0..4 {
        paths.push(routes.notify("s1").await);
    }
    routes.app.drain().await;
    assert_eq!(routes.seen(1), 4, "in one batch");
    let bridge = routes.one_by_one();
    for _ in 0..4 {
        paths.push(routes.notify("s1").await);
    }
    let steps = (0..4).map(|_| bridge.run(StepName::Deliver));
    assert!(
        join_all(steps).await.into_iter().all(|step| step.is_ok()),
        "in four at once"
    );
    routes.pass(3, 1).await;
    assert_eq!(routes.seen(1), 8);
    for delivery in routes.all_of(&paths).await {
        assert_eq!(delivery["state"], "delivered", "{delivery}");
        let attempts = delivery["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 1, "waiting is no try: {delivery}");
    }
    // Another replica's call is in the way.
    routes.allow(MP, 1).await;
    routes.refuse(MP_SEND, 43108);
    let path = routes.notify("s1").await;
    routes.pass(6, 1).await;
    let delivery = routes.delivery(&path).await;
    assert_eq!(
        (&delivery["state"], &delivery["attempts"][0]["errcode"]),
        (&json!("delivered"), &json!(43108))
    );
    assert_eq!((routes.seen(1), routes.left("s1").await), (9, 0));
}
