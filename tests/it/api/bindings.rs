//! Bindings that are made and removed at once: requests that collide have all looked at what is stored
//! before any of them stores something.

use std::sync::Mutex;

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::BigInt;
use diesel::{Connection as _, PgConnection, RunQueryDsl as _, SqliteConnection};
use queqiao::db::Engine;
use queqiao::simulator::population;
use serde_json::{Value, json};

use super::{ApiFixture, MP, OA};
use crate::support::TestApp;
use crate::support::api::{by_openid, by_unionid};
use crate::support::app::Answer;
use crate::support::program::eventually;

both_engines! {
    a_person_becomes_one_of_two_staff_members,
    a_staff_member_becomes_both_of_two_people,
    a_binding_is_removed_once,
    a_staff_member_who_is_removed_stays_bound_to_nobody,
    an_invitation_sees_a_binding_that_is_being_made,
    a_binding_does_not_bring_back_who_was_erased,
}

/// Keeps bindings from being stored and removed, not from being read, until it is told to let go.
pub(super) struct HeldBack {
    database: String,
    held: Mutex<Held>,
}

enum Held {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl HeldBack {
    pub(super) fn begin(app: &TestApp) -> Self {
        let database = app.database.text().to_owned();
        let held = match app.database.db().engine() {
            Engine::Postgres => {
                let mut conn = PgConnection::establish(&database).unwrap();
                let begin = "BEGIN; LOCK TABLE bindings IN SHARE MODE";
                conn.batch_execute(begin).unwrap();
                Held::Postgres(conn)
            }
            Engine::Sqlite => {
                let file = database.trim_start_matches("sqlite://");
                let mut conn = SqliteConnection::establish(file).unwrap();
                let begin = "PRAGMA busy_timeout = 10000; BEGIN IMMEDIATE";
                conn.batch_execute(begin).unwrap();
                Held::Sqlite(conn)
            }
        };
        Self {
            database,
            held: Mutex::new(held),
        }
    }

    /// Waits until so many wait. On SQLite nobody can tell who waits, and one comes after the other anyhow.
    pub(super) async fn until_wait(&self, count: i64) {
        if let Held::Sqlite(_) = &*self.held.lock().unwrap() {
            return;
        }
        let waiting = || {
            let mut conn = PgConnection::establish(&self.database).unwrap();
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                       AND datname = current_database()";
            let waiting = diesel::dsl::sql::<BigInt>(sql).get_result::<i64>(&mut conn);
            waiting.unwrap()
        };
        eventually("the collision", async || (waiting() == count).then_some(())).await;
    }

    pub(super) fn let_go(&self) {
        match &mut *self.held.lock().unwrap() {
            Held::Postgres(conn) => conn.batch_execute("COMMIT").unwrap(),
            Held::Sqlite(conn) => conn.batch_execute("COMMIT").unwrap(),
        }
    }
}

/// Two requests, of which neither has stored anything before the other has begun; the first one begins first
/// on PostgreSQL.
async fn collide(
    app: &TestApp,
    one: impl Future<Output = Answer>,
    other: impl Future<Output = Answer>,
) -> (Answer, Answer) {
    let held = HeldBack::begin(app);
    let other = async {
        held.until_wait(1).await;
        other.await
    };
    let end = async {
        held.until_wait(2).await;
        held.let_go();
    };
    let (one, other, ()) = tokio::join!(one, other, end);
    (one, other)
}

async fn bind(api: &ApiFixture, staff_id: &str, whom: Value) -> Answer {
    let path = format!("/staff/{staff_id}/bindings");
    api.app.post(&api.key, &path, whom).await
}

async fn bindings(api: &ApiFixture, staff_id: &str) -> usize {
    let member = api.app.get(&api.key, &format!("/staff/{staff_id}")).await;
    member.ok(200)["bindings"].as_array().unwrap().len()
}

async fn a_person_becomes_one_of_two_staff_members(api: ApiFixture) {
    api.new_follower(1).await;
    api.logs_in(1).await;
    api.new_follower(2).await;
    for staff in ["s1", "s2", "s3", "s4", "s5", "s6"] {
        api.staff(staff).await;
    }
    // By two openids, by one, and by an openid and the unionid: it is one person each time.
    for (pair, whom) in [
        (["s1", "s2"], [by_openid(OA, 1), by_openid(MP, 1)]),
        (["s3", "s4"], [by_openid(OA, 2), by_unionid(2)]),
        (["s5", "s6"], [by_unionid(3), by_unionid(3)]),
    ] {
        let [one, other] = whom;
        let (one, other) = collide(
            &api.app,
            bind(&api, pair[0], one),
            bind(&api, pair[1], other),
        )
        .await;
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "{one:?} {other:?}");
        let refused = if one.status == 409 { &one } else { &other };
        refused.refused(409, "already_bound", "");
        assert_eq!(
            bindings(&api, pair[0]).await + bindings(&api, pair[1]).await,
            1
        );
    }
}

