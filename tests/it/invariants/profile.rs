//! A failed profile fetch never loses a follower, and says why there is no profile yet.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use queqiao::bridge::Step;
use queqiao::simulator::{Fault, FaultKind, Origin, PushOutcome, population};
use queqiao::wechat::push;
use serde_json::json;

use super::{BATCH, INFO, OA, TestProject};

const FOREIGN: &str = "oSomebodyOfAnotherAccount000";

both_engines! {
    a_failed_fetch_keeps_the_follower_and_the_reason,
    what_a_clock_planned_that_was_ahead_does_not_wait_for_it,
    one_foreign_openid_does_not_keep_the_others_from_their_profiles,
    one_person_never_holds_up_the_others,
    half_a_character_costs_nobody_anything,
    what_is_nobodys_fault_is_not_asked_for_person_by_person,
    each_waits_by_its_own_failures,
    an_account_that_is_bound_later_gives_the_unionids_then,
    an_address_that_is_not_in_the_whitelist_is_shown_to_the_admin,
}

async fn a_failed_fetch_keeps_the_follower_and_the_reason(project: TestProject) {
    let (impatient, _server) = project.impatient();
    let faults = [
        (FaultKind::Errcode { errcode: -1 }, "-1"),
        (FaultKind::Errcode { errcode: 45009 }, "45009"),
        (FaultKind::TimeOutBefore, "WeChat could not be asked"),
        (FaultKind::TimeOutAfter, "WeChat could not be asked"),
        (FaultKind::Reset, "WeChat could not be asked"),
        (
            FaultKind::HttpError { status: 502 },
            "WeChat could not be asked",
        ),
    ];
    for (person, (kind, said)) in (1..).zip(faults) {
        project.world().add_fault(Fault::at(INFO, kind)).unwrap();
        project.follows(person).await;
        project.app.drain_by(&impatient).await;
        let identity = project.identity(person).await;
        assert_eq!(
            identity["follow_state"], "following",
            "{kind:?}: {identity}"
        );
        assert_eq!(identity["profile_state"], "pending", "{kind:?}: {identity}");
        let error = identity["profile_error"].as_str().unwrap();
        assert!(error.contains(said), "{kind:?}: {error}");
        assert!(
            !error.contains("access_token") && !error.contains("http://"),
            "{error}"
        );
        assert!(identity["profile_due_at"].is_string(), "{identity}");
        project.world().clear_faults();
        project.pass(10, 5).await;
        let identity = project.identity(person).await;
        assert_eq!(
            identity["profile_state"], "complete",
            "{kind:?}: {identity}"
        );
        assert_eq!(identity["unionid"], population::unionid(person));
        assert_eq!(identity["profile_error"], json!(null));
    }
}

async fn what_a_clock_planned_that_was_ahead_does_not_wait_for_it(project: TestProject) {
    let app = &project.app;
    project.follows(1).await;
    app.clock.advance(Duration::from_secs(86_400));
    app.bridge.run(StepName::Due).await.unwrap();
    project
        .world()
        .add_fault(Fault::at(INFO, FaultKind::Errcode { errcode: -1 }))
        .unwrap();
    app.bridge.run(StepName::Process).await.unwrap();
    while app.bridge.run(StepName::Profile).await.unwrap() != Step::Worked {
        app.clock.advance(Duration::from_secs(1));
    }
    project.world().clear_faults();
    let planned = project.identity(1).await;
    assert_eq!(planned["profile_state"], "pending", "{planned}");
    app.clock.turn_back(Duration::from_secs(86_400));
    app.bridge.run(StepName::Due).await.unwrap();
    let before = app.clock.now();
    app.drain().await;
    assert_eq!(project.identity(1).await["profile_state"], "complete");
    assert!(app.clock.now() - before < chrono::TimeDelta::minutes(1));
}

async fn one_foreign_openid_does_not_keep_the_others_from_their_profiles(project: TestProject) {
    for person in 1..8 {
        project.follows(person).await;
    }
    let fields = push::event("gh_1", FOREIGN, project.world().now() / 1000, "subscribe");
    let push = project.world().push(OA, fields.into_owned()).await.unwrap();
    assert_eq!(push.verdict, PushOutcome::Success);
    project.app.drain().await;
    for person in 1..8 {
        assert_eq!(project.identity(person).await["profile_state"], "complete");
    }
    assert!(
        project.calls(BATCH) > 1,
        "the first batch was refused as a whole"
    );
    // It has just followed, so the answer is asked for again before it counts.
    project.pass(720, 10).await;
    let people = project.people(&format!("openid={FOREIGN}")).await;
    let identity = &people[0]["identities"][0];
    assert_eq!(identity["profile_state"], "unknown_openid", "{identity}");
    assert_eq!(identity["follow_state"], "following", "{identity}");
    assert!(
        identity["profile_error"]
            .as_str()
            .unwrap()
            .contains("40003"),
        "{identity}"
    );
    let calls = project.calls(BATCH) + project.calls(INFO);
    project.pass(7200, 3600).await;
    assert_eq!(
        project.calls(BATCH) + project.calls(INFO),
        calls,
        "it is not asked for again"
    );
}

