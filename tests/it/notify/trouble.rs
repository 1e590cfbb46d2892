//! Crashes, lost leases, silence and quotas.

use queqiao::bridge::Step;
use queqiao::bridge::steps::StepName;
use queqiao::db::Engine;
use queqiao::models::delivery::{self, DeliveryState, Reason, transitions};
use queqiao::simulator::{Fault, FaultKind};

use super::outbox::{APPS, OutboxFixture, SEND};

both_engines! {
    a_crash_after_sending_does_not_notify_twice,
    what_was_claimed_too_long_ago_is_not_sent_again,
    an_acceptance_learnt_late_is_recorded_and_anything_else_is_not,
    silence_ends_as_unknown_before_wechat_forgets_the_id,
    a_used_up_quota_pauses_the_account_until_midnight,
}

async fn a_crash_after_sending_does_not_notify_twice(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    let accepted = outbox.notify(&["a"]).await;
    let fault = Fault::at(SEND, FaultKind::TimeOutAfter).times(1);
    outbox.world().add_fault(fault).unwrap();
    let bridge = outbox.bridge.clone();
    let doomed = tokio::spawn(async move { bridge.run(StepName::Deliver).await.map(drop) });
    while outbox.world().messages().is_empty() {
        tokio::task::yield_now().await;
    }
    doomed.abort();
    assert!(doomed.await.unwrap_err().is_cancelled());
    assert_eq!(outbox.deliver().await, Step::Idle, "the lease still holds");
    outbox.advance(121);
    assert_eq!(outbox.deliver().await, Step::Worked);
    let seen = outbox.world().messages();
    assert_eq!(seen.len(), 1);
    let (delivery, attempts) = outbox.only(accepted.notification_id).await;
    assert_eq!(delivery.state, DeliveryState::Sent);
    assert_eq!(delivery.msgid, Some(seen[0].msgid));
    assert_eq!(
        attempts,
        [
            (1, "interrupted".to_owned(), None),
            (2, "accepted".to_owned(), None),
        ]
    );
}

async fn what_was_claimed_too_long_ago_is_not_sent_again(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    let accepted = outbox.notify(&["a"]).await;
    let now = outbox.clock.now();
    let claim = outbox.claim(now);
    let claimed = outbox
        .write(move |conn| delivery::claim_due(conn, &claim))
        .await;
    assert_eq!(claimed.len(), 1);
    outbox.advance(540);
    assert_eq!(outbox.deliver().await, Step::Worked);
    assert_eq!(outbox.sends(), 0);
    let (delivery, attempts) = outbox.only(accepted.notification_id).await;
    assert_eq!(delivery.state, DeliveryState::Unknown);
    assert_eq!(delivery.reason.as_deref(), Some("unsettled"));
    assert_eq!(attempts, [(1, "interrupted".to_owned(), None)]);
}

async fn an_acceptance_learnt_late_is_recorded_and_anything_else_is_not(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    let accepted = outbox.notify(&["a"]).await;
    let mut tries = Vec::new();
    for _ in 0..2 {
        let now = outbox.clock.now();
        let claim = outbox.claim(now);
        tries.extend(
            outbox
                .write(move |conn| delivery::claim_due(conn, &claim))
                .await,
        );
        outbox.advance(120);
    }
    let now = outbox.clock.now();
    let why = (Reason::RefusedRequest, "no".to_owned());
    let sent = |attempt: usize, msgid| transitions::taken(&tries[attempt], now, msgid);
    for (row, state, msgid) in [
        (
            transitions::refused(&tries[0], why, now),
            DeliveryState::Queued,
            None,
        ),
        (sent(1, None), DeliveryState::Sent, None),
        (sent(0, Some(7)), DeliveryState::Sent, Some(7)),
        (sent(1, Some(8)), DeliveryState::Sent, Some(7)),
    ] {
        outbox
            .write(move |conn| transitions::record(conn, &[row]))
            .await;
        let (delivery, _) = outbox.only(accepted.notification_id).await;
        assert_eq!((delivery.state, delivery.msgid), (state, msgid));
    }
}

async fn silence_ends_as_unknown_before_wechat_forgets_the_id(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    let accepted = outbox.notify(&["a"]).await;
    let fault = Fault::at(SEND, FaultKind::HttpError { status: 502 });
    outbox.world().add_fault(fault).unwrap();
    for _ in 0..600 {
        outbox.deliver().await;
        outbox.advance(1);
    }
    let (delivery, attempts) = outbox.only(accepted.notification_id).await;
    assert_eq!(delivery.state, DeliveryState::Unknown);
    assert!(attempts.len() > 5, "{attempts:?}");
    assert!(
        attempts
            .iter()
            .all(|(_, outcome, _)| outcome == "ambiguous"),
        "{attempts:?}"
    );
    let numbers: Vec<i32> = attempts.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..).take(numbers.len()).collect::<Vec<i32>>());
    let sends = outbox.sends();
    outbox.advance(86_400);
    assert_eq!(outbox.deliver().await, Step::Idle);
    assert_eq!(outbox.sends(), sends);
}

async fn a_used_up_quota_pauses_the_account_until_midnight(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| config.deliver.batch_rows = 1).await;
    for (person, staff_id) in (1..).zip(["a", "b", "c"]) {
        outbox.bound(staff_id, 0, person, true).await;
    }
    outbox.bound("other", 1, 4, true).await;
    let fault = Fault {
        openid: None,
        app_id: Some(APPS[0].to_owned()),
        ..Fault::at(SEND, FaultKind::Errcode { errcode: 45009 })
    };
    outbox.world().add_fault(fault).unwrap();
    let accepted = outbox.notify(&["a", "b", "c", "other"]).await;
    while outbox.deliver().await == Step::Worked {}
    assert_eq!(
        outbox.sends(),
        2,
        "one refusal, and the other account's message"
    );
    let states = outbox.deliveries(accepted.notification_id).await;
    for delivery in &states[..3] {
        assert_eq!(delivery.state, DeliveryState::Queued);
        assert_eq!(delivery.reason.as_deref(), Some("quota_used_up"));
        assert!(delivery.due_at >= Some(outbox.clock.now() + chrono::TimeDelta::hours(12)));
    }
    assert_eq!(states.iter().map(|one| one.attempts).sum::<i32>(), 2);
    assert_eq!(states[3].state, DeliveryState::Sent);
    outbox.world().clear_faults();
    outbox.advance(12 * 3600 + 320);
    while outbox.deliver().await == Step::Worked {}
    for delivery in outbox.deliveries(accepted.notification_id).await {
        assert_eq!(delivery.state, DeliveryState::Sent);
    }
    assert_eq!(outbox.world().messages().len(), 4);
}
