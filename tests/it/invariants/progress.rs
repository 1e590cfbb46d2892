//! What a notification's progress says is what its deliveries are, also where it is large.

use serde_json::{Value, json};

use super::TestProject;

async fn counts(project: &TestProject, id: &Value) -> Value {
    let path = format!("/notifications/{id}");
    let whole = project.app.get(&project.key, &path).await.ok(200);
    let counts = whole["counts"].as_object().unwrap().iter();
    counts
        .filter(|(_, count)| **count != json!(0))
        .map(|(state, count)| (state.clone(), count.clone()))
        .collect()
}

both_engines! {
    a_large_notification_is_followed_from_the_request_to_its_end,
}

async fn a_large_notification_is_followed_from_the_request_to_its_end(project: TestProject) {
    for (staff_id, person) in [("s1", 1), ("s2", 2), ("s3", 3)] {
        project.reachable(staff_id, person).await;
    }
    let nobody = (0..500).map(|number| format!("nobody-{number}"));
    let staff_ids: Vec<String> = ["s1", "s2", "s3"]
        .map(str::to_owned)
        .into_iter()
        .chain(nobody)
        .collect();
    let body = json!({"message_type": "ping", "staff_ids": staff_ids, "params": {"title": "hi"}});
    let accepted = project
        .app
        .post(&project.key, "/notifications", body.clone())
        .await
        .ok(202);
    let id = &accepted["id"];
    assert_eq!(
        counts(&project, id).await,
        json!({"queued": 3, "unreachable": 500})
    );
    project.app.drain().await;
    assert_eq!(
        counts(&project, id).await,
        json!({"delivered": 3, "unreachable": 500})
    );
    // One of those who could not be reached can be by now.
    project.reachable("nobody-7", 7).await;
    let retry = json!({"notification_id": id, "state": "unreachable", "limit": 1000});
    project
        .app
        .post(&project.key, "/deliveries/retry", retry)
        .await
        .ok(202);
    project.app.drain().await;
    assert_eq!(
        counts(&project, id).await,
        json!({"delivered": 4, "unreachable": 499})
    );
    let second = project
        .app
        .post(&project.key, "/notifications", body)
        .await
        .ok(202);
    let cancel = format!("/notifications/{}/cancel", second["id"]);
    let cancelled = project
        .app
        .post(&project.key, &cancel, json!({}))
        .await
        .ok(200);
    assert_eq!(cancelled["counts"]["cancelled"], 4, "{cancelled}");
    assert_eq!(
        counts(&project, &second["id"]).await,
        json!({"cancelled": 4, "unreachable": 499})
    );
}
