//! Followers that were there before: walked page by page, resumed where it was interrupted.

use queqiao::bridge::Step;
use queqiao::db::Engine;
use queqiao::simulator::{Fault, FaultKind, Origin, SimulatorOptions, population};
use serde_json::{Value, json};

use super::{OA, Stage};

const LIST: &str = "/cgi-bin/user/get";

async fn stage(engine: Engine, followers: u32) -> Stage {
    let options = SimulatorOptions {
        page_size: 3,
        ..SimulatorOptions::default()
    };
    let stage = Stage::with(engine, options).await;
    let people = 0..followers;
    stage
        .world()
        .add_followers(OA, people, &Origin::search())
        .unwrap();
    stage
}

async fn start(stage: &Stage, reconcile: bool) -> String {
    let path = format!("/accounts/{OA}/imports");
    let started = stage
        .app
        .post(&stage.key, &path, json!({"reconcile": reconcile}))
        .await;
    format!("/imports/{}", started.ok(202)["id"])
}

async fn progress(stage: &Stage, path: &str) -> Value {
    stage.app.get(&stage.key, path).await.ok(200)
}

fn counts(import: &Value) -> [i64; 4] {
    ["collected", "total", "created", "gone"].map(|name| import[name].as_i64().unwrap())
}

both_engines! {
    async fn every_follower_is_imported_and_given_a_profile(engine: Engine) {
        // Whole pages, a broken last page, less than a page, and nobody.
        for (followers, pages) in [(9, 3..=4), (10, 4..=5), (2, 1..=2), (0, 1..=1)] {
            let stage = stage(engine, followers).await;
            let path = start(&stage, true).await;
            assert_eq!(start(&stage, true).await, path, "the one that runs is joined");
            stage.app.drain().await;
            let import = progress(&stage, &path).await;
            assert_eq!(import["state"], "done", "{import}");
            let all = i64::from(followers);
            assert_eq!(counts(&import), [all, all, all, 0]);
            assert!(pages.contains(&stage.calls(LIST)), "{followers}: {} pages", stage.calls(LIST));
            assert_eq!(stage.people("limit=200").await.len(), followers as usize);
            for person in 0..followers {
                let identity = stage.identity(person).await;
                assert_eq!(identity["follow_state"], "following", "{identity}");
                assert_eq!(identity["unionid"], population::unionid(person));
            }
        }
    }

    async fn an_import_goes_on_where_it_was_interrupted(engine: Engine) {
        let stage = stage(engine, 10).await;
        let path = start(&stage, false).await;
        let (first, first_server) = stage.app.replica();
        for _ in 0..2 {
            assert_eq!(first.import_step(None).await.unwrap(), Step::Worked);
        }
        assert_eq!(counts(&progress(&stage, &path).await), [6, 10, 6, 0]);
        // The process ends in the middle of the third page.
        stage.world().add_fault(Fault::at(LIST, FaultKind::TimeOutBefore).times(1)).unwrap();
        let step = tokio::spawn(async move { first.import_step(None).await.map(drop) });
        while stage.calls(LIST) < 3 {
            tokio::task::yield_now().await;
        }
        step.abort();
        drop(first_server);
        assert!(step.await.unwrap_err().is_cancelled());
        let (second, _server) = stage.app.replica();
        assert_eq!(second.import_step(None).await.unwrap(), Step::Idle, "the lease still holds");
        stage.app.advance(std::time::Duration::from_secs(300));
        stage.app.drain_by(&second).await;
        let import = progress(&stage, &path).await;
        assert_eq!(import["state"], "done", "{import}");
        assert_eq!(counts(&import), [10, 10, 10, 0]);
        assert_eq!(stage.calls(LIST), 5, "two pages, one lost, two more: none is fetched twice");
    }

    async fn an_import_again_changes_nothing_and_reconciling_marks_who_is_gone(engine: Engine) {
        let stage = stage(engine, 10).await;
        let path = start(&stage, true).await;
        stage.app.drain().await;
        assert_eq!(counts(&progress(&stage, &path).await), [10, 10, 10, 0]);
        let before = stage.people("limit=200").await;
        stage.app.advance(std::time::Duration::from_secs(60));
        let again = start(&stage, true).await;
        assert_ne!(again, path);
        stage.app.drain().await;
        assert_eq!(counts(&progress(&stage, &again).await), [10, 10, 0, 0]);
        assert_eq!(stage.people("limit=200").await.len(), before.len());
        // Three leave while the callbacks of the account go nowhere.
        let world = stage.world();
        let url = world.settings(OA).unwrap().callback_url.clone();
        world.change_account(OA, |settings| settings.callback_url = None).unwrap();
        for person in [0, 4, 9] {
            world.unfollow(OA, person).await.unwrap();
        }
        world.change_account(OA, |settings| settings.callback_url = url).unwrap();
        stage.app.advance(std::time::Duration::from_secs(60));
        let plain = start(&stage, false).await;
        stage.app.drain().await;
        assert_eq!(counts(&progress(&stage, &plain).await), [7, 7, 0, 0]);
        assert_eq!(stage.identity(4).await["follow_state"], "following", "nobody asked");
        stage.app.advance(std::time::Duration::from_secs(60));
        let reconciled = start(&stage, true).await;
        // Somebody follows while it runs: they are not on the list, and not gone.
        stage.follows(50).await;
        stage.app.drain().await;
        assert_eq!(counts(&progress(&stage, &reconciled).await)[3], 3);
        for person in 0..10 {
            let expected = if [0, 4, 9].contains(&person) { "not_following" } else { "following" };
            assert_eq!(stage.identity(person).await["follow_state"], expected, "{person}");
        }
        assert_eq!(stage.identity(50).await["follow_state"], "following");
    }

    async fn a_page_that_fails_is_fetched_again(engine: Engine) {
        let stage = stage(engine, 10).await;
        for kind in [FaultKind::Errcode { errcode: -1 }, FaultKind::HttpError { status: 502 }, FaultKind::Reset, FaultKind::Errcode { errcode: 40001 }] {
            stage.world().add_fault(Fault::at(LIST, kind).times(1)).unwrap();
        }
        let path = start(&stage, false).await;
        stage.pass(60, 5).await;
        let import = progress(&stage, &path).await;
        assert_eq!((&import["state"], &import["problem"]), (&json!("done"), &json!(null)));
        assert_eq!(counts(&import), [10, 10, 10, 0]);
        // What only the owner can mend ends it, and says so.
        stage.world().add_fault(Fault::at(LIST, FaultKind::Errcode { errcode: 48001 })).unwrap();
        let path = start(&stage, false).await;
        stage.app.drain().await;
        let import = progress(&stage, &path).await;
        assert_eq!(import["state"], "failed", "{import}");
        assert!(import["problem"].as_str().unwrap().contains("48001"), "{import}");
    }
}
