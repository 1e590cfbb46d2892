//! Who was asked about in vain is asked about again, once something says that it may be worth it.

use std::time::Duration;

use diesel::RunQueryDsl;
use queqiao::db::{DbError, Engine};
use queqiao::models::account::AccountKind;
use queqiao::simulator::{Fault, FaultKind, Kind, Settings, SimulatorOptions, population};
use serde_json::json;

use super::{INFO, OA, TestProject};
use crate::support::app::draft;

impl TestProject {
    async fn profile_state(&self, person: u32) -> String {
        let identity = self.identity(person).await;
        identity["profile_state"].as_str().unwrap().to_owned()
    }

    fn bind_to_open_platform(&self, bound: bool) {
        let change = self
            .world()
            .change_account(OA, |settings| settings.bound_to_open_platform = bound);
        change.unwrap();
    }
}

/// Where WeChat gave no unionid, it is not asked for by itself for ten days.
async fn patient(engine: Engine) -> TestProject {
    let days = 10 * 86_400;
    let settings = |config: &mut queqiao::config::Config| {
        config.profile.reprobe_first_seconds = days;
        config.profile.reprobe_longest_seconds = days;
        config.profile.refresh_per_second = 1;
    };
    TestProject::with_settings(engine, SimulatorOptions::default(), settings).await
}

both_engines! {
    an_import_asks_about_everybody_without_a_unionid,
    what_somebody_does_asks_for_their_unionid_once_a_day,
    what_was_kept_raw_is_parsed_again_when_it_is_replayed,
    what_failed_and_cannot_be_parsed_stays_so_until_it_can,
    the_people_of_an_account_that_was_corrected_are_asked_about,
}

async fn an_import_asks_about_everybody_without_a_unionid(engine: Engine) {
    let project = patient(engine).await;
    // One whom WeChat did not know for a while.
    project
        .world()
        .add_fault(Fault::at(INFO, FaultKind::Errcode { errcode: 40003 }))
        .unwrap();
    project.follows(1).await;
    project.pass(900, 60).await;
    assert_eq!(project.profile_state(1).await, "unknown_openid");
    project.world().clear_faults();
    // Three from before the account was bound to an Open Platform account.
    project.bind_to_open_platform(false);
    for person in 2..5 {
        project.follows(person).await;
    }
    project.app.drain().await;
    assert_eq!(project.profile_state(2).await, "not_bound_to_open_platform");
    project.bind_to_open_platform(true);
    project.app.advance(Duration::from_secs(3_600));
    project.app.drain().await;
    assert_eq!(project.profile_state(2).await, "not_bound_to_open_platform");
    let path = format!("/accounts/{OA}/imports");
    project
        .app
        .post(&project.key, &path, json!({}))
        .await
        .ok(202);
    project.app.drain().await;
    let known = async || project.people("link_state=single").await.len();
    assert_eq!(known().await, 1, "one a second");
    project.pass(5, 1).await;
    for person in 1..5 {
        let identity = project.identity(person).await;
        assert_eq!(identity["profile_state"], "complete", "{identity}");
        assert_eq!(identity["unionid"], population::unionid(person));
    }
}

async fn what_somebody_does_asks_for_their_unionid_once_a_day(engine: Engine) {
    let project = patient(engine).await;
    project.bind_to_open_platform(false);
    project.follows(1).await;
    project.app.drain().await;
    let asked = project.calls(INFO);
    let says = async || {
        project.world().send_text(OA, 1, "hello").await.unwrap();
        project.app.drain().await;
    };
    project.app.advance(Duration::from_secs(3_600));
    says().await;
    assert_eq!(project.calls(INFO), asked);
    project.app.advance(Duration::from_secs(86_400));
    says().await;
    says().await;
    assert_eq!(project.calls(INFO), asked + 1);
    project.bind_to_open_platform(true);
    project.app.advance(Duration::from_secs(86_401));
    says().await;
    assert_eq!(project.profile_state(1).await, "complete");
}

async fn what_was_kept_raw_is_parsed_again_when_it_is_replayed(project: TestProject) {
    project.follows(1).await;
    project.app.drain().await;
    project.world().send_text(OA, 1, "hello").await.unwrap();
    // As a version stored it that could not parse it.
    let raw = project.app.bridge.db.write(|conn| {
        let raw = "UPDATE events SET kind = 'unknown', openid = NULL, problem = 'cannot be parsed' \
                       WHERE kind = 'text'";
        Ok::<_, DbError>(diesel::sql_query(raw).execute(conn)?)
    });
    assert_eq!(raw.await.unwrap(), 1);
    project.app.drain().await;
    let left = async || project.identity(1).await["customer_window"]["left"].clone();
    let event = project.events().await.remove(0);
    assert_eq!(
        (&event["kind"], &event["openid"]),
        (&json!("unknown"), &json!(null)),
        "{event}"
    );
    assert_eq!(left().await, 3, "of the follow");
    let path = format!("/events/{}/replay", event["id"]);
    project
        .app
        .call("POST", &project.key, &path, None)
        .await
        .ok(202);
    project.app.drain().await;
    let event = project.events().await.remove(0);
    assert_eq!(
        (&event["kind"], &event["openid"]),
        (&json!("text"), &json!(population::openid(OA, 1)))
    );
    let identity = project.identity(1).await;
    assert_eq!(
        (&event["identity_id"], &event["problem"]),
        (&identity["id"], &json!(null)),
        "{event}"
    );
    assert_eq!(left().await, 8, "and of the text");
}

