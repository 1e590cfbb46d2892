//! What waits for a pause that is over is sent, whoever ended it and whatever became of them; and what
//! waits for a rate in the order in which it came.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use queqiao::bridge::Step;
use queqiao::db::Engine;
use queqiao::models::account::pause::{self, PauseReason};
use queqiao::models::account::resumption;
use queqiao::models::delivery::DeliveryState;
use queqiao::simulator::{Fault, FaultKind};
use serde_json::json;

use super::outbox::{APPS, OutboxFixture, SEND, request};
use super::routes::{OA_SEND, RouteFixture, TEMPLATE_SEND};
use crate::support::setup::OA;

async fn noted(outbox: &OutboxFixture) -> usize {
    outbox.write(resumption::all).await.len()
}

both_engines! {
    a_process_that_lifts_a_pause_and_ends_leaves_the_rest_to_others,
    what_cannot_be_made_due_at_once_is_made_due_later,
    a_call_of_which_little_waits_is_tried_beside_one_of_which_much_does,
    what_waits_for_a_budget_waits_for_wechats_quota_after_it,
    what_is_over_is_no_try,
    a_budget_that_is_raised_is_found_out_before_midnight,
    places_of_what_is_cancelled_are_given_to_others,
}

async fn a_process_that_lifts_a_pause_and_ends_leaves_the_rest_to_others(engine: Engine) {
    for errcode in [45009, 48001] {
        let outbox = OutboxFixture::with(engine, |config| config.deliver.batch_rows = 4).await;
        let crowd = outbox.crowd(0, 12).await;
        outbox
            .world()
            .add_fault(Fault::at(SEND, FaultKind::Errcode { errcode }).times(4))
            .unwrap();
        let id = outbox.notify_as("normal", &crowd).await;
        outbox.settle().await;
        assert_eq!(
            (outbox.sends(), outbox.write(pause::all).await.len()),
            (4, 1)
        );
        // What a process leaves that has found out that it is over, and ends.
        let (account, now) = (outbox.accounts[0], outbox.clock.now());
        outbox
            .write(move |conn| {
                let lifted = pause::of_account(conn, account)?;
                pause::clear(conn, account)?;
                resumption::note(conn, account, lifted.iter().map(|pause| pause.reason), now)
            })
            .await;
        outbox.settle().await;
        assert_eq!((outbox.sends(), noted(&outbox).await), (4, 1), "{errcode}");
        outbox.advance(2);
        outbox.settle().await;
        assert_eq!(
            (
                outbox.count(id, DeliveryState::Sent).await,
                noted(&outbox).await
            ),
            (12, 0),
            "{errcode}"
        );
    }
}

async fn what_cannot_be_made_due_at_once_is_made_due_later(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| config.deliver.batch_rows = 4).await;
    let crowd = outbox.crowd(0, 8).await;
    outbox
        .world()
        .add_fault(Fault::at(SEND, FaultKind::Errcode { errcode: 48001 }).times(4))
        .unwrap();
    let id = outbox.notify_as("normal", &crowd).await;
    outbox.settle().await;
    outbox.advance(130);
    let refuse = match engine {
        Engine::Sqlite => {
            "CREATE TRIGGER refuse BEFORE UPDATE OF due_at ON deliveries \
                WHEN OLD.leased_until IS NULL AND NEW.due_at < OLD.due_at \
                BEGIN SELECT RAISE(FAIL, 'not now'); END"
        }
        Engine::Postgres => {
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN RAISE 'not now'; END $$; \
                CREATE TRIGGER refuse BEFORE UPDATE ON deliveries FOR EACH ROW \
                WHEN (OLD.leased_until IS NULL AND NEW.due_at < OLD.due_at) EXECUTE FUNCTION refuse()"
        }
    };
    let again = match engine {
        Engine::Sqlite => "DROP TRIGGER refuse",
        Engine::Postgres => "DROP TRIGGER refuse ON deliveries",
    };
    outbox
        .write(move |conn| Ok(conn.batch_execute(refuse)?))
        .await;
    outbox.settle().await;
    assert_eq!(
        (
            outbox.count(id, DeliveryState::Sent).await,
            noted(&outbox).await
        ),
        (1, 1)
    );
    // By hand as well.
    outbox
        .bridge
        .resume_account(outbox.project, APPS[0])
        .await
        .unwrap_err();
    assert_eq!(noted(&outbox).await, 6);
    outbox
        .write(move |conn| Ok(conn.batch_execute(again)?))
        .await;
    outbox.advance(10);
    outbox.settle().await;
    assert_eq!(
        (
            outbox.count(id, DeliveryState::Sent).await,
            noted(&outbox).await
        ),
        (8, 0)
    );
}

async fn a_call_of_which_little_waits_is_tried_beside_one_of_which_much_does(engine: Engine) {
    let routes = RouteFixture::with(engine, |config| config.deliver.batch_rows = 20).await;
    for person in 1..=41 {
        routes.member(&format!("s{person}"), person).await;
    }
    routes.allow(OA, 41).await;
    for path in [TEMPLATE_SEND, OA_SEND] {
        routes
            .world()
            .add_fault(Fault::at(path, FaultKind::Errcode { errcode: 45009 }))
            .unwrap();
    }
    routes.channels(&["template"]).await;
    let staff: Vec<String> = (1..=40).map(|person| format!("s{person}")).collect();
    let body = json!({"message_type": "ping", "staff_ids": staff, "params": {"title": "x"}});
    routes
        .app
        .post(&routes.key, "/notifications", body)
        .await
        .ok(202);
    routes.app.drain().await;
    routes.channels(&["oa_subscribe"]).await;
    let one = routes.sent("s41").await;
    assert_eq!(one["reason"], "quota_used_up");
    routes.world().clear_faults();
    routes
        .world()
        .add_fault(Fault::at(
            TEMPLATE_SEND,
            FaultKind::Errcode { errcode: 45009 },
        ))
        .unwrap();
    for _ in 0..12 {
        routes.app.clock.advance(Duration::from_secs(60));
        routes.app.bridge.run(StepName::Due).await.unwrap();
        routes.app.drain().await;
    }
    assert_eq!((routes.seen(41), routes.seen(1)), (1, 0));
}

