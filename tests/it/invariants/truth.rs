//! Who follows is what WeChat says last, and not one answer that is wrong or late.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use queqiao::simulator::{Fault, FaultKind, LateProfile, Origin, World, population};
use queqiao::wechat::fields::Fields;
use queqiao::wechat::push;
use serde_json::{Value, json};

use super::{BATCH, INFO, OA, SEND, TestProject};

fn asks(project: &TestProject) -> u64 {
    project.calls(INFO) + project.calls(BATCH)
}

fn late(project: &TestProject, person: Option<u32>, asks: u32, seconds: i64) {
    let rule = LateProfile {
        person,
        asks,
        seconds,
    };
    project.world().set_late_profile(OA, rule).unwrap();
}

fn refuse(world: &World, person: u32, errcode: i64, times: u32) {
    let fault = Fault::at(SEND, FaultKind::Errcode { errcode }).of(&population::openid(OA, person));
    world.add_fault(fault.times(times)).unwrap();
}

/// Leaves, and nothing is pushed.
fn leaves_unseen(project: &TestProject, person: u32) {
    project
        .world()
        .remove_followers(OA, person..person + 1)
        .unwrap();
}

fn comes_back_unseen(project: &TestProject, person: u32) {
    project
        .world()
        .add_followers(OA, person..person + 1, &Origin::search())
        .unwrap();
}

async fn follow_state(project: &TestProject, person: u32) -> String {
    project.identity(person).await["follow_state"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn refused_once(project: &TestProject, path: &str) -> Value {
    project.app.drain().await;
    project.delivery(path).await
}

both_engines! {
    a_profile_that_is_behind_is_asked_again_and_costs_nobody_their_place,
    the_last_answer_counts_and_many_are_asked_together,
    a_follow_of_long_ago_is_not_in_doubt,
    one_wrong_refusal_loses_neither_the_person_nor_the_message,
    refusal_and_profile_may_both_be_behind_a_follow,
    who_really_left_is_known_in_the_end_and_the_message_fails,
    what_somebody_does_who_counts_as_gone_is_asked_about,
    what_was_done_before_somebody_left_is_no_sign_that_they_are_there,
    refusals_do_not_hurry_the_questions_about_a_doubtful_answer,
    an_event_counts_more_than_a_fetch_that_fails_behind_it,
}

async fn a_profile_that_is_behind_is_asked_again_and_costs_nobody_their_place(
    project: TestProject,
) {
    late(&project, None, 2, 0);
    project.follows(1).await;
    project.app.drain().await;
    let identity = project.identity(1).await;
    assert_eq!(
        (&identity["follow_state"], &identity["profile_state"]),
        (&json!("following"), &json!("pending"))
    );
    assert!(
        identity["profile_error"]
            .as_str()
            .unwrap()
            .contains("asked again"),
        "{identity}"
    );
    assert!(identity["profile_due_at"].is_string());
    assert_eq!(asks(&project), 1);
    project.app.advance(Duration::from_secs(5));
    project.app.drain().await;
    assert_eq!(
        (asks(&project), follow_state(&project, 1).await.as_str()),
        (2, "following")
    );
    project.app.advance(Duration::from_secs(59));
    project.app.drain().await;
    assert_eq!(asks(&project), 2, "not before its time");
    project.app.advance(Duration::from_secs(1));
    project.app.drain().await;
    let identity = project.identity(1).await;
    assert_eq!(
        (&identity["follow_state"], &identity["profile_state"]),
        (&json!("following"), &json!("complete"))
    );
    assert_eq!(
        (&identity["unionid"], &identity["profile_error"]),
        (&json!(population::unionid(1)), &json!(null))
    );
    project.pass(3_600, 600).await;
    assert_eq!(asks(&project), 3);
}

async fn the_last_answer_counts_and_many_are_asked_together(project: TestProject) {
    late(&project, None, 0, 10_000);
    for person in 0..30 {
        project.follows(person).await;
    }
    for seconds in [0, 5, 60] {
        project.app.advance(Duration::from_secs(seconds));
        project.app.drain().await;
        assert_eq!(follow_state(&project, 7).await, "following");
    }
    assert_eq!(project.calls(BATCH), 3);
    // They leave by an event: nothing is in doubt any more.
    project.world().unfollow(OA, 3).await.unwrap();
    project.app.drain().await;
    assert_eq!(follow_state(&project, 3).await, "not_following");
    // Another follows again meanwhile, and is asked about from the beginning.
    project.world().unfollow(OA, 4).await.unwrap();
    project.app.advance(Duration::from_secs(1));
    project.follows(4).await;
    project.app.drain().await;
    project.app.advance(Duration::from_secs(600));
    project.app.drain().await;
    assert_eq!(follow_state(&project, 7).await, "not_following");
    assert_eq!(
        follow_state(&project, 4).await,
        "following",
        "of a later follow"
    );
    let asked = asks(&project);
    project.pass(60, 60).await;
    assert!(asks(&project) > asked, "still asked about");
}

async fn a_follow_of_long_ago_is_not_in_doubt(project: TestProject) {
    project.reachable("s1", 1).await;
    project.app.advance(Duration::from_secs(3_600));
    leaves_unseen(&project, 1);
    let path = project.notify("s1").await;
    project.app.drain().await;
    let delivery = project.delivery(&path).await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("failed"), &json!("not_following"))
    );
    assert_eq!(follow_state(&project, 1).await, "not_following");
    assert_eq!(
        project.calls(SEND),
        2,
        "as WeChat's profile may be wrong as well, once more"
    );
}

