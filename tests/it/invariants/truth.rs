//! Who follows is what WeChat says last, and not one answer that is wrong or late.

use std::time::Duration;

use queqiao::simulator::{Fault, FaultKind, LateProfile, Origin, World, population};
use queqiao::wechat::fields::Fields;
use queqiao::wechat::push;
use serde_json::{Value, json};

use super::{BATCH, INFO, OA, SEND, Stage};

fn asks(stage: &Stage) -> u64 {
    stage.calls(INFO) + stage.calls(BATCH)
}

fn late(stage: &Stage, person: Option<u32>, asks: u32, seconds: i64) {
    let rule = LateProfile {
        person,
        asks,
        seconds,
    };
    stage.world().set_late_profile(OA, rule).unwrap();
}

fn refuse(world: &World, person: u32, errcode: i64, times: u32) {
    let fault = Fault::at(SEND, FaultKind::Errcode { errcode }).of(&population::openid(OA, person));
    world.add_fault(fault.times(times)).unwrap();
}

/// Leaves, and nothing is pushed.
fn leaves_unseen(stage: &Stage, person: u32) {
    stage
        .world()
        .remove_followers(OA, person..person + 1)
        .unwrap();
}

fn comes_back_unseen(stage: &Stage, person: u32) {
    stage
        .world()
        .add_followers(OA, person..person + 1, &Origin::search())
        .unwrap();
}

async fn follow_state(stage: &Stage, person: u32) -> String {
    stage.identity(person).await["follow_state"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn refused_once(stage: &Stage, path: &str) -> Value {
    stage.app.drain().await;
    stage.delivery(path).await
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

async fn a_profile_that_is_behind_is_asked_again_and_costs_nobody_their_place(stage: Stage) {
    late(&stage, None, 2, 0);
    stage.follows(1).await;
    stage.app.drain().await;
    let identity = stage.identity(1).await;
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
    assert_eq!(asks(&stage), 1);
    stage.app.advance(Duration::from_secs(5));
    stage.app.drain().await;
    assert_eq!(
        (asks(&stage), follow_state(&stage, 1).await.as_str()),
        (2, "following")
    );
    stage.app.advance(Duration::from_secs(59));
    stage.app.drain().await;
    assert_eq!(asks(&stage), 2, "not before its time");
    stage.app.advance(Duration::from_secs(1));
    stage.app.drain().await;
    let identity = stage.identity(1).await;
    assert_eq!(
        (&identity["follow_state"], &identity["profile_state"]),
        (&json!("following"), &json!("complete"))
    );
    assert_eq!(
        (&identity["unionid"], &identity["profile_error"]),
        (&json!(population::unionid(1)), &json!(null))
    );
    stage.pass(3_600, 600).await;
    assert_eq!(asks(&stage), 3);
}

async fn the_last_answer_counts_and_many_are_asked_together(stage: Stage) {
    late(&stage, None, 0, 10_000);
    for person in 0..30 {
        stage.follows(person).await;
    }
    for seconds in [0, 5, 60] {
        stage.app.advance(Duration::from_secs(seconds));
        stage.app.drain().await;
        assert_eq!(follow_state(&stage, 7).await, "following");
    }
    assert_eq!(stage.calls(BATCH), 3);
    // They leave by an event: nothing is in doubt any more.
    stage.world().unfollow(OA, 3).await.unwrap();
    stage.app.drain().await;
    assert_eq!(follow_state(&stage, 3).await, "not_following");
    // Another follows again meanwhile, and is asked about from the beginning.
    stage.world().unfollow(OA, 4).await.unwrap();
    stage.app.advance(Duration::from_secs(1));
    stage.follows(4).await;
    stage.app.drain().await;
    stage.app.advance(Duration::from_secs(600));
    stage.app.drain().await;
    assert_eq!(follow_state(&stage, 7).await, "not_following");
    assert_eq!(
        follow_state(&stage, 4).await,
        "following",
        "of a later follow"
    );
    let asked = asks(&stage);
    stage.pass(60, 60).await;
    assert!(asks(&stage) > asked, "still asked about");
}

async fn a_follow_of_long_ago_is_not_in_doubt(stage: Stage) {
    stage.staff("s1", 1).await;
    stage.app.advance(Duration::from_secs(3_600));
    leaves_unseen(&stage, 1);
    let path = stage.notify("s1").await;
    stage.app.drain().await;
    let delivery = stage.delivery(&path).await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("failed"), &json!("not_following"))
    );
    assert_eq!(follow_state(&stage, 1).await, "not_following");
    assert_eq!(
        stage.calls(SEND),
        2,
        "as WeChat's profile may be wrong as well, once more"
    );
}

async fn one_wrong_refusal_loses_neither_the_person_nor_the_message(stage: Stage) {
    for (person, (errcode, wait)) in (1..).zip([
        (43004, 0),
        (43005, 0),
        (50005, 0),
        (43004, 3_600),
        (50005, 3_600),
    ]) {
        let staff = format!("s{person}");
        stage.staff(&staff, person).await;
        stage.app.advance(Duration::from_secs(wait));
        refuse(stage.world(), person, errcode, 1);
        let before = asks(&stage);
        let path = stage.notify(&staff).await;
        let delivery = refused_once(&stage, &path).await;
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
        assert_eq!(asks(&stage), before + 1, "the profile was asked for");
        assert_eq!(follow_state(&stage, person).await, "following");
        let openid = population::openid(OA, person);
        assert_eq!(stage.world().messages_to(&openid).len(), 1, "and seen once");
    }
}

async fn refusal_and_profile_may_both_be_behind_a_follow(stage: Stage) {
    stage.staff("s1", 1).await;
    late(&stage, Some(1), 2, 0);
    refuse(stage.world(), 1, 43004, 2);
    let path = stage.notify("s1").await;
    let delivery = refused_once(&stage, &path).await;
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
    assert_eq!(follow_state(&stage, 1).await, "following");
    stage.pass(80, 5).await;
    let delivery = stage.delivery(&path).await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    assert_eq!(delivery["attempts"].as_array().unwrap().len(), 3);
    assert_eq!(follow_state(&stage, 1).await, "following");
}

async fn who_really_left_is_known_in_the_end_and_the_message_fails(stage: Stage) {
    stage.staff("s1", 1).await;
    leaves_unseen(&stage, 1);
    let path = stage.notify("s1").await;
    stage.app.drain().await;
    assert_eq!(
        follow_state(&stage, 1).await,
        "following",
        "of a moment ago"
    );
    stage.pass(900, 5).await;
    let delivery = stage.delivery(&path).await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("failed"), &json!("not_following"))
    );
    assert_eq!(follow_state(&stage, 1).await, "not_following");
    assert!(
        delivery["attempts"].as_array().unwrap().len() <= 4,
        "{delivery}"
    );
    let calls = (asks(&stage), stage.calls(SEND));
    stage.pass(7_200, 600).await;
    assert_eq!((asks(&stage), stage.calls(SEND)), calls, "and that is all");
}

