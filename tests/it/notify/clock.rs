//! A clock that was ahead and goes back.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use chrono::TimeDelta;
use queqiao::models::delivery::{self, DeliveryState, Postponed};
use queqiao::simulator::{Fault, FaultKind};
use serde_json::json;

use super::outbox::{APPS, OutboxFixture, SEND, request};

const DAY: u64 = 86_400;

both_engines! {
    what_was_planned_by_a_clock_that_was_ahead_does_not_wait_for_it,
    a_lease_that_a_clock_gave_that_was_ahead_lasts_no_longer_than_a_lease,
    a_claim_that_is_given_back_twice_leaves_the_next_one_alone,
    a_process_that_starts_after_that_finds_it_too,
    what_a_replica_sent_whose_clock_is_ahead_waits_for_its_receipt_all_the_same,
    what_was_sent_by_a_clock_a_little_ahead_waits_as_long_longer_with_what_is_behind_it,
    the_age_of_what_began_while_the_clock_was_ahead_counts_from_now,
}

async fn what_was_planned_by_a_clock_that_was_ahead_does_not_wait_for_it(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    outbox.bound("b", 1, 2, true).await;
    outbox.clock.advance(Duration::from_secs(DAY));
    outbox.bridge.run(StepName::Due).await.unwrap();
    // One account is stopped, the other is slow.
    let fault = |errcode, app: usize| Fault {
        app_id: Some(APPS[app].to_owned()),
        ..Fault::at(SEND, FaultKind::Errcode { errcode }).times(1)
    };
    outbox.world().add_fault(fault(40164, 0)).unwrap();
    outbox.world().add_fault(fault(-1, 1)).unwrap();
    let (one, other) = (outbox.notify(&["a"]).await, outbox.notify(&["b"]).await);
    outbox.settle().await;
    let mut later = request(&["a"], json!({"title": "x"}), None);
    later.send_at = Some(
        (outbox.clock.now() + TimeDelta::days(2))
            .and_utc()
            .to_rfc3339(),
    );
    let later = outbox.bridge.notify(outbox.project, later).await.unwrap();
    for id in [one.notification_id, other.notification_id] {
        assert_eq!(outbox.count(id, DeliveryState::Queued).await, 1);
    }
    outbox.clock.turn_back(Duration::from_secs(DAY));
    outbox.bridge.run(StepName::Due).await.unwrap();
    outbox.settle().await;
    for id in [one.notification_id, other.notification_id] {
        assert_eq!(
            outbox.count(id, DeliveryState::Sent).await,
            1,
            "long before its time"
        );
    }
    assert_eq!(
        outbox
            .count(later.notification_id, DeliveryState::Queued)
            .await,
        1
    );
    assert_eq!(outbox.world().messages().len(), 2);
}

async fn a_lease_that_a_clock_gave_that_was_ahead_lasts_no_longer_than_a_lease(
    outbox: OutboxFixture,
) {
    outbox.bound("a", 0, 1, true).await;
    outbox.clock.advance(Duration::from_secs(DAY));
    outbox.bridge.run(StepName::Due).await.unwrap();
    let one = outbox.notify(&["a"]).await;
    let claim = outbox.claim(outbox.clock.now());
    let lost = outbox
        .write(move |conn| delivery::claim_due(conn, &claim))
        .await;
    assert_eq!(lost.len(), 1);
    outbox.clock.turn_back(Duration::from_secs(DAY));
    outbox.bridge.run(StepName::Due).await.unwrap();
    outbox.settle().await;
    assert_eq!(
        outbox
            .count(one.notification_id, DeliveryState::Queued)
            .await,
        1,
        "it may be in hand"
    );
    outbox.clock.advance(Duration::from_secs(130));
    outbox.bridge.run(StepName::Due).await.unwrap();
    outbox.settle().await;
    assert_eq!(
        outbox
            .count(one.notification_id, DeliveryState::Queued)
            .await,
        0
    );
}

async fn a_claim_that_is_given_back_twice_leaves_the_next_one_alone(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    let one = outbox.notify(&["a"]).await;
    let now = outbox.clock.now();
    let claim = async |at| {
        let claim = outbox.claim(at);
        outbox
            .write(move |conn| delivery::claim_due(conn, &claim))
            .await
            .remove(0)
    };
    let first = Postponed::new(&claim(now).await, now, now);
    let back = first.clone();
    outbox
        .write(move |conn| delivery::release(conn, &[back]))
        .await;
    let again = claim(now + TimeDelta::seconds(1)).await;
    assert_eq!(again.attempts, 1);
    outbox
        .write(move |conn| delivery::release(conn, &[first]))
        .await;
    let later = outbox.claim(now + TimeDelta::seconds(2));
    let free = outbox
        .write(move |conn| delivery::claim_due(conn, &later))
        .await;
    assert_eq!(free.len(), 0, "it is in hand still");
    assert_eq!(outbox.only(one.notification_id).await.0.attempts, 1);
}