async fn one_person_never_holds_up_the_others(project: TestProject) {
    let world = project.world();
    let spoilt = population::openid(OA, 60);
    let at_both = |kind: FaultKind| {
        for path in [INFO, BATCH] {
            world.add_fault(Fault::at(path, kind).of(&spoilt)).unwrap();
        }
    };
    let code = |errcode| FaultKind::Errcode { errcode };
    for (kind, state, said) in [
        (code(40003), "pending", "40003"),
        (code(49003), "pending", "49003"),
        (code(46004), "pending", "46004"),
        (code(50002), "pending", "50002"),
        (code(40035), "pending", "40035"),
        (code(99_999), "pending", "99999"),
        (FaultKind::UnescapedQuote, "pending", "cannot be read"),
        (FaultKind::BrokenUnionid, "pending", "cannot be read"),
        (FaultKind::NoOpenid, "pending", "cannot be read"),
    ] {
        for person in 0..100 {
            world.unfollow(OA, person).await.unwrap();
        }
        project.app.advance(Duration::from_secs(1));
        project.app.drain().await;
        at_both(kind);
        for person in 0..100 {
            project.follows(person).await;
        }
        let before = project.calls(BATCH) + project.calls(INFO);
        project.app.drain().await;
        let calls = project.calls(BATCH) + project.calls(INFO) - before;
        assert!(
            calls <= 15,
            "{kind:?}: {calls} calls to find one among a hundred"
        );
        let people = project.people("follow_state=following&limit=200").await;
        assert_eq!(people.len(), 100);
        let mut pending = 0;
        for person in &people {
            pending += usize::from(!person["identities"][0]["profile_due_at"].is_null());
        }
        assert!(pending <= 1, "{kind:?}: {pending} wait");
        let identity = project.identity(60).await;
        let error = identity["profile_error"].as_str().unwrap();
        assert!(error.contains(said), "{kind:?}: {error}");
        // A unionid that was known stays, whatever becomes of the profile.
        assert!(
            [state, "complete"].contains(&identity["profile_state"].as_str().unwrap()),
            "{identity}"
        );
        if state == "pending" {
            // It comes again, and alone: it does not spoil the batch of others.
            project.app.advance(Duration::from_secs(5));
            for person in 100..110 {
                project.follows(person).await;
            }
            let (batches, alone) = (project.calls(BATCH), project.calls(INFO));
            project.app.drain().await;
            assert_eq!(
                (project.calls(BATCH), project.calls(INFO)),
                (batches + 1, alone + 1),
                "{kind:?}"
            );
            for person in 100..110 {
                world.unfollow(OA, person).await.unwrap();
            }
            project.app.drain().await;
        }
        world.clear_faults();
        project.pass(8_000, 1_000).await;
        let due = project.identity(60).await["profile_due_at"].clone();
        assert_eq!(
            due,
            json!(null),
            "{kind:?}: in the end it has come, or never will"
        );
    }
}

async fn half_a_character_costs_nobody_anything(project: TestProject) {
    for person in 0..20 {
        project.follows(person).await;
    }
    let spoilt = population::openid(OA, 7);
    project
        .world()
        .add_fault(Fault::at(BATCH, FaultKind::BrokenUtf8).of(&spoilt))
        .unwrap();
    project.app.drain().await;
    for person in 0..20 {
        assert_eq!(
            project.identity(person).await["unionid"],
            population::unionid(person)
        );
    }
    assert_eq!(project.calls(BATCH), 1);
}

