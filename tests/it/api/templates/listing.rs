//! When the templates of an account are listed, and what becomes of a listing that fails.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use queqiao::bridge::Step;
use queqiao::simulator::{Fault, FaultKind};
use serde_json::{Value, json};

use super::super::{ApiFixture, FOREIGN, OA};
use super::{HOUR, route, template};

const PRIVATE: &str = "/cgi-bin/template/get_all_private_template";

impl ApiFixture {
    fn listings(&self, app_id: &str) -> u64 {
        self.world().calls(PRIVATE, Some(app_id)).unwrap()
    }
}

both_engines! {
    accounts_that_message_types_name_are_listed_on_a_schedule,
    a_refusal_is_told_in_words_and_kept_until_a_listing_works,
    an_answer_that_is_no_list_makes_nothing_look_gone,
}

async fn accounts_that_message_types_name_are_listed_on_a_schedule(api: ApiFixture) {
    let (bridge, clock) = (&api.app.bridge, &api.app.clock);
    assert_eq!(bridge.run(StepName::Templates).await.unwrap(), Step::Idle);
    api.put_type("ping", route("A", &["thing1"])).await;
    let (other, _server) = api.app.replica();
    let steps = tokio::join!(
        bridge.run(StepName::Templates),
        other.run(StepName::Templates)
    );
    assert!(steps.0.is_ok() && steps.1.is_ok());
    assert_eq!(
        api.listings(OA),
        1,
        "once for both replicas, and soon after it was named"
    );
    assert_eq!(bridge.run(StepName::Templates).await.unwrap(), Step::Idle);
    let sync = api.templates(OA).await["sync"].clone();
    assert_eq!(sync["synced_at"], json!(clock.now().and_utc()));
    let next: chrono::DateTime<chrono::Utc> =
        serde_json::from_value(sync["next_at"].clone()).unwrap();
    let rest = (next - clock.now().and_utc()).num_minutes();
    assert!(
        (323..=397).contains(&rest),
        "six hours, a tenth to either side: {rest}"
    );
    api.app.advance(5 * HOUR);
    assert_eq!(bridge.run(StepName::Templates).await.unwrap(), Step::Idle);
    // A new message type is checked soon, and many of them in one listing.
    for name in ["a", "b", "c"] {
        api.put_type(name, route("A", &["thing1"])).await;
    }
    assert_eq!(bridge.run(StepName::Templates).await.unwrap(), Step::Worked);
    assert_eq!(bridge.run(StepName::Templates).await.unwrap(), Step::Idle);
    api.put_type("d", route("A", &["thing1"])).await;
    assert_eq!(
        bridge.run(StepName::Templates).await.unwrap(),
        Step::Idle,
        "not within the same minute"
    );
    api.app.advance(Duration::from_secs(61));
    assert_eq!(bridge.run(StepName::Templates).await.unwrap(), Step::Worked);
    assert_eq!((api.listings(OA), api.listings(FOREIGN)), (3, 0));
    for name in ["a", "b", "c", "d", "ping"] {
        api.app
            .delete(&api.key, &format!("/message-types/{name}"))
            .await;
    }
    api.app.advance(8 * HOUR);
    assert_eq!(bridge.run(StepName::Templates).await.unwrap(), Step::Worked);
    assert_eq!(bridge.run(StepName::Templates).await.unwrap(), Step::Idle);
    assert_eq!(api.listings(OA), 3, "nobody names it any more");
    assert_eq!(api.templates(OA).await["sync"]["next_at"], Value::Null);
}

async fn a_refusal_is_told_in_words_and_kept_until_a_listing_works(api: ApiFixture) {
    api.put_type("ping", route("A", &["thing1"])).await;
    let sync = format!("/accounts/{OA}/templates/sync");
    for (errcode, status, code, words, next) in [
        (48001, 502, "wechat_refused", "no permission", 323..=397),
        (45009, 503, "wechat_busy", "daily limit", 323..=397),
        (-1, 503, "wechat_unreachable", "busy", 0..=5),
    ] {
        api.world()
            .add_fault(Fault::at(PRIVATE, FaultKind::Errcode { errcode }))
            .unwrap();
        let refused = api.app.call("POST", &api.key, &sync, None).await;
        let problem = refused.refused(status, code, "");
        let shown = api.templates(OA).await["sync"].clone();
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
        let rest = (at - api.app.clock.now().and_utc()).num_minutes();
        assert!(next.contains(&rest), "{errcode}: {rest}");
        api.world().clear_faults();
    }
    assert_eq!(
        api.problems("ping").await,
        [],
        "nothing is said of what is not known"
    );
    api.app.advance(Duration::from_secs(300));
    assert_eq!(
        api.app.bridge.run(StepName::Templates).await.unwrap(),
        Step::Worked
    );
    assert_eq!(api.templates(OA).await["sync"]["problem"], Value::Null);
    // The schedule meets a refusal without failing.
    api.world()
        .add_fault(Fault::at(PRIVATE, FaultKind::Errcode { errcode: 48001 }))
        .unwrap();
    api.app.advance(7 * HOUR);
    assert_eq!(
        api.app.bridge.run(StepName::Templates).await.unwrap(),
        Step::Worked
    );
    assert_eq!(
        api.app.bridge.run(StepName::Templates).await.unwrap(),
        Step::Idle
    );
    assert_eq!(api.templates(OA).await["sync"]["problem"]["code"], 48001);
}

async fn an_answer_that_is_no_list_makes_nothing_look_gone(api: ApiFixture) {
    api.world()
        .add_template(OA, &template("A", "{{thing1.DATA}}"))
        .unwrap();
    api.sync(OA).await;
    for kind in [
        FaultKind::Errcode { errcode: 0 },
        FaultKind::HttpError { status: 502 },
    ] {
        api.world().add_fault(Fault::at(PRIVATE, kind)).unwrap();
        let path = format!("/accounts/{OA}/templates/sync");
        let refused = api.app.call("POST", &api.key, &path, None).await;
        refused.refused(503, "wechat_unreachable", "");
        api.world().clear_faults();
    }
    let found = api.templates(OA).await;
    assert_eq!(
        (&found["items"][0]["drift"], &found["items"][0]["gone_at"]),
        (&Value::Null, &Value::Null)
    );
}
