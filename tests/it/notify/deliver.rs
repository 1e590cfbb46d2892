//! Sending what is due, and closing it with its receipt.

use queqiao::bridge::Step;
use queqiao::models::delivery::DeliveryState;
use queqiao::models::identity::{self, FollowState};
use queqiao::simulator::{Fault, FaultKind};
use serde_json::json;

use super::rig::{APPS, Rig, SEND, route};

both_engines! {
    a_message_goes_out_and_its_receipt_closes_it,
    a_receipt_that_says_no_fails_the_delivery,
    a_receipt_may_come_before_the_answer,
    a_refusal_for_not_following_is_believed_once_the_profile_says_so,
    a_refused_token_is_replaced_and_the_message_goes_out,
}

async fn a_message_goes_out_and_its_receipt_closes_it(rig: Rig) {
    rig.bound("a", 0, 1, true).await;
    let accepted = rig.notify(&["a"]).await;
    assert_eq!(rig.deliver().await, Step::Worked);
    assert_eq!(rig.deliver().await, Step::Idle);
    let (delivery, attempts) = rig.only(accepted.notification_id).await;
    assert_eq!(delivery.state, DeliveryState::Sent);
    assert_eq!(attempts, [(1, "accepted".to_owned(), None)]);
    let seen = rig.world().messages();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].data["thing1"], "已发货");
    assert_eq!(seen[0].url.as_deref(), Some("https://example.com/orders"));
    assert_eq!(Some(seen[0].msgid), delivery.msgid);
    rig.receipt(0, seen[0].msgid, true).await;
    assert_eq!(rig.bridge.receipt_step().await.unwrap(), Step::Worked);
    assert_eq!(rig.bridge.receipt_step().await.unwrap(), Step::Idle);
    let (delivery, _) = rig.only(accepted.notification_id).await;
    assert_eq!(delivery.state, DeliveryState::Delivered);
    assert_eq!(delivery.finished_at, Some(rig.clock.now()));
}

async fn a_receipt_that_says_no_fails_the_delivery(rig: Rig) {
    rig.set_routes(json!([route(APPS[0])])).await;
    rig.bound("a", 0, 1, true).await;
    let accepted = rig.notify(&["a"]).await;
    rig.deliver().await;
    let msgid = rig.world().messages()[0].msgid;
    // The same number of another account is another message.
    rig.receipt(1, msgid, true).await;
    assert_eq!(rig.bridge.receipt_step().await.unwrap(), Step::Idle);
    rig.receipt(0, msgid, false).await;
    assert_eq!(rig.bridge.receipt_step().await.unwrap(), Step::Worked);
    let (delivery, _) = rig.only(accepted.notification_id).await;
    assert_eq!(delivery.state, DeliveryState::Failed);
    assert_eq!(delivery.reason.as_deref(), Some("receipt_failed"));
    assert!(
        delivery
            .detail
            .is_some_and(|detail| detail.contains("user block"))
    );
}

async fn a_receipt_may_come_before_the_answer(rig: Rig) {
    rig.bound("a", 0, 1, true).await;
    let accepted = rig.notify(&["a"]).await;
    let fault = Fault::at(SEND, FaultKind::ResetAfter).times(1);
    rig.world().add_fault(fault).unwrap();
    rig.deliver().await;
    let (delivery, attempts) = rig.only(accepted.notification_id).await;
    assert_eq!(delivery.state, DeliveryState::Queued);
    assert_eq!(attempts, [(1, "ambiguous".to_owned(), None)]);
    let msgid = rig.world().messages()[0].msgid;
    rig.receipt(0, msgid, true).await;
    assert_eq!(rig.bridge.receipt_step().await.unwrap(), Step::Idle);
    rig.advance(3);
    rig.deliver().await;
    assert_eq!(
        rig.world().messages().len(),
        1,
        "the person is not told twice"
    );
    assert_eq!(rig.bridge.receipt_step().await.unwrap(), Step::Worked);
    let (delivery, attempts) = rig.only(accepted.notification_id).await;
    assert_eq!(delivery.state, DeliveryState::Delivered);
    assert_eq!(delivery.msgid, Some(msgid));
    assert_eq!(attempts.len(), 2, "{attempts:?}");
    assert_eq!(attempts[1], (2, "accepted".to_owned(), None));
}

async fn a_refusal_for_not_following_is_believed_once_the_profile_says_so(rig: Rig) {
    rig.set_routes(json!([route(APPS[0])])).await;
    let id = rig.bound("a", 0, 1, true).await;
    rig.world().unfollow(APPS[0], 1).await.unwrap();
    let accepted = rig.notify(&["a"]).await;
    rig.deliver().await;
    let project = rig.project;
    let read = async || {
        rig.write(move |conn| identity::by_id(conn, project, id))
            .await
            .unwrap()
    };
    let (delivery, attempts) = rig.only(accepted.notification_id).await;
    assert_eq!(
        (delivery.state, delivery.reason.as_deref()),
        (DeliveryState::Queued, Some("not_following"))
    );
    assert_eq!(attempts, [(1, "refused".to_owned(), Some(43004))]);
    let identity = read().await;
    assert_eq!(
        (identity.follow_state, identity.profile_due_at),
        (FollowState::Following, Some(rig.clock.now()))
    );
    rig.advance(1);
    assert_eq!(rig.bridge.profile_step().await.unwrap(), Step::Worked);
    assert_eq!(read().await.follow_state, FollowState::NotFollowing);
    rig.deliver().await;
    let (delivery, attempts) = rig.only(accepted.notification_id).await;
    assert_eq!(
        (delivery.state, delivery.reason.as_deref()),
        (DeliveryState::Failed, Some("not_following"))
    );
    assert_eq!(attempts.len(), 2);
    let next = rig.notify(&["a"]).await;
    assert_eq!(next.verdicts[0].reason.as_deref(), Some("not_following"));
}

async fn a_refused_token_is_replaced_and_the_message_goes_out(rig: Rig) {
    rig.bound("a", 0, 1, true).await;
    rig.notify(&["a"]).await;
    rig.deliver().await;
    rig.world().invalidate_tokens(APPS[0]).unwrap();
    let accepted = rig.notify(&["a"]).await;
    rig.deliver().await;
    let (delivery, attempts) = rig.only(accepted.notification_id).await;
    assert_eq!(delivery.state, DeliveryState::Sent);
    assert_eq!(attempts.len(), 1);
}