async fn a_process_that_starts_after_that_finds_it_too(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    outbox.clock.advance(Duration::from_secs(DAY));
    outbox
        .world()
        .add_fault(Fault::at(SEND, FaultKind::Errcode { errcode: -1 }).times(1))
        .unwrap();
    let one = outbox.notify(&["a"]).await;
    outbox.settle().await;
    outbox.clock.turn_back(Duration::from_secs(DAY));
    let started = outbox.replica();
    started.run(StepName::Due).await.unwrap();
    while started.run(StepName::Deliver).await.unwrap() == queqiao::bridge::Step::Worked {}
    assert_eq!(
        outbox.count(one.notification_id, DeliveryState::Sent).await,
        1
    );
}

async fn what_a_replica_sent_whose_clock_is_ahead_waits_for_its_receipt_all_the_same(
    outbox: OutboxFixture,
) {
    outbox.bound("a", 0, 1, true).await;
    outbox.bound("b", 0, 2, true).await;
    // Further ahead than a receipt is waited for: its date is not to be believed even then.
    let patience = outbox.bridge.config.deliver.receipt_seconds;
    outbox.clock.advance(Duration::from_secs(2 * patience));
    let one = outbox.notify(&["a"]).await.notification_id;
    outbox.settle().await;
    outbox.clock.turn_back(Duration::from_secs(2 * patience));
    outbox.bridge.run(StepName::Overdue).await.unwrap();
    assert_eq!(
        outbox.count(one, DeliveryState::Sent).await,
        1,
        "it was sent just now"
    );
    let other = outbox.notify(&["b"]).await.notification_id;
    outbox.settle().await;
    outbox.bridge.run(StepName::Overdue).await.unwrap();
    assert_eq!(outbox.count(one, DeliveryState::Sent).await, 1);
    // It is as old as what was sent after it.
    outbox.clock.advance(Duration::from_secs(patience));
    outbox.bridge.run(StepName::Overdue).await.unwrap();
    assert_eq!(outbox.count(one, DeliveryState::NoReceipt).await, 1);
    assert_eq!(outbox.count(other, DeliveryState::NoReceipt).await, 1);
}

async fn what_was_sent_by_a_clock_a_little_ahead_waits_as_long_longer_with_what_is_behind_it(
    outbox: OutboxFixture,
) {
    outbox.bound("a", 0, 1, true).await;
    outbox.bound("b", 0, 2, true).await;
    let patience = outbox.bridge.config.deliver.receipt_seconds;
    outbox.clock.advance(Duration::from_secs(300));
    let one = outbox.notify(&["a"]).await.notification_id;
    outbox.settle().await;
    outbox.clock.turn_back(Duration::from_secs(300));
    let other = outbox.notify(&["b"]).await.notification_id;
    outbox.settle().await;
    for (seconds, closed) in [(patience, 0), (299, 0), (1, 1)] {
        outbox.clock.advance(Duration::from_secs(seconds));
        outbox.bridge.run(StepName::Overdue).await.unwrap();
        for id in [one, other] {
            assert_eq!(
                outbox.count(id, DeliveryState::NoReceipt).await,
                closed,
                "{seconds}"
            );
        }
    }
}

async fn the_age_of_what_began_while_the_clock_was_ahead_counts_from_now(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    outbox.clock.advance(Duration::from_secs(DAY));
    outbox.bridge.run(StepName::Due).await.unwrap();
    outbox
        .world()
        .add_fault(Fault::at(SEND, FaultKind::Errcode { errcode: -1 }).times(1))
        .unwrap();
    let one = outbox.notify(&["a"]).await.notification_id;
    outbox.settle().await;
    outbox.clock.turn_back(Duration::from_secs(DAY));
    outbox.bridge.run(StepName::Due).await.unwrap();
    let now = outbox.clock.now();
    let lane = outbox.accounts[0];
    let claim = delivery::Claim {
        lane,
        ..outbox.claim(now)
    };
    let due = outbox
        .write(move |conn| delivery::claim_due(conn, &claim))
        .await;
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].notification_id, due[0].begun_at), (one, now));
}
