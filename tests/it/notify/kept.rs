//! What WeChat answered is not lost with the database, and a claim that was lost before its send is
//! sent again.

use queqiao::bridge::steps::{StepName, Steps};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use queqiao::db::{Conn, Db, DbError, Engine};
use serde_json::{Value, json};

use super::customer::CUSTOM_SEND;
use super::routes::{CHANNELS, RouteFixture, TEMPLATE_SEND, route};
use crate::support::setup::{MP, OA};
use crate::support::{Fixture, postgres};

pub(super) async fn execute(db: &Db, sql: &'static str) {
    let done = db.write(move |conn| {
        match conn {
            Conn::Postgres(conn) => conn.batch_execute(sql)?,
            Conn::Sqlite(conn) => conn.batch_execute(sql)?,
        }
        Ok::<_, DbError>(())
    });
    done.await.unwrap();
}

async fn shown(routes: &RouteFixture, person: u32) {
    while routes.seen(person) == 0 {
        tokio::task::yield_now().await;
    }
}

/// All channels through WeChat, with what a person must do first.
async fn prepared(routes: &RouteFixture, person: u32, channel: &str) -> String {
    let staff = format!("s{person}");
    routes.member(&staff, person).await;
    match channel {
        "customer" => {
            routes.writes(person).await;
            let text =
                json!([{"channel": "customer", "account": OA, "text": "{{ params.title }}"}]);
            routes.set(text).await;
        }
        _ => {
            let route = route(channel);
            if channel != "template" {
                routes
                    .allow(route["account"].as_str().unwrap(), person)
                    .await;
            }
            routes.set(json!([route])).await;
        }
    }
    staff
}

fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let known = CHANNELS
        .into_iter()
        .map(|(channel, _, path)| (channel, path));
    known.chain([("customer", CUSTOM_SEND)])
}

fn is_settled(delivery: &Value) -> bool {
    ["sent", "delivered"].contains(&delivery["state"].as_str().unwrap())
}

both_engines! {
    what_was_answered_is_recorded_when_the_database_takes_it,
    a_try_that_ended_halfway_is_not_taken_for_the_one_after_it,
    a_process_with_another_master_key_claims_no_message,
    what_can_never_be_recorded_is_in_nobodys_way,
}

async fn what_was_answered_is_recorded_when_the_database_takes_it(routes: RouteFixture) {
    for (person, (channel, path)) in (1..).zip(all()) {
        let staff = prepared(&routes, person, channel).await;
        let list = routes.notify(&staff).await;
        let bridge = routes.app.bridge.clone();
        let held = routes.world().hold_next(path).unwrap();
        let sending = tokio::spawn(async move { bridge.run(StepName::Deliver).await });
        shown(&routes, person).await;
        execute(
            &routes.app.bridge.db,
            "ALTER TABLE attempts RENAME TO attempts_away",
        )
        .await;
        drop(held);
        sending.await.unwrap().unwrap_err();
        execute(
            &routes.app.bridge.db,
            "ALTER TABLE attempts_away RENAME TO attempts",
        )
        .await;
        assert_eq!(routes.delivery(&list).await["state"], "queued");
        // The next step records it, or the end of the process, long before the lease has run out.
        match channel {
            "template" => {
                Steps::of(&routes.app.bridge)
                    .finish(StepName::Deliver)
                    .await;
            }
            _ => drop(routes.app.bridge.run(StepName::Deliver).await.unwrap()),
        }
        let delivery = routes.delivery(&list).await;
        assert!(is_settled(&delivery), "{channel}: {delivery}");
        assert_eq!(
            delivery["attempts"].as_array().unwrap().len(),
            1,
            "{delivery}"
        );
        routes.pass(300, 60).await;
        let delivery = routes.delivery(&list).await;
        assert_eq!(
            (&delivery["state"], routes.seen(person)),
            (&json!("delivered"), 1),
            "{channel}: {delivery}"
        );
        assert_eq!(
            delivery["attempts"].as_array().unwrap().len(),
            1,
            "{delivery}"
        );
    }
}

