//! A message that WeChat took and said nothing more about does not stay `sent` for ever.

use queqiao::simulator::{Arrival, Receipt, population};
use queqiao::wechat::push;
use serde_json::json;

use super::{OA, Stage};

/// WeChat's word on a message, later than it should be.
async fn tell(stage: &Stage, person: u32, msgid: &serde_json::Value, status: &'static str) {
    let msgid: i64 = msgid.as_str().unwrap().parse().unwrap();
    let now = stage.world().now() / 1000;
    let openid = population::openid(OA, person);
    let fields = push::event("gh_1", &openid, now, "TEMPLATESENDJOBFINISH");
    let fields = fields.with("MsgID", msgid).with("Status", status);
    let push = stage.world().push(OA, fields.into_owned()).await.unwrap();
    assert!(push.verdict.is_accepted(), "{push:?}");
    stage.app.drain().await;
}

both_engines! {
    a_message_without_a_receipt_says_so_and_a_late_one_still_counts,
    a_receipt_in_time_is_left_alone,
}

async fn a_message_without_a_receipt_says_so_and_a_late_one_still_counts(stage: Stage) {
    let lost = Receipt {
        arrival: Arrival::Lost,
        ..Receipt::default()
    };
    stage.world().set_receipt(OA, None, lost).unwrap();
    let mut paths = Vec::new();
    for (staff_id, person) in [("s1", 1), ("s2", 2), ("s3", 3)] {
        stage.staff(staff_id, person).await;
        paths.push(stage.notify(staff_id).await);
    }
    stage.app.drain().await;
    stage.pass(3_599, 3_599).await;
    for path in &paths {
        assert_eq!(stage.delivery(path).await["state"], "sent");
    }
    stage.pass(1, 1).await;
    for path in &paths {
        let delivery = stage.delivery(path).await;
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
    let counts = stage.app.get(&stage.key, "/notifications/1").await.ok(200);
    assert_eq!(counts["counts"]["no_receipt"], 1, "{counts}");
    for (at, person, status) in [(0, 1, "success"), (1, 2, "failed:user block")] {
        let msgid = stage.delivery(&paths[at]).await["msgid"].clone();
        tell(&stage, person, &msgid, status).await;
    }
    let delivered = stage.delivery(&paths[0]).await;
    assert_eq!(
        (
            &delivered["state"],
            &delivered["reason"],
            &delivered["detail"]
        ),
        (&json!("delivered"), &json!(null), &json!(null))
    );
    let failed = stage.delivery(&paths[1]).await;
    assert_eq!(
        (&failed["state"], &failed["reason"]),
        (&json!("failed"), &json!("receipt_failed"))
    );
    assert_eq!(stage.delivery(&paths[2]).await["state"], "no_receipt");
    stage.pass(90_000, 30_000).await;
    assert_eq!(
        stage.delivery(&paths[0]).await,
        delivered,
        "closed is closed"
    );
    assert_eq!(stage.world().messages().len(), 3);
}

async fn a_receipt_in_time_is_left_alone(stage: Stage) {
    stage.staff("s1", 1).await;
    let prompt = Receipt {
        arrival: Arrival::BeforeAnswer,
        ..Receipt::default()
    };
    stage.world().set_receipt(OA, None, prompt).unwrap();
    let path = stage.notify("s1").await;
    stage.pass(20, 5).await;
    let delivered = stage.delivery(&path).await;
    assert_eq!(delivered["state"], "delivered", "{delivered}");
    stage.pass(7_200, 3_600).await;
    assert_eq!(stage.delivery(&path).await, delivered);
}
