//! What WeChat answered is not lost with the database, and a claim that was lost before its send is
//! sent again.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use queqiao::db::{Conn, Db, DbError, Engine};
use serde_json::{Value, json};

use super::customer::CUSTOM_SEND;
use super::ways::{CHANNELS, TEMPLATE_SEND, Ways, route};
use crate::invariants::{MP, OA};
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

async fn shown(ways: &Ways, person: u32) {
    while ways.seen(person) == 0 {
        tokio::task::yield_now().await;
    }
}

/// All channels through WeChat, with what a person must do first.
async fn prepared(ways: &Ways, person: u32, channel: &str) -> String {
    let staff = format!("s{person}");
    ways.member(&staff, person).await;
    match channel {
        "customer" => {
            ways.writes(person).await;
            let text =
                json!([{"channel": "customer", "account": OA, "text": "{{ params.title }}"}]);
            ways.set_routes(text).await;
        }
        _ => {
            let route = route(channel);
            if channel != "template" {
                ways.allow(route["account"].as_str().unwrap(), person).await;
            }
            ways.set_routes(json!([route])).await;
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

async fn what_was_answered_is_recorded_when_the_database_takes_it(ways: Ways) {
    for (person, (channel, path)) in (1..).zip(all()) {
        let staff = prepared(&ways, person, channel).await;
        let list = ways.stage.notify(&staff).await;
        let (stage, bridge) = (&ways.stage, ways.stage.app.bridge.clone());
        let held = stage.world().hold_next(path).unwrap();
        let sending = tokio::spawn(async move { bridge.deliver_step().await });
        shown(&ways, person).await;
        execute(
            &stage.app.bridge.db,
            "ALTER TABLE attempts RENAME TO attempts_away",
        )
        .await;
        drop(held);
        sending.await.unwrap().unwrap_err();
        execute(
            &stage.app.bridge.db,
            "ALTER TABLE attempts_away RENAME TO attempts",
        )
        .await;
        assert_eq!(stage.delivery(&list).await["state"], "queued");
        // The next step records it, or the end of the process, long before the lease has run out.
        match channel {
            "template" => stage.app.bridge.record_last().await,
            _ => drop(stage.app.bridge.deliver_step().await.unwrap()),
        }
        let delivery = stage.delivery(&list).await;
        assert!(is_settled(&delivery), "{channel}: {delivery}");
        assert_eq!(
            delivery["attempts"].as_array().unwrap().len(),
            1,
            "{delivery}"
        );
        stage.pass(300, 60).await;
        let delivery = stage.delivery(&list).await;
        assert_eq!(
            (&delivery["state"], ways.seen(person)),
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

async fn a_try_that_ended_halfway_is_not_taken_for_the_one_after_it(ways: Ways) {
    let staff = prepared(&ways, 1, "template").await;
    let (stage, bridge) = (&ways.stage, &ways.stage.app.bridge);
    let released = |page: &str| {
        let pages = vec![page.to_owned()];
        stage
            .world()
            .change_account(MP, |settings| settings.pages = pages)
            .unwrap();
    };
    released("pages/there");
    let mut opening = route("template");
    opening["mini_program"] = json!({"app_id": MP, "path": "pages/new"});
    opening["url"] = json!("https://example.com/1");
    ways.set_routes(json!([opening])).await;
    let list = stage.notify(&staff).await;
    let sending = || {
        let bridge = bridge.clone();
        tokio::spawn(async move { bridge.deliver_step().await })
    };
    // WeChat refuses the page so late that the message is not sent without it.
    let calls = stage.calls(TEMPLATE_SEND);
    let held = stage.world().hold_next(TEMPLATE_SEND).unwrap();
    let first = sending();
    while stage.calls(TEMPLATE_SEND) == calls {
        tokio::task::yield_now().await;
    }
    stage.app.advance(Duration::from_secs(125));
    drop(held);
    first.await.unwrap().unwrap();
    let delivery = stage.delivery(&list).await;
    assert_eq!(
        (&delivery["state"], &delivery["attempts"][0]["errcode"]),
        (&json!("queued"), &json!(40165)),
        "{delivery}"
    );
    released("pages/new");
    stage.app.advance(Duration::from_secs(1));
    let held = stage.world().hold_next(TEMPLATE_SEND).unwrap();
    let second = sending();
    shown(&ways, 1).await;
    execute(&bridge.db, "ALTER TABLE attempts RENAME TO attempts_away").await;
    drop(held);
    second.await.unwrap().unwrap_err();
    execute(&bridge.db, "ALTER TABLE attempts_away RENAME TO attempts").await;
    bridge.deliver_step().await.unwrap();
    let delivery = stage.delivery(&list).await;
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
    assert_eq!(ways.seen(1), 1);
}

async fn a_process_with_another_master_key_claims_no_message(ways: Ways) {
    let staff = prepared(&ways, 1, "template").await;
    let list = ways.stage.notify(&staff).await;
    let stage = &ways.stage;
    let other = stage.app.with_another_master_key();
    for _ in 0..3 {
        assert_eq!(
            other.deliver_step().await.unwrap(),
            queqiao::bridge::Step::Idle
        );
    }
    let before = stage.app.clock.now();
    stage.app.bridge.deliver_step().await.unwrap();
    assert_eq!((ways.seen(1), stage.app.clock.now()), (1, before));
    let delivery = stage.delivery(&list).await;
    assert_eq!(
        delivery["attempts"].as_array().unwrap().len(),
        1,
        "{delivery}"
    );
}

async fn what_can_never_be_recorded_is_in_nobodys_way(ways: Ways) {
    let other = prepared(&ways, 2, "template").await;
    assert_eq!(ways.sent(&other).await["state"], "delivered");
    let staff = prepared(&ways, 1, "mp_subscribe").await;
    let list = ways.stage.notify(&staff).await;
    let (stage, bridge) = (&ways.stage, ways.stage.app.bridge.clone());
    let (_, path) = all()
        .find(|(channel, _)| *channel == "mp_subscribe")
        .unwrap();
    let held = stage.world().hold_next(path).unwrap();
    let sending = tokio::spawn(async move { bridge.deliver_step().await });
    shown(&ways, 1).await;
    execute(
        &stage.app.bridge.db,
        "CREATE UNIQUE INDEX just_one ON attempts (outcome)",
    )
    .await;
    drop(held);
    sending.await.unwrap().unwrap_err();
    stage.app.bridge.deliver_step().await.unwrap();
    // The lease has run out, and its rules hold.
    stage.app.advance(Duration::from_secs(130));
    stage.app.bridge.deliver_step().await.unwrap();
    execute(&stage.app.bridge.db, "DROP INDEX just_one").await;
    stage.pass(240, 60).await;
    let delivery = stage.delivery(&list).await;
    assert_eq!(
        (&delivery["state"], ways.seen(1)),
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
    let ways = Ways::on(Engine::Postgres).await;
    let server = postgres::server().unwrap();
    for (person, (channel, path)) in (1..).zip(all()) {
        let staff = prepared(&ways, person, channel).await;
        let list = ways.stage.notify(&staff).await;
        let (stage, bridge) = (&ways.stage, ways.stage.app.bridge.clone());
        let held = stage.world().hold_next(path).unwrap();
        let sending = tokio::spawn(async move { bridge.deliver_step().await });
        shown(&ways, person).await;
        let away = server.lock_out(stage.app.database.text());
        drop(held);
        sending.await.unwrap().unwrap_err();
        if channel == "template" {
            stage.app.bridge.deliver_step().await.unwrap_err();
        }
        drop(away);
        stage.app.bridge.deliver_step().await.unwrap();
        stage.app.drain().await;
        let delivery = stage.delivery(&list).await;
        assert_eq!(
            (&delivery["state"], ways.seen(person)),
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
    let ways = Ways::on(Engine::Postgres).await;
    let staff = prepared(&ways, 1, "template").await;
    let (stage, bridge) = (&ways.stage, ways.stage.app.bridge.clone());
    let path = TEMPLATE_SEND;
    let before = stage.calls(path);
    let list = stage.notify(&staff).await;
    let held = stage.world().hold_next(path).unwrap();
    let sending = tokio::spawn({
        let bridge = bridge.clone();
        async move { bridge.deliver_step().await }
    });
    shown(&ways, 1).await;
    execute(&bridge.db, "ALTER TABLE attempts RENAME TO attempts_away").await;
    drop(held);
    sending.await.unwrap().unwrap_err();
    execute(&bridge.db, "ALTER TABLE attempts_away RENAME TO attempts").await;
    stage.app.advance(Duration::from_secs(130));
    let mut holder = PgConnection::establish(stage.app.database.text()).unwrap();
    holder
        .batch_execute("BEGIN; LOCK TABLE attempts IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    let one = tokio::spawn({
        let bridge = bridge.clone();
        async move { bridge.deliver_step().await }
    });
    crate::support::program::eventually("the recording", async || {
        postgres::waits_for_a_lock(stage.app.database.text()).then_some(())
    })
    .await;
    let two = tokio::spawn(async move { bridge.deliver_step().await });
    // The other one needs less than that to claim and to send.
    let sent = async {
        while stage.calls(path) < before + 2 {
            tokio::task::yield_now().await;
        }
    };
    let sent = tokio::time::timeout(Duration::from_millis(1_500), sent).await;
    assert!(sent.is_err(), "it was sent again");
    drop(holder);
    one.await.unwrap().unwrap();
    two.await.unwrap().unwrap();
    stage.app.drain().await;
    let delivery = stage.delivery(&list).await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    assert_eq!(stage.calls(path), before + 1);
}
