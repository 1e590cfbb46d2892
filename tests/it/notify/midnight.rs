//! WeChat's quota of the day: of which day it is, and that it is tried before midnight.

use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta};
use queqiao::bridge::Bridge;
use queqiao::db::Engine;
use queqiao::ids::NotificationId;
use queqiao::models::account::pause::{self, ALL_CALLS, AccountPause, PauseKind};
use queqiao::models::delivery::DeliveryState;
use queqiao::simulator::{Budget, Fault, FaultKind};
use tokio::task::JoinHandle;

use super::rig::{APPS, Rig, SEND};

const TOKEN: &str = "/cgi-bin/stable_token";
const DAY: i64 = 86_400_000;

/// Sets WeChat's clock so far behind ours, by the time of day.
fn behind(rig: &Rig, seconds: i64) {
    let wanted = rig.clock.now().and_utc().timestamp_millis() - seconds * 1_000;
    let ahead = (wanted - rig.world().now()).rem_euclid(DAY);
    rig.world()
        .advance(Duration::from_millis(ahead.unsigned_abs()));
}

/// How often the first account may send a template message on a day.
fn daily(rig: &Rig, most: Option<u64>) {
    let budget = Budget {
        path: SEND.to_owned(),
        daily: most,
        per_minute: None,
    };
    rig.world().set_budget(APPS[0], &budget).unwrap();
}

async fn pauses(rig: &Rig) -> Vec<AccountPause> {
    rig.write(pause::all).await
}

fn midnight(rig: &Rig) -> NaiveDateTime {
    let today = (rig.clock.now() + TimeDelta::hours(8)).date();
    today.and_hms_opt(16, 0, 0).unwrap()
}

/// A step under way, after so many calls in all.
async fn under_way(rig: &Rig, calls: u64) -> JoinHandle<()> {
    let bridge: Bridge = rig.bridge.clone();
    let step = tokio::spawn(async move {
        bridge.deliver_step().await.unwrap();
    });
    while rig.sends() < calls {
        tokio::task::yield_now().await;
    }
    step
}

/// Minutes pass, until all are sent; returns how many.
async fn until_sent(rig: &Rig, id: NotificationId, count: usize, most: usize) -> usize {
    for minutes in 0..most {
        rig.settle().await;
        if rig.count(id, DeliveryState::Sent).await == count {
            return minutes;
        }
        rig.advance(60);
    }
    panic!("{:?} {:?}", pauses(rig).await, rig.deliveries(id).await);
}

both_engines! {
    a_quota_of_the_day_before_stops_nothing_after_midnight,
    a_day_that_begins_later_at_wechat_costs_some_minutes,
    a_quota_that_is_raised_is_found_out_by_one_message_now_and_then,
    what_is_cancelled_meanwhile_keeps_nothing_from_being_tried,
    a_used_up_quota_of_tokens_is_tried_with_one_call_now_and_then,
    whoever_gets_a_token_lets_messages_go_on,
    one_message_alone_is_tried_again_without_a_token,
    a_budget_of_our_own_is_that_of_the_day_on_which_it_was_counted,
}

async fn a_quota_of_the_day_before_stops_nothing_after_midnight(rig: Rig) {
    rig.bound("a", 0, 1, true).await;
    rig.bound("b", 0, 2, true).await;
    rig.advance(12 * 3_600 - 1);
    daily(&rig, Some(0));
    let answer = rig.world().hold_next(SEND).unwrap();
    let late = rig.notify(&["a"]).await.notification_id;
    let step = under_way(&rig, 1).await;
    rig.advance(2);
    drop(answer);
    step.await.unwrap();
    daily(&rig, None);
    assert_eq!(pauses(&rig).await.len(), 0, "it was another day");
    let next = rig.notify(&["b"]).await.notification_id;
    rig.settle().await;
    assert_eq!(rig.count(next, DeliveryState::Sent).await, 1);
    assert!(until_sent(&rig, late, 1, 7).await <= 6);
}

