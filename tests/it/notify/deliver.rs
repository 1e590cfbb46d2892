//! Sending what is due, and closing it with its receipt.

use queqiao::bridge::Step;
use queqiao::bridge::steps::StepName;
use queqiao::models::delivery::DeliveryState;
use queqiao::models::identity::{self, FollowState};
use queqiao::simulator::{Fault, FaultKind};
use serde_json::json;

use super::outbox::{APPS, OutboxFixture, SEND, route};

both_engines! {
    a_message_goes_out_and_its_receipt_closes_it,
    a_receipt_that_says_no_fails_the_delivery,
    a_receipt_may_come_before_the_answer,
    a_refusal_for_not_following_is_believed_once_the_profile_says_so,
    a_refused_token_is_replaced_and_the_message_goes_out,
}

async fn a_message_goes_out_and_its_receipt_closes_it(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    let accepted = outbox.notify(&["a"]).await;
    assert_eq!(outbox.deliver().await, Step::Worked);
    assert_eq!(outbox.deliver().await, Step::Idle);
    let (delivery, attempts) = outbox.only(accepted.notification_id).await;
    assert_eq!(delivery.state, DeliveryState::Sent);
    assert_eq!(attempts, [(1, "accepted".to_owned(), None)]);
    let seen = outbox.world().messages();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].data["thing1"], "已发货");
    assert_eq!(seen[0].url.as_deref(), Some("https://example.com/orders"));
    assert_eq!(Some(seen[0].msgid), delivery.msgid);
    outbox.receipt(0, seen[0].msgid, true).await;
    assert_eq!(
        outbox.bridge.run(StepName::Receipts).await.unwrap(),
        Step::Worked
    );
    assert_eq!(
        outbox.bridge.run(StepName::Receipts).await.unwrap(),
        Step::Idle
    );
    let (delivery, _) = outbox.only(accepted.notification_id).await;
    assert_eq!(delivery.state, DeliveryState::Delivered);
    assert_eq!(delivery.finished_at, Some(outbox.clock.now()));
}

async fn a_receipt_that_says_no_fails_the_delivery(outbox: OutboxFixture) {
    outbox.set_routes(json!([route(APPS[0])])).await;
    outbox.bound("a", 0, 1, true).await;
    let accepted = outbox.notify(&["a"]).await;
    outbox.deliver().await;
    let msgid = outbox.world().messages()[0].msgid;
    // The same number of another account is another message.
    outbox.receipt(1, msgid, true).await;
    assert_eq!(
        outbox.bridge.run(StepName::Receipts).await.unwrap(),
        Step::Idle
    );
    outbox.receipt(0, msgid, false).await;
    assert_eq!(
        outbox.bridge.run(StepName::Receipts).await.unwrap(),
        Step::Worked
    );
    let (delivery, _) = outbox.only(accepted.notification_id).await;
    assert_eq!(delivery.state, DeliveryState::Failed);
    assert_eq!(delivery.reason.as_deref(), Some("receipt_failed"));
    assert!(
        delivery
            .detail
            .is_some_and(|detail| detail.contains("user block"))
    );
}

async fn a_receipt_may_come_before_the_answer(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    let accepted = outbox.notify(&["a"]).await;
    let fault = Fault::at(SEND, FaultKind::ResetAfter).times(1);
    outbox.world().add_fault(fault).unwrap();
    outbox.deliver().await;
    let (delivery, attempts) = outbox.only(accepted.notification_id).await;
    assert_eq!(delivery.state, DeliveryState::Queued);
    assert_eq!(attempts, [(1, "ambiguous".to_owned(), None)]);
    let msgid = outbox.world().messages()[0].msgid;
    outbox.receipt(0, msgid, true).await;
    assert_eq!(
        outbox.bridge.run(StepName::Receipts).await.unwrap(),
        Step::Idle
    );
    outbox.advance(3);
    outbox.deliver().await;
    assert_eq!(
        outbox.world().messages().len(),
        1,
        "the person is not told twice"
    );
    assert_eq!(
        outbox.bridge.run(StepName::Receipts).await.unwrap(),
        Step::Worked
    );
    let (delivery, attempts) = outbox.only(accepted.notification_id).await;
    assert_eq!(delivery.state, DeliveryState::Delivered);
    assert_eq!(delivery.msgid, Some(msgid));
    assert_eq!(attempts.len(), 2, "{attempts:?}");
    assert_eq!(attempts[1], (2, "accepted".to_owned(), None));
}

async fn a_refusal_for_not_following_is_believed_once_the_profile_says_so(outbox: OutboxFixture) {
    outbox.set_routes(json!([route(APPS[0])])).await;
    let id = outbox.bound("a", 0, 1, true).await;
    outbox.world().unfollow(APPS[0], 1).await.unwrap();
    let accepted = outbox.notify(&["a"]).await;
    outbox.deliver().await;
    let project = outbox.project;
    let read = async || {
        outbox
            .write(move |conn| identity::by_id(conn, project, id))
            .await
            .unwrap()
    };
    let (delivery, attempts) = outbox.only(accepted.notification_id).await;
    assert_eq!(
        (delivery.state, delivery.reason.as_deref()),
        (DeliveryState::Queued, Some("not_following"))
    );
    assert_eq!(attempts, [(1, "refused".to_owned(), Some(43004))]);
    let identity = read().await;
    assert_eq!(
        (identity.follow_state, identity.profile_due_at),
        (FollowState::Following, Some(outbox.clock.now()))
    );
    outbox.advance(1);
    assert_eq!(
        outbox.bridge.run(StepName::Profile).await.unwrap(),
        Step::Worked
    );
    assert_eq!(read().await.follow_state, FollowState::NotFollowing);
    outbox.deliver().await;
    let (delivery, attempts) = outbox.only(accepted.notification_id).await;
    assert_eq!(
        (delivery.state, delivery.reason.as_deref()),
        (DeliveryState::Failed, Some("not_following"))
    );
    assert_eq!(attempts.len(), 2);
    let next = outbox.notify(&["a"]).await;
    assert_eq!(next.results[0].reason.as_deref(), Some("not_following"));
}

async fn a_refused_token_is_replaced_and_the_message_goes_out(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    outbox.notify(&["a"]).await;
    outbox.deliver().await;
    outbox.world().invalidate_tokens(APPS[0]).unwrap();
    let accepted = outbox.notify(&["a"]).await;
    outbox.deliver().await;
    let (delivery, attempts) = outbox.only(accepted.notification_id).await;
    assert_eq!(delivery.state, DeliveryState::Sent);
    assert_eq!(attempts.len(), 1);
}
