//! WeChat's quota of the day: of which day it is, and that it is tried before midnight.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta};
use queqiao::bridge::Bridge;
use queqiao::db::Engine;
use queqiao::ids::NotificationId;
use queqiao::models::account::pause::{self, ALL_CALLS, AccountPause, PauseKind};
use queqiao::models::delivery::DeliveryState;
use queqiao::simulator::{Budget, Fault, FaultKind};
use tokio::task::JoinHandle;

use super::outbox::{APPS, OutboxFixture, SEND};

const TOKEN: &str = "/cgi-bin/stable_token";
const DAY: i64 = 86_400_000;

/// Sets WeChat's clock so far behind ours, by the time of day.
fn behind(outbox: &OutboxFixture, seconds: i64) {
    let wanted = outbox.clock.now().and_utc().timestamp_millis() - seconds * 1_000;
    let ahead = (wanted - outbox.world().now()).rem_euclid(DAY);
    outbox
        .world()
        .advance(Duration::from_millis(ahead.unsigned_abs()));
}

/// How often the first account may send a template message on a day.
fn daily(outbox: &OutboxFixture, most: Option<u64>) {
    let budget = Budget {
        path: SEND.to_owned(),
        daily: most,
        per_minute: None,
    };
    outbox.world().set_budget(APPS[0], &budget).unwrap();
}

async fn pauses(outbox: &OutboxFixture) -> Vec<AccountPause> {
    outbox.write(pause::all).await
}

fn midnight(outbox: &OutboxFixture) -> NaiveDateTime {
    let today = (outbox.clock.now() + TimeDelta::hours(8)).date();
    today.and_hms_opt(16, 0, 0).unwrap()
}

/// A step under way, after so many calls in all.
async fn under_way(outbox: &OutboxFixture, calls: u64) -> JoinHandle<()> {
    let bridge: Bridge = outbox.bridge.clone();
    let step = tokio::spawn(async move {
        bridge.run(StepName::Deliver).await.unwrap();
    });
    while outbox.sends() < calls {
        tokio::task::yield_now().await;
    }
    step
}

/// Minutes pass, until all are sent; returns how many.
async fn until_sent(
    outbox: &OutboxFixture,
    id: NotificationId,
    count: usize,
    most: usize,
) -> usize {
    for minutes in 0..most {
        outbox.settle().await;
        if outbox.count(id, DeliveryState::Sent).await == count {
            return minutes;
        }
        outbox.advance(60);
    }
    panic!(
        "{:?} {:?}",
        pauses(outbox).await,
        outbox.deliveries(id).await
    );
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

async fn a_quota_of_the_day_before_stops_nothing_after_midnight(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    outbox.bound("b", 0, 2, true).await;
    outbox.advance(12 * 3_600 - 1);
    daily(&outbox, Some(0));
    let answer = outbox.world().hold_next(SEND).unwrap();
    let late = outbox.notify(&["a"]).await.notification_id;
    let step = under_way(&outbox, 1).await;
    outbox.advance(2);
    drop(answer);
    step.await.unwrap();
    daily(&outbox, None);
    assert_eq!(pauses(&outbox).await.len(), 0, "it was another day");
    let next = outbox.notify(&["b"]).await.notification_id;
    outbox.settle().await;
    assert_eq!(outbox.count(next, DeliveryState::Sent).await, 1);
    assert!(until_sent(&outbox, late, 1, 7).await <= 6);
}

async fn a_day_that_begins_later_at_wechat_costs_some_minutes(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| config.deliver.batch_rows = 4).await;
    behind(&outbox, 600);
    daily(&outbox, Some(10));
    let crowd = outbox.crowd(0, 24).await;
    let id = outbox.notify_as("normal", &crowd[..12]).await;
    outbox.settle().await;
    assert_eq!(outbox.count(id, DeliveryState::Sent).await, 10);
    let today = midnight(&outbox);
    assert_eq!(pauses(&outbox).await[0].until, today);
    // All that waits is due, five minutes before WeChat's midnight.
    outbox.advance(12 * 3_600 + 311);
    outbox.notify_as("normal", &crowd[12..]).await;
    outbox.settle().await;
    let found = pauses(&outbox).await.remove(0);
    assert_eq!(
        (found.kind, found.until),
        (PauseKind::UsedUp, today + TimeDelta::days(1))
    );
    assert_eq!(
        (found.failures, found.since >= today),
        (1, true),
        "a pause of its own"
    );
    assert_eq!(outbox.world().messages().len(), 10);
    for _ in 0..20 {
        outbox.advance(60);
        outbox.settle().await;
    }
    assert_eq!(
        outbox.world().messages().len(),
        20,
        "the ten of the new day"
    );
    // Four are left.
    daily(&outbox, None);
    for _ in 0..62 {
        outbox.advance(60);
        outbox.settle().await;
    }
    assert_eq!(
        (outbox.world().messages().len(), pauses(&outbox).await.len()),
        (24, 0)
    );
}