async fn a_day_that_begins_later_at_wechat_costs_some_minutes(engine: Engine) {
    let rig = Rig::with(engine, |config| config.deliver.batch_rows = 4).await;
    behind(&rig, 600);
    daily(&rig, Some(10));
    let crowd = rig.crowd(0, 24).await;
    let id = rig.notify_as("normal", &crowd[..12]).await;
    rig.settle().await;
    assert_eq!(rig.count(id, DeliveryState::Sent).await, 10);
    let today = midnight(&rig);
    assert_eq!(pauses(&rig).await[0].until, today);
    // All that waits is due, five minutes before WeChat's midnight.
    rig.advance(12 * 3_600 + 311);
    rig.notify_as("normal", &crowd[12..]).await;
    rig.settle().await;
    let found = pauses(&rig).await.remove(0);
    assert_eq!(
        (found.kind, found.until),
        (PauseKind::UsedUp, today + TimeDelta::days(1))
    );
    assert_eq!(
        (found.failures, found.since >= today),
        (1, true),
        "a pause of its own"
    );
    assert_eq!(rig.world().messages().len(), 10);
    for _ in 0..20 {
        rig.advance(60);
        rig.settle().await;
    }
    assert_eq!(rig.world().messages().len(), 20, "the ten of the new day");
    // Four are left.
    daily(&rig, None);
    for _ in 0..62 {
        rig.advance(60);
        rig.settle().await;
    }
    assert_eq!(
        (rig.world().messages().len(), pauses(&rig).await.len()),
        (24, 0)
    );
}

async fn a_quota_that_is_raised_is_found_out_by_one_message_now_and_then(engine: Engine) {
    let rig = Rig::with(engine, |config| config.deliver.batch_rows = 4).await;
    behind(&rig, 0);
    daily(&rig, Some(3));
    let crowd = rig.crowd(0, 30).await;
    let id = rig.notify_as("normal", &crowd).await;
    rig.settle().await;
    assert_eq!(
        (rig.count(id, DeliveryState::Sent).await, rig.sends()),
        (3, 4)
    );
    for _ in 0..60 {
        rig.advance(60);
        rig.settle().await;
    }
    let tried = rig.sends() - 4;
    assert!((2..=5).contains(&tried), "{tried} calls in an hour");
    assert_eq!(rig.count(id, DeliveryState::Queued).await, 27);
    daily(&rig, None);
    assert!(until_sent(&rig, id, 30, 62).await <= 61);
    assert_eq!(
        (pauses(&rig).await.len(), rig.world().messages().len()),
        (0, 30)
    );
    assert!(rig.clock.now() < midnight(&rig));
}

async fn what_is_cancelled_meanwhile_keeps_nothing_from_being_tried(engine: Engine) {
    let rig = Rig::with(engine, |config| config.deliver.batch_rows = 1).await;
    behind(&rig, 0);
    daily(&rig, Some(0));
    let crowd = rig.crowd(0, 4).await;
    let refused = rig.notify_as("urgent", &crowd[..1]).await;
    rig.settle().await;
    let waits = rig.notify_as("bulk", &crowd[1..]).await;
    rig.settle().await;
    assert_eq!(rig.sends(), 1);
    rig.bridge
        .cancel_notification(rig.project, refused)
        .await
        .unwrap()
        .unwrap();
    daily(&rig, None);
    assert!(until_sent(&rig, waits, 3, 7).await <= 6);
    assert_eq!((rig.sends(), pauses(&rig).await.len()), (4, 0));
}

