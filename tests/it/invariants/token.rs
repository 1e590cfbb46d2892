//! Access tokens: refreshed once for all, thrown away only when refused, and never in a storm.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use queqiao::bridge::Bridge;
use queqiao::bridge::accounts::OpenAccount;
use queqiao::bridge::token::TokenError;
use queqiao::simulator::{Fault, FaultKind, population};

use super::{INFO, OA, STABLE_TOKEN, TestProject};

async fn account(bridge: &Bridge) -> Arc<OpenAccount> {
    bridge.accounts.get(OA).await.unwrap().unwrap()
}

/// Asks WeChat for a person's profile.
async fn ask(bridge: &Bridge, person: u32) -> Result<(), TokenError> {
    let account = account(bridge).await;
    let openid = population::openid(OA, person);
    let call = |token| {
        let openid = openid.as_str();
        async move { bridge.wechat.user_info(&token, openid).await }
    };
    bridge
        .tokens
        .call(&account, "user/info", call)
        .await
        .map(drop)
}

both_engines! {
    two_replicas_refresh_an_expired_token_once,
    near_its_end_a_token_is_used_on_and_replaced_when_there_is_a_newer,
    a_token_that_still_lives_outlasts_an_outage_of_the_token_call,
    callers_who_wait_together_share_one_failure,
    an_old_token_that_is_refused_does_not_cost_the_newer_one,
    fifty_calls_with_a_refused_token_refresh_it_once,
    a_storm_of_refusals_repeats_each_call_once,
}

async fn two_replicas_refresh_an_expired_token_once(project: TestProject) {
    let (other, _server) = project.app.replica();
    let replicas = [&project.app.bridge, &other];
    for bridge in replicas {
        ask(bridge, 1).await.unwrap();
    }
    for round in 1..4 {
        assert_eq!(project.calls(STABLE_TOKEN), round);
        project.app.advance(Duration::from_secs(7200));
        project
            .world()
            .set_latency(STABLE_TOKEN, Duration::from_millis(20))
            .unwrap();
        let asked = project.calls(INFO);
        let calls = (0..50).map(|number| ask(replicas[number % 2], 1));
        for done in join_all(calls).await {
            done.unwrap();
        }
        assert_eq!(
            project.calls(STABLE_TOKEN),
            round + 1,
            "one refresh for fifty calls"
        );
        assert_eq!(project.calls(INFO) - asked, 50, "none was refused");
    }
}

async fn near_its_end_a_token_is_used_on_and_replaced_when_there_is_a_newer(project: TestProject) {
    let bridge = &project.app.bridge;
    ask(bridge, 1).await.unwrap();
    // WeChat still gives the same token out: asking at every call would change nothing.
    project.app.advance(Duration::from_secs(7200 - 590));
    for _ in 0..20 {
        ask(bridge, 1).await.unwrap();
    }
    assert_eq!(project.calls(STABLE_TOKEN), 2, "looked once");
    project.app.advance(Duration::from_secs(350));
    ask(bridge, 1).await.unwrap();
    assert_eq!(project.calls(STABLE_TOKEN), 3);
    project.app.advance(Duration::from_secs(300));
    ask(bridge, 1).await.unwrap();
    assert_eq!(
        project.calls(STABLE_TOKEN),
        3,
        "the newer one has its whole life"
    );
}

async fn a_token_that_still_lives_outlasts_an_outage_of_the_token_call(project: TestProject) {
    let bridge = &project.app.bridge;
    ask(bridge, 1).await.unwrap();
    project.app.advance(Duration::from_secs(7200 - 590));
    project
        .world()
        .add_fault(Fault::at(
            STABLE_TOKEN,
            FaultKind::Errcode { errcode: 45009 },
        ))
        .unwrap();
    for _ in 0..5 {
        ask(bridge, 1).await.unwrap();
    }
    assert_eq!(
        project.calls(STABLE_TOKEN),
        2,
        "tried once, not at every call"
    );
    project.app.advance(Duration::from_secs(580));
    ask(bridge, 1).await.unwrap_err();
    project.world().clear_faults();
    ask(bridge, 1).await.unwrap();
}

async fn callers_who_wait_together_share_one_failure(project: TestProject) {
    let bridge = &project.app.bridge;
    project
        .world()
        .add_fault(Fault::at(STABLE_TOKEN, FaultKind::Errcode { errcode: -1 }))
        .unwrap();
    for done in join_all((0..50).map(|_| ask(bridge, 1))).await {
        done.unwrap_err();
    }
    assert!(
        project.calls(STABLE_TOKEN) < 10,
        "{} calls",
        project.calls(STABLE_TOKEN)
    );
}

async fn an_old_token_that_is_refused_does_not_cost_the_newer_one(project: TestProject) {
    let (other, _server) = project.app.replica();
    for bridge in [&project.app.bridge, &other] {
        ask(bridge, 1).await.unwrap();
    }
    project.world().invalidate_tokens(OA).unwrap();
    ask(&project.app.bridge, 1).await.unwrap();
    assert_eq!(project.calls(STABLE_TOKEN), 2);
    // The other still has the old one in its memory; WeChat refuses it, and there is a newer.
    let asked = project.calls(INFO);
    ask(&other, 1).await.unwrap();
    assert_eq!(
        project.calls(INFO) - asked,
        2,
        "refused once, then repeated"
    );
    ask(&project.app.bridge, 1).await.unwrap();
    assert_eq!(project.calls(STABLE_TOKEN), 2, "the newer token was kept");
}

async fn fifty_calls_with_a_refused_token_refresh_it_once(project: TestProject) {
    let bridge = &project.app.bridge;
    ask(bridge, 1).await.unwrap();
    project.world().invalidate_tokens(OA).unwrap();
    let asked = project.calls(INFO);
    for done in join_all((0..50).map(|_| ask(bridge, 1))).await {
        done.unwrap();
    }
    assert_eq!(project.calls(STABLE_TOKEN), 2);
    assert!(
        (50..=100).contains(&(project.calls(INFO) - asked)),
        "each is repeated once at most"
    );
}

async fn a_storm_of_refusals_repeats_each_call_once(project: TestProject) {
    for errcode in [40001, 40014, 42001] {
        let bridge = &project.app.bridge;
        project
            .world()
            .add_fault(Fault::at(INFO, FaultKind::Errcode { errcode }))
            .unwrap();
        let (asked, refreshed) = (project.calls(INFO), project.calls(STABLE_TOKEN));
        ask(bridge, 1).await.unwrap_err();
        assert_eq!(project.calls(INFO) - asked, 2, "{errcode}");
        assert!(project.calls(STABLE_TOKEN) - refreshed <= 2, "{errcode}");
        let (asked, refreshed) = (project.calls(INFO), project.calls(STABLE_TOKEN));
        for done in join_all((0..50).map(|_| ask(bridge, 1))).await {
            done.unwrap_err();
        }
        assert!(project.calls(INFO) - asked <= 100, "{errcode}");
        assert!(project.calls(STABLE_TOKEN) - refreshed <= 51, "{errcode}");
        project.world().clear_faults();
        ask(bridge, 1).await.unwrap();
    }
}
