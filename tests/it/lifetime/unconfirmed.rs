//! What the business brought in stays the business's word, until WeChat itself says it.

use std::time::Duration;

use queqiao::bridge::people::migrate::MigrateStep;
use queqiao::models::account::AccountKind;
use queqiao::simulator::{Kind, Origin, Settings, population};
use serde_json::{Value, json};

use super::{MP, ONE, TestProject, account};
use crate::support::app::draft;

/// Official accounts that the operator took for mini-programs, so that openids of them were brought in.
const OLD: &str = "wx00000000000000c1";
const NEW: &str = "wx00000000000000c2";

async fn set_kind(project: &TestProject, app_id: &str, kind: AccountKind) {
    let settings: Settings = (*project.world().settings(app_id).unwrap()).clone();
    let mut draft = draft(ONE, &settings);
    draft.kind = kind;
    project.app.bridge.change_account(draft).await.unwrap();
    // What the account was is trusted for some seconds.
    project.app.advance(Duration::from_secs(10));
    project.app.drain().await;
}

async fn mistaken(project: &TestProject, app_id: &str) {
    project
        .app
        .account(ONE, app_id, Kind::OfficialAccount)
        .await;
    set_kind(project, app_id, AccountKind::MiniProgram).await;
}

async fn bring(project: &TestProject, app_id: &str, people: &[(u32, &str)]) {
    let rows = people.iter().map(|(person, unionid)| {
        json!({"openid": population::openid(app_id, *person), "unionid": unionid})
    });
    let body = json!({"rows": rows.collect::<Vec<_>>()});
    let path = format!("/miniprogram/{app_id}/identities");
    let brought = project.app.post(&project.key, &path, body).await.ok(200);
    assert_eq!(brought["counts"]["created"], people.len(), "{brought}");
}

/// State and unionid of a person in one account.
async fn profile(project: &TestProject, app_id: &str, person: u32) -> (Value, Value) {
    let openid = population::openid(app_id, person);
    let people = project.people(&format!("openid={openid}")).await;
    let identities = people[0]["identities"].as_array().unwrap();
    let mut found = identities.iter().filter(|one| one["openid"] == *openid);
    let identity = found.next().unwrap();
    (
        identity["profile_state"].clone(),
        identity["unionid"].clone(),
    )
}

fn bind_to_open_platform(project: &TestProject, app_id: &str, bound: bool) {
    let change = |settings: &mut Settings| settings.bound_to_open_platform = bound;
    project.world().change_account(app_id, change).unwrap();
}

both_engines! {
    wechat_confirms_the_unionid_that_was_brought,
    a_profile_without_a_unionid_confirms_none,
    a_migration_confirms_only_what_wechat_has_told,
}

async fn wechat_confirms_the_unionid_that_was_brought(project: TestProject) {
    let told = population::unionid(1);
    let rows = [
        (1, told.clone()),
        (2, population::unionid(2)),
        (3, "uWrong".to_owned()),
    ];
    let rows: Vec<(u32, &str)> = rows.iter().map(|(who, id)| (*who, id.as_str())).collect();
    bring(&project, MP, &rows).await;
    let brought = |unionid: &str| (json!("unconfirmed"), json!(unionid));
    let confirmed = |person| (json!("complete"), json!(population::unionid(person)));
    // An event proves the openid, and without a unionid nothing more.
    project.world().enter_chat(MP, 2).await.unwrap();
    project.app.drain().await;
    assert_eq!(profile(&project, MP, 2).await, brought(rows[1].1));
    // An event that has one proves that too, whether it is the one that was brought or another.
    for person in [1, 3] {
        let openid = population::openid(MP, person);
        let event = json!({"ToUserName": "gh_2", "FromUserName": openid, "MsgType": "event",
            "CreateTime": project.world().now() / 1000, "Event": "some_new_event",
            "UnionID": population::unionid(person)})
        .to_string();
        let push = project.world().push_raw(MP, &openid, &event).await;
        assert!(push.unwrap().verdict.is_accepted());
    }
    project.app.drain().await;
    for person in [1, 3] {
        assert_eq!(profile(&project, MP, person).await, confirmed(person));
    }
    // So does a login.
    project.logs_in(2).await;
    assert_eq!(profile(&project, MP, 2).await, confirmed(2));
    assert_eq!(account(&project, MP).await["moved"], json!(null));
}

async fn a_profile_without_a_unionid_confirms_none(project: TestProject) {
    mistaken(&project, OLD).await;
    bring(&project, OLD, &[(1, "uBrought")]).await;
    set_kind(&project, OLD, AccountKind::OfficialAccount).await;
    bind_to_open_platform(&project, OLD, false);
    let push = project.world().follow(OLD, 1, Origin::search()).await;
    assert!(push.unwrap().verdict.is_accepted());
    project.app.drain().await;
    assert_eq!(
        profile(&project, OLD, 1).await,
        (json!("unconfirmed"), json!("uBrought")),
        "WeChat was asked, and told none"
    );
    bind_to_open_platform(&project, OLD, true);
    project.app.advance(Duration::from_secs(2 * 3_600));
    project.app.drain().await;
    assert_eq!(
        profile(&project, OLD, 1).await,
        (json!("complete"), json!(population::unionid(1)))
    );
    assert_eq!(account(&project, OLD).await["moved"], json!(null));
}

async fn a_migration_confirms_only_what_wechat_has_told(project: TestProject) {
    for app_id in [OLD, NEW] {
        mistaken(&project, app_id).await;
    }
    bring(&project, OLD, &[(1, "uOne"), (2, "uTwo"), (4, "uFour")]).await;
    bring(&project, NEW, &[(2, "uOther"), (3, "uWrong")]).await;
    for app_id in [OLD, NEW] {
        set_kind(&project, app_id, AccountKind::OfficialAccount).await;
    }
    // WeChat tells who person 3 is in the old account, and of the others nothing.
    let world = project.world();
    world.follow(OLD, 3, Origin::search()).await.unwrap();
    project.app.drain().await;
    let told = (json!("complete"), json!(population::unionid(3)));
    assert_eq!(profile(&project, OLD, 3).await, told);
    for app_id in [OLD, NEW] {
        bind_to_open_platform(&project, app_id, false);
    }
    // Person 4 came to the new account by themselves.
    world.follow(NEW, 4, Origin::search()).await.unwrap();
    project.app.drain().await;
    assert_eq!(
        profile(&project, NEW, 4).await.0,
        "not_bound_to_open_platform"
    );
    for person in [1, 2, 4] {
        let people = person..person + 1;
        world.add_followers(OLD, people, &Origin::search()).unwrap();
    }
    world.migrate_account(OLD, NEW).unwrap();
    let bridge = &project.app.bridge;
    let mut walk = bridge.start_migration(ONE, OLD, NEW).await.unwrap();
    while bridge.migrate_step(&mut walk).await.unwrap() != MigrateStep::Ended {}
    let expected = [
        (1, "unconfirmed", "uOne"),
        (2, "unconfirmed", "uOther"),
        (3, "complete", &*population::unionid(3)),
        (4, "unconfirmed", "uFour"),
    ];
    for (person, state, unionid) in expected {
        assert_eq!(
            profile(&project, NEW, person).await,
            (json!(state), json!(unionid)),
            "{person}"
        );
    }
    // The new account is asked, too, and tells no unionid.
    project.app.drain().await;
    for (person, state, unionid) in expected {
        assert_eq!(
            profile(&project, NEW, person).await,
            (json!(state), json!(unionid)),
            "{person}"
        );
    }
}