async fn a_staff_member_becomes_both_of_two_people(api: ApiFixture) {
    api.new_follower(1).await;
    api.staff("s1").await;
    let (one, other) = collide(
        &api.app,
        bind(&api, "s1", by_openid(OA, 1)),
        bind(&api, "s1", by_unionid(2)),
    )
    .await;
    assert_eq!((one.status, other.status), (201, 201), "{one:?} {other:?}");
    assert_eq!(bindings(&api, "s1").await, 2);
}

async fn a_binding_is_removed_once(api: ApiFixture) {
    let told = api
        .endpoint("https://example.com/", &["staff.unbound"])
        .await;
    let binding = api.staff("s1").bound_to(by_unionid(1)).await;
    let path = format!("/staff/s1/bindings/{}", binding["id"]);
    let remove = || api.app.delete(&api.key, &path);
    let (one, other) = collide(&api.app, remove(), remove()).await;
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404], "{one:?} {other:?}");
    assert_eq!(published(&api, &told).await, ["staff.unbound"]);
}

async fn a_staff_member_who_is_removed_stays_bound_to_nobody(api: ApiFixture) {
    let events = ["staff.bound", "staff.unbound"];
    let told = api.endpoint("https://example.com/", &events).await;
    api.new_follower(1).await;
    api.staff("s1").bound_to(by_unionid(2)).await;
    let (made, removed) = collide(
        &api.app,
        bind(&api, "s1", by_openid(OA, 1)),
        api.app.delete(&api.key, "/staff/s1"),
    )
    .await;
    removed.ok(200);
    let expected = match made.status {
        // Who was bound is told to be unbound.
        201 => vec![
            "staff.bound",
            "staff.bound",
            "staff.unbound",
            "staff.unbound",
        ],
        404 => vec!["staff.bound", "staff.unbound"],
        _ => panic!("{made:?}"),
    };
    assert_eq!(published(&api, &told).await, expected);
    let person = api
        .people(&format!("openid={}", population::openid(OA, 1)))
        .await;
    assert_eq!(person[0]["staff_ids"], json!([]));
}

async fn an_invitation_sees_a_binding_that_is_being_made(api: ApiFixture) {
    api.new_follower(1).await;
    api.staff("s1").await;
    let body = json!({"app_id": OA, "mini_program": {"app_id": MP}});
    let path = "/staff/s1/invitations";
    let invited = api.app.post(&api.key, path, body).await.ok(201);
    let body = json!({"code": api.code(2), "invitation": invited["token"]});
    let path = format!("/miniprogram/{MP}/sessions");
    let (made, login) = collide(
        &api.app,
        bind(&api, "s1", by_openid(OA, 1)),
        api.app.post(&api.key, &path, body),
    )
    .await;
    made.ok(201);
    match login.status {
        // The invitation was used first: a staff member may have several bindings.
        200 => assert_eq!(bindings(&api, "s1").await, 2),
        _ => {
            login.refused(409, "already_bound", "invitation");
            assert_eq!(bindings(&api, "s1").await, 1);
        }
    }
}

async fn a_binding_does_not_bring_back_who_was_erased(api: ApiFixture) {
    api.new_follower(1).await;
    api.staff("s1").await;
    let openid = population::openid(OA, 1);
    let people = api.people(&format!("openid={openid}")).await;
    let path = format!("/people/{}", people[0]["identities"][0]["id"]);
    api.app.delete(&api.key, &path).await.ok(200);
    api.app.drain().await;
    let refused = bind(&api, "s1", by_openid(OA, 1)).await;
    refused.refused(422, "unknown_openid", "openid");
    assert_eq!(bindings(&api, "s1").await, 0);
    assert!(api.people(&format!("openid={openid}")).await.is_empty());
}

/// The types of events that an endpoint has been told, sorted.
async fn published(api: &ApiFixture, endpoint: &Value) -> Vec<String> {
    let path = format!("/webhooks/{}/deliveries", endpoint["id"]);
    let page = api.app.get(&api.key, &path).await.ok(200);
    let items = page["items"].as_array().unwrap().iter();
    let mut types: Vec<String> = items
        .map(|item| item["type"].as_str().unwrap().to_owned())
        .collect();
    types.sort_unstable();
    types
}
