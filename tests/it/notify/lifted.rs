//! Pauses that are lifted while something is under way.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection};
use queqiao::bridge::Step;
use queqiao::db::Engine;
use queqiao::models::delivery::DeliveryState;
use queqiao::simulator::{Fault, FaultKind};
use serde_json::json;

use super::outbox::{OutboxFixture, SEND};
use super::routes::{OA_SEND, RouteFixture, TEMPLATE_SEND};
use crate::support::postgres;
use crate::support::program::eventually;
use crate::support::setup::OA;

/// Whatever makes a delivery due earlier than it was waits until the test goes on.
const HELD_UP: &str = "CREATE FUNCTION held_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    PERFORM pg_advisory_xact_lock(77); RETURN NEW; END $$; \
    CREATE TRIGGER held_up BEFORE UPDATE ON deliveries FOR EACH ROW \
    WHEN (OLD.leased_until IS NULL AND NEW.due_at < OLD.due_at) EXECUTE FUNCTION held_up(); \
    SELECT pg_advisory_lock(77)";

both_engines! {
    what_comes_to_wait_for_a_pause_that_was_lifted_meanwhile_does_not_wait,
}

async fn what_comes_to_wait_for_a_pause_that_was_lifted_meanwhile_does_not_wait(
    routes: RouteFixture,
) {
    for (person, errcode) in [(1, 45009), (4, 48001)] {
        let staff = [0, 1, 2].map(|more| format!("s{}", person + more));
        for (staff, person) in staff.iter().zip(person..) {
            routes.member(staff, person).await;
        }
        routes.allow(OA, person + 2).await;
        routes.channels(&["template"]).await;
        routes.refuse(TEMPLATE_SEND, errcode);
        assert_eq!(routes.sent(&staff[0]).await["state"], "queued");
        // One batch of two calls: one of them is paused, the other one takes its time.
        let held_back = routes.notify(&staff[1]).await;
        routes.channels(&["oa_subscribe"]).await;
        routes.notify(&staff[2]).await;
        let answer = routes.world().hold_next(OA_SEND).unwrap();
        let bridge = routes.app.bridge.clone();
        let sending = tokio::spawn(async move { bridge.run(StepName::Deliver).await });
        while routes.seen(person + 2) == 0 {
            tokio::task::yield_now().await;
        }
        let resume = format!("/accounts/{OA}/resume");
        let resumed = routes
            .app
            .call("POST", &routes.key, &resume, None)
            .await
            .ok(200);
        assert_eq!(resumed["lifted"], 1, "{resumed}");
        routes.app.bridge.run(StepName::Due).await.unwrap();
        drop(answer);
        sending.await.unwrap().unwrap();
        routes.app.drain().await;
        let delivery = routes.delivery(&held_back).await;
        assert_eq!(
            delivery["state"],
            json!("delivered"),
            "{errcode}: {delivery}"
        );
    }
}

/// Nothing waits for a whole queue to be made due: not the batch that lifted the pause, nor the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_due_holds_up_no_step() {
    if !postgres::is_there() {
        return;
    }
    let outbox =
        OutboxFixture::with(Engine::Postgres, |config| config.deliver.batch_rows = 4).await;
    let crowd = outbox.crowd(0, 8).await;
    outbox.bound("other", 0, 99, true).await;
    let refused = Fault::at(SEND, FaultKind::Errcode { errcode: 48001 });
    outbox.world().add_fault(refused.times(4)).unwrap();
    let id = outbox.notify_as("normal", &crowd).await;
    outbox.settle().await;
    assert_eq!(outbox.count(id, DeliveryState::Queued).await, 8);
    outbox.advance(130);
    let mut holder = PgConnection::establish(outbox.database.text()).unwrap();
    holder.batch_execute(HELD_UP).unwrap();
    let step = async || {
        let step =
            tokio::time::timeout(Duration::from_secs(5), outbox.bridge.run(StepName::Deliver));
        assert_eq!(step.await.expect("it waits").unwrap(), Step::Worked);
    };
    step().await;
    eventually("what is made due", async || {
        postgres::waits_for_a_lock(outbox.database.text()).then_some(())
    })
    .await;
    let other = outbox.notify(&["other"]).await.notification_id;
    step().await;
    assert_eq!(outbox.count(other, DeliveryState::Sent).await, 1);
    assert_eq!(outbox.count(id, DeliveryState::Queued).await, 7);
    holder
        .batch_execute("SELECT pg_advisory_unlock(77)")
        .unwrap();
    outbox.bridge.hastened().await;
    outbox.settle().await;
    assert_eq!(outbox.count(id, DeliveryState::Sent).await, 8);
}
