//! Why there is no unionid stays what WeChat said last: a question without an answer says nothing.

use std::time::Duration;

use queqiao::simulator::{Fault, FaultKind, LateProfile, population};
use serde_json::{Value, json};

use super::{INFO, OA, TestProject};
use crate::support::app::draft;

const UNBOUND: &str = "not_bound_to_open_platform";

/// Somebody who follows an account that is not bound to an Open Platform account.
async fn unbound(project: &TestProject) {
    project
        .world()
        .change_account(OA, |settings| settings.bound_to_open_platform = false)
        .unwrap();
    project.follows(1).await;
    project.app.drain().await;
    assert_eq!(project.identity(1).await["profile_state"], UNBOUND);
}

fn fails(project: &TestProject, kind: FaultKind) {
    project.world().add_fault(Fault::at(INFO, kind)).unwrap();
}

/// The operator gives the account's settings once more, which asks about everybody without a unionid.
async fn ask_again(project: &TestProject) {
    let settings = (*project.world().settings(OA).unwrap()).clone();
    let changed = project
        .app
        .bridge
        .change_account(draft(project.project, &settings));
    changed.await.unwrap();
    project.app.drain().await;
}

fn says(identity: &Value, word: &str) -> bool {
    let error = identity["profile_error"].as_str();
    error.is_some_and(|error| error.contains(word))
}

both_engines! {
    a_fetch_that_fails_does_not_hide_that_the_account_is_not_bound,
    an_answer_in_doubt_does_not_hide_that_the_account_is_not_bound,
    a_fetch_that_fails_does_not_hide_that_the_openid_is_unknown,
}

async fn a_fetch_that_fails_does_not_hide_that_the_account_is_not_bound(project: TestProject) {
    unbound(&project).await;
    // Nobody's fault, and the person's.
    for (kind, word) in [
        (FaultKind::Errcode { errcode: -1 }, "-1"),
        (FaultKind::UnescapedQuote, "cannot be read"),
    ] {
        fails(&project, kind);
        project.app.advance(Duration::from_secs(2 * 3_600));
        project.app.drain().await;
        let identity = project.identity(1).await;
        assert_eq!(identity["profile_state"], UNBOUND, "{kind:?}: {identity}");
        assert!(says(&identity, word), "{kind:?}: {identity}");
        assert!(identity["profile_due_at"].is_string(), "{identity}");
        project.world().clear_faults();
    }
    // It is asked again, and hears the same.
    let asked = project.calls(INFO);
    project.pass(2 * 3_600, 600).await;
    assert!(project.calls(INFO) > asked);
    let identity = project.identity(1).await;
    assert_eq!(identity["profile_state"], UNBOUND, "{identity}");
    assert_eq!(identity["profile_error"], json!(null), "{identity}");
}

async fn an_answer_in_doubt_does_not_hide_that_the_account_is_not_bound(project: TestProject) {
    unbound(&project).await;
    // WeChat has forgotten for a moment that they follow.
    let rule = LateProfile {
        person: Some(1),
        asks: 1,
        seconds: 0,
    };
    project.world().set_late_profile(OA, rule).unwrap();
    ask_again(&project).await;
    let identity = project.identity(1).await;
    assert_eq!(identity["profile_state"], UNBOUND, "{identity}");
    assert!(says(&identity, "asked again"), "{identity}");
    assert!(identity["profile_due_at"].is_string(), "{identity}");
    project.pass(60, 5).await;
    let identity = project.identity(1).await;
    assert_eq!(identity["profile_state"], UNBOUND, "{identity}");
    assert_eq!(identity["profile_error"], json!(null), "{identity}");
    // Where it stays so, it counts.
    let rule = LateProfile {
        person: Some(1),
        asks: 9,
        seconds: 0,
    };
    project.world().set_late_profile(OA, rule).unwrap();
    ask_again(&project).await;
    project.pass(720, 10).await;
    let identity = project.identity(1).await;
    assert_eq!(identity["profile_state"], "not_following", "{identity}");
}

async fn a_fetch_that_fails_does_not_hide_that_the_openid_is_unknown(project: TestProject) {
    fails(&project, FaultKind::Errcode { errcode: 40003 });
    project.follows(1).await;
    project.pass(900, 60).await;
    let state = async || project.identity(1).await["profile_state"].clone();
    assert_eq!(state().await, "unknown_openid");
    project.world().clear_faults();
    // A whole import does not list them, so WeChat is asked whether they are gone.
    project.world().remove_followers(OA, 1..2).unwrap();
    fails(&project, FaultKind::UnescapedQuote);
    let path = format!("/accounts/{OA}/imports");
    let body = json!({"reconcile": true});
    project.app.post(&project.key, &path, body).await.ok(202);
    let asked = project.calls(INFO);
    project.app.drain().await;
    assert!(project.calls(INFO) > asked, "they were asked about");
    let identity = project.identity(1).await;
    assert!(says(&identity, "cannot be read"), "{identity}");
    assert_eq!(identity["profile_state"], "unknown_openid", "{identity}");
    project.world().clear_faults();
    project.pass(900, 60).await;
    let identity = project.identity(1).await;
    assert_eq!(identity["profile_state"], "not_following", "{identity}");
    assert_eq!(identity["openid"], population::openid(OA, 1));
}
