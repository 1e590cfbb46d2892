//! An account that moves to another Open Platform account: everybody comes with another unionid.

mod rebind;

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use queqiao::db::Engine;
use queqiao::simulator::{Fault, FaultKind, SimulatorOptions, population};
use serde_json::{Value, json};

use super::{MP, OA, TestProject, account};

/// Where unionids come from next.
const SECOND: &str = "second";

fn move_all(project: &TestProject) {
    for app_id in [OA, MP] {
        let moved = project.world().change_account(app_id, |settings| {
            SECOND.clone_into(&mut settings.open_platform);
        });
        moved.unwrap();
    }
}

fn new(project: &TestProject, person: u32) -> String {
    project.world().unionid(OA, person).unwrap()
}

async fn refresh(project: &TestProject) -> Value {
    let path = format!("/accounts/{OA}/imports");
    let body = json!({"refresh": true});
    let started = project.app.post(&project.key, &path, body).await.ok(202);
    assert_eq!(started["refresh"], true);
    project.app.drain().await;
    project.pass(3, 1).await;
    let path = format!("/imports/{}", started["id"]);
    let import = project.app.get(&project.key, &path).await.ok(200);
    assert_eq!(import["state"], "done", "{import}");
    import
}

both_engines! {
    an_event_that_brings_another_unionid_tells_it,
    a_refresh_is_paced_so_that_new_followers_do_not_wait,
    whoever_is_erased_is_erased_under_the_unionid_they_had_before,
    a_refresh_is_paced_after_a_pause_too,
}

async fn an_event_that_brings_another_unionid_tells_it(project: TestProject) {
    project.reachable("m1", 1).await;
    project.app.advance(Duration::from_secs(60));
    let openid = population::openid(OA, 1);
    let now = project.app.clock.unix_seconds();
    let event = |time: i64, unionid: &str| {
        format!(
            "<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[oPLATFORM]]></FromUserName>\
             <CreateTime>{time}</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[user_info_modified]]></Event>\
             <OpenID><![CDATA[{openid}]]></OpenID><UnionID><![CDATA[{unionid}]]></UnionID></xml>"
        )
    };
    // Older than the profile: it is not news.
    project
        .world()
        .push_raw(OA, "oPLATFORM", &event(now - 3_600, "oStale"))
        .await
        .unwrap();
    project.app.drain().await;
    assert_eq!(project.identity(1).await["unionid"], population::unionid(1));
    project
        .world()
        .push_raw(OA, "oPLATFORM", &event(now, "oNEW"))
        .await
        .unwrap();
    project.app.drain().await;
    assert_eq!(project.identity(1).await["unionid"], "oNEW");
    let moved = account(&project, OA).await["moved"].clone();
    assert_eq!(
        (&moved["changed"], &moved["staff"]),
        (&json!(1), &json!(1)),
        "{moved}"
    );
    // A mini-program has no profiles to ask for: an event may be the only one to tell.
    let body = json!({"ToUserName": "gh_2", "FromUserName": "oM", "CreateTime": now, "MsgType": "event",
            "Event": "some_new_event", "UnionID": "oNEW"});
    project
        .world()
        .push_raw(MP, "oM", &body.to_string())
        .await
        .unwrap();
    project.app.drain().await;
    let people = project.people("unionid=oNEW").await;
    assert_eq!(
        (people.len(), &people[0]["link_state"]),
        (1, &json!("linked")),
        "{people:?}"
    );
}

async fn a_refresh_is_paced_so_that_new_followers_do_not_wait(engine: Engine) {
    let project = TestProject::with_settings(engine, SimulatorOptions::default(), |config| {
        config.profile.refresh_per_second = 4;
    })
    .await;
    for person in 0..10 {
        project.follows(person).await;
    }
    project.app.drain().await;
    move_all(&project);
    let path = format!("/accounts/{OA}/imports");
    let plain = project
        .app
        .post(&project.key, &path, json!({}))
        .await
        .ok(202);
    project.app.drain().await;
    assert_eq!(
        project
            .people(&format!("unionid={}", new(&project, 0)))
            .await
            .len(),
        0,
        "a plain import asks nobody again"
    );
    let body = json!({"refresh": true});
    let started = project.app.post(&project.key, &path, body).await.ok(202);
    assert_ne!(started["id"], plain["id"]);
    let changed = async || {
        account(&project, OA).await["moved"]["changed"]
            .as_i64()
            .unwrap_or_default()
    };
    project.app.drain().await;
    assert_eq!(changed().await, 4);
    project.pass(1, 1).await;
    assert_eq!(changed().await, 8);
    project.pass(2, 1).await;
    assert_eq!(changed().await, 10);
}

async fn whoever_is_erased_is_erased_under_the_unionid_they_had_before(project: TestProject) {
    for person in [1, 2] {
        project.follows(person).await;
        project.app.drain().await;
        project.logs_in(person).await;
    }
    project
        .world()
        .change_account(OA, |settings| {
            SECOND.clone_into(&mut settings.open_platform);
        })
        .unwrap();
    refresh(&project).await;
    // One is named by the identity that kept the old unionid, one by the one that has a new one.
    for (person, app_id) in [(1, MP), (2, OA)] {
        let openid = population::openid(app_id, person);
        let people = project.people(&format!("openid={openid}")).await;
        let id = &people[0]["identity_id"];
        let erased = project
            .app
            .delete(&project.key, &format!("/people/{id}"))
            .await
            .ok(200);
        assert_eq!(erased["erased"]["identities"], 2, "{person}: {erased}");
        for app_id in [OA, MP] {
            let openid = population::openid(app_id, person);
            assert_eq!(
                project.people(&format!("openid={openid}")).await.len(),
                0,
                "{person} in {app_id}"
            );
        }
    }
}

async fn a_refresh_is_paced_after_a_pause_too(engine: Engine) {
    let options = SimulatorOptions {
        page_size: 3,
        ..SimulatorOptions::default()
    };
    let project = TestProject::with_settings(engine, options, |config| {
        config.profile.refresh_per_second = 1;
    })
    .await;
    for person in 0..12 {
        project.follows(person).await;
    }
    project.app.drain().await;
    move_all(&project);
    let path = format!("/accounts/{OA}/imports");
    project
        .app
        .post(&project.key, &path, json!({"refresh": true}))
        .await
        .ok(202);
    project.app.bridge.run(StepName::Import).await.unwrap();
    // Used up behind the first page: the walk goes on the next day.
    project
        .world()
        .add_fault(Fault::at("/cgi-bin/user/get", FaultKind::Errcode { errcode: 45009 }).times(1))
        .unwrap();
    project.app.drain().await;
    project.pass(5, 1).await;
    let changed = async || {
        account(&project, OA).await["moved"]["changed"]
            .as_i64()
            .unwrap_or_default()
    };
    assert_eq!(changed().await, 3);
    project.app.advance(Duration::from_secs(25 * 3_600));
    project.app.drain().await;
    let at_once = changed().await;
    assert!(at_once <= 5, "{at_once} at once");
    project.pass(3, 1).await;
    let soon = changed().await;
    assert!(
        (at_once + 2..=at_once + 4).contains(&soon),
        "{at_once}, then {soon}"
    );
    project.pass(12, 1).await;
    assert_eq!(changed().await, 12);
}
