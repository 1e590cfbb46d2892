//! Crashes, lost leases, silence and quotas.

use queqiao::bridge::Step;
use queqiao::db::Engine;
use queqiao::models::delivery::{self, DeliveryState, Reason, transitions};
use queqiao::simulator::{Fault, FaultKind};

use super::rig::{APPS, Rig, SEND};

both_engines! {
    a_crash_after_sending_does_not_notify_twice,
    what_was_claimed_too_long_ago_is_not_sent_again,
    an_acceptance_learnt_late_is_recorded_and_anything_else_is_not,
    silence_ends_as_unknown_before_wechat_forgets_the_id,
    a_used_up_quota_pauses_the_account_until_midnight,
}

async fn a_crash_after_sending_does_not_notify_twice(rig: Rig) {
    rig.bound("a", 0, 1, true).await;
    let accepted = rig.notify(&["a"]).await;
    let fault = Fault::at(SEND, FaultKind::TimeOutAfter).times(1);
    rig.world().add_fault(fault).unwrap();
    let bridge = rig.bridge.clone();
    let doomed = tokio::spawn(async move { bridge.deliver_step().await.map(drop) });
    while rig.world().messages().is_empty() {
        tokio::task::yield_now().await;
    }
    doomed.abort();
    assert!(doomed.await.unwrap_err().is_cancelled());
    assert_eq!(rig.deliver().await, Step::Idle, "the lease still holds");
    rig.advance(121);
    assert_eq!(rig.deliver().await, Step::Worked);
    let seen = rig.world().messages();
    assert_eq!(seen.len(), 1);
    let (delivery, attempts) = rig.only(accepted.notification_id).await;
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

async fn what_was_claimed_too_long_ago_is_not_sent_again(rig: Rig) {
    rig.bound("a", 0, 1, true).await;
    let accepted = rig.notify(&["a"]).await;
    let now = rig.clock.now();
    let claim = rig.claim(now);
    let claimed = rig
        .write(move |conn| delivery::claim_due(conn, &claim))
        .await;
    assert_eq!(claimed.len(), 1);
    rig.advance(540);
    assert_eq!(rig.deliver().await, Step::Worked);
    assert_eq!(rig.sends(), 0);
    let (delivery, attempts) = rig.only(accepted.notification_id).await;
    assert_eq!(delivery.state, DeliveryState::Unknown);
    assert_eq!(delivery.reason.as_deref(), Some("unsettled"));
    assert_eq!(attempts, [(1, "interrupted".to_owned(), None)]);
}

async fn an_acceptance_learnt_late_is_recorded_and_anything_else_is_not(rig: Rig) {
    rig.bound("a", 0, 1, true).await;
    let accepted = rig.notify(&["a"]).await;
    let mut tries = Vec::new();
    for _ in 0..2 {
        let now = rig.clock.now();
        let claim = rig.claim(now);
        tries.extend(
            rig.write(move |conn| delivery::claim_due(conn, &claim))
                .await,
        );
        rig.advance(120);
    }
    let now = rig.clock.now();
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
        rig.write(move |conn| transitions::record(conn, &[row]))
            .await;
        let (delivery, _) = rig.only(accepted.notification_id).await;
        assert_eq!((delivery.state, delivery.msgid), (state, msgid));
    }
}

async fn silence_ends_as_unknown_before_wechat_forgets_the_id(rig: Rig) {
    rig.bound("a", 0, 1, true).await;
    let accepted = rig.notify(&["a"]).await;
    let fault = Fault::at(SEND, FaultKind::HttpError { status: 502 });
    rig.world().add_fault(fault).unwrap();
    for _ in 0..600 {
        rig.deliver().await;
        rig.advance(1);
    }
    let (delivery, attempts) = rig.only(accepted.notification_id).await;
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
    let sends = rig.sends();
    rig.advance(86_400);
    assert_eq!(rig.deliver().await, Step::Idle);
    assert_eq!(rig.sends(), sends);
}

async fn a_used_up_quota_pauses_the_account_until_midnight(engine: Engine) {
    let rig = Rig::with(engine, |config| config.deliver.batch_rows = 1).await;
    for (person, staff_id) in (1..).zip(["a", "b", "c"]) {
        rig.bound(staff_id, 0, person, true).await;
    }
    rig.bound("other", 1, 4, true).await;
    let fault = Fault {
        openid: None,
        app_id: Some(APPS[0].to_owned()),
        ..Fault::at(SEND, FaultKind::Errcode { errcode: 45009 })
    };
    rig.world().add_fault(fault).unwrap();
    let accepted = rig.notify(&["a", "b", "c", "other"]).await;
    while rig.deliver().await == Step::Worked {}
    assert_eq!(
        rig.sends(),
        2,
        "one refusal, and the other account's message"
    );
    let states = rig.deliveries(accepted.notification_id).await;
    for delivery in &states[..3] {
        assert_eq!(delivery.state, DeliveryState::Queued);
        assert_eq!(delivery.reason.as_deref(), Some("quota_used_up"));
        assert!(delivery.due_at >= Some(rig.clock.now() + chrono::TimeDelta::hours(12)));
    }
    assert_eq!(states.iter().map(|one| one.attempts).sum::<i32>(), 2);
    assert_eq!(states[3].state, DeliveryState::Sent);
    rig.world().clear_faults();
    rig.advance(12 * 3600 + 320);
    while rig.deliver().await == Step::Worked {}
    for delivery in rig.deliveries(accepted.notification_id).await {
        assert_eq!(delivery.state, DeliveryState::Sent);
    }
    assert_eq!(rig.world().messages().len(), 4);
}
