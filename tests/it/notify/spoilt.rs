//! Tries that the account spoilt are no tries of the message.

use queqiao::models::delivery::DeliveryState;
use queqiao::simulator::{Fault, FaultKind};

use super::outbox::{OutboxFixture, SEND};
use crate::invariants::STABLE_TOKEN;

/// As many tries as a message has, with `deliver.max_attempts` as it is.
const MOST: usize = 12;

both_engines! {
    hours_in_which_wechat_refuses_the_account_cost_its_message_no_try,
    the_failures_of_a_message_end_it_also_between_those_of_the_account,
}

async fn hours_in_which_wechat_refuses_the_account_cost_its_message_no_try(outbox: OutboxFixture) {
    let mut person = 0;
    for (path, errcode) in [
        (SEND, 40164),
        (SEND, 48001),
        (SEND, 40001),
        (STABLE_TOKEN, 40125),
        (STABLE_TOKEN, -1),
    ] {
        for last in [FaultKind::Errcode { errcode: -1 }, FaultKind::Reset] {
            person += 1;
            let staff = format!("s{person}");
            outbox.bound(&staff, 0, person, true).await;
            // The token has run out by then.
            outbox.advance(7_200);
            outbox
                .world()
                .add_fault(Fault::at(path, FaultKind::Errcode { errcode }))
                .unwrap();
            let accepted = outbox.notify(&[staff.as_str()]).await;
            for _ in 0..180 {
                outbox.advance(60);
                outbox.settle().await;
            }
            let what = format!("{path} {errcode}, then {last:?}");
            let (delivery, attempts) = outbox.only(accepted.notification_id).await;
            assert_eq!(
                delivery.state,
                DeliveryState::Queued,
                "{what}: {delivery:?}"
            );
            assert!(attempts.len() >= MOST, "{what}: {attempts:?}");
            outbox.world().clear_faults();
            outbox
                .world()
                .add_fault(Fault::at(SEND, last).times(1))
                .unwrap();
            let tried = attempts.len();
            // Ten minutes of the pause at the most, and ten more where it came due just before its end.
            for _ in 0..25 {
                outbox.advance(60);
                outbox.settle().await;
            }
            let (delivery, attempts) = outbox.only(accepted.notification_id).await;
            assert_eq!(
                (delivery.state, attempts.len()),
                (DeliveryState::Sent, tried + 2),
                "{what}: {delivery:?} {attempts:?}"
            );
        }
    }
}

async fn the_failures_of_a_message_end_it_also_between_those_of_the_account(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    let accepted = outbox.notify(&["a"]).await;
    let mut own = 0;
    for _ in 0..2 * MOST {
        for (errcode, is_own) in [(40164, false), (-1, true)] {
            let before = outbox.sends();
            outbox
                .world()
                .add_fault(Fault::at(SEND, FaultKind::Errcode { errcode }))
                .unwrap();
            while outbox.sends() == before
                && outbox
                    .count(accepted.notification_id, DeliveryState::Queued)
                    .await
                    == 1
            {
                outbox.advance(30);
                outbox.deliver().await;
            }
            outbox.world().clear_faults();
            own += usize::from(is_own && outbox.sends() > before);
        }
    }
    let (delivery, attempts) = outbox.only(accepted.notification_id).await;
    assert_eq!(
        (delivery.state, delivery.reason.as_deref()),
        (DeliveryState::Failed, Some("gave_up")),
        "{delivery:?}"
    );
    assert_eq!((own, attempts.len()), (MOST, 2 * MOST), "{attempts:?}");
}