async fn what_waits_for_a_budget_waits_for_wechats_quota_after_it(engine: Engine) {
    let outbox =
        OutboxFixture::with(engine, |config| config.budgets.template_send.per_day = 2).await;
    let crowd = outbox.crowd(0, 8).await;
    let bulk = outbox.notify_as("bulk", &crowd[..6]).await;
    outbox.settle().await;
    assert_eq!(
        (
            outbox.sends(),
            outbox.count(bulk, DeliveryState::Queued).await
        ),
        (2, 4)
    );
    // There is room again, and then WeChat has none.
    let raised = outbox.replica_with(|config| config.budgets.template_send.per_day = 100);
    outbox
        .world()
        .add_fault(Fault::at(SEND, FaultKind::Errcode { errcode: 45009 }).times(1))
        .unwrap();
    let step = async |seconds| {
        outbox.advance(seconds);
        for _ in 0..3 {
            while raised.run(StepName::Deliver).await.unwrap() == Step::Worked {}
            raised.hastened().await;
        }
    };
    outbox.advance(300);
    let urgent = outbox.notify_as("urgent", &crowd[6..7]).await;
    step(0).await;
    let pauses = outbox.write(pause::all).await;
    assert_eq!(
        (pauses.len(), pauses[0].reason),
        (1, PauseReason::QuotaUsedUp)
    );
    step(2).await;
    let waiting = outbox
        .deliveries(bulk)
        .await
        .into_iter()
        .filter_map(|one| one.reason);
    assert_eq!(waiting.collect::<Vec<_>>(), ["quota_used_up"; 4]);
    // The second try in a row is ten minutes after the first at the most.
    for _ in 0..12 {
        step(60).await;
    }
    let sent = (
        outbox.count(bulk, DeliveryState::Sent).await,
        outbox.count(urgent, DeliveryState::Sent).await,
    );
    assert_eq!(sent, (6, 1));
}

async fn what_is_over_is_no_try(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| config.deliver.batch_rows = 10).await;
    let crowd = outbox.crowd(0, 8).await;
    outbox
        .world()
        .add_fault(Fault::at(SEND, FaultKind::Errcode { errcode: 48001 }))
        .unwrap();
    let mut asked = request(&[crowd[0].as_str()], json!({"title": "hi"}), None);
    let end = outbox.clock.now() + TimeDelta::seconds(40);
    asked.expires_at = Some(end.and_utc().to_rfc3339());
    outbox.bridge.notify(outbox.project, asked).await.unwrap();
    let id = outbox.notify_as("normal", &crowd[1..]).await;
    outbox.settle().await;
    outbox.world().clear_faults();
    let tried = outbox.sends();
    outbox.advance(700);
    outbox.settle().await;
    assert_eq!(
        (outbox.count(id, DeliveryState::Sent).await, outbox.sends()),
        (7, tried + 7)
    );
}

async fn a_budget_that_is_raised_is_found_out_before_midnight(engine: Engine) {
    let outbox =
        OutboxFixture::with(engine, |config| config.budgets.template_send.per_day = 2).await;
    let crowd = outbox.crowd(0, 6).await;
    let id = outbox.notify_as("normal", &crowd).await;
    outbox.settle().await;
    assert_eq!(outbox.sends(), 2);
    // Nothing is sent by a try as long as it is used up.
    for _ in 0..60 {
        outbox.advance(60);
        outbox.settle().await;
    }
    assert_eq!(outbox.sends(), 2);
    let raised = outbox.replica_with(|config| config.budgets.template_send.per_day = 10);
    for _ in 0..62 {
        outbox.advance(60);
        raised.run(StepName::Due).await.unwrap();
        while raised.run(StepName::Deliver).await.unwrap() == Step::Worked {}
        raised.hastened().await;
    }
    assert_eq!(
        (outbox.count(id, DeliveryState::Sent).await, outbox.sends()),
        (6, 6)
    );
}

async fn places_of_what_is_cancelled_are_given_to_others(engine: Engine) {
    let outbox =
        OutboxFixture::with(engine, |config| config.budgets.template_send.per_minute = 2).await;
    let crowd = outbox.crowd(0, 25).await;
    let cancelled = outbox.notify_as("normal", &crowd[..22]).await;
    outbox.settle().await;
    assert_eq!(outbox.sends(), 2);
    outbox
        .bridge
        .cancel_notification(outbox.project, cancelled)
        .await
        .unwrap()
        .unwrap();
    let id = outbox.notify_as("normal", &crowd[22..]).await;
    outbox.settle().await;
    for _ in 0..2 {
        outbox.advance(60);
        outbox.settle().await;
    }
    assert_eq!(outbox.count(id, DeliveryState::Sent).await, 3);
}
