//! An account that is migrated to another one: every openid changes, and what was built on them moves.

use std::time::Duration;

use queqiao::bridge::people::migrate::{MigrateStep, Walk};
use queqiao::db::Engine;
use queqiao::models::identity::migration::{self, Migration, MigrationState};
use queqiao::models::identity::openid_move;
use queqiao::simulator::{Fault, FaultKind, Kind, Origin, Settings, population};
use serde_json::{Value, json};

use super::{MP, OA, ONE, Stage};
use crate::support::Fixture;

/// The account that takes the followers over.
const NEW: &str = "wx00000000000000c1";
const CHANGE: &str = "/cgi-bin/changeopenid";

struct Move {
    stage: Stage,
}

impl Fixture for Move {
    async fn on(engine: Engine) -> Self {
        let stage = Stage::on(engine).await;
        stage.app.account(ONE, NEW, Kind::OfficialAccount).await;
        Self { stage }
    }
}

impl Move {
    /// People who follow while neither account is bound to an Open Platform account.
    async fn without_unionids(&self, people: std::ops::RangeInclusive<u32>) {
        for app_id in [OA, NEW] {
            let unbind = |settings: &mut Settings| settings.bound_to_open_platform = false;
            self.stage.world().change_account(app_id, unbind).unwrap();
        }
        for person in people {
            self.stage.follows(person).await;
        }
        self.stage.app.drain().await;
    }

    async fn start(&self) -> Walk {
        let started = self.stage.app.bridge.start_migration(ONE, OA, NEW).await;
        started.unwrap()
    }

    async fn state(&self, walk: &Walk) -> Migration {
        let id = walk.id;
        let found = self
            .stage
            .app
            .bridge
            .db
            .read(move |conn| migration::by_id(conn, id));
        found.await.unwrap().unwrap()
    }

    async fn walk(&self) -> Migration {
        let mut walk = self.start().await;
        while self.stage.app.bridge.migrate_step(&mut walk).await.unwrap() != MigrateStep::Ended {}
        self.state(&walk).await
    }

    async fn reasons(&self, walk: &Walk) -> Vec<(Option<String>, i64)> {
        let (from, to) = (walk.from.id, walk.to.id);
        let found = self
            .stage
            .app
            .bridge
            .db
            .read(move |conn| openid_move::reasons(conn, from, to));
        found.await.unwrap()
    }

    fn calls(&self) -> u64 {
        self.stage.world().calls(CHANGE, Some(NEW)).unwrap()
    }

    /// A person's identity in one of the accounts, if there is one.
    async fn identity(&self, app_id: &str, person: u32) -> Option<Value> {
        let openid = population::openid(app_id, person);
        let people = self.stage.people(&format!("openid={openid}")).await;
        let identities = people.first()?["identities"].as_array().unwrap();
        identities
            .iter()
            .find(|one| one["openid"] == *openid)
            .cloned()
    }

    async fn bind(&self, staff_id: &str, app_id: &str, person: u32) {
        let path = format!("/staff/{staff_id}");
        self.stage
            .app
            .put(&self.stage.key, &path, json!({}))
            .await
            .ok(201);
        let bind = json!({"app_id": app_id, "openid": population::openid(app_id, person)});
        let path = format!("{path}/bindings");
        self.stage
            .app
            .post(&self.stage.key, &path, bind)
            .await
            .ok(201);
    }

