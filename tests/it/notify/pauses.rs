//! Accounts that WeChat refuses, or that it serves too slowly: spared, probed and resumed.

use chrono::TimeDelta;
use queqiao::bridge::Step;
use queqiao::db::Engine;
use queqiao::models::account::pause::{self, AccountPause, PauseKind};
use queqiao::models::delivery::DeliveryState;
use queqiao::simulator::{Fault, FaultKind};

use super::rig::{APPS, Rig, SEND, request};

const CROWD: u32 = 40;

fn refuse(rig: &Rig, errcode: i64) {
    let fault = Fault {
        openid: None,
        app_id: Some(APPS[0].to_owned()),
        ..Fault::at(SEND, FaultKind::Errcode { errcode })
    };
    rig.world().add_fault(fault).unwrap();
}

async fn pauses(rig: &Rig) -> Vec<AccountPause> {
    rig.write(pause::all).await
}

fn calls(rig: &Rig) -> u64 {
    rig.world().calls(SEND, Some(APPS[0])).unwrap()
}

/// Forty to one account that is refused with a code, and one to another, for half a minute.
async fn refused(engine: Engine, errcode: i64) -> (Rig, queqiao::ids::NotificationId) {
    let rig = Rig::with(engine, |config| config.deliver.batch_rows = 4).await;
    let mut crowd = rig.crowd(0, CROWD).await;
    rig.bound("other", 1, 99, true).await;
    crowd.push("other".to_owned());
    refuse(&rig, errcode);
    let id = rig.notify_as("normal", &crowd).await;
    rig.settle().await;
    assert_eq!(
        rig.count(id, DeliveryState::Sent).await,
        1,
        "{errcode}: the other account"
    );
    for _ in 0..29 {
        rig.advance(1);
        rig.settle().await;
    }
    let calls = calls(&rig);
    assert!((4..=12).contains(&calls), "{errcode}: {calls} calls");
    assert_eq!(
        rig.count(id, DeliveryState::Queued).await,
        CROWD as usize,
        "{errcode}"
    );
    (rig, id)
}

/// Time passes until all are sent.
async fn recovered(rig: &Rig, id: queqiao::ids::NotificationId, seconds: u64, rounds: usize) {
    rig.world().clear_faults();
    for _ in 0..rounds {
        rig.advance(seconds);
        rig.settle().await;
        if rig.count(id, DeliveryState::Sent).await == CROWD as usize + 1 {
            assert_eq!(rig.world().messages().len(), CROWD as usize + 1);
            assert!(pauses(rig).await.is_empty());
            return;
        }
    }
    panic!("{:?}", rig.deliveries(id).await);
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
    let (rig, id) = refused(engine, -1).await;
    let found = pauses(&rig).await;
    assert_eq!(
        (found[0].kind, found[0].reason.as_str()),
        (PauseKind::BackingOff, "busy")
    );
    assert!(found[0].failures > 2, "{found:?}");
    recovered(&rig, id, 60, 20).await;
}

async fn too_many_calls_in_a_minute_spare_the_account_for_a_minute(engine: Engine) {
    let (rig, id) = refused(engine, 45011).await;
    assert_eq!(calls(&rig), 4);
    let found = pauses(&rig).await;
    assert_eq!(
        (found[0].kind, found[0].reason.as_str()),
        (PauseKind::BackingOff, "too_frequent")
    );
    assert!(found[0].until >= rig.clock.now() + TimeDelta::seconds(30));
    recovered(&rig, id, 60, 20).await;
}

async fn a_used_up_quota_waits_for_midnight(engine: Engine) {
    let (rig, id) = refused(engine, 45009).await;
    assert_eq!(calls(&rig), 4);
    let found = pauses(&rig).await;
    assert_eq!(
        (found[0].kind, found[0].call.as_str()),
        (PauseKind::UsedUp, "template/send")
    );
    assert_eq!(
        found[0].until,
        rig.clock.now() + TimeDelta::seconds(12 * 3600 - 29)
    );
    recovered(&rig, id, 12 * 3600 + 320, 2).await;
}

async fn an_account_that_is_refused_stops_and_comes_back_by_itself(engine: Engine) {
    for errcode in [40164, 48001, 50002, 50007] {
        let (rig, id) = refused(engine, errcode).await;
        let found = pauses(&rig).await;
        assert_eq!(
            (found.len(), found[0].kind),
            (1, PauseKind::Stopped),
            "{errcode}"
        );
        assert!(found[0].detail.contains(&errcode.to_string()), "{found:?}");
        let before = calls(&rig);
        for _ in 0..60 {
            rig.advance(60);
            rig.settle().await;
        }
        let hour = calls(&rig) - before;
        assert!(
            (5..=20).contains(&hour),
            "{errcode}: {hour} calls in an hour"
        );
        assert_eq!(rig.count(id, DeliveryState::Queued).await, CROWD as usize);
        recovered(&rig, id, 120, 20).await;
    }
}

