//! Two openids of one person meet through the unionid, whichever comes first; and who unfollows
//! can be reached again once they follow again.

use queqiao::simulator::population;
use serde_json::{Value, json};

use super::{OA, TestProject};

/// Whether a staff member can be reached, and if not, why.
async fn reach(project: &TestProject, staff_id: &str) -> (Value, Value) {
    let staff = project
        .app
        .get(&project.key, &format!("/staff/{staff_id}"))
        .await;
    let staff = staff.ok(200);
    (
        staff["reachable"].clone(),
        staff["accounts"][0]["reason"].clone(),
    )
}

async fn linked(project: &TestProject, person: u32) {
    let people = project
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

async fn either_side_may_come_first(project: TestProject) {
    project.logs_in(1).await;
    project.follows(1).await;
    project.app.drain().await;
    linked(&project, 1).await;
    project.follows(2).await;
    project.app.drain().await;
    assert_eq!(project.people("link_state=linked").await.len(), 1);
    project.logs_in(2).await;
    linked(&project, 2).await;
    // Both at once, and each twice.
    for _ in 0..2 {
        project.follows(3).await;
        project.logs_in(3).await;
    }
    project.app.drain().await;
    linked(&project, 3).await;
    assert_eq!(project.people("").await.len(), 3);
}

async fn who_unfollows_is_not_reached_until_they_follow_again(project: TestProject) {
    project.reachable("s1", 1).await;
    assert_eq!(reach(&project, "s1").await.0, true);
    project.world().unfollow(OA, 1).await.unwrap();
    project.app.drain().await;
    assert_eq!(
        reach(&project, "s1").await,
        (json!(false), json!("not_following"))
    );
    let unionid = project.identity(1).await["unionid"].clone();
    assert_eq!(
        unionid,
        population::unionid(1),
        "who they are is not forgotten"
    );
    let asked = json!({"message_type": "ping", "staff_ids": ["s1"], "params": {"title": "hi"}});
    let refused = project
        .app
        .post(&project.key, "/notifications", asked)
        .await
        .ok(202);
    assert_eq!(
        refused["verdicts"][0]["reason"], "not_following",
        "{refused}"
    );
    project.app.drain().await;
    assert_eq!(project.world().messages().len(), 0);
    project.app.advance(std::time::Duration::from_secs(60));
    project.follows(1).await;
    project.app.drain().await;
    assert_eq!(reach(&project, "s1").await.0, true);
    project.notify("s1").await;
    project.app.drain().await;
    assert_eq!(project.world().messages().len(), 1);
}
