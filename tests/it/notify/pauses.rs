//! Accounts that WeChat refuses, or that it serves too slowly: spared, probed and resumed.

use chrono::TimeDelta;
use queqiao::bridge::Step;
use queqiao::bridge::steps::StepName;
use queqiao::db::Engine;
use queqiao::models::account::pause::{self, AccountPause, PauseKind};
use queqiao::models::delivery::DeliveryState;
use queqiao::simulator::{Fault, FaultKind};

use super::outbox::{APPS, OutboxFixture, SEND, request};

const CROWD: u32 = 40;

fn refuse(outbox: &OutboxFixture, errcode: i64) {
    let fault = Fault {
        openid: None,
        app_id: Some(APPS[0].to_owned()),
        ..Fault::at(SEND, FaultKind::Errcode { errcode })
    };
    outbox.world().add_fault(fault).unwrap();
}

async fn pauses(outbox: &OutboxFixture) -> Vec<AccountPause> {
    outbox.write(pause::all).await
}

fn calls(outbox: &OutboxFixture) -> u64 {
    outbox.world().calls(SEND, Some(APPS[0])).unwrap()
}

/// Forty to one account that is refused with a code, and one to another, for half a minute.
async fn refused(engine: Engine, errcode: i64) -> (OutboxFixture, queqiao::ids::NotificationId) {
    let outbox = OutboxFixture::with(engine, |config| config.deliver.batch_rows = 4).await;
    let mut crowd = outbox.crowd(0, CROWD).await;
    outbox.bound("other", 1, 99, true).await;
    crowd.push("other".to_owned());
    refuse(&outbox, errcode);
    let id = outbox.notify_as("normal", &crowd).await;
    outbox.settle().await;
    assert_eq!(
        outbox.count(id, DeliveryState::Sent).await,
        1,
        "{errcode}: the other account"
    );
    for _ in 0..29 {
        outbox.advance(1);
        outbox.settle().await;
    }
    let calls = calls(&outbox);
    assert!((4..=12).contains(&calls), "{errcode}: {calls} calls");
    assert_eq!(
        outbox.count(id, DeliveryState::Queued).await,
        CROWD as usize,
        "{errcode}"
    );
    (outbox, id)
}

/// Time passes until all are sent.
async fn recovered(
    outbox: &OutboxFixture,
    id: queqiao::ids::NotificationId,
    seconds: u64,
    rounds: usize,
) {
    outbox.world().clear_faults();
    for _ in 0..rounds {
        outbox.advance(seconds);
        outbox.settle().await;
        if outbox.count(id, DeliveryState::Sent).await == CROWD as usize + 1 {
            assert_eq!(outbox.world().messages().len(), CROWD as usize + 1);
            assert!(pauses(outbox).await.is_empty());
            return;
        }
    }
    panic!("{:?}", outbox.deliveries(id).await);
}

both_engines! {
    a_busy_wechat_is_tried_with_one_message_until_it_works,
    too_many_calls_in_a_minute_spare_the_account_for_a_minute,
    a_used_up_quota_waits_for_midnight,
    an_account_that_is_refused_stops_and_comes_back_by_itself,
    a_stopped_account_is_resumed_by_hand_without_waiting,
    time_outs_pause_the_account_that_they_belong_to,
    one_message_without_an_answer_among_many_pauses_nothing,
    processes_share_what_they_learn,
    what_cannot_wait_ends_while_its_account_is_stopped,
}

async fn a_busy_wechat_is_tried_with_one_message_until_it_works(engine: Engine) {
    let (outbox, id) = refused(engine, -1).await;
    let found = pauses(&outbox).await;
    assert_eq!(
        (found[0].kind, found[0].reason.as_str()),
        (PauseKind::BackingOff, "busy")
    );
    assert!(found[0].failures > 2, "{found:?}");
    recovered(&outbox, id, 60, 20).await;
}

async fn too_many_calls_in_a_minute_spare_the_account_for_a_minute(engine: Engine) {
    let (outbox, id) = refused(engine, 45011).await;
    assert_eq!(calls(&outbox), 4);
    let found = pauses(&outbox).await;
    assert_eq!(
        (found[0].kind, found[0].reason.as_str()),
        (PauseKind::BackingOff, "too_frequent")
    );
    assert!(found[0].until >= outbox.clock.now() + TimeDelta::seconds(30));
    recovered(&outbox, id, 60, 20).await;
}

async fn a_used_up_quota_waits_for_midnight(engine: Engine) {
    let (outbox, id) = refused(engine, 45009).await;
    assert_eq!(calls(&outbox), 4);
    let found = pauses(&outbox).await;
    assert_eq!(
        (found[0].kind, found[0].call.as_str()),
        (PauseKind::UsedUp, "template/send")
    );
    assert_eq!(
        found[0].until,
        outbox.clock.now() + TimeDelta::seconds(12 * 3600 - 29)
    );
    recovered(&outbox, id, 12 * 3600 + 320, 2).await;
}