async fn what_failed_and_cannot_be_parsed_stays_so_until_it_can(project: TestProject) {
    project.follows(1).await;
    project.app.drain().await;
    project.world().send_text(OA, 1, "hello").await.unwrap();
    project.app.drain().await;
    let fail = async |body: &str| {
        let raw = format!(
            "UPDATE events SET kind = 'unknown', openid = NULL, state = 2, \
                 problem = 'cannot be parsed', body = {body} \
                 WHERE id = (SELECT MAX(id) FROM events)"
        );
        let failed = project
            .app
            .bridge
            .db
            .write(move |conn| Ok::<_, DbError>(diesel::sql_query(&raw).execute(conn)?));
        assert_eq!(failed.await.unwrap(), 1);
    };
    let replay = async |body: serde_json::Value| {
        let taken = project
            .app
            .post(&project.key, "/events/replay", body)
            .await
            .ok(202);
        project.app.drain().await;
        (taken["taken"].clone(), project.events().await.remove(0))
    };
    let (cut, whole) = match project.app.bridge.db.engine() {
        Engine::Postgres => ("'<xml><broken'::bytea", "body"),
        Engine::Sqlite => ("CAST('<xml><broken' AS BLOB)", "body"),
    };
    // As it came, then cut, then as it came.
    let body = project.app.bridge.db.read(|conn| {
        use diesel::{ExpressionMethods, QueryDsl};
        use queqiao::db::schema::events;
        Ok::<Vec<u8>, DbError>(
            events::table
                .order(events::id.desc())
                .select(events::body)
                .first(conn)?,
        )
    });
    let body = body.await.unwrap();
    fail(cut).await;
    let (taken, event) = replay(json!({"state": "failed"})).await;
    assert_eq!(
        (&taken, &event["kind"], &event["state"]),
        (&json!(1), &json!("unknown"), &json!("processed"))
    );
    assert!(event["problem"].is_string(), "{event}");
    fail(whole).await;
    let put_back = project.app.bridge.db.write(move |conn| {
        use diesel::{ExpressionMethods, QueryDsl};
        use queqiao::db::schema::events;
        let last = events::table.filter(events::state.eq(2));
        Ok::<_, DbError>(
            diesel::update(last)
                .set(events::body.eq(&body))
                .execute(conn)?,
        )
    });
    assert_eq!(put_back.await.unwrap(), 1);
    let (taken, event) = replay(json!({})).await;
    assert_eq!(
        (&taken, &event["kind"], &event["problem"]),
        (&json!(1), &json!("text"), &json!(null))
    );
}

async fn the_people_of_an_account_that_was_corrected_are_asked_about(project: TestProject) {
    const LATE: &str = "wx00000000000000a7";
    let second = project.app.project("two").await;
    let key = project
        .app
        .key(second, &[queqiao::bridge::accounts::keys::Scope::Admin])
        .await;
    project
        .app
        .account(second, LATE, Kind::OfficialAccount)
        .await;
    let settings: Settings = (*project.world().settings(LATE).unwrap()).clone();
    let kind = async |kind: AccountKind| {
        let mut draft = draft(second, &settings);
        draft.kind = kind;
        project.app.bridge.change_account(draft).await.unwrap();
        // What the account was is trusted for some seconds.
        project.app.advance(Duration::from_secs(10));
        project.app.drain().await;
    };
    let state = async |person: u32| {
        let path = format!("/people?openid={}", population::openid(LATE, person));
        let people = project.app.get(&key, &path).await.ok(200);
        people["items"][0]["identities"][0]["profile_state"].clone()
    };
    kind(AccountKind::MiniProgram).await;
    for person in 1..4 {
        let origin = queqiao::simulator::Origin::search();
        project.world().follow(LATE, person, origin).await.unwrap();
    }
    project.app.drain().await;
    assert_eq!(state(1).await, "login_needed");
    kind(AccountKind::OfficialAccount).await;
    for person in 1..4 {
        assert_eq!(state(person).await, "complete");
    }
}