async fn what_somebody_does_who_counts_as_gone_is_asked_about(stage: Stage) {
    let world = stage.world();
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
        stage.follows(person).await;
        stage.app.drain().await;
        world.unfollow(OA, person).await.unwrap();
        stage.app.advance(Duration::from_secs(2));
        stage.app.drain().await;
        assert_eq!(follow_state(&stage, person).await, "not_following");
        let asked = asks(&stage);
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
        stage.app.drain().await;
        assert_eq!(asks(&stage), asked);
        // The follow after it got lost.
        comes_back_unseen(&stage, person);
        world.push(OA, act(person, at())).await.unwrap();
        stage.app.drain().await;
        assert_eq!(asks(&stage), asked + 1, "{person}");
        let identity = stage.identity(person).await;
        assert_eq!(
            (&identity["follow_state"], &identity["profile_state"]),
            (&json!("following"), &json!("complete")),
            "{identity}"
        );
    }
    // A text of somebody who follows costs no question; one of somebody who is gone says so again.
    let asked = asks(&stage);
    world.send_text(OA, 1, "hello").await.unwrap();
    stage.app.drain().await;
    assert_eq!(asks(&stage), asked);
    world.unfollow(OA, 1).await.unwrap();
    stage.app.advance(Duration::from_secs(2));
    world.send_text(OA, 1, "hello").await.unwrap();
    stage.app.drain().await;
    assert_eq!(
        (asks(&stage), follow_state(&stage, 1).await.as_str()),
        (asked + 1, "not_following")
    );
}

async fn what_was_done_before_somebody_left_is_no_sign_that_they_are_there(stage: Stage) {
    stage.follows(1).await;
    stage.app.drain().await;
    let world = stage.world();
    world.hold_pushes(OA).unwrap();
    let text = world.send_text(OA, 1, "bye");
    text.await.unwrap();
    stage.app.advance(Duration::from_secs(5));
    world.unfollow(OA, 1).await.unwrap();
    let asked = asks(&stage);
    world
        .release_pushes(OA, queqiao::simulator::PushOrder::Reverse)
        .await
        .unwrap();
    stage.app.drain().await;
    assert_eq!(
        (asks(&stage), follow_state(&stage, 1).await.as_str()),
        (asked, "not_following")
    );
}

async fn refusals_do_not_hurry_the_questions_about_a_doubtful_answer(stage: Stage) {
    stage.staff("s1", 1).await;
    stage.world().unfollow(OA, 1).await.unwrap();
    stage.app.advance(Duration::from_secs(2));
    stage.app.drain().await;
    late(&stage, Some(1), 0, 30);
    stage.follows(1).await;
    stage.app.drain().await;
    let asked = asks(&stage);
    refuse(stage.world(), 1, 43004, 4);
    let mut paths = Vec::new();
    for _ in 0..4 {
        paths.push(stage.notify("s1").await);
        stage.app.drain().await;
        assert_eq!(follow_state(&stage, 1).await, "following");
    }
    assert_eq!(asks(&stage), asked, "the next question has its time");
    stage.pass(90, 5).await;
    assert_eq!(follow_state(&stage, 1).await, "following");
    for path in paths {
        let delivery = stage.delivery(&path).await;
        assert_eq!(delivery["state"], "delivered", "{delivery}");
    }
}

async fn an_event_counts_more_than_a_fetch_that_fails_behind_it(stage: Stage) {
    let (impatient, _server) = stage.impatient();
    stage
        .world()
        .add_fault(Fault::at(INFO, FaultKind::TimeOutBefore).times(1))
        .unwrap();
    stage.follows(1).await;
    stage.app.bridge.process_step().await.unwrap();
    stage.app.advance(Duration::from_secs(1));
    let step = tokio::spawn(async move { impatient.profile_step().await.map(drop) });
    while stage.calls(INFO) < 1 {
        tokio::task::yield_now().await;
    }
    // They leave while the question is open: nothing is to be asked for any more.
    stage.world().unfollow(OA, 1).await.unwrap();
    stage.app.bridge.process_step().await.unwrap();
    step.await.unwrap().unwrap();
    let identity = stage.identity(1).await;
    assert_eq!(
        (&identity["profile_due_at"], &identity["profile_state"]),
        (&json!(null), &json!("not_following")),
        "{identity}"
    );
    assert_eq!(identity["profile_error"], json!(null));
    stage.pass(60, 10).await;
    assert_eq!(asks(&stage), 1);
}
