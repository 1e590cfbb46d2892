//! An account that is migrated to another one: every openid changes, and what was built on them moves.

use std::time::Duration;

use queqiao::bridge::people::migrate::{MigrateStep, Walk};
use queqiao::db::Engine;
use queqiao::models::identity::migration::{self, Migration, MigrationState};
use queqiao::models::identity::openid_move;
use queqiao::simulator::{Fault, FaultKind, Kind, Origin, Settings, population};
use serde_json::{Value, json};

use super::{MP, OA, ONE, TestProject};
use crate::support::Fixture;
use crate::support::api::by_openid;

/// The account that takes the followers over.
const NEW: &str = "wx00000000000000c1";
const CHANGE: &str = "/cgi-bin/changeopenid";

struct MigrationFixture {
    project: TestProject,
}

impl Fixture for MigrationFixture {
    async fn on(engine: Engine) -> Self {
        let project = TestProject::on(engine).await;
        project.app.account(ONE, NEW, Kind::OfficialAccount).await;
        Self { project }
    }
}

impl MigrationFixture {
    /// People who follow while neither account is bound to an Open Platform account.
    async fn without_unionids(&self, people: std::ops::RangeInclusive<u32>) {
        for app_id in [OA, NEW] {
            let unbind = |settings: &mut Settings| settings.bound_to_open_platform = false;
            self.project.world().change_account(app_id, unbind).unwrap();
        }
        for person in people {
            self.project.follows(person).await;
        }
        self.project.app.drain().await;
    }

    async fn start(&self) -> Walk {
        let started = self.project.app.bridge.start_migration(ONE, OA, NEW).await;
        started.unwrap()
    }

    async fn state(&self, walk: &Walk) -> Migration {
        let id = walk.id;
        let found = self
            .project
            .app
            .bridge
            .db
            .read(move |conn| migration::by_id(conn, id));
        found.await.unwrap().unwrap()
    }

    async fn walk(&self) -> Migration {
        let mut walk = self.start().await;
        while self
            .project
            .app
            .bridge
            .migrate_step(&mut walk)
            .await
            .unwrap()
            != MigrateStep::Ended
        {}
        self.state(&walk).await
    }

    async fn reasons(&self, walk: &Walk) -> Vec<(Option<String>, i64)> {
        let (from, to) = (walk.from.id, walk.to.id);
        let found = self
            .project
            .app
            .bridge
            .db
            .read(move |conn| openid_move::reasons(conn, from, to));
        found.await.unwrap()
    }

    fn calls(&self) -> u64 {
        self.project.world().calls(CHANGE, Some(NEW)).unwrap()
    }

    /// A person's identity in one of the accounts, if there is one.
    async fn identity(&self, app_id: &str, person: u32) -> Option<Value> {
        let openid = population::openid(app_id, person);
        let people = self.project.people(&format!("openid={openid}")).await;
        let identities = people.first()?["identities"].as_array().unwrap();
        identities
            .iter()
            .find(|one| one["openid"] == *openid)
            .cloned()
    }

    async fn bind(&self, staff_id: &str, app_id: &str, person: u32) {
        let member = self.project.staff(staff_id);
        member.bound_to(by_openid(app_id, person)).await;
    }