async fn a_stopped_account_is_resumed_by_hand_without_waiting(engine: Engine) {
    for errcode in [40164, 48001] {
        let (rig, id) = refused(engine, errcode).await;
        rig.world().clear_faults();
        assert_eq!(rig.deliver().await, Step::Idle);
        let resumed = rig
            .bridge
            .resume_account(rig.project, APPS[0])
            .await
            .unwrap()
            .unwrap();
        assert_eq!(resumed.lifted, 1);
        assert!(resumed.hastened >= 4, "{resumed:?}");
        rig.settle().await;
        assert_eq!(rig.count(id, DeliveryState::Sent).await, CROWD as usize + 1);
        let none = rig
            .bridge
            .resume_account(rig.project, "wx00000000000000ff")
            .await
            .unwrap();
        assert_eq!(none, None);
    }
}

async fn time_outs_pause_the_account_that_they_belong_to(engine: Engine) {
    let rig = Rig::with(engine, |config| config.deliver.batch_rows = 4).await;
    let crowd = rig.crowd(0, 20).await;
    let fault = Fault {
        openid: None,
        app_id: Some(APPS[0].to_owned()),
        ..Fault::at(SEND, FaultKind::Reset)
    };
    rig.world().add_fault(fault).unwrap();
    let id = rig.notify_as("normal", &crowd).await;
    for _ in 0..20 {
        rig.settle().await;
        rig.advance(1);
    }
    let found = pauses(&rig).await;
    assert_eq!(
        (found[0].kind, found[0].reason.as_str()),
        (PauseKind::BackingOff, "no_answer")
    );
    assert!(calls(&rig) <= 10, "{} calls", calls(&rig));
    rig.world().clear_faults();
    for _ in 0..40 {
        rig.advance(5);
        rig.settle().await;
    }
    assert_eq!(rig.count(id, DeliveryState::Sent).await, 20);
}

async fn one_message_without_an_answer_among_many_pauses_nothing(engine: Engine) {
    let rig = Rig::with(engine, |config| config.deliver.batch_rows = 4).await;
    let crowd = rig.crowd(0, 8).await;
    rig.world()
        .add_fault(Fault::at(SEND, FaultKind::Errcode { errcode: -1 }).times(1))
        .unwrap();
    let id = rig.notify_as("normal", &crowd).await;
    rig.settle().await;
    assert_eq!(rig.count(id, DeliveryState::Sent).await, 7);
    assert!(pauses(&rig).await.is_empty());
}

async fn processes_share_what_they_learn(engine: Engine) {
    let (rig, id) = refused(engine, 50007).await;
    let replica = rig.replica();
    rig.world().clear_faults();
    assert_eq!(replica.deliver_step().await.unwrap(), Step::Idle);
    rig.bridge
        .resume_account(rig.project, APPS[0])
        .await
        .unwrap()
        .unwrap();
    while replica.deliver_step().await.unwrap() == Step::Worked {}
    assert_eq!(rig.count(id, DeliveryState::Sent).await, CROWD as usize + 1);
}

async fn what_cannot_wait_ends_while_its_account_is_stopped(engine: Engine) {
    let (rig, id) = refused(engine, 40164).await;
    let mut asked = request(&["p1", "p2"], serde_json::json!({"title": "x"}), None);
    let end = rig.clock.now() + TimeDelta::seconds(300);
    asked.expires_at = Some(end.and_utc().to_rfc3339());
    let brief = rig
        .bridge
        .notify(rig.project, asked)
        .await
        .unwrap()
        .notification_id;
    for _ in 0..7 {
        rig.advance(60);
        rig.settle().await;
    }
    assert_eq!(rig.count(brief, DeliveryState::Expired).await, 2);
    assert_eq!(rig.count(id, DeliveryState::Queued).await, CROWD as usize);
    rig.advance(86_400);
    for _ in 0..3 {
        rig.settle().await;
        rig.advance(60);
    }
    for delivery in rig.deliveries(id).await.iter().take(CROWD as usize) {
        assert_eq!(delivery.state, DeliveryState::Failed, "{delivery:?}");
        assert_eq!(delivery.reason.as_deref(), Some("gave_up"));
    }
}
