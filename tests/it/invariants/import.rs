//! Followers that were there before: walked page by page, resumed where it was interrupted.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use queqiao::bridge::Step;
use queqiao::db::Engine;
use queqiao::simulator::{Fault, FaultKind, ListRule, Origin, SimulatorOptions, population};
use queqiao::wechat::push;
use serde_json::{Value, json};

use super::{BATCH, INFO, OA, TestProject};
use crate::support::search::places_of;

const LIST: &str = "/cgi-bin/user/get";

async fn project(engine: Engine, followers: u32) -> TestProject {
    let options = SimulatorOptions {
        page_size: 3,
        ..SimulatorOptions::default()
    };
    let project = TestProject::with(engine, options).await;
    let people = 0..followers;
    project
        .world()
        .add_followers(OA, people, &Origin::search())
        .unwrap();
    project
}

async fn start(project: &TestProject, reconcile: bool) -> String {
    let path = format!("/accounts/{OA}/imports");
    let started = project
        .app
        .post(&project.key, &path, json!({"reconcile": reconcile}))
        .await;
    format!("/imports/{}", started.ok(202)["id"])
}

async fn progress(project: &TestProject, path: &str) -> Value {
    project.app.get(&project.key, path).await.ok(200)
}

fn counts(import: &Value) -> [i64; 4] {
    ["collected", "total", "created", "gone"].map(|name| import[name].as_i64().unwrap())
}

both_engines! {
    every_follower_is_imported_and_given_a_profile,
    an_import_goes_on_where_it_was_interrupted,
    an_import_again_changes_nothing_and_reconciling_marks_who_is_gone,
    the_walk_ends_at_an_empty_page_whatever_total_says,
    a_list_without_end_is_left,
    who_is_not_on_the_list_is_gone_only_if_wechat_says_so,
    a_daily_limit_is_waited_for_until_midnight_in_beijing,
    a_page_that_fails_is_fetched_again,
    an_erasure_takes_the_mark_of_a_walk,
}

async fn every_follower_is_imported_and_given_a_profile(engine: Engine) {
    // Whole pages, a broken last page, less than a page, and nobody.
    for (followers, pages) in [(9, 4), (10, 5), (2, 2), (0, 1)] {
        let project = project(engine, followers).await;
        let path = start(&project, true).await;
        assert_eq!(
            start(&project, true).await,
            path,
            "the one that runs is joined"
        );
        project.app.drain().await;
        let import = progress(&project, &path).await;
        assert_eq!(import["state"], "done", "{import}");
        let all = i64::from(followers);
        assert_eq!(counts(&import), [all, all, all, 0]);
        assert_eq!(
            project.calls(LIST),
            pages,
            "{followers}: it ends at an empty page"
        );
        assert_eq!(project.people("limit=200").await.len(), followers as usize);
        for person in 0..followers {
            let identity = project.identity(person).await;
            assert_eq!(identity["follow_state"], "following", "{identity}");
            assert_eq!(identity["unionid"], population::unionid(person));
        }
    }
}

async fn an_import_goes_on_where_it_was_interrupted(engine: Engine) {
    let project = project(engine, 10).await;
    let path = start(&project, false).await;
    let (first, first_server) = project.app.replica();
    for _ in 0..2 {
        assert_eq!(first.run(StepName::Import).await.unwrap(), Step::Worked);
    }
    assert_eq!(counts(&progress(&project, &path).await), [6, 10, 6, 0]);
    // The process ends in the middle of the third page.
    project
        .world()
        .add_fault(Fault::at(LIST, FaultKind::TimeOutBefore).times(1))
        .unwrap();
    let step = tokio::spawn(async move { first.run(StepName::Import).await.map(drop) });
    while project.calls(LIST) < 3 {
        tokio::task::yield_now().await;
    }
    step.abort();
    drop(first_server);
    assert!(step.await.unwrap_err().is_cancelled());
    let (second, _server) = project.app.replica();
    assert_eq!(
        second.run(StepName::Import).await.unwrap(),
        Step::Idle,
        "the lease still holds"
    );
    project.app.advance(Duration::from_secs(300));
    project.app.drain_by(&second).await;
    let import = progress(&project, &path).await;
    assert_eq!(import["state"], "done", "{import}");
    assert_eq!(counts(&import), [10, 10, 10, 0]);
    assert_eq!(
        project.calls(LIST),
        6,
        "two pages, one lost, two more and the end: none is fetched twice"
    );
}