    async fn bound_to(&self, staff_id: &str) -> Vec<Value> {
        let staff = self
            .project
            .app
            .get(&self.project.key, &format!("/staff/{staff_id}"))
            .await
            .ok(200);
        staff["bindings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["identity_id"].clone())
            .collect()
    }
}

fn counts(walk: &Migration) -> [i64; 4] {
    [walk.total, walk.asked, walk.moved, walk.refused]
}

both_engines! {
    bindings_and_follow_history_move_to_the_new_openids,
    a_walk_goes_on_where_it_was_and_a_second_one_asks_only_for_the_rest,
    what_the_new_account_knows_already_stands,
    a_migration_that_wechat_does_not_know_stops_with_the_reason,
    one_openid_that_wechat_refuses_does_not_hold_up_the_others,
    whoever_is_erased_is_erased_on_both_sides_of_a_migration,
    whoever_is_erased_while_wechat_translates_does_not_come_back,
    a_restricted_account_stops_the_walk_and_refuses_nobody,
    one_answer_that_cannot_be_read_does_not_hold_up_the_others,
}

async fn bindings_and_follow_history_move_to_the_new_openids(migration: MigrationFixture) {
    let (project, world) = (&migration.project, migration.project.world());
    // Unionids link nobody here: only the translation can tell who is who.
    for app_id in [OA, NEW] {
        world
            .change_account(app_id, |settings| settings.bound_to_open_platform = false)
            .unwrap();
    }
    world.follow(OA, 1, Origin::qr("shop_12")).await.unwrap();
    project.follows(2).await;
    project.follows(3).await;
    project.app.drain().await;
    migration.bind("s1", OA, 1).await;
    migration.bind("s3", OA, 3).await;
    world.unfollow(OA, 3).await.unwrap();
    project.app.drain().await;
    let before = migration.identity(OA, 1).await.unwrap();
    project.app.advance(Duration::from_secs(86_400));
    world.migrate_account(OA, NEW).unwrap();
    let walk = migration.walk().await;
    assert_eq!(
        (walk.state, counts(&walk)),
        (MigrationState::Done, [3, 3, 2, 1])
    );
    project.app.drain().await;
    let after = migration.identity(NEW, 1).await.unwrap();
    assert_eq!(
        (&after["follow_state"], &after["profile_state"]),
        (&json!("following"), &json!("not_bound_to_open_platform"))
    );
    for name in ["followed_at", "qr_scene", "subscribe_scene"] {
        assert_eq!(after[name], before[name], "{name} is history: {after}");
    }
    assert_eq!(migration.bound_to("s1").await, [after["id"].clone()]);
    assert_eq!(
        migration.bound_to("s3").await,
        [migration.identity(OA, 3).await.unwrap()["id"].clone()],
        "nobody translated it"
    );
    // The old one stays, and says what became of it.
    let old = migration.identity(OA, 1).await.unwrap();
    assert_eq!(
        (&old["moved_to"]["app_id"], &old["moved_to"]["identity_id"]),
        (&json!(NEW), &after["id"])
    );
    let left = migration.identity(OA, 3).await.unwrap();
    assert_eq!(
        (
            &left["moved_to"]["identity_id"],
            &left["moved_to"]["reason"]
        ),
        (&Value::Null, &json!("ori_openid error"))
    );
    assert_eq!(after["moved_to"], Value::Null);
}

async fn a_walk_goes_on_where_it_was_and_a_second_one_asks_only_for_the_rest(
    migration: MigrationFixture,
) {
    let (project, world) = (&migration.project, migration.project.world());
    world.add_people(200);
    world.add_followers(OA, 0..250, &Origin::search()).unwrap();
    let path = format!("/accounts/{OA}/imports");
    project
        .app
        .post(&project.key, &path, json!({}))
        .await
        .ok(202);
    project.app.drain().await;
    world.unfollow(OA, 7).await.unwrap();
    project.app.drain().await;
    world.migrate_account(OA, NEW).unwrap();
    let bridge = &project.app.bridge;
    let mut first = migration.start().await;
    assert_eq!(
        bridge.migrate_step(&mut first).await.unwrap(),
        MigrateStep::Worked
    );
    let [total, asked, moved, refused] = counts(&migration.state(&first).await);
    assert_eq!(
        (migration.calls(), total, asked, moved + refused),
        (1, 250, 100, 100)
    );
    // Another process goes on; WeChat is busy at first.
    world
        .add_fault(Fault::at(CHANGE, FaultKind::Errcode { errcode: -1 }).times(1))
        .unwrap();
    let mut second = migration.start().await;
    assert_eq!(second.id, first.id);
    assert!(matches!(
        bridge.migrate_step(&mut second).await.unwrap(),
        MigrateStep::Later(_)
    ));
    assert!(migration.state(&second).await.problem.is_some());
    while bridge.migrate_step(&mut second).await.unwrap() != MigrateStep::Ended {}
    let done = migration.state(&second).await;
    assert_eq!(
        (done.state, done.problem.as_deref(), counts(&done)),
        (MigrationState::Done, None, [250, 250, 249, 1])
    );
    assert_eq!(migration.calls(), 4, "a hundred a call, and one again");
    let again = migration.walk().await;
    assert_ne!(again.id, done.id);
    assert_eq!(counts(&again), [1, 1, 0, 1]);
    assert_eq!(
        migration.reasons(&second).await,
        [(Some("ori_openid error".to_owned()), 1)]
    );
    project.app.drain().await;
    let people = project.app.all_pages(&project.key, "/people", 200).await;
    let identities = people
        .iter()
        .flat_map(|one| one["identities"].as_array().unwrap());
    assert_eq!(identities.filter(|one| one["app_id"] == NEW).count(), 249);
}

async fn what_the_new_account_knows_already_stands(migration: MigrationFixture) {
    let (project, world) = (&migration.project, migration.project.world());
    migration.without_unionids(1..=3).await;
    migration.bind("one", OA, 1).await;
    migration.bind("two", OA, 2).await;
    world.migrate_account(OA, NEW).unwrap();
    project.app.advance(Duration::from_secs(60));
    // They followed and left the new account themselves, and one is somebody else there.
    for person in 1..=3 {
        world.follow(NEW, person, Origin::search()).await.unwrap();
    }
    project.app.advance(Duration::from_secs(60));
    world.unfollow(NEW, 3).await.unwrap();
    project.app.drain().await;
    let known = migration.identity(NEW, 3).await.unwrap();
    migration.bind("other", NEW, 2).await;
    let bind = json!({"app_id": NEW, "openid": population::openid(NEW, 1)});
    project.bind("one", bind).await;
    let walk = migration.start().await;
    assert_eq!(counts(&migration.walk().await), [3, 3, 3, 0]);
    project.app.drain().await;
    assert_eq!(
        migration.bound_to("one").await,
        [migration.identity(NEW, 1).await.unwrap()["id"].clone()],
        "one binding is enough"
    );
    assert_eq!(
        migration.bound_to("two").await,
        [migration.identity(OA, 2).await.unwrap()["id"].clone()]
    );
    let reasons = migration.reasons(&walk).await;
    assert!(
        reasons.len() == 1 && reasons[0].0.as_ref().unwrap().contains("bound to other"),
        "{reasons:?}"
    );
    let after = migration.identity(NEW, 3).await.unwrap();
    for name in ["follow_state", "followed_at", "unfollowed_at"] {
        assert_eq!(after[name], known[name], "{name}");
    }
}

async fn a_migration_that_wechat_does_not_know_stops_with_the_reason(migration: MigrationFixture) {
    migration.project.follows(1).await;
    migration.project.app.drain().await;
    let walk = migration.walk().await;
    assert_eq!(
        (walk.state, counts(&walk)),
        (MigrationState::Failed, [1, 0, 0, 0])
    );
    let problem = walk.problem.unwrap();
    assert!(
        problem.starts_with("63178:") && problem.contains("15 days"),
        "{problem}"
    );
    // Later it is known: the same walk goes on.
    migration.project.world().migrate_account(OA, NEW).unwrap();
    let again = migration.walk().await;
    assert_eq!(
        (again.id, again.state, counts(&again)),
        (walk.id, MigrationState::Done, [1, 1, 1, 0])
    );
    let bridge = &migration.project.app.bridge;
    for (from, to) in [(OA, "wx00000000000000ff"), (OA, OA), (MP, NEW)] {
        assert!(
            bridge.start_migration(ONE, from, to).await.is_err(),
            "{from} {to}"
        );
    }
}

async fn one_openid_that_wechat_refuses_does_not_hold_up_the_others(migration: MigrationFixture) {
    for person in 1..=4 {
        migration.project.follows(person).await;
    }
    migration.project.app.drain().await;
    migration.project.world().migrate_account(OA, NEW).unwrap();
    // The whole list, its first half, and then one alone.
    migration
        .project
        .world()
        .add_fault(Fault::at(CHANGE, FaultKind::Errcode { errcode: 40003 }).times(3))
        .unwrap();
    let walk = migration.walk().await;
    assert_eq!(
        (walk.state, counts(&walk)),
        (MigrationState::Done, [4, 4, 3, 1])
    );
    let mut reasons = Vec::new();
    for person in 1..=4 {
        let moved = migration.identity(OA, person).await.unwrap()["moved_to"].clone();
        assert_eq!(
            moved["identity_id"].is_null(),
            moved["reason"].is_string(),
            "{moved}"
        );
        reasons.extend(moved["reason"].as_str().map(str::to_owned));
    }
    assert!(
        reasons.len() == 1 && reasons[0].starts_with("40003:"),
        "{reasons:?}"
    );
}

async fn whoever_is_erased_is_erased_on_both_sides_of_a_migration(migration: MigrationFixture) {
    let (project, world) = (&migration.project, migration.project.world());
    // Nothing but the migration joins the two.
    migration.without_unionids(1..=3).await;
    world.migrate_account(OA, NEW).unwrap();
    migration.walk().await;
    project.app.drain().await;
    // One is named by the new identity, one by the old one.
    for (person, app_id) in [(1, NEW), (2, OA)] {
        let id = migration.identity(app_id, person).await.unwrap()["id"].clone();
        let erased = project
            .app
            .delete(&project.key, &format!("/people/{id}"))
            .await
            .ok(200);
        assert_eq!(erased["erased"]["identities"], 2, "{erased}");
        project.app.drain().await;
    }
    migration.walk().await;
    project.app.drain().await;
    for person in [1, 2] {
        for app_id in [OA, NEW] {
            assert_eq!(
                migration.identity(app_id, person).await,
                None,
                "{person} in {app_id}"
            );
        }
    }
    assert!(migration.identity(NEW, 3).await.is_some(), "somebody else");
}

async fn whoever_is_erased_while_wechat_translates_does_not_come_back(migration: MigrationFixture) {
    let (project, world) = (&migration.project, migration.project.world());
    for person in 1..=2 {
        project.follows(person).await;
    }
    project.app.drain().await;
    world.migrate_account(OA, NEW).unwrap();
    world
        .add_fault(Fault::at(CHANGE, FaultKind::Slow { millis: 1_500 }).times(1))
        .unwrap();
    let bridge = project.app.bridge.clone();
    let mut walk = migration.start().await;
    let step = tokio::spawn(async move { bridge.migrate_step(&mut walk).await.map(drop) });
    while migration.calls() < 1 {
        tokio::task::yield_now().await;
    }
    let id = migration.identity(OA, 1).await.unwrap()["id"].clone();
    project
        .app
        .delete(&project.key, &format!("/people/{id}"))
        .await
        .ok(200);
    step.await.unwrap().unwrap();
    let done = migration.walk().await;
    assert_eq!(
        (done.state, counts(&done)),
        (MigrationState::Done, [2, 2, 1, 0])
    );
    project.app.drain().await;
    assert_eq!(migration.identity(NEW, 1).await, None);
    assert_eq!(
        migration.identity(NEW, 2).await.unwrap()["unionid"],
        population::unionid(2)
    );
}

async fn a_restricted_account_stops_the_walk_and_refuses_nobody(migration: MigrationFixture) {
    let (project, world) = (&migration.project, migration.project.world());
    world.add_followers(OA, 0..100, &Origin::search()).unwrap();
    let path = format!("/accounts/{OA}/imports");
    project
        .app
        .post(&project.key, &path, json!({}))
        .await
        .ok(202);
    project.app.drain().await;
    world.migrate_account(OA, NEW).unwrap();
    for (errcode, most) in [(50002, 1), (40003, 60)] {
        world
            .add_fault(Fault::at(CHANGE, FaultKind::Errcode { errcode }))
            .unwrap();
        let before = migration.calls();
        let walk = migration.walk().await;
        assert_eq!(
            (walk.state, counts(&walk)),
            (MigrationState::Failed, [100, 0, 0, 0]),
            "{errcode}"
        );
        assert!(walk.problem.unwrap().contains(&errcode.to_string()));
        assert!(
            migration.calls() - before <= most,
            "{errcode}: {} calls",
            migration.calls() - before
        );
        world.clear_faults();
    }
    let walk = migration.walk().await;
    assert_eq!(
        (walk.state, counts(&walk)),
        (MigrationState::Done, [100, 100, 100, 0])
    );
}

async fn one_answer_that_cannot_be_read_does_not_hold_up_the_others(migration: MigrationFixture) {
    let (project, world) = (&migration.project, migration.project.world());
    for person in 1..=4 {
        project.follows(person).await;
    }
    project.app.drain().await;
    world.migrate_account(OA, NEW).unwrap();
    let spoilt = population::openid(OA, 3);
    world
        .add_fault(Fault::at(CHANGE, FaultKind::UnescapedQuote).of(&spoilt))
        .unwrap();
    let walk = migration.walk().await;
    assert_eq!(
        (walk.state, counts(&walk)),
        (MigrationState::Done, [4, 4, 3, 1])
    );
    let moved = migration.identity(OA, 3).await.unwrap()["moved_to"].clone();
    assert!(
        moved["reason"].as_str().unwrap().contains("cannot be read"),
        "{moved}"
    );
}