async fn a_quota_that_is_raised_is_found_out_by_one_message_now_and_then(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| config.deliver.batch_rows = 4).await;
    behind(&outbox, 0);
    daily(&outbox, Some(3));
    let crowd = outbox.crowd(0, 30).await;
    let id = outbox.notify_as("normal", &crowd).await;
    outbox.settle().await;
    assert_eq!(
        (outbox.count(id, DeliveryState::Sent).await, outbox.sends()),
        (3, 4)
    );
    for _ in 0..60 {
        outbox.advance(60);
        outbox.settle().await;
    }
    let tried = outbox.sends() - 4;
    assert!((2..=5).contains(&tried), "{tried} calls in an hour");
    assert_eq!(outbox.count(id, DeliveryState::Queued).await, 27);
    daily(&outbox, None);
    assert!(until_sent(&outbox, id, 30, 62).await <= 61);
    assert_eq!(
        (pauses(&outbox).await.len(), outbox.world().messages().len()),
        (0, 30)
    );
    assert!(outbox.clock.now() < midnight(&outbox));
}

async fn what_is_cancelled_meanwhile_keeps_nothing_from_being_tried(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| config.deliver.batch_rows = 1).await;
    behind(&outbox, 0);
    daily(&outbox, Some(0));
    let crowd = outbox.crowd(0, 4).await;
    let refused = outbox.notify_as("urgent", &crowd[..1]).await;
    outbox.settle().await;
    let waits = outbox.notify_as("bulk", &crowd[1..]).await;
    outbox.settle().await;
    assert_eq!(outbox.sends(), 1);
    outbox
        .bridge
        .cancel_notification(outbox.project, refused)
        .await
        .unwrap()
        .unwrap();
    daily(&outbox, None);
    assert!(until_sent(&outbox, waits, 3, 7).await <= 6);
    assert_eq!((outbox.sends(), pauses(&outbox).await.len()), (4, 0));
}

async fn a_used_up_quota_of_tokens_is_tried_with_one_call_now_and_then(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| config.deliver.batch_rows = 4).await;
    let crowd = outbox.crowd(0, 10).await;
    outbox
        .world()
        .add_fault(Fault::at(TOKEN, FaultKind::Errcode { errcode: 45009 }))
        .unwrap();
    let id = outbox.notify_as("normal", &crowd).await;
    outbox.settle().await;
    let found = pauses(&outbox).await.remove(0);
    assert_eq!(
        (found.call.as_str(), found.kind, found.until),
        (ALL_CALLS, PauseKind::UsedUp, midnight(&outbox))
    );
    let calls = || outbox.world().calls(TOKEN, None).unwrap();
    assert_eq!(calls(), 1);
    for _ in 0..60 {
        outbox.advance(60);
        outbox.settle().await;
    }
    assert!((3..=6).contains(&calls()), "{} calls in an hour", calls());
    assert_eq!(
        (
            outbox.sends(),
            outbox.count(id, DeliveryState::Queued).await
        ),
        (0, 10)
    );
    outbox.world().clear_faults();
    let before = calls();
    assert!(until_sent(&outbox, id, 10, 62).await <= 61);
    assert_eq!((calls(), pauses(&outbox).await.len()), (before + 1, 0));
}

async fn whoever_gets_a_token_lets_messages_go_on(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| config.deliver.batch_rows = 4).await;
    let crowd = outbox.crowd(0, 10).await;
    outbox
        .world()
        .add_fault(Fault::at(TOKEN, FaultKind::Errcode { errcode: 45009 }))
        .unwrap();
    let id = outbox.notify_as("normal", &crowd).await;
    outbox.settle().await;
    outbox.world().clear_faults();
    outbox.advance(1);
    let accounts = outbox.bridge.accounts.all().await.unwrap();
    outbox
        .bridge
        .tokens
        .get(&accounts[&outbox.accounts[0]])
        .await
        .unwrap();
    assert_eq!(pauses(&outbox).await.len(), 0);
    assert_eq!(
        outbox
            .write(queqiao::models::account::resumption::all)
            .await
            .len(),
        1
    );
    assert!(
        until_sent(&outbox, id, 10, 2).await <= 1,
        "those that were refused too"
    );
    assert_eq!(
        outbox
            .write(queqiao::models::account::resumption::all)
            .await
            .len(),
        0
    );
}

async fn one_message_alone_is_tried_again_without_a_token(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    outbox
        .world()
        .add_fault(Fault::at(TOKEN, FaultKind::Errcode { errcode: 45009 }))
        .unwrap();
    let id = outbox.notify(&["a"]).await.notification_id;
    outbox.settle().await;
    outbox.world().clear_faults();
    assert!(until_sent(&outbox, id, 1, 7).await <= 6);
}

async fn a_budget_of_our_own_is_that_of_the_day_on_which_it_was_counted(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| {
        config.deliver.batch_rows = 4;
        config.budgets.template_send.per_day = 10;
    })
    .await;
    let crowd = outbox.crowd(0, 30).await;
    outbox.advance(12 * 3_600 - 1);
    let answer = outbox.world().hold_next(SEND).unwrap();
    let id = outbox.notify_as("normal", &crowd).await;
    let step = under_way(&outbox, 4).await;
    outbox.settle().await;
    assert_eq!(outbox.sends(), 10);
    outbox.advance(2);
    drop(answer);
    step.await.unwrap();
    for _ in 0..7 {
        outbox.settle().await;
        outbox.advance(60);
    }
    assert_eq!(
        (outbox.sends(), outbox.count(id, DeliveryState::Sent).await),
        (20, 20)
    );
    let found = pauses(&outbox).await.remove(0);
    assert_eq!(
        (found.reason.as_str(), found.until),
        ("budget_used_up", midnight(&outbox))
    );
    // It is exact: whatever is tried before is not sent.
    for _ in 0..60 {
        outbox.advance(600);
        outbox.settle().await;
    }
    assert_eq!(outbox.sends(), 20);
}
