//! When the templates of an account are listed, and what becomes of a listing that fails.

use std::time::Duration;

use queqiao::bridge::Step;
use queqiao::simulator::{Fault, FaultKind};
use serde_json::{Value, json};

use super::super::{FOREIGN, OA, Two};
use super::{HOUR, route, template};

const PRIVATE: &str = "/cgi-bin/template/get_all_private_template";

impl Two {
    fn listings(&self, app_id: &str) -> u64 {
        self.world().calls(PRIVATE, Some(app_id)).unwrap()
    }
}

both_engines! {
    accounts_that_message_types_name_are_listed_on_a_schedule,
    a_refusal_is_told_in_words_and_kept_until_a_listing_works,
    an_answer_that_is_no_list_makes_nothing_look_gone,
}

async fn accounts_that_message_types_name_are_listed_on_a_schedule(two: Two) {
    let (bridge, clock) = (&two.app.bridge, &two.app.clock);
    assert_eq!(bridge.template_step().await.unwrap(), Step::Idle);
    two.put_type("ping", route("A", &["thing1"])).await;
    let (other, _server) = two.app.replica();
    let steps = tokio::join!(bridge.template_step(), other.template_step());
    assert!(steps.0.is_ok() && steps.1.is_ok());
    assert_eq!(
        two.listings(OA),
        1,
        "once for both replicas, and soon after it was named"
    );
    assert_eq!(bridge.template_step().await.unwrap(), Step::Idle);
    let sync = two.templates(OA).await["sync"].clone();
    assert_eq!(sync["synced_at"], json!(clock.now().and_utc()));
    let next: chrono::DateTime<chrono::Utc> =
        serde_json::from_value(sync["next_at"].clone()).unwrap();
    let rest = (next - clock.now().and_utc()).num_minutes();
    assert!(
        (323..=397).contains(&rest),
        "six hours, a tenth to either side: {rest}"
    );
    two.app.advance(5 * HOUR);
    assert_eq!(bridge.template_step().await.unwrap(), Step::Idle);
    // A new message type is checked soon, and many of them in one listing.
    for name in ["a", "b", "c"] {
        two.put_type(name, route("A", &["thing1"])).await;
    }
    assert_eq!(bridge.template_step().await.unwrap(), Step::Worked);
    assert_eq!(bridge.template_step().await.unwrap(), Step::Idle);
    two.put_type("d", route("A", &["thing1"])).await;
    assert_eq!(
        bridge.template_step().await.unwrap(),
        Step::Idle,
        "not within the same minute"
    );
    two.app.advance(Duration::from_secs(61));
    assert_eq!(bridge.template_step().await.unwrap(), Step::Worked);
    assert_eq!((two.listings(OA), two.listings(FOREIGN)), (3, 0));
    for name in ["a", "b", "c", "d", "ping"] {
        two.app
            .delete(&two.key, &format!("/message-types/{name}"))
            .await;
    }
    two.app.advance(8 * HOUR);
    assert_eq!(bridge.template_step().await.unwrap(), Step::Worked);
    assert_eq!(bridge.template_step().await.unwrap(), Step::Idle);
    assert_eq!(two.listings(OA), 3, "nobody names it any more");
    assert_eq!(two.templates(OA).await["sync"]["next_at"], Value::Null);
}

async fn a_refusal_is_told_in_words_and_kept_until_a_listing_works(two: Two) {
    two.put_type("ping", route("A", &["thing1"])).await;
    let sync = format!("/accounts/{OA}/templates/sync");
    for (errcode, status, code, words, next) in [
        (48001, 502, "wechat_refused", "no permission", 323..=397),
        (45009, 503, "wechat_busy", "daily limit", 323..=397),
        (-1, 503, "wechat_unreachable", "busy", 0..=5),
    ] {
        two.world()
            .add_fault(Fault::at(PRIVATE, FaultKind::Errcode { errcode }))
            .unwrap();
        let refused = two.app.call("POST", &two.key, &sync, None).await;
        let problem = refused.refused(status, code, "");
        let shown = two.templates(OA).await["sync"].clone();
        for text in [&problem["detail"], &shown["problem"]["text"]] {
            let text = text.as_str().unwrap();
            assert!(
                text.contains(words) && text.contains(&errcode.to_string()),
                "{text}"
            );
        }
        assert_eq!(
            (&shown["problem"]["code"], &shown["synced_at"]),
            (&json!(errcode), &Value::Null)
        );
        let at: chrono::DateTime<chrono::Utc> =
            serde_json::from_value(shown["next_at"].clone()).unwrap();
        let rest = (at - two.app.clock.now().and_utc()).num_minutes();
        assert!(next.contains(&rest), "{errcode}: {rest}");
        two.world().clear_faults();
    }
    assert_eq!(
        two.problems("ping").await,
        [],
        "nothing is said of what is not known"
    );
    two.app.advance(Duration::from_secs(300));
    assert_eq!(two.app.bridge.template_step().await.unwrap(), Step::Worked);
    assert_eq!(two.templates(OA).await["sync"]["problem"], Value::Null);
    // The schedule meets a refusal without failing.
    two.world()
        .add_fault(Fault::at(PRIVATE, FaultKind::Errcode { errcode: 48001 }))
        .unwrap();
    two.app.advance(7 * HOUR);
    assert_eq!(two.app.bridge.template_step().await.unwrap(), Step::Worked);
    assert_eq!(two.app.bridge.template_step().await.unwrap(), Step::Idle);
    assert_eq!(two.templates(OA).await["sync"]["problem"]["code"], 48001);
}

async fn an_answer_that_is_no_list_makes_nothing_look_gone(two: Two) {
    two.world()
        .add_template(OA, &template("A", "{{thing1.DATA}}"))
        .unwrap();
    two.sync(OA).await;
    for kind in [
        FaultKind::Errcode { errcode: 0 },
        FaultKind::HttpError { status: 502 },
    ] {
        two.world().add_fault(Fault::at(PRIVATE, kind)).unwrap();
        let path = format!("/accounts/{OA}/templates/sync");
        let refused = two.app.call("POST", &two.key, &path, None).await;
        refused.refused(503, "wechat_unreachable", "");
        two.world().clear_faults();
    }
    let found = two.templates(OA).await;
    assert_eq!(
        (&found["items"][0]["drift"], &found["items"][0]["gone_at"]),
        (&Value::Null, &Value::Null)
    );
}