async fn what_is_nobodys_fault_is_not_asked_for_person_by_person(project: TestProject) {
    for (kind, most) in [
        (FaultKind::Errcode { errcode: 45009 }, 1),
        (FaultKind::Errcode { errcode: 48001 }, 1),
        (FaultKind::HttpError { status: 502 }, 1),
        // Everybody seems to be at fault.
        (FaultKind::UnescapedQuote, 20),
        (FaultKind::Errcode { errcode: 40035 }, 20),
    ] {
        for path in [INFO, BATCH] {
            project.world().add_fault(Fault::at(path, kind)).unwrap();
        }
        for person in 0..100 {
            project.world().unfollow(OA, person).await.unwrap();
        }
        project.app.advance(Duration::from_secs(1));
        project.app.drain().await;
        for person in 0..100 {
            project.follows(person).await;
        }
        let before = project.calls(BATCH) + project.calls(INFO);
        project.app.drain().await;
        let calls = project.calls(BATCH) + project.calls(INFO) - before;
        assert!((1..=most).contains(&calls), "{kind:?}: {calls}");
        let one = project.identity(50).await;
        assert!(
            one["profile_due_at"].is_string() && one["profile_error"].is_string(),
            "{one}"
        );
        project.world().clear_faults();
        let resume = format!("/accounts/{OA}/resume");
        project
            .app
            .call("POST", &project.key, &resume, None)
            .await
            .ok(200);
        project.pass(8_000, 1_000).await;
        assert_eq!(
            project.identity(50).await["profile_error"],
            json!(null),
            "{kind:?}"
        );
    }
}

async fn each_waits_by_its_own_failures(project: TestProject) {
    let fail = || {
        project
            .world()
            .add_fault(Fault::at(BATCH, FaultKind::Errcode { errcode: -1 }))
            .unwrap();
    };
    fail();
    project
        .world()
        .add_fault(Fault::at(INFO, FaultKind::Errcode { errcode: -1 }))
        .unwrap();
    project.follows(1).await;
    project.pass(600, 60).await;
    // Somebody who has failed often is asked for together with somebody new.
    let due = |identity: &serde_json::Value| -> chrono::DateTime<chrono::Utc> {
        identity["profile_due_at"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    let old = due(&project.identity(1).await);
    let now = project.app.clock.now().and_utc();
    project.app.advance((old - now).to_std().unwrap());
    project.follows(2).await;
    project.app.drain().await;
    let now = project.app.clock.now().and_utc();
    let (first, second) = (
        due(&project.identity(1).await) - now,
        due(&project.identity(2).await) - now,
    );
    assert!(
        second.num_seconds() <= 4 && first.num_seconds() > 30,
        "{first} {second}"
    );
}

async fn an_account_that_is_bound_later_gives_the_unionids_then(project: TestProject) {
    let bind = |bound| {
        project
            .world()
            .change_account(OA, |settings| settings.bound_to_open_platform = bound)
            .unwrap();
    };
    bind(false);
    project.follows(1).await;
    project.app.drain().await;
    let identity = project.identity(1).await;
    assert_eq!(
        identity["profile_state"], "not_bound_to_open_platform",
        "{identity}"
    );
    assert_eq!(identity["unionid"], json!(null));
    assert_eq!(
        identity["subscribe_scene"], "ADD_SCENE_SEARCH",
        "the rest of the profile is there"
    );
    bind(true);
    project.app.drain().await;
    assert_eq!(
        project.identity(1).await["profile_state"],
        "not_bound_to_open_platform",
        "not asked at once"
    );
    project.app.advance(Duration::from_secs(2 * 3600));
    project.app.drain().await;
    let identity = project.identity(1).await;
    assert_eq!(identity["profile_state"], "complete", "{identity}");
    assert_eq!(identity["unionid"], population::unionid(1));
}

async fn an_address_that_is_not_in_the_whitelist_is_shown_to_the_admin(project: TestProject) {
    let refuse = |ip: Option<&str>| {
        let ip = ip.map(str::to_owned);
        project
            .world()
            .change_account(OA, |settings| settings.refused_ip = ip)
            .unwrap();
    };
    refuse(Some("203.0.113.7"));
    project
        .world()
        .follow(OA, 1, Origin::search())
        .await
        .unwrap();
    project.app.drain().await;
    let problem = async || {
        let accounts = project.app.get(&project.key, "/accounts").await.ok(200);
        accounts["items"][0]["problem"].clone()
    };
    let shown = problem().await;
    assert_eq!(shown["code"], 40164, "{shown}");
    assert!(
        shown["text"].as_str().unwrap().contains("203.0.113.7"),
        "{shown}"
    );
    let identity = project.identity(1).await;
    assert_eq!(identity["profile_state"], "pending");
    assert!(
        identity["profile_error"]
            .as_str()
            .unwrap()
            .contains("203.0.113.7"),
        "{identity}"
    );
    refuse(None);
    project.pass(60, 10).await;
    assert_eq!(project.identity(1).await["profile_state"], "complete");
    assert_eq!(
        problem().await,
        json!(null),
        "the problem is gone with its cause"
    );
}