async fn an_import_again_changes_nothing_and_reconciling_marks_who_is_gone(engine: Engine) {
    let project = project(engine, 10).await;
    let path = start(&project, true).await;
    project.app.drain().await;
    assert_eq!(counts(&progress(&project, &path).await), [10, 10, 10, 0]);
    let before = project.people("limit=200").await;
    project.app.advance(Duration::from_secs(60));
    let again = start(&project, true).await;
    assert_ne!(again, path);
    project.app.drain().await;
    assert_eq!(counts(&progress(&project, &again).await), [10, 10, 0, 0]);
    assert_eq!(project.people("limit=200").await.len(), before.len());
    // Three leave while the callbacks of the account go nowhere.
    let world = project.world();
    let url = world.settings(OA).unwrap().callback_url.clone();
    world
        .change_account(OA, |settings| settings.callback_url = None)
        .unwrap();
    for person in [0, 4, 9] {
        world.unfollow(OA, person).await.unwrap();
    }
    world
        .change_account(OA, |settings| settings.callback_url = url)
        .unwrap();
    project.app.advance(Duration::from_secs(60));
    let plain = start(&project, false).await;
    project.app.drain().await;
    assert_eq!(counts(&progress(&project, &plain).await), [7, 7, 0, 0]);
    assert_eq!(
        project.identity(4).await["follow_state"],
        "following",
        "nobody asked"
    );
    project.app.advance(Duration::from_secs(60));
    let reconciled = start(&project, true).await;
    // Somebody follows while it runs: they are not on the list, and not gone.
    project.follows(50).await;
    project.app.drain().await;
    assert_eq!(counts(&progress(&project, &reconciled).await)[3], 3);
    for person in 0..10 {
        let expected = if [0, 4, 9].contains(&person) {
            "not_following"
        } else {
            "following"
        };
        assert_eq!(
            project.identity(person).await["follow_state"],
            expected,
            "{person}"
        );
    }
    assert_eq!(project.identity(50).await["follow_state"], "following");
}

async fn the_walk_ends_at_an_empty_page_whatever_total_says(engine: Engine) {
    let project = project(engine, 10).await;
    for (rule, seen) in [
        (
            ListRule {
                total: Some(3),
                ..ListRule::default()
            },
            10,
        ),
        (
            ListRule {
                total: Some(0),
                ..ListRule::default()
            },
            10,
        ),
        (
            ListRule {
                total: Some(1_000),
                ..ListRule::default()
            },
            10,
        ),
        (
            ListRule {
                empty_first: true,
                ..ListRule::default()
            },
            10,
        ),
        (
            ListRule {
                no_successor: true,
                ..ListRule::default()
            },
            10,
        ),
        // They leave while the list is walked: one who is listed, and two who are not yet.
        (
            ListRule {
                leaving: vec![1, 6, 9],
                ..ListRule::default()
            },
            8,
        ),
    ] {
        project.world().set_list_rule(OA, rule.clone()).unwrap();
        project.app.advance(Duration::from_secs(60));
        let path = start(&project, false).await;
        project.app.drain().await;
        let import = progress(&project, &path).await;
        assert_eq!(
            (&import["state"], &import["collected"]),
            (&json!("done"), &json!(seen)),
            "{rule:?}"
        );
    }
    assert_eq!(
        project.people("limit=200").await.len(),
        10,
        "an empty openid is nobody"
    );
}

async fn a_list_without_end_is_left(engine: Engine) {
    let project = project(engine, 10).await;
    project
        .world()
        .set_list_rule(
            OA,
            ListRule {
                circle: true,
                ..ListRule::default()
            },
        )
        .unwrap();
    let path = start(&project, true).await;
    project.app.drain().await;
    let import = progress(&project, &path).await;
    assert_eq!(import["state"], "failed", "{import}");
    assert!(
        import["problem"].as_str().unwrap().contains("no end"),
        "{import}"
    );
    assert!(project.calls(LIST) < 30);
    assert_eq!(
        project
            .people("follow_state=following&limit=200")
            .await
            .len(),
        10,
        "and nobody is gone"
    );
}

async fn who_is_not_on_the_list_is_gone_only_if_wechat_says_so(engine: Engine) {
    let project = project(engine, 200).await;
    start(&project, false).await;
    project.app.drain().await;
    let foreign = "oSomebodyOfAnotherAccount000";
    let fields = push::event("gh_1", foreign, project.world().now() / 1_000, "subscribe");
    project.world().push(OA, fields.into_owned()).await.unwrap();
    project.app.drain().await;
    project.app.advance(Duration::from_secs(3_600));
    // Nobody is listed any more, but only some have left; of two WeChat says nothing that can be read.
    let world = project.world();
    world.remove_followers(OA, 0..200).unwrap();
    let path = start(&project, true).await;
    project.app.bridge.run(StepName::Import).await.unwrap();
    world.add_followers(OA, 20..200, &Origin::search()).unwrap();
    for (person, kind) in [
        (30, FaultKind::UnescapedQuote),
        (40, FaultKind::Errcode { errcode: 40035 }),
    ] {
        let openid = population::openid(OA, person);
        world.add_fault(Fault::at(BATCH, kind).of(&openid)).unwrap();
        world.add_fault(Fault::at(INFO, kind).of(&openid)).unwrap();
    }
    // A limit that is used up in the middle is waited for.
    world
        .add_fault(Fault::at(BATCH, FaultKind::Errcode { errcode: 45009 }).times(1))
        .unwrap();
    project.app.drain().await;
    let waiting = progress(&project, &path).await;
    assert_eq!(
        (&waiting["state"], waiting["waits_until"].is_string()),
        (&json!("running"), true),
        "{waiting}"
    );
    project.app.advance(Duration::from_secs(25 * 3_600));
    project.app.drain().await;
    let import = progress(&project, &path).await;
    assert_eq!(
        (&import["state"], &import["gone"], &import["unsettled"]),
        (&json!("done"), &json!(21), &json!(2)),
        "{import}"
    );
    for (person, expected) in [
        (0, "not_following"),
        (19, "not_following"),
        (20, "following"),
        (30, "following"),
        (40, "following"),
        (199, "following"),
    ] {
        assert_eq!(
            project.identity(person).await["follow_state"],
            expected,
            "{person}"
        );
    }
    let unknown = &project.people(&format!("openid={foreign}")).await[0]["identities"][0];
    assert_eq!(
        unknown["follow_state"], "not_following",
        "neither listed nor known"
    );
}