async fn a_try_that_ended_halfway_is_not_taken_for_the_one_after_it(routes: RouteFixture) {
    let staff = prepared(&routes, 1, "template").await;
    let bridge = &routes.app.bridge;
    let released = |page: &str| {
        let pages = vec![page.to_owned()];
        routes
            .world()
            .change_account(MP, |settings| settings.pages = pages)
            .unwrap();
    };
    released("pages/there");
    let mut opening = route("template");
    opening["mini_program"] = json!({"app_id": MP, "path": "pages/new"});
    opening["url"] = json!("https://example.com/1");
    routes.set(json!([opening])).await;
    let list = routes.notify(&staff).await;
    let sending = || {
        let bridge = bridge.clone();
        tokio::spawn(async move { bridge.run(StepName::Deliver).await })
    };
    // WeChat refuses the page so late that the message is not sent without it.
    let calls = routes.calls(TEMPLATE_SEND);
    let held = routes.world().hold_next(TEMPLATE_SEND).unwrap();
    let first = sending();
    while routes.calls(TEMPLATE_SEND) == calls {
        tokio::task::yield_now().await;
    }
    routes.app.advance(Duration::from_secs(125));
    drop(held);
    first.await.unwrap().unwrap();
    let delivery = routes.delivery(&list).await;
    assert_eq!(
        (&delivery["state"], &delivery["attempts"][0]["errcode"]),
        (&json!("queued"), &json!(40165)),
        "{delivery}"
    );
    released("pages/new");
    routes.app.advance(Duration::from_secs(1));
    let held = routes.world().hold_next(TEMPLATE_SEND).unwrap();
    let second = sending();
    shown(&routes, 1).await;
    execute(&bridge.db, "ALTER TABLE attempts RENAME TO attempts_away").await;
    drop(held);
    second.await.unwrap().unwrap_err();
    execute(&bridge.db, "ALTER TABLE attempts_away RENAME TO attempts").await;
    bridge.run(StepName::Deliver).await.unwrap();
    let delivery = routes.delivery(&list).await;
    assert!(is_settled(&delivery), "{delivery}");
    let attempts = delivery["attempts"].as_array().unwrap().iter();
    let attempts: Vec<_> = attempts
        .map(|one| (&one["number"], &one["outcome"]))
        .collect();
    assert_eq!(
        attempts,
        [
            (&json!(1), &json!("refused")),
            (&json!(2), &json!("accepted"))
        ]
    );
    assert_eq!(routes.seen(1), 1);
}

async fn a_process_with_another_master_key_claims_no_message(routes: RouteFixture) {
    let staff = prepared(&routes, 1, "template").await;
    let list = routes.notify(&staff).await;
    let other = routes.app.with_another_master_key();
    for _ in 0..3 {
        assert_eq!(
            other.run(StepName::Deliver).await.unwrap(),
            queqiao::bridge::Step::Idle
        );
    }
    let before = routes.app.clock.now();
    routes.app.bridge.run(StepName::Deliver).await.unwrap();
    assert_eq!((routes.seen(1), routes.app.clock.now()), (1, before));
    let delivery = routes.delivery(&list).await;
    assert_eq!(
        delivery["attempts"].as_array().unwrap().len(),
        1,
        "{delivery}"
    );
}

async fn what_can_never_be_recorded_is_in_nobodys_way(routes: RouteFixture) {
    let other = prepared(&routes, 2, "template").await;
    assert_eq!(routes.sent(&other).await["state"], "delivered");
    let staff = prepared(&routes, 1, "mp_subscribe").await;
    let list = routes.notify(&staff).await;
    let bridge = routes.app.bridge.clone();
    let (_, path) = all()
        .find(|(channel, _)| *channel == "mp_subscribe")
        .unwrap();
    let held = routes.world().hold_next(path).unwrap();
    let sending = tokio::spawn(async move { bridge.run(StepName::Deliver).await });
    shown(&routes, 1).await;
    execute(
        &routes.app.bridge.db,
        "CREATE UNIQUE INDEX just_one ON attempts (outcome)",
    )
    .await;
    drop(held);
    sending.await.unwrap().unwrap_err();
    routes.app.bridge.run(StepName::Deliver).await.unwrap();
    // The lease has run out, and its rules hold.
    routes.app.advance(Duration::from_secs(130));
    routes.app.bridge.run(StepName::Deliver).await.unwrap();
    execute(&routes.app.bridge.db, "DROP INDEX just_one").await;
    routes.pass(240, 60).await;
    let delivery = routes.delivery(&list).await;
    assert_eq!(
        (&delivery["state"], routes.seen(1)),
        (&json!("unknown"), 1),
        "{delivery}"
    );
}

