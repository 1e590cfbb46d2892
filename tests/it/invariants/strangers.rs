//! Only an openid that WeChat does not know is written off, and only when that is certain.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use queqiao::simulator::{Fault, FaultKind, Origin, population};
use serde_json::json;

use super::{BATCH, INFO, OA, TestProject};

const FOLLOWERS: u32 = 100;

fn refuse(project: &TestProject, errcode: i64, openid: Option<&str>) {
    for path in [INFO, BATCH] {
        let fault = Fault::at(path, FaultKind::Errcode { errcode });
        let fault = match openid {
            Some(openid) => fault.of(openid),
            None => fault,
        };
        project.world().add_fault(fault).unwrap();
    }
}

both_engines! {
    who_cannot_be_served_now_is_asked_for_again,
    what_is_said_of_everybody_writes_nobody_off,
    that_wechat_does_not_know_a_new_follower_is_doubted,
}

async fn who_cannot_be_served_now_is_asked_for_again(project: TestProject) {
    let codes = [50002, 43019, 70000, 42007, 48002];
    for (person, errcode) in (0..).step_by(10).zip(codes) {
        let refused = population::openid(OA, person + 3);
        refuse(&project, errcode, Some(&refused));
        for other in person..person + 10 {
            project.follows(other).await;
        }
        project.app.drain().await;
        for other in person..person + 10 {
            let expected = if other == person + 3 {
                "pending"
            } else {
                "complete"
            };
            let identity = project.identity(other).await;
            assert_eq!(identity["profile_state"], expected, "{errcode}: {identity}");
        }
        let identity = project.identity(person + 3).await;
        assert!(
            identity["profile_error"]
                .as_str()
                .unwrap()
                .contains(&errcode.to_string()),
            "{identity}"
        );
        assert!(
            identity["profile_due_at"].is_string(),
            "{errcode}: {identity}"
        );
        project.world().clear_faults();
        project.pass(10, 5).await;
        let identity = project.identity(person + 3).await;
        assert_eq!(
            identity["profile_state"], "complete",
            "{errcode}: {identity}"
        );
    }
}

async fn what_is_said_of_everybody_writes_nobody_off(project: TestProject) {
    for (errcode, hours) in [(50002, 24), (40003, 1)] {
        project
            .world()
            .add_followers(OA, 0..FOLLOWERS, &Origin::search())
            .unwrap();
        let path = format!("/accounts/{OA}/imports");
        let walk = json!({"reconcile": true, "refresh": true});
        project.app.post(&project.key, &path, walk).await.ok(202);
        project.app.drain().await;
        project.pass(3_600, 600).await;
        // The list is empty for a moment, and then everybody is refused.
        project.world().remove_followers(OA, 0..FOLLOWERS).unwrap();
        let started = project
            .app
            .post(&project.key, &path, json!({"reconcile": true}))
            .await
            .ok(202);
        project.app.bridge.run(StepName::Import).await.unwrap();
        project
            .world()
            .add_followers(OA, 0..FOLLOWERS, &Origin::search())
            .unwrap();
        refuse(&project, errcode, None);
        project.app.drain().await;
        project.pass(hours * 3_600, 1_800).await;
        let import = project
            .app
            .get(&project.key, &format!("/imports/{}", started["id"]))
            .await
            .ok(200);
        assert_eq!(
            (&import["state"], &import["gone"]),
            (&json!("done"), &json!(0)),
            "{errcode}: {import}"
        );
        project.world().clear_faults();
        project.pass(10_000, 2_000).await;
        let following = project.people("follow_state=following&limit=200").await;
        assert_eq!(following.len(), FOLLOWERS as usize, "{errcode}");
        for person in &following {
            let identity = &person["identities"][0];
            assert_eq!(
                identity["profile_state"], "complete",
                "{errcode}: {identity}"
            );
            assert_eq!(
                identity["profile_error"],
                json!(null),
                "{errcode}: {identity}"
            );
        }
    }
}

async fn that_wechat_does_not_know_a_new_follower_is_doubted(project: TestProject) {
    for (person, errcode) in [(1, 40003), (2, 46004), (3, 49003)] {
        refuse(&project, errcode, Some(&population::openid(OA, person)));
        project.follows(person).await;
        for seconds in [0, 5, 60] {
            project.app.advance(Duration::from_secs(seconds));
            project.app.drain().await;
            let identity = project.identity(person).await;
            assert_eq!(
                identity["profile_state"], "pending",
                "{errcode}: {identity}"
            );
            assert!(
                identity["profile_error"]
                    .as_str()
                    .unwrap()
                    .contains("asked again"),
                "{identity}"
            );
        }
        project.world().clear_faults();
        project.app.advance(Duration::from_secs(600));
        project.app.drain().await;
        let identity = project.identity(person).await;
        assert_eq!(
            identity["profile_state"], "complete",
            "{errcode}: {identity}"
        );
        assert_eq!(identity["profile_error"], json!(null));
    }
}
