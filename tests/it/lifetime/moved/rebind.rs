//! Who is bound again by the unionid they have now, and who keeps the old one with a reason.

use std::time::Duration;

use queqiao::simulator::population;
use serde_json::{Value, json};

use super::super::{MP, OA, TestProject, account, comes_back};
use super::{SECOND, move_all, new, refresh};
use crate::invariants::INFO;

async fn explain(project: &TestProject, staff_id: &str) -> Value {
    let path = format!("/staff/{staff_id}/explain");
    project.app.get(&project.key, &path).await.ok(200)
}

fn steps(story: &Value) -> Vec<String> {
    let steps = story["next_steps"].as_array().unwrap();
    steps
        .iter()
        .map(|step| step.as_str().unwrap().to_owned())
        .collect()
}

async fn rebind(project: &TestProject, app_id: &str) -> Value {
    let path = format!("/accounts/{app_id}/moved/rebind");
    let answer = project.app.call("POST", &project.key, &path, None).await;
    answer.ok(200)
}

both_engines! {
    staff_bound_by_an_old_unionid_are_found_explained_and_bound_again,
    nobody_is_bound_again_where_it_is_not_certain,
    whoever_gets_the_old_unionid_back_is_nobody_to_warn_of,
    an_account_that_stays_keeps_its_bindings,
}

async fn staff_bound_by_an_old_unionid_are_found_explained_and_bound_again(project: TestProject) {
    project.reachable("m1", 1).await;
    project.logs_in(1).await;
    project.reachable("m2", 2).await;
    assert_eq!(account(&project, OA).await["moved"], Value::Null);
    let asked = project.calls(INFO);
    let old = population::unionid(1);
    move_all(&project);
    let new = new(&project, 1);
    assert_ne!(new, old);
    project.app.advance(Duration::from_secs(60));
    // The login tells it: the person is split in two, and somebody is warned.
    project.logs_in(1).await;
    let mini = account(&project, MP).await["moved"].clone();
    assert_eq!(
        (&mini["changed"], &mini["staff"]),
        (&json!(1), &json!(1)),
        "{mini}"
    );
    assert!(
        mini["since"].is_string() && mini["detail"].as_str().unwrap().contains("--refresh"),
        "{mini}"
    );
    assert_eq!(
        account(&project, OA).await["moved"],
        Value::Null,
        "nothing was heard of it"
    );
    let story = explain(&project, "m1").await;
    assert_eq!(
        (
            &story["unionid"]["unionid"],
            &story["unionid"]["replaced_by"]
        ),
        (&json!(old), &json!(new))
    );
    let told = steps(&story);
    assert!(
        told[0].contains(&format!(
            "POST /accounts/{OA}/imports {{\"refresh\": true}}"
        )),
        "{told:?}"
    );
    assert!(
        told[1].contains(&old)
            && told[1].contains(&new)
            && told[1].contains(&format!("POST /accounts/{MP}/moved/rebind")),
        "{told:?}"
    );
    assert!(
        !told
            .iter()
            .any(|step| step.contains("log in") || step.contains("follow account")),
        "{told:?}"
    );
    // Whoever has not been heard of yet is as before.
    assert!(steps(&explain(&project, "m2").await)[0].starts_with("Nothing"));
    refresh(&project).await;
    assert!(
        project.calls(INFO) + project.calls(crate::invariants::BATCH) > asked,
        "the profiles were asked for"
    );
    assert_eq!(project.identity(1).await["unionid"], new);
    let people = project.people(&format!("unionid={new}")).await;
    assert_eq!(
        (people.len(), &people[0]["link_state"]),
        (1, &json!("linked")),
        "one person again"
    );
    let official = account(&project, OA).await["moved"].clone();
    assert_eq!(
        (&official["changed"], &official["staff"]),
        (&json!(2), &json!(2))
    );
    for staff_id in ["m1", "m2"] {
        let told = steps(&explain(&project, staff_id).await);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains(&format!("POST /accounts/{OA}/moved/rebind")),
            "{told:?}"
        );
    }
    let moved = project
        .app
        .all_pages(&project.key, &format!("/accounts/{OA}/moved"), 1)
        .await;
    let shown: Vec<_> = moved
        .iter()
        .map(|one| (&one["staff_id"], &one["unionid"], &one["new_unionid"]))
        .collect();
    let expected = [
        (json!("m1"), json!(old), json!(new)),
        (
            json!("m2"),
            json!(population::unionid(2)),
            json!(project.world().unionid(OA, 2).unwrap()),
        ),
    ];
    assert_eq!(
        shown,
        expected
            .iter()
            .map(|one| (&one.0, &one.1, &one.2))
            .collect::<Vec<_>>()
    );
    assert_eq!(moved[0]["seen"].as_array().unwrap().len(), 2, "{moved:?}");
    let done = rebind(&project, OA).await;
    assert_eq!(
        (&done["rebound"], &done["kept"]),
        (&json!(2), &json!(0)),
        "{done}"
    );
    assert_eq!(rebind(&project, OA).await["rebound"], 0, "once is enough");
    for staff_id in ["m1", "m2"] {
        assert!(steps(&explain(&project, staff_id).await)[0].starts_with("Nothing"));
    }
    project.notify("m1").await;
    project.app.drain().await;
    assert_eq!(project.world().messages().len(), 1);
    // The warning passes when it is long over and nobody is left.
    assert_eq!(account(&project, OA).await["moved"]["staff"], 0);
    project.app.advance(Duration::from_secs(31 * 86_400));
    assert_eq!(account(&project, OA).await["moved"], Value::Null);
}