async fn one_wrong_refusal_loses_neither_the_person_nor_the_message(project: TestProject) {
    for (person, (errcode, wait)) in (1..).zip([
        (43004, 0),
        (43005, 0),
        (50005, 0),
        (43004, 3_600),
        (50005, 3_600),
    ]) {
        let staff = format!("s{person}");
        project.reachable(&staff, person).await;
        project.app.advance(Duration::from_secs(wait));
        refuse(project.world(), person, errcode, 1);
        let before = asks(&project);
        let path = project.notify(&staff).await;
        let delivery = refused_once(&project, &path).await;
        assert_eq!(
            delivery["state"], "delivered",
            "{errcode} after {wait}: {delivery}"
        );
        assert_eq!(
            delivery["attempts"].as_array().unwrap().len(),
            2,
            "{delivery}"
        );
        assert_eq!(delivery["attempts"][0]["errcode"], errcode);
        assert_eq!(asks(&project), before + 1, "the profile was asked for");
        assert_eq!(follow_state(&project, person).await, "following");
        let openid = population::openid(OA, person);
        assert_eq!(
            project.world().messages_to(&openid).len(),
            1,
            "and seen once"
        );
    }
}

async fn refusal_and_profile_may_both_be_behind_a_follow(project: TestProject) {
    project.reachable("s1", 1).await;
    late(&project, Some(1), 2, 0);
    refuse(project.world(), 1, 43004, 2);
    let path = project.notify("s1").await;
    let delivery = refused_once(&project, &path).await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("queued"), &json!("not_following")),
        "{delivery}"
    );
    assert!(
        delivery["detail"]
            .as_str()
            .unwrap()
            .contains("asked for their profile"),
        "{delivery}"
    );
    assert_eq!(follow_state(&project, 1).await, "following");
    project.pass(80, 5).await;
    let delivery = project.delivery(&path).await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    assert_eq!(delivery["attempts"].as_array().unwrap().len(), 3);
    assert_eq!(follow_state(&project, 1).await, "following");
}

async fn who_really_left_is_known_in_the_end_and_the_message_fails(project: TestProject) {
    project.reachable("s1", 1).await;
    leaves_unseen(&project, 1);
    let path = project.notify("s1").await;
    project.app.drain().await;
    assert_eq!(
        follow_state(&project, 1).await,
        "following",
        "of a moment ago"
    );
    project.pass(900, 5).await;
    let delivery = project.delivery(&path).await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("failed"), &json!("not_following"))
    );
    assert_eq!(follow_state(&project, 1).await, "not_following");
    assert!(
        delivery["attempts"].as_array().unwrap().len() <= 4,
        "{delivery}"
    );
    let calls = (asks(&project), project.calls(SEND));
    project.pass(7_200, 600).await;
    assert_eq!(
        (asks(&project), project.calls(SEND)),
        calls,
        "and that is all"
    );
}