async fn an_account_that_is_refused_stops_and_comes_back_by_itself(engine: Engine) {
    for errcode in [40164, 48001, 50002, 50007] {
        let (outbox, id) = refused(engine, errcode).await;
        let found = pauses(&outbox).await;
        assert_eq!(
            (found.len(), found[0].kind),
            (1, PauseKind::Stopped),
            "{errcode}"
        );
        assert!(found[0].detail.contains(&errcode.to_string()), "{found:?}");
        let before = calls(&outbox);
        for _ in 0..60 {
            outbox.advance(60);
            outbox.settle().await;
        }
        let hour = calls(&outbox) - before;
        assert!(
            (5..=20).contains(&hour),
            "{errcode}: {hour} calls in an hour"
        );
        assert_eq!(
            outbox.count(id, DeliveryState::Queued).await,
            CROWD as usize
        );
        recovered(&outbox, id, 120, 20).await;
    }
}

async fn a_stopped_account_is_resumed_by_hand_without_waiting(engine: Engine) {
    for errcode in [40164, 48001] {
        let (outbox, id) = refused(engine, errcode).await;
        outbox.world().clear_faults();
        assert_eq!(outbox.deliver().await, Step::Idle);
        let resumed = outbox
            .bridge
            .resume_account(outbox.project, APPS[0])
            .await
            .unwrap()
            .unwrap();
        assert_eq!(resumed.lifted, 1);
        assert!(resumed.hastened >= 4, "{resumed:?}");
        outbox.settle().await;
        assert_eq!(
            outbox.count(id, DeliveryState::Sent).await,
            CROWD as usize + 1
        );
        let none = outbox
            .bridge
            .resume_account(outbox.project, "wx00000000000000ff")
            .await
            .unwrap();
        assert_eq!(none, None);
    }
}

async fn time_outs_pause_the_account_that_they_belong_to(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| config.deliver.batch_rows = 4).await;
    let crowd = outbox.crowd(0, 20).await;
    let fault = Fault {
        openid: None,
        app_id: Some(APPS[0].to_owned()),
        ..Fault::at(SEND, FaultKind::Reset)
    };
    outbox.world().add_fault(fault).unwrap();
    let id = outbox.notify_as("normal", &crowd).await;
    for _ in 0..20 {
        outbox.settle().await;
        outbox.advance(1);
    }
    let found = pauses(&outbox).await;
    assert_eq!(
        (found[0].kind, found[0].reason.as_str()),
        (PauseKind::BackingOff, "no_answer")
    );
    assert!(calls(&outbox) <= 10, "{} calls", calls(&outbox));
    outbox.world().clear_faults();
    for _ in 0..40 {
        outbox.advance(5);
        outbox.settle().await;
    }
    assert_eq!(outbox.count(id, DeliveryState::Sent).await, 20);
}

async fn one_message_without_an_answer_among_many_pauses_nothing(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| config.deliver.batch_rows = 4).await;
    let crowd = outbox.crowd(0, 8).await;
    outbox
        .world()
        .add_fault(Fault::at(SEND, FaultKind::Errcode { errcode: -1 }).times(1))
        .unwrap();
    let id = outbox.notify_as("normal", &crowd).await;
    outbox.settle().await;
    assert_eq!(outbox.count(id, DeliveryState::Sent).await, 7);
    assert!(pauses(&outbox).await.is_empty());
}

async fn processes_share_what_they_learn(engine: Engine) {
    let (outbox, id) = refused(engine, 50007).await;
    let replica = outbox.replica();
    outbox.world().clear_faults();
    assert_eq!(replica.run(StepName::Deliver).await.unwrap(), Step::Idle);
    outbox
        .bridge
        .resume_account(outbox.project, APPS[0])
        .await
        .unwrap()
        .unwrap();
    while replica.run(StepName::Deliver).await.unwrap() == Step::Worked {}
    assert_eq!(
        outbox.count(id, DeliveryState::Sent).await,
        CROWD as usize + 1
    );
}

async fn what_cannot_wait_ends_while_its_account_is_stopped(engine: Engine) {
    let (outbox, id) = refused(engine, 40164).await;
    let mut asked = request(&["p1", "p2"], serde_json::json!({"title": "x"}), None);
    let end = outbox.clock.now() + TimeDelta::seconds(300);
    asked.expires_at = Some(end.and_utc().to_rfc3339());
    let brief = outbox
        .bridge
        .notify(outbox.project, asked)
        .await
        .unwrap()
        .notification_id;
    for _ in 0..7 {
        outbox.advance(60);
        outbox.settle().await;
    }
    assert_eq!(outbox.count(brief, DeliveryState::Expired).await, 2);
    assert_eq!(
        outbox.count(id, DeliveryState::Queued).await,
        CROWD as usize
    );
    outbox.advance(86_400);
    for _ in 0..3 {
        outbox.settle().await;
        outbox.advance(60);
    }
    for delivery in outbox.deliveries(id).await.iter().take(CROWD as usize) {
        assert_eq!(delivery.state, DeliveryState::Failed, "{delivery:?}");
        assert_eq!(delivery.reason.as_deref(), Some("gave_up"));
    }
}
