//! Two openids of one person meet through the unionid, whichever comes first; and who unfollows
//! can be reached again once they follow again.

use queqiao::simulator::population;
use serde_json::{Value, json};

use super::{OA, Stage};

/// Whether a staff member can be reached, and if not, why.
async fn reach(stage: &Stage, staff_id: &str) -> (Value, Value) {
    let staff = stage
        .app
        .get(&stage.key, &format!("/staff/{staff_id}"))
        .await;
    let staff = staff.ok(200);
    (
        staff["reachable"].clone(),
        staff["accounts"][0]["reason"].clone(),
    )
}

async fn linked(stage: &Stage, person: u32) {
    let people = stage
        .people(&format!("unionid={}", population::unionid(person)))
        .await;
    assert_eq!(people.len(), 1, "{people:?}");
    assert_eq!(people[0]["link_state"], "linked", "{people:?}");
    assert_eq!(people[0]["identities"].as_array().unwrap().len(), 2);
}

both_engines! {
    either_side_may_come_first,
    who_unfollows_is_not_reached_until_they_follow_again,
}

async fn either_side_may_come_first(stage: Stage) {
    stage.logs_in(1).await;
    stage.follows(1).await;
    stage.app.drain().await;
    linked(&stage, 1).await;
    stage.follows(2).await;
    stage.app.drain().await;
    assert_eq!(stage.people("link_state=linked").await.len(), 1);
    stage.logs_in(2).await;
    linked(&stage, 2).await;
    // Both at once, and each twice.
    for _ in 0..2 {
        stage.follows(3).await;
        stage.logs_in(3).await;
    }
    stage.app.drain().await;
    linked(&stage, 3).await;
    assert_eq!(stage.people("").await.len(), 3);
}

async fn who_unfollows_is_not_reached_until_they_follow_again(stage: Stage) {
    stage.staff("s1", 1).await;
    assert_eq!(reach(&stage, "s1").await.0, true);
    stage.world().unfollow(OA, 1).await.unwrap();
    stage.app.drain().await;
    assert_eq!(
        reach(&stage, "s1").await,
        (json!(false), json!("not_following"))
    );
    let unionid = stage.identity(1).await["unionid"].clone();
    assert_eq!(
        unionid,
        population::unionid(1),
        "who they are is not forgotten"
    );
    let asked = json!({"message_type": "ping", "staff_ids": ["s1"], "params": {"title": "hi"}});
    let refused = stage
        .app
        .post(&stage.key, "/notifications", asked)
        .await
        .ok(202);
    assert_eq!(
        refused["verdicts"][0]["reason"], "not_following",
        "{refused}"
    );
    stage.app.drain().await;
    assert_eq!(stage.world().messages().len(), 0);
    stage.app.advance(std::time::Duration::from_secs(60));
    stage.follows(1).await;
    stage.app.drain().await;
    assert_eq!(reach(&stage, "s1").await.0, true);
    stage.notify("s1").await;
    stage.app.drain().await;
    assert_eq!(stage.world().messages().len(), 1);
}