async fn nobody_is_bound_again_where_it_is_not_certain(project: TestProject) {
    project.reachable("two", 1).await;
    project.logs_in(1).await;
    project.reachable("taken", 2).await;
    project.reachable("late", 3).await;
    // One account moves here, the other there.
    for (app_id, name) in [(OA, "here"), (MP, "there")] {
        project
            .world()
            .change_account(app_id, |settings| {
                name.clone_into(&mut settings.open_platform);
            })
            .unwrap();
    }
    project
        .staff("other")
        .bound_to(json!({"unionid": new(&project, 2)}))
        .await;
    // They have bound themselves already.
    let bind = json!({"unionid": new(&project, 3)});
    project.bind("late", bind).await;
    project.logs_in(1).await;
    refresh(&project).await;
    let done = rebind(&project, OA).await;
    assert_eq!(
        (&done["rebound"], &done["kept"]),
        (&json!(1), &json!(2)),
        "{done}"
    );
    let kept: Vec<_> = done["kept_bindings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["staff_id"].as_str().unwrap(),
                one["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        kept,
        [
            ("two", "several_unionids"),
            ("taken", "person_already_bound")
        ]
    );
    let late = project.app.get(&project.key, "/staff/late").await.ok(200);
    assert_eq!(late["bindings"].as_array().unwrap().len(), 1, "{late}");
    assert_eq!(late["bindings"][0]["unionid"], new(&project, 3));
    let step = &steps(&explain(&project, "two").await)[0];
    assert!(
        step.contains(" or ") && step.contains("DELETE /staff/two/bindings/"),
        "{step}"
    );
    let unknown = project
        .app
        .call(
            "POST",
            &project.key,
            "/accounts/wx00000000000000ff/moved/rebind",
            None,
        )
        .await;
    unknown.refused(404, "not_found", "");
}

async fn whoever_gets_the_old_unionid_back_is_nobody_to_warn_of(project: TestProject) {
    project.reachable("m1", 1).await;
    move_all(&project);
    comes_back(&project, 1).await;
    assert_eq!(account(&project, OA).await["moved"]["staff"], 1);
    project
        .world()
        .change_account(OA, |settings| settings.open_platform.clear())
        .unwrap();
    comes_back(&project, 1).await;
    assert_eq!(account(&project, OA).await["moved"]["staff"], 0);
    assert!(steps(&explain(&project, "m1").await)[0].starts_with("Nothing"));
    assert_eq!(rebind(&project, OA).await["rebound"], 0);
}

async fn an_account_that_stays_keeps_its_bindings(project: TestProject) {
    project.reachable("s1", 1).await;
    project.logs_in(1).await;
    let old = population::unionid(1);
    // Only the official account moves.
    project
        .world()
        .change_account(OA, |settings| {
            SECOND.clone_into(&mut settings.open_platform);
        })
        .unwrap();
    refresh(&project).await;
    let new = new(&project, 1);
    let done = rebind(&project, OA).await;
    assert_eq!(
        (&done["rebound"], &done["kept"]),
        (&json!(0), &json!(1)),
        "{done}"
    );
    let kept = &done["kept_bindings"][0];
    assert_eq!(
        (&kept["staff_id"], &kept["reason"]),
        (&json!("s1"), &json!("still_in_use")),
        "{kept}"
    );
    assert!(kept["detail"].as_str().unwrap().contains(&new), "{kept}");
    let staff = project.app.get(&project.key, "/staff/s1").await.ok(200);
    assert_eq!(staff["bindings"][0]["unionid"], old, "{staff}");
    // What it says works: both ways lead to them then.
    project.bind("s1", json!({"unionid": new})).await;
    project.notify("s1").await;
    project.app.drain().await;
    assert_eq!(project.world().messages().len(), 1);
    // Once the mini-program has moved as well and tells so, nothing is in the way.
    project
        .world()
        .change_account(MP, |settings| {
            SECOND.clone_into(&mut settings.open_platform);
        })
        .unwrap();
    project.logs_in(1).await;
    rebind(&project, OA).await;
    let staff = project.app.get(&project.key, "/staff/s1").await.ok(200);
    assert_eq!(
        (
            staff["bindings"].as_array().unwrap().len(),
            &staff["bindings"][0]["unionid"]
        ),
        (1, &json!(new)),
        "{staff}"
    );
}
