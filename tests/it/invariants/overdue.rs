//! A message that WeChat took and said nothing more about does not stay `sent` for ever.

use queqiao::simulator::{Arrival, Receipt, population};
use queqiao::wechat::push;
use serde_json::json;

use super::{OA, TestProject};

/// WeChat's word on a message, later than it should be.
async fn tell(project: &TestProject, person: u32, msgid: &serde_json::Value, status: &'static str) {
    let msgid: i64 = msgid.as_str().unwrap().parse().unwrap();
    let now = project.world().now() / 1000;
    let openid = population::openid(OA, person);
    let fields = push::event("gh_1", &openid, now, "TEMPLATESENDJOBFINISH");
    let fields = fields.with("MsgID", msgid).with("Status", status);
    let push = project.world().push(OA, fields.into_owned()).await.unwrap();
    assert!(push.verdict.is_accepted(), "{push:?}");
    project.app.drain().await;
}

both_engines! {
    a_message_without_a_receipt_says_so_and_a_late_one_still_counts,
    a_receipt_in_time_is_left_alone,
}

async fn a_message_without_a_receipt_says_so_and_a_late_one_still_counts(project: TestProject) {
    let lost = Receipt {
        arrival: Arrival::Lost,
        ..Receipt::default()
    };
    project.world().set_receipt(OA, None, lost).unwrap();
    let mut paths = Vec::new();
    for (staff_id, person) in [("s1", 1), ("s2", 2), ("s3", 3)] {
        project.reachable(staff_id, person).await;
        paths.push(project.notify(staff_id).await);
    }
    project.app.drain().await;
    project.pass(3_599, 3_599).await;
    for path in &paths {
        assert_eq!(project.delivery(path).await["state"], "sent");
    }
    project.pass(1, 1).await;
    for path in &paths {
        let delivery = project.delivery(path).await;
        assert_eq!(
            (&delivery["state"], &delivery["reason"]),
            (&json!("no_receipt"), &json!("no_receipt"))
        );
        assert!(
            delivery["detail"]
                .as_str()
                .unwrap()
                .contains("may have arrived"),
            "{delivery}"
        );
        assert!(delivery["finished_at"].is_string(), "{delivery}");
    }
    let counts = project
        .app
        .get(&project.key, "/notifications/1")
        .await
        .ok(200);
    assert_eq!(counts["counts"]["no_receipt"], 1, "{counts}");
    for (at, person, status) in [(0, 1, "success"), (1, 2, "failed:user block")] {
        let msgid = project.delivery(&paths[at]).await["msgid"].clone();
        tell(&project, person, &msgid, status).await;
    }
    let delivered = project.delivery(&paths[0]).await;
    assert_eq!(
        (
            &delivered["state"],
            &delivered["reason"],
            &delivered["detail"]
        ),
        (&json!("delivered"), &json!(null), &json!(null))
    );
    let failed = project.delivery(&paths[1]).await;
    assert_eq!(
        (&failed["state"], &failed["reason"]),
        (&json!("failed"), &json!("receipt_failed"))
    );
    assert_eq!(project.delivery(&paths[2]).await["state"], "no_receipt");
    project.pass(90_000, 30_000).await;
    assert_eq!(
        project.delivery(&paths[0]).await,
        delivered,
        "closed is closed"
    );
    assert_eq!(project.world().messages().len(), 3);
}

async fn a_receipt_in_time_is_left_alone(project: TestProject) {
    project.reachable("s1", 1).await;
    let prompt = Receipt {
        arrival: Arrival::BeforeAnswer,
        ..Receipt::default()
    };
    project.world().set_receipt(OA, None, prompt).unwrap();
    let path = project.notify("s1").await;
    project.pass(20, 5).await;
    let delivered = project.delivery(&path).await;
    assert_eq!(delivered["state"], "delivered", "{delivered}");
    project.pass(7_200, 3_600).await;
    assert_eq!(project.delivery(&path).await, delivered);
}