async fn what_somebody_does_who_counts_as_gone_is_asked_about(project: TestProject) {
    let world = project.world();
    let at = || world.now() / 1_000;
    type Act = Box<dyn Fn(u32, i64) -> Fields<'static>>;
    let event = |kind: &'static str, fields: &'static [(&'static str, &'static str)]| -> Act {
        Box::new(move |person, now| {
            let openid = population::openid(OA, person);
            let push = push::event("gh_1", &openid, now, kind);
            let push = fields
                .iter()
                .fold(push, |push, &(key, value)| push.with(key, value));
            push.into_owned()
        })
    };
    let acts: Vec<Act> = vec![
        event("SCAN", &[("EventKey", "shop")]),
        event("CLICK", &[("EventKey", "menu")]),
        event("VIEW", &[("EventKey", "https://example.com/")]),
        event(
            "LOCATION",
            &[
                ("Latitude", "22.5"),
                ("Longitude", "114.0"),
                ("Precision", "40"),
            ],
        ),
        event("user_pay_from_pay_cell", &[("TransId", "1")]),
        event("subscribe_msg_popup_event", &[]),
    ];
    for (person, act) in (1..).zip(acts) {
        project.follows(person).await;
        project.app.drain().await;
        world.unfollow(OA, person).await.unwrap();
        project.app.advance(Duration::from_secs(2));
        project.app.drain().await;
        assert_eq!(follow_state(&project, person).await, "not_following");
        let asked = asks(&project);
        // WeChat says of its own accord what becomes of a message: that is no sign of life.
        let receipt = push::event(
            "gh_1",
            &population::openid(OA, person),
            at(),
            "TEMPLATESENDJOBFINISH",
        )
        .with("MsgID", i64::from(person))
        .with("Status", "success")
        .into_owned();
        world.push(OA, receipt).await.unwrap();
        project.app.drain().await;
        assert_eq!(asks(&project), asked);
        // The follow after it got lost.
        comes_back_unseen(&project, person);
        world.push(OA, act(person, at())).await.unwrap();
        project.app.drain().await;
        assert_eq!(asks(&project), asked + 1, "{person}");
        let identity = project.identity(person).await;
        assert_eq!(
            (&identity["follow_state"], &identity["profile_state"]),
            (&json!("following"), &json!("complete")),
            "{identity}"
        );
    }
    // A text of somebody who follows costs no question; one of somebody who is gone says so again.
    let asked = asks(&project);
    world.send_text(OA, 1, "hello").await.unwrap();
    project.app.drain().await;
    assert_eq!(asks(&project), asked);
    world.unfollow(OA, 1).await.unwrap();
    project.app.advance(Duration::from_secs(2));
    world.send_text(OA, 1, "hello").await.unwrap();
    project.app.drain().await;
    assert_eq!(
        (asks(&project), follow_state(&project, 1).await.as_str()),
        (asked + 1, "not_following")
    );
}

async fn what_was_done_before_somebody_left_is_no_sign_that_they_are_there(project: TestProject) {
    project.follows(1).await;
    project.app.drain().await;
    let world = project.world();
    world.hold_pushes(OA).unwrap();
    let text = world.send_text(OA, 1, "bye");
    text.await.unwrap();
    project.app.advance(Duration::from_secs(5));
    world.unfollow(OA, 1).await.unwrap();
    let asked = asks(&project);
    world
        .release_pushes(OA, queqiao::simulator::PushOrder::Reverse)
        .await
        .unwrap();
    project.app.drain().await;
    assert_eq!(
        (asks(&project), follow_state(&project, 1).await.as_str()),
        (asked, "not_following")
    );
}

async fn refusals_do_not_hurry_the_questions_about_a_doubtful_answer(project: TestProject) {
    project.reachable("s1", 1).await;
    project.world().unfollow(OA, 1).await.unwrap();
    project.app.advance(Duration::from_secs(2));
    project.app.drain().await;
    late(&project, Some(1), 0, 30);
    project.follows(1).await;
    project.app.drain().await;
    let asked = asks(&project);
    refuse(project.world(), 1, 43004, 4);
    let mut paths = Vec::new();
    for _ in 0..4 {
        paths.push(project.notify("s1").await);
        project.app.drain().await;
        assert_eq!(follow_state(&project, 1).await, "following");
    }
    assert_eq!(asks(&project), asked, "the next question has its time");
    project.pass(90, 5).await;
    assert_eq!(follow_state(&project, 1).await, "following");
    for path in paths {
        let delivery = project.delivery(&path).await;
        assert_eq!(delivery["state"], "delivered", "{delivery}");
    }
}

async fn an_event_counts_more_than_a_fetch_that_fails_behind_it(project: TestProject) {
    let (impatient, _server) = project.impatient();
    project
        .world()
        .add_fault(Fault::at(INFO, FaultKind::TimeOutBefore).times(1))
        .unwrap();
    project.follows(1).await;
    project.app.bridge.run(StepName::Process).await.unwrap();
    project.app.advance(Duration::from_secs(1));
    let step = tokio::spawn(async move { impatient.run(StepName::Profile).await.map(drop) });
    while project.calls(INFO) < 1 {
        tokio::task::yield_now().await;
    }
    // They leave while the question is open: nothing is to be asked for any more.
    project.world().unfollow(OA, 1).await.unwrap();
    project.app.bridge.run(StepName::Process).await.unwrap();
    step.await.unwrap().unwrap();
    let identity = project.identity(1).await;
    assert_eq!(
        (&identity["profile_due_at"], &identity["profile_state"]),
        (&json!(null), &json!("not_following")),
        "{identity}"
    );
    assert_eq!(identity["profile_error"], json!(null));
    project.pass(60, 10).await;
    assert_eq!(asks(&project), 1);
}