async fn a_daily_limit_is_waited_for_until_midnight_in_beijing(engine: Engine) {
    let project = project(engine, 10).await;
    project
        .world()
        .add_fault(Fault::at(LIST, FaultKind::Errcode { errcode: 45009 }))
        .unwrap();
    let path = start(&project, false).await;
    for _ in 0..12 {
        project.app.drain().await;
        project.app.bridge.run(StepName::Import).await.unwrap();
    }
    let import = progress(&project, &path).await;
    assert_eq!(import["state"], "running", "{import}");
    let problem = import["problem"].as_str().unwrap();
    assert!(
        problem.contains("45009") && problem.contains("goes on by itself"),
        "{problem}"
    );
    let until: chrono::DateTime<chrono::Utc> =
        import["waits_until"].as_str().unwrap().parse().unwrap();
    let in_beijing = until.naive_utc() + chrono::TimeDelta::hours(8);
    assert_eq!(in_beijing.format("%H").to_string(), "00", "{until}");
    assert_eq!(project.calls(LIST), 1, "and not asked before");
    project.world().clear_faults();
    let rest = until.naive_utc() - project.app.clock.now();
    project.app.advance(rest.to_std().unwrap());
    project.app.drain().await;
    let import = progress(&project, &path).await;
    assert_eq!(
        (&import["state"], &import["problem"], &import["waits_until"]),
        (&json!("done"), &json!(null), &json!(null))
    );
    assert_eq!(counts(&import), [10, 10, 10, 0]);
}

async fn a_page_that_fails_is_fetched_again(engine: Engine) {
    let project = project(engine, 10).await;
    for kind in [
        FaultKind::Errcode { errcode: -1 },
        FaultKind::HttpError { status: 502 },
        FaultKind::Reset,
        FaultKind::Errcode { errcode: 40001 },
    ] {
        project
            .world()
            .add_fault(Fault::at(LIST, kind).times(1))
            .unwrap();
    }
    let path = start(&project, false).await;
    project.pass(60, 5).await;
    let import = progress(&project, &path).await;
    assert_eq!(
        (&import["state"], &import["problem"]),
        (&json!("done"), &json!(null))
    );
    assert_eq!(counts(&import), [10, 10, 10, 0]);
    // What only the owner can fix ends it, and says so.
    project
        .world()
        .add_fault(Fault::at(LIST, FaultKind::Errcode { errcode: 48001 }))
        .unwrap();
    let path = start(&project, false).await;
    project.app.drain().await;
    let import = progress(&project, &path).await;
    assert_eq!(import["state"], "failed", "{import}");
    assert!(
        import["problem"].as_str().unwrap().contains("48001"),
        "{import}"
    );
}

async fn an_erasure_takes_the_mark_of_a_walk(engine: Engine) {
    let project = project(engine, 12).await;
    start(&project, false).await;
    for _ in 0..3 {
        project.app.bridge.run(StepName::Import).await.unwrap();
    }
    // The walk waits for a day, with a mark that is no cursor any more.
    project
        .world()
        .add_fault(Fault::at(LIST, FaultKind::Errcode { errcode: 45009 }))
        .unwrap();
    project.app.drain().await;
    let places = |person| places_of(project.app.database.db(), &population::openid(OA, person));
    let is_mark = |person: &u32| {
        places(*person)
            .iter()
            .any(|place| place.starts_with("imports.mark"))
    };
    let marked: Vec<u32> = (0..12).filter(is_mark).collect();
    assert_eq!(marked.len(), 1, "{marked:?}");
    let id = project.identity(marked[0]).await["id"].clone();
    project
        .app
        .delete(&project.key, &format!("/people/{id}"))
        .await
        .ok(200);
    project.app.drain().await;
    assert_eq!(places(marked[0]), Vec::<String>::new());
}
