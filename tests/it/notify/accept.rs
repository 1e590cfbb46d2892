//! Accepting a request, once.

use futures_util::future::join_all;
use queqiao::bridge::notify::NotifyError;
use queqiao::models::delivery::DeliveryState;
use queqiao::models::notification::{self, message_type};
use queqiao::models::staff;
use serde_json::json;

use super::outbox::{APPS, OutboxFixture, TYPE, request, route};

both_engines! {
    the_first_route_that_reaches_somebody_is_taken,
    the_same_key_gets_the_first_answer_again,
    one_key_makes_one_notification_however_many_ask_at_once,
    what_cannot_be_taken_names_its_field_and_stores_nothing,
    a_name_that_is_missing_concerns_that_person_alone,
}

async fn the_first_route_that_reaches_somebody_is_taken(outbox: OutboxFixture) {
    outbox.bound("both", 0, 1, true).await;
    outbox.bound("both", 1, 1, true).await;
    outbox.bound("second", 0, 2, false).await;
    outbox.bound("second", 1, 2, true).await;
    outbox.bound("gone", 0, 3, false).await;
    let (project, now) = (outbox.project, outbox.clock.now());
    outbox
        .write(move |conn| staff::put(conn, project, "unbound", None, None, now))
        .await;
    let accepted = outbox
        .notify(&["both", "second", "gone", "unbound", "nobody", "both"])
        .await;
    let verdicts: Vec<_> = accepted
        .results
        .iter()
        .map(|verdict| {
            (
                verdict.staff_id.as_deref().unwrap(),
                verdict.state,
                verdict.reason.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        verdicts,
        [
            ("both", DeliveryState::Queued, None),
            ("second", DeliveryState::Queued, None),
            ("gone", DeliveryState::Unreachable, Some("not_following")),
            ("unbound", DeliveryState::Unreachable, Some("not_bound")),
            ("nobody", DeliveryState::Unreachable, Some("unknown_staff")),
        ]
    );
    let stored = outbox.deliveries(accepted.notification_id).await;
    let routes: Vec<_> = stored.iter().map(|delivery| delivery.route).collect();
    assert_eq!(routes, [Some(0), Some(1), None, None, None]);
    let accounts: Vec<_> = stored.iter().map(|delivery| delivery.account_id).collect();
    assert_eq!(accounts[..2], outbox.accounts.map(Some));
    for verdict in &accepted.results[2..] {
        assert!(
            verdict
                .detail
                .as_ref()
                .is_some_and(|detail| detail.ends_with('.'))
        );
    }
}

async fn the_same_key_gets_the_first_answer_again(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    let params = || json!({"title": "x"});
    let first = outbox
        .try_notify(&["a", "b"], params(), Some("k1"))
        .await
        .unwrap();
    assert!(!first.replayed);
    outbox.deliver().await;
    let project = outbox.project;
    outbox
        .write(move |conn| message_type::delete(conn, project, TYPE))
        .await;
    let again = outbox
        .try_notify(&["a", "b"], params(), Some("k1"))
        .await
        .unwrap();
    assert!(again.replayed);
    assert_eq!(again.notification_id, first.notification_id);
    assert_eq!(again.results, first.results);
    let other = outbox.try_notify(&["a"], params(), Some("k1")).await;
    assert!(
        matches!(other, Err(NotifyError::IdempotencyMismatch)),
        "{other:?}"
    );
    let unknown = outbox.try_notify(&["a"], params(), Some("k2")).await;
    assert!(
        matches!(unknown, Err(NotifyError::UnknownMessageType(_))),
        "{unknown:?}"
    );
}

async fn one_key_makes_one_notification_however_many_ask_at_once(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    let asks = (0..8).map(|_| {
        let request = request(&["a"], json!({"title": "x"}), Some("k"));
        outbox.bridge.notify(outbox.project, request)
    });
    let answers: Vec<_> = join_all(asks)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    for answer in &answers {
        assert_eq!(answer.results, answers[0].results);
    }
    let project = outbox.project;
    let stored = outbox
        .write(move |conn| notification::list(conn, project, None, 10))
        .await;
    assert_eq!(stored.len(), 1);
}

async fn what_cannot_be_taken_names_its_field_and_stores_nothing(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    let missing = outbox
        .try_notify(&["a"], json!({}), None)
        .await
        .unwrap_err();
    assert!(
        missing.to_string().contains("routes[0].fields.thing1"),
        "{missing}"
    );
    let broken = outbox
        .try_notify(&["a"], json!({"title": "a\nb"}), None)
        .await
        .unwrap_err();
    assert!(broken.to_string().contains("line break"), "{broken}");
    let empty = outbox
        .try_notify(&[], json!({"title": "x"}), None)
        .await
        .unwrap_err();
    assert!(matches!(empty, NotifyError::Invalid(_)), "{empty}");
    outbox
        .set_routes(json!([route(APPS[0]), route("wx00000000000000c3")]))
        .await;
    let foreign = outbox
        .try_notify(&["a"], json!({"title": "x"}), None)
        .await
        .unwrap_err();
    assert!(
        foreign.to_string().contains("routes[1].account"),
        "{foreign}"
    );
    let project = outbox.project;
    let stored = outbox
        .write(move |conn| notification::list(conn, project, None, 10))
        .await;
    assert_eq!(stored.len(), 0);
}

async fn a_name_that_is_missing_concerns_that_person_alone(outbox: OutboxFixture) {
    let mut named = route(APPS[0]);
    named["fields"]["thing1"] = json!("{{ staff.name }}: {{ params.title }}");
    outbox.set_routes(json!([named])).await;
    outbox.bound("named", 0, 1, true).await;
    outbox.bound("nameless", 0, 2, true).await;
    let (project, now) = (outbox.project, outbox.clock.now());
    outbox
        .write(move |conn| staff::put(conn, project, "named", Some("Li"), None, now))
        .await;
    let accepted = outbox.notify(&["named", "nameless"]).await;
    assert_eq!(accepted.results[0].state, DeliveryState::Queued);
    assert_eq!(
        accepted.results[1].reason.as_deref(),
        Some("not_renderable")
    );
    outbox.deliver().await;
    let seen = outbox.world().messages();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].data["thing1"], "Li: 已发货");
}