/// PostgreSQL is stopped while a message is on its way, and started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_while_messages_are_on_their_way_costs_none() {
    if !postgres::is_there() {
        return;
    }
    let routes = RouteFixture::on(Engine::Postgres).await;
    let server = postgres::server().unwrap();
    for (person, (channel, path)) in (1..).zip(all()) {
        let staff = prepared(&routes, person, channel).await;
        let list = routes.notify(&staff).await;
        let bridge = routes.app.bridge.clone();
        let held = routes.world().hold_next(path).unwrap();
        let sending = tokio::spawn(async move { bridge.run(StepName::Deliver).await });
        shown(&routes, person).await;
        let away = server.lock_out(routes.app.database.text());
        drop(held);
        sending.await.unwrap().unwrap_err();
        if channel == "template" {
            routes.app.bridge.run(StepName::Deliver).await.unwrap_err();
        }
        drop(away);
        routes.app.bridge.run(StepName::Deliver).await.unwrap();
        routes.app.drain().await;
        let delivery = routes.delivery(&list).await;
        assert_eq!(
            (&delivery["state"], routes.seen(person)),
            (&json!("delivered"), 1),
            "{channel}: {delivery}"
        );
        assert_eq!(
            delivery["attempts"].as_array().unwrap().len(),
            1,
            "{delivery}"
        );
    }
}

/// What is kept is being recorded, after its leases have run out, while another loop looks for what is due.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_recorded_is_claimed_by_nobody() {
    use diesel::{Connection as _, PgConnection};
    if !postgres::is_there() {
        return;
    }
    let routes = RouteFixture::on(Engine::Postgres).await;
    let staff = prepared(&routes, 1, "template").await;
    let bridge = routes.app.bridge.clone();
    let path = TEMPLATE_SEND;
    let before = routes.calls(path);
    let list = routes.notify(&staff).await;
    let held = routes.world().hold_next(path).unwrap();
    let sending = tokio::spawn({
        let bridge = bridge.clone();
        async move { bridge.run(StepName::Deliver).await }
    });
    shown(&routes, 1).await;
    execute(&bridge.db, "ALTER TABLE attempts RENAME TO attempts_away").await;
    drop(held);
    sending.await.unwrap().unwrap_err();
    execute(&bridge.db, "ALTER TABLE attempts_away RENAME TO attempts").await;
    routes.app.advance(Duration::from_secs(130));
    let mut holder = PgConnection::establish(routes.app.database.text()).unwrap();
    holder
        .batch_execute("BEGIN; LOCK TABLE attempts IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    let one = tokio::spawn({
        let bridge = bridge.clone();
        async move { bridge.run(StepName::Deliver).await }
    });
    crate::support::program::eventually("the recording", async || {
        postgres::waits_for_a_lock(routes.app.database.text()).then_some(())
    })
    .await;
    let two = tokio::spawn(async move { bridge.run(StepName::Deliver).await });
    // The other one needs less than that to claim and to send.
    let sent = async {
        while routes.calls(path) < before + 2 {
            tokio::task::yield_now().await;
        }
    };
    let sent = tokio::time::timeout(Duration::from_millis(1_500), sent).await;
    assert!(sent.is_err(), "it was sent again");
    drop(holder);
    one.await.unwrap().unwrap();
    two.await.unwrap().unwrap();
    routes.app.drain().await;
    let delivery = routes.delivery(&list).await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    assert_eq!(routes.calls(path), before + 1);
}