async fn a_used_up_quota_of_tokens_is_tried_with_one_call_now_and_then(engine: Engine) {
    let rig = Rig::with(engine, |config| config.deliver.batch_rows = 4).await;
    let crowd = rig.crowd(0, 10).await;
    rig.world()
        .add_fault(Fault::at(TOKEN, FaultKind::Errcode { errcode: 45009 }))
        .unwrap();
    let id = rig.notify_as("normal", &crowd).await;
    rig.settle().await;
    let found = pauses(&rig).await.remove(0);
    assert_eq!(
        (found.call.as_str(), found.kind, found.until),
        (ALL_CALLS, PauseKind::UsedUp, midnight(&rig))
    );
    let calls = || rig.world().calls(TOKEN, None).unwrap();
    assert_eq!(calls(), 1);
    for _ in 0..60 {
        rig.advance(60);
        rig.settle().await;
    }
    assert!((3..=6).contains(&calls()), "{} calls in an hour", calls());
    assert_eq!(
        (rig.sends(), rig.count(id, DeliveryState::Queued).await),
        (0, 10)
    );
    rig.world().clear_faults();
    let before = calls();
    assert!(until_sent(&rig, id, 10, 62).await <= 61);
    assert_eq!((calls(), pauses(&rig).await.len()), (before + 1, 0));
}

async fn whoever_gets_a_token_lets_messages_go_on(engine: Engine) {
    let rig = Rig::with(engine, |config| config.deliver.batch_rows = 4).await;
    let crowd = rig.crowd(0, 10).await;
    rig.world()
        .add_fault(Fault::at(TOKEN, FaultKind::Errcode { errcode: 45009 }))
        .unwrap();
    let id = rig.notify_as("normal", &crowd).await;
    rig.settle().await;
    rig.world().clear_faults();
    rig.advance(1);
    let accounts = rig.bridge.accounts.all().await.unwrap();
    rig.bridge
        .tokens
        .get(&accounts[&rig.accounts[0]])
        .await
        .unwrap();
    assert_eq!(pauses(&rig).await.len(), 0);
    assert_eq!(
        rig.write(queqiao::models::account::resumption::all)
            .await
            .len(),
        1
    );
    assert!(
        until_sent(&rig, id, 10, 2).await <= 1,
        "those that were refused too"
    );
    assert_eq!(
        rig.write(queqiao::models::account::resumption::all)
            .await
            .len(),
        0
    );
}

async fn one_message_alone_is_tried_again_without_a_token(rig: Rig) {
    rig.bound("a", 0, 1, true).await;
    rig.world()
        .add_fault(Fault::at(TOKEN, FaultKind::Errcode { errcode: 45009 }))
        .unwrap();
    let id = rig.notify(&["a"]).await.notification_id;
    rig.settle().await;
    rig.world().clear_faults();
    assert!(until_sent(&rig, id, 1, 7).await <= 6);
}

async fn a_budget_of_our_own_is_that_of_the_day_on_which_it_was_counted(engine: Engine) {
    let rig = Rig::with(engine, |config| {
        config.deliver.batch_rows = 4;
        config.budgets.template_send.per_day = 10;
    })
    .await;
    let crowd = rig.crowd(0, 30).await;
    rig.advance(12 * 3_600 - 1);
    let answer = rig.world().hold_next(SEND).unwrap();
    let id = rig.notify_as("normal", &crowd).await;
    let step = under_way(&rig, 4).await;
    rig.settle().await;
    assert_eq!(rig.sends(), 10);
    rig.advance(2);
    drop(answer);
    step.await.unwrap();
    for _ in 0..7 {
        rig.settle().await;
        rig.advance(60);
    }
    assert_eq!(
        (rig.sends(), rig.count(id, DeliveryState::Sent).await),
        (20, 20)
    );
    let found = pauses(&rig).await.remove(0);
    assert_eq!(
        (found.reason.as_str(), found.until),
        ("budget_used_up", midnight(&rig))
    );
    // It is exact: whatever is tried before is not sent.
    for _ in 0..60 {
        rig.advance(600);
        rig.settle().await;
    }
    assert_eq!(rig.sends(), 20);
}