    async fn bound_to(&self, staff_id: &str) -> Vec<Value> {
        let staff = self
            .stage
            .app
            .get(&self.stage.key, &format!("/staff/{staff_id}"))
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

async fn bindings_and_follow_history_move_to_the_new_openids(moving: Move) {
    let (stage, world) = (&moving.stage, moving.stage.world());
    // Unionids link nobody here: only the translation can tell who is who.
    for app_id in [OA, NEW] {
        world
            .change_account(app_id, |settings| settings.bound_to_open_platform = false)
            .unwrap();
    }
    world.follow(OA, 1, Origin::qr("shop_12")).await.unwrap();
    stage.follows(2).await;
    stage.follows(3).await;
    stage.app.drain().await;
    moving.bind("s1", OA, 1).await;
    moving.bind("s3", OA, 3).await;
    world.unfollow(OA, 3).await.unwrap();
    stage.app.drain().await;
    let before = moving.identity(OA, 1).await.unwrap();
    stage.app.advance(Duration::from_secs(86_400));
    world.migrate_account(OA, NEW).unwrap();
    let walk = moving.walk().await;
    assert_eq!(
        (walk.state, counts(&walk)),
        (MigrationState::Done, [3, 3, 2, 1])
    );
    stage.app.drain().await;
    let after = moving.identity(NEW, 1).await.unwrap();
    assert_eq!(
        (&after["follow_state"], &after["profile_state"]),
        (&json!("following"), &json!("not_bound_to_open_platform"))
    );
    for name in ["followed_at", "qr_scene", "subscribe_scene"] {
        assert_eq!(after[name], before[name], "{name} is history: {after}");
    }
    assert_eq!(moving.bound_to("s1").await, [after["id"].clone()]);
    assert_eq!(
        moving.bound_to("s3").await,
        [moving.identity(OA, 3).await.unwrap()["id"].clone()],
        "nobody translated it"
    );
    // The old one stays, and says what became of it.
    let old = moving.identity(OA, 1).await.unwrap();
    assert_eq!(
        (&old["moved_to"]["app_id"], &old["moved_to"]["identity_id"]),
        (&json!(NEW), &after["id"])
    );
    let left = moving.identity(OA, 3).await.unwrap();
    assert_eq!(
        (
            &left["moved_to"]["identity_id"],
            &left["moved_to"]["reason"]
        ),
        (&Value::Null, &json!("ori_openid error"))
    );
    assert_eq!(after["moved_to"], Value::Null);
}

async fn a_walk_goes_on_where_it_was_and_a_second_one_asks_only_for_the_rest(moving: Move) {
    let (stage, world) = (&moving.stage, moving.stage.world());
    world.add_people(200);
    world.add_followers(OA, 0..250, &Origin::search()).unwrap();
    let path = format!("/accounts/{OA}/imports");
    stage.app.post(&stage.key, &path, json!({})).await.ok(202);
    stage.app.drain().await;
    world.unfollow(OA, 7).await.unwrap();
    stage.app.drain().await;
    world.migrate_account(OA, NEW).unwrap();
    let bridge = &stage.app.bridge;
    let mut first = moving.start().await;
    assert_eq!(
        bridge.migrate_step(&mut first).await.unwrap(),
        MigrateStep::Worked
    );
    let [total, asked, moved, refused] = counts(&moving.state(&first).await);
    assert_eq!(
        (moving.calls(), total, asked, moved + refused),
        (1, 250, 100, 100)
    );
    // Another process goes on; WeChat is busy at first.
    world
        .add_fault(Fault::at(CHANGE, FaultKind::Errcode { errcode: -1 }).times(1))
        .unwrap();
    let mut second = moving.start().await;
    assert_eq!(second.id, first.id);
    assert!(matches!(
        bridge.migrate_step(&mut second).await.unwrap(),
        MigrateStep::Later(_)
    ));
    assert!(moving.state(&second).await.problem.is_some());
    while bridge.migrate_step(&mut second).await.unwrap() != MigrateStep::Ended {}
    let done = moving.state(&second).await;
    assert_eq!(
        (done.state, done.problem.as_deref(), counts(&done)),
        (MigrationState::Done, None, [250, 250, 249, 1])
    );
    assert_eq!(moving.calls(), 4, "a hundred a call, and one again");
    let again = moving.walk().await;
    assert_ne!(again.id, done.id);
    assert_eq!(counts(&again), [1, 1, 0, 1]);
    assert_eq!(
        moving.reasons(&second).await,
        [(Some("ori_openid error".to_owned()), 1)]
    );
    stage.app.drain().await;
    let people = stage.app.all_pages(&stage.key, "/people", 200).await;
    let identities = people
        .iter()
        .flat_map(|one| one["identities"].as_array().unwrap());
    assert_eq!(identities.filter(|one| one["app_id"] == NEW).count(), 249);
}

async fn what_the_new_account_knows_already_stands(moving: Move) {
    let (stage, world) = (&moving.stage, moving.stage.world());
    moving.without_unionids(1..=3).await;
    moving.bind("one", OA, 1).await;
    moving.bind("two", OA, 2).await;
    world.migrate_account(OA, NEW).unwrap();
    stage.app.advance(Duration::from_secs(60));
    // They followed and left the new account themselves, and one is somebody else there.
    for person in 1..=3 {
        world.follow(NEW, person, Origin::search()).await.unwrap();
    }
    stage.app.advance(Duration::from_secs(60));
    world.unfollow(NEW, 3).await.unwrap();
    stage.app.drain().await;
    let known = moving.identity(NEW, 3).await.unwrap();
    moving.bind("other", NEW, 2).await;
    let bind = json!({"app_id": NEW, "openid": population::openid(NEW, 1)});
    stage
        .app
        .post(&stage.key, "/staff/one/bindings", bind)
        .await
        .ok(201);
    let walk = moving.start().await;
    assert_eq!(counts(&moving.walk().await), [3, 3, 3, 0]);
    stage.app.drain().await;
    assert_eq!(
        moving.bound_to("one").await,
        [moving.identity(NEW, 1).await.unwrap()["id"].clone()],
        "one binding is enough"
    );
    assert_eq!(
        moving.bound_to("two").await,
        [moving.identity(OA, 2).await.unwrap()["id"].clone()]
    );
    let reasons = moving.reasons(&walk).await;
    assert!(
        reasons.len() == 1 && reasons[0].0.as_ref().unwrap().contains("bound to other"),
        "{reasons:?}"
    );
    let after = moving.identity(NEW, 3).await.unwrap();
    for name in ["follow_state", "followed_at", "unfollowed_at"] {
        assert_eq!(after[name], known[name], "{name}");
    }
}

async fn a_migration_that_wechat_does_not_know_stops_with_the_reason(moving: Move) {
    moving.stage.follows(1).await;
    moving.stage.app.drain().await;
    let walk = moving.walk().await;
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
    moving.stage.world().migrate_account(OA, NEW).unwrap();
    let again = moving.walk().await;
    assert_eq!(
        (again.id, again.state, counts(&again)),
        (walk.id, MigrationState::Done, [1, 1, 1, 0])
    );
    let bridge = &moving.stage.app.bridge;
    for (from, to) in [(OA, "wx00000000000000ff"), (OA, OA), (MP, NEW)] {
        assert!(
            bridge.start_migration(ONE, from, to).await.is_err(),
            "{from} {to}"
        );
    }
}

async fn one_openid_that_wechat_refuses_does_not_hold_up_the_others(moving: Move) {
    for person in 1..=4 {
        moving.stage.follows(person).await;
    }
    moving.stage.app.drain().await;
    moving.stage.world().migrate_account(OA, NEW).unwrap();
    // The whole list, its first half, and then one alone.
    moving
        .stage
        .world()
        .add_fault(Fault::at(CHANGE, FaultKind::Errcode { errcode: 40003 }).times(3))
        .unwrap();
    let walk = moving.walk().await;
    assert_eq!(
        (walk.state, counts(&walk)),
        (MigrationState::Done, [4, 4, 3, 1])
    );
    let mut reasons = Vec::new();
    for person in 1..=4 {
        let moved = moving.identity(OA, person).await.unwrap()["moved_to"].clone();
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

async fn whoever_is_erased_is_erased_on_both_sides_of_a_migration(moving: Move) {
    let (stage, world) = (&moving.stage, moving.stage.world());
    // Nothing but the migration joins the two.
    moving.without_unionids(1..=3).await;
    world.migrate_account(OA, NEW).unwrap();
    moving.walk().await;
    stage.app.drain().await;
    // One is named by the new identity, one by the old one.
    for (person, app_id) in [(1, NEW), (2, OA)] {
        let id = moving.identity(app_id, person).await.unwrap()["id"].clone();
        let erased = stage
            .app
            .delete(&stage.key, &format!("/people/{id}"))
            .await
            .ok(200);
        assert_eq!(erased["erased"]["identities"], 2, "{erased}");
        stage.app.drain().await;
    }
    moving.walk().await;
    stage.app.drain().await;
    for person in [1, 2] {
        for app_id in [OA, NEW] {
            assert_eq!(
                moving.identity(app_id, person).await,
                None,
                "{person} in {app_id}"
            );
        }
    }
    assert!(moving.identity(NEW, 3).await.is_some(), "somebody else");
}

async fn whoever_is_erased_while_wechat_translates_does_not_come_back(moving: Move) {
    let (stage, world) = (&moving.stage, moving.stage.world());
    for person in 1..=2 {
        stage.follows(person).await;
    }
    stage.app.drain().await;
    world.migrate_account(OA, NEW).unwrap();
    world
        .add_fault(Fault::at(CHANGE, FaultKind::Slow { millis: 1_500 }).times(1))
        .unwrap();
    let bridge = stage.app.bridge.clone();
    let mut walk = moving.start().await;
    let step = tokio::spawn(async move { bridge.migrate_step(&mut walk).await.map(drop) });
    while moving.calls() < 1 {
        tokio::task::yield_now().await;
    }
    let id = moving.identity(OA, 1).await.unwrap()["id"].clone();
    stage
        .app
        .delete(&stage.key, &format!("/people/{id}"))
        .await
        .ok(200);
    step.await.unwrap().unwrap();
    let done = moving.walk().await;
    assert_eq!(
        (done.state, counts(&done)),
        (MigrationState::Done, [2, 2, 1, 0])
    );
    stage.app.drain().await;
    assert_eq!(moving.identity(NEW, 1).await, None);
    assert_eq!(
        moving.identity(NEW, 2).await.unwrap()["unionid"],
        population::unionid(2)
    );
}

async fn a_restricted_account_stops_the_walk_and_refuses_nobody(moving: Move) {
    let (stage, world) = (&moving.stage, moving.stage.world());
    world.add_followers(OA, 0..100, &Origin::search()).unwrap();
    let path = format!("/accounts/{OA}/imports");
    stage.app.post(&stage.key, &path, json!({})).await.ok(202);
    stage.app.drain().await;
    world.migrate_account(OA, NEW).unwrap();
    for (errcode, most) in [(50002, 1), (40003, 60)] {
        world
            .add_fault(Fault::at(CHANGE, FaultKind::Errcode { errcode }))
            .unwrap();
        let before = moving.calls();
        let walk = moving.walk().await;
        assert_eq!(
            (walk.state, counts(&walk)),
            (MigrationState::Failed, [100, 0, 0, 0]),
            "{errcode}"
        );
        assert!(walk.problem.unwrap().contains(&errcode.to_string()));
        assert!(
            moving.calls() - before <= most,
            "{errcode}: {} calls",
            moving.calls() - before
        );
        world.clear_faults();
    }
    let walk = moving.walk().await;
    assert_eq!(
        (walk.state, counts(&walk)),
        (MigrationState::Done, [100, 100, 100, 0])
    );
}

async fn one_answer_that_cannot_be_read_does_not_hold_up_the_others(moving: Move) {
    let (stage, world) = (&moving.stage, moving.stage.world());
    for person in 1..=4 {
        stage.follows(person).await;
    }
    stage.app.drain().await;
    world.migrate_account(OA, NEW).unwrap();
    let spoilt = population::openid(OA, 3);
    world
        .add_fault(Fault::at(CHANGE, FaultKind::UnescapedQuote).of(&spoilt))
        .unwrap();
    let walk = moving.walk().await;
    assert_eq!(
        (walk.state, counts(&walk)),
        (MigrationState::Done, [4, 4, 3, 1])
    );
    let moved = moving.identity(OA, 3).await.unwrap()["moved_to"].clone();
    assert!(
        moved["reason"].as_str().unwrap().contains("cannot be read"),
        "{moved}"
    );
}
