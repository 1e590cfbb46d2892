//! A time-out before and after the message was taken, on each channel.

use queqiao::bridge::steps::StepName;
use std::sync::Arc;

use queqiao::bridge::Bridge;
use queqiao::simulator::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{Matrix, WECHAT, path};
use crate::notify::routes::verdicts;

impl Matrix {
    /// Another process, whose posts to endpoints do not wait long.
    fn impatient_poster(&self) -> Bridge {
        let known = &self.endpoint.app.bridge;
        let mut config = (*known.config).clone();
        config.webhooks.timeout_ms = 300;
        Bridge::new(
            known.db.clone(),
            known.clock.clone(),
            known.wechat.clone(),
            known.vault.clone(),
            Arc::new(config),
        )
    }

    async fn move_endpoint(&self, url: &str) {
        let endpoint = &self.endpoint;
        let body = json!({"url": url, "events": ["webhook.disabled"], "enabled": true});
        let path = format!("/webhooks/{}", self.endpoint.id);
        endpoint.app.put(&endpoint.key, &path, body).await.ok(200);
    }
}

both_engines! {
    silence_of_wechat_is_never_answered_with_a_second_message,
    an_endpoint_that_is_silent_is_posted_to_again_under_the_same_id,
}

async fn silence_of_wechat_is_never_answered_with_a_second_message(all: Matrix) {
    let (impatient, _server) = all.endpoint.impatient();
    let mut person = 0;
    for channel in WECHAT {
        for (kind, taken) in [(FaultKind::TimeOutBefore, 0), (FaultKind::TimeOutAfter, 1)] {
            person += 1;
            let staff = all.member(person).await;
            all.permit(channel, person).await;
            all.channels(&[channel, "webhook"]).await;
            let world = all.endpoint.world();
            let calls = all.calls(channel);
            world
                .add_fault(Fault::at(path(channel), kind).times(1))
                .unwrap();
            let list = all.endpoint.notify(&staff).await;
            all.endpoint.app.drain_by(&impatient).await;
            all.endpoint.pass(70, 10).await;
            let delivery = all.endpoint.delivery(&list).await;
            let found = (
                &delivery["state"],
                all.shown(person),
                all.calls(channel) - calls,
            );
            match channel {
                "template" => {
                    assert_eq!(found, (&json!("delivered"), 1, 2), "{kind:?}: {delivery}");
                }
                _ => assert_eq!(
                    found,
                    (&json!("unknown"), taken, 1),
                    "{channel} {kind:?}: {delivery}"
                ),
            }
            assert_eq!(
                verdicts(&delivery),
                [(channel, "taken")],
                "it may have been seen: {kind:?}"
            );
        }
    }
}

async fn an_endpoint_that_is_silent_is_posted_to_again_under_the_same_id(all: Matrix) {
    let staff = all.member(1).await;
    all.channels(&["webhook", "template"]).await;
    let impatient = all.impatient_poster();
    // It took the message, and its answer is lost.
    let list = all.endpoint.notify(&staff).await;
    let gate = all.endpoint.receiver.hold().await;
    impatient.run(StepName::Deliver).await.unwrap();
    let waiting = all.endpoint.delivery(&list).await;
    assert_eq!(
        (&waiting["state"], &waiting["reason"]),
        (&json!("queued"), &json!("unsettled")),
        "{waiting}"
    );
    assert_eq!(waiting["attempts"][0]["outcome"], "ambiguous");
    drop(gate);
    // However long it takes: it knows the id for ever.
    all.endpoint.pass(1_200, 600).await;
    let delivery = all.endpoint.delivery(&list).await;
    assert_eq!(
        (&delivery["state"], all.shown(1), all.calls("webhook")),
        (&json!("delivered"), 1, 2)
    );
    // It was not there at all.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    all.move_endpoint(&nowhere).await;
    let list = all.endpoint.notify(&staff).await;
    all.endpoint.app.drain().await;
    let waiting = all.endpoint.delivery(&list).await;
    assert_eq!(
        (&waiting["state"], &waiting["reason"]),
        (&json!("queued"), &json!("retrying")),
        "{waiting}"
    );
    all.move_endpoint(&all.endpoint.receiver.url).await;
    all.endpoint.pass(120, 20).await;
    let delivery = all.endpoint.delivery(&list).await;
    assert_eq!(
        (&delivery["state"], all.shown(1), all.calls("webhook")),
        (&json!("delivered"), 2, 3)
    );
    assert_eq!(
        (verdicts(&delivery), &delivery["reason"]),
        (vec![("webhook", "taken")], &Value::Null)
    );
}
