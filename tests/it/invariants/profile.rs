//! A failed profile fetch never loses a follower, and says why there is no profile yet.

use std::time::Duration;

use queqiao::simulator::{Fault, FaultKind, Origin, Verdict, population};
use queqiao::wechat::push;
use serde_json::json;

use super::{BATCH, INFO, OA, Stage};

const FOREIGN: &str = "oSomebodyOfAnotherAccount000";

both_engines! {
    async fn a_failed_fetch_keeps_the_follower_and_the_reason(stage: Stage) {
        let (impatient, _server) = stage.impatient();
        let faults = [
            (FaultKind::Errcode { errcode: -1 }, "-1"),
            (FaultKind::Errcode { errcode: 45009 }, "45009"),
            (FaultKind::TimeOutBefore, "WeChat could not be asked"),
            (FaultKind::TimeOutAfter, "WeChat could not be asked"),
            (FaultKind::Reset, "WeChat could not be asked"),
            (FaultKind::HttpError { status: 502 }, "WeChat could not be asked"),
        ];
        for (person, (kind, said)) in (1..).zip(faults) {
            stage.world().add_fault(Fault::at(INFO, kind)).unwrap();
            stage.follows(person).await;
            stage.app.drain_by(&impatient).await;
            let identity = stage.identity(person).await;
            assert_eq!(identity["follow_state"], "following", "{kind:?}: {identity}");
            assert_eq!(identity["profile_state"], "pending", "{kind:?}: {identity}");
            let error = identity["profile_error"].as_str().unwrap();
            assert!(error.contains(said), "{kind:?}: {error}");
            assert!(!error.contains("access_token") && !error.contains("http://"), "{error}");
            assert!(identity["profile_due_at"].is_string(), "{identity}");
            stage.world().clear_faults();
            stage.pass(10, 5).await;
            let identity = stage.identity(person).await;
            assert_eq!(identity["profile_state"], "complete", "{kind:?}: {identity}");
            assert_eq!(identity["unionid"], population::unionid(person));
            assert_eq!(identity["profile_error"], json!(null));
        }
    }

    async fn one_foreign_openid_does_not_keep_the_others_from_their_profiles(stage: Stage) {
        for person in 1..8 {
            stage.follows(person).await;
        }
        let fields = push::event("gh_1", FOREIGN, stage.world().now() / 1000, "subscribe");
        let push = stage.world().push(OA, fields.into_owned()).await.unwrap();
        assert_eq!(push.verdict, Verdict::Success);
        stage.app.drain().await;
        for person in 1..8 {
            assert_eq!(stage.identity(person).await["profile_state"], "complete");
        }
        assert!(stage.calls(BATCH) > 1, "the first batch was refused as a whole");
        let people = stage.people(&format!("openid={FOREIGN}")).await;
        let identity = &people[0]["identities"][0];
        assert_eq!(identity["profile_state"], "unknown_openid", "{identity}");
        assert_eq!(identity["follow_state"], "following", "{identity}");
        assert!(identity["profile_error"].as_str().unwrap().contains("40003"), "{identity}");
        let calls = stage.calls(BATCH) + stage.calls(INFO);
        stage.pass(7200, 3600).await;
        assert_eq!(stage.calls(BATCH) + stage.calls(INFO), calls, "it is not asked for again");
    }

    async fn an_account_that_is_bound_later_gives_the_unionids_then(stage: Stage) {
        let bind = |bound| stage.world().change_account(OA, |settings| settings.bound_to_open_platform = bound).unwrap();
        bind(false);
        stage.follows(1).await;
        stage.app.drain().await;
        let identity = stage.identity(1).await;
        assert_eq!(identity["profile_state"], "not_bound_to_open_platform", "{identity}");
        assert_eq!(identity["unionid"], json!(null));
        assert_eq!(identity["subscribe_scene"], "ADD_SCENE_SEARCH", "the rest of the profile is there");
        bind(true);
        stage.app.drain().await;
        assert_eq!(stage.identity(1).await["profile_state"], "not_bound_to_open_platform", "not asked at once");
        stage.app.advance(Duration::from_secs(2 * 3600));
        stage.app.drain().await;
        let identity = stage.identity(1).await;
        assert_eq!(identity["profile_state"], "complete", "{identity}");
        assert_eq!(identity["unionid"], population::unionid(1));
    }

    async fn an_address_that_is_not_in_the_whitelist_is_shown_to_the_admin(stage: Stage) {
        let refuse = |ip: Option<&str>| {
            let ip = ip.map(str::to_owned);
            stage.world().change_account(OA, |settings| settings.refused_ip = ip).unwrap();
        };
        refuse(Some("203.0.113.7"));
        stage.world().follow(OA, 1, Origin::search()).await.unwrap();
        stage.app.drain().await;
        let problem = async || {
            let accounts = stage.app.get(&stage.key, "/accounts").await.ok(200);
            accounts["items"][0]["problem"].clone()
        };
        let shown = problem().await;
        assert_eq!(shown["code"], 40164, "{shown}");
        assert!(shown["text"].as_str().unwrap().contains("203.0.113.7"), "{shown}");
        let identity = stage.identity(1).await;
        assert_eq!(identity["profile_state"], "pending");
        assert!(identity["profile_error"].as_str().unwrap().contains("203.0.113.7"), "{identity}");
        refuse(None);
        stage.pass(60, 10).await;
        assert_eq!(stage.identity(1).await["profile_state"], "complete");
        assert_eq!(problem().await, json!(null), "the problem is gone with its cause");
    }
}
