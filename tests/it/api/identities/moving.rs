//! What an app did by itself before, and now does through Queqiao, without asking its people again.

use std::time::Duration;

use queqiao::bridge::accounts::keys::Scope;
use queqiao::simulator::{Choice, PushOrder, population};
use reqwest::Method;
use serde_json::{Value, json};

use super::super::{MP, OA};
use super::{LASTING, MovingInFixture, ONCE, openid, row, told, with};

impl MovingInFixture {
    async fn notify_people(&self, people: Value) -> Value {
        self.notify(json!({"people": people})).await
    }

    /// The state and the reason of each verdict.
    fn verdicts(accepted: &Value) -> Vec<&str> {
        let verdicts = accepted["verdicts"].as_array().unwrap().iter();
        verdicts
            .map(|one| one["reason"].as_str().or(one["state"].as_str()).unwrap())
            .collect()
    }

    async fn left_at_all(&self, person: u32) -> Value {
        let body = json!({"openid": openid(person), "results": {ONCE: "filter"}});
        let path = format!("/miniprogram/{MP}/subscriptions");
        let answer = self.app.post(&self.key, &path, body).await.ok(200);
        answer["credits"][0]["one_time_left"].clone()
    }
}

both_engines! {
    a_table_of_openids_is_brought_in_and_notified,
    a_long_term_consent_is_brought_along,
    an_app_that_spends_the_code_itself_gives_the_openid,
    one_call_goes_from_pop_up_to_message,
    results_are_checked_before_a_code_is_spent,
    state_and_language_are_said_per_notification,
}

async fn a_table_of_openids_is_brought_in_and_notified(moving: MovingInFixture) {
    for _ in 0..2 {
        moving.allowed_before(1, ONCE).await;
    }
    moving.allowed_before(2, ONCE).await;
    let name = |person| json!({"app_id": MP, "openid": openid(person)});
    let before = moving.notify_people(json!([name(1)])).await;
    assert_eq!(MovingInFixture::verdicts(&before), ["unknown_openid"]);
    let table = json!([
        with(1, json!({"consents": {ONCE: 2}})),
        with(2, json!({"consents": {ONCE: 1}})),
        row(3),
    ]);
    assert_eq!(
        told(&moving.bring(table.clone()).await),
        ["created", "created", "created"]
    );
    let accepted = moving
        .notify_people(json!([name(1), name(2), name(3)]))
        .await;
    assert_eq!(
        MovingInFixture::verdicts(&accepted),
        ["queued", "queued", "waiting_for_consent"]
    );
    assert_eq!([1, 2, 3].map(|person| moving.saw(person)), [1, 1, 0]);
    // What was used is used, also after the table comes again.
    moving.bring(table).await;
    let accepted = moving.notify_people(json!([name(1), name(2)])).await;
    assert_eq!(
        MovingInFixture::verdicts(&accepted),
        ["queued", "waiting_for_consent"]
    );
    // Nothing comes of those who were not asked.
    moving.app.advance(Duration::from_secs(31));
    moving.app.drain().await;
    assert_eq!([1, 2].map(|person| moving.saw(person)), [2, 1]);
    assert_eq!(moving.left_at_all(1).await, 0);
    // All that takes an openid takes these.
    moving.staff("s3").await;
    moving.bind("s3", name(3)).await;
    moving.allowed_before(3, ONCE).await;
    let report = json!({"openid": openid(3), "results": {ONCE: "accept"}});
    let path = format!("/miniprogram/{MP}/subscriptions");
    moving.app.post(&moving.key, &path, report).await.ok(200);
    let accepted = moving.notify(json!({"staff_ids": ["s3"]})).await;
    assert_eq!(
        (MovingInFixture::verdicts(&accepted), moving.saw(3)),
        (vec!["queued"], 1)
    );
}

async fn a_long_term_consent_is_brought_along(moving: MovingInFixture) {
    let routes = json!([{
        "channel": "mp_subscribe", "account": MP, "template_id": LASTING, "fields": {"thing1": "{{ params.title }}"},
    }]);
    moving
        .app
        .put(
            &moving.key,
            "/message-types/ping",
            json!({"routes": routes}),
        )
        .await
        .ok(200);
    moving.allowed_before(1, LASTING).await;
    moving
        .bring(json!([with(
            1,
            json!({"consents": {LASTING: "long_term"}})
        )]))
        .await;
    for seen in 1..=3 {
        let accepted = moving
            .notify_people(json!([{"app_id": MP, "openid": openid(1)}]))
            .await;
        assert_eq!(
            (MovingInFixture::verdicts(&accepted), moving.saw(1)),
            (vec!["queued"], seen)
        );
    }
}

async fn an_app_that_spends_the_code_itself_gives_the_openid(moving: MovingInFixture) {
    let sessions = format!("/miniprogram/{MP}/sessions");
    let app = moving
        .app
        .key(moving.project, &[Scope::Notify, Scope::Token])
        .await;
    // Through Queqiao, with the session_key that it needs.
    let wanted = |person| json!({"code": moving.code(person), "return_session_key": true});
    let answer = moving.app.post(&app, &sessions, wanted(1)).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let session = answer.ok(200);
    let key = session["session_key"].as_str().unwrap();
    assert!(
        key.len() > 10 && session["openid"] == openid(1),
        "{session}"
    );
    let plain = moving
        .app
        .post(&app, &sessions, json!({"code": moving.code(1)}))
        .await
        .ok(200);
    assert!(plain.get("session_key").is_none(), "{plain}");
    let audit = moving.app.get(&moving.key, "/audit").await;
    assert!(!audit.text.contains(key), "{audit:?}");
    let entries = audit.ok(200)["items"].as_array().unwrap().clone();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(
        (&entries[0]["action"], &entries[0]["app_id"]),
        (&json!("session_key.given"), &json!(MP))
    );
    assert_eq!(entries[0]["key"]["name"], "test");
    // Not to a key without the scope, and the code is not spent on it.
    let notify = moving.app.key(moving.project, &[Scope::Notify]).await;
    let body = wanted(2);
    moving
        .app
        .post(&notify, &sessions, body.clone())
        .await
        .refused(403, "missing_scope", "return_session_key");
    let token = moving.app.key(moving.project, &[Scope::Token]).await;
    moving
        .app
        .post(&token, &sessions, json!({"code": body["code"]}))
        .await
        .refused(403, "missing_scope", "");
    assert!(moving.app.post(&token, &sessions, body).await.ok(200)["session_key"].is_string());
    // Or by itself, past Queqiao.
    moving.allowed_before(3, ONCE).await;
    assert_eq!(
        told(
            &moving
                .bring(json!([with(3, json!({"consents": {ONCE: 1}}))]))
                .await
        ),
        ["created"]
    );
    let accepted = moving
        .notify_people(json!([{"app_id": MP, "openid": openid(3)}]))
        .await;
    assert_eq!(
        (MovingInFixture::verdicts(&accepted), moving.saw(3)),
        (vec!["queued"], 1)
    );
}

async fn one_call_goes_from_pop_up_to_message(moving: MovingInFixture) {
    // WeChat's push comes after the app's call.
    moving.world().hold_pushes(MP).unwrap();
    let popup = moving
        .world()
        .answer_popup(MP, 1, &[(ONCE, Choice::Accept)])
        .await
        .unwrap();
    let mut results = json!(popup.results);
    results["errMsg"] = json!("requestSubscribeMessage:ok");
    let person = json!({"app_id": MP, "code": moving.code(1), "results": results});
    let body = json!({"message_type": "ping", "params": {"title": "hi"}, "people": [person]});
    let ask = async |key: &str| {
        let request = moving.app.request(Method::POST, "/api/v1/notifications");
        let request = request
            .bearer_auth(&moving.key)
            .header("Idempotency-Key", key);
        moving.app.send(request.json(&body)).await
    };
    let accepted = ask("k1").await.ok(202);
    assert_eq!(MovingInFixture::verdicts(&accepted), ["queued"]);
    let again = ask("k1").await.ok(202);
    assert_eq!(
        (&again["replayed"], &again["id"]),
        (&json!(true), &accepted["id"])
    );
    moving.app.drain().await;
    assert_eq!(moving.saw(1), 1);
    moving.app.advance(Duration::from_secs(20));
    moving
        .world()
        .release_pushes(MP, PushOrder::Given)
        .await
        .unwrap();
    moving.app.drain().await;
    assert_eq!(
        moving.left_at_all(1).await,
        0,
        "the event and the results are one tap"
    );

    // By openid, and what was refused is noted.
    moving.app.advance(Duration::from_secs(3600));
    moving.allowed_before(1, ONCE).await;
    let named = |results: Value| json!([{"app_id": MP, "openid": openid(1), "results": results}]);
    let preflight = async |people: Value| {
        let body = json!({"message_type": "ping", "params": {"title": "hi"}, "people": people});
        moving
            .app
            .post(&moving.key, "/notifications/preflight", body)
            .await
            .ok(200)["verdicts"][0]["verdict"]
            .clone()
    };
    assert_eq!(
        preflight(named(json!({ONCE: "accept"}))).await,
        "would_send"
    );
    assert_eq!(
        preflight(json!([{"app_id": MP, "openid": openid(1)}])).await,
        "would_wait",
        "nothing was stored"
    );
    let refused = moving.notify_people(named(json!({ONCE: "reject"}))).await;
    assert_eq!(MovingInFixture::verdicts(&refused), ["no_credit"]);
    let accepted = moving.notify_people(named(json!({ONCE: "accept"}))).await;
    assert_eq!(
        (MovingInFixture::verdicts(&accepted), moving.saw(1)),
        (vec!["queued"], 2)
    );
    assert_eq!(moving.left_at_all(1).await, 0);
}

async fn results_are_checked_before_a_code_is_spent(moving: MovingInFixture) {
    let code = json!(moving.code(1));
    let good = json!({"app_id": MP, "code": code, "results": {ONCE: "accept"}});
    let but = |name: &str, value: Value| {
        let mut person = good.clone();
        person[name] = value;
        person
    };
    let future = (moving.app.clock.now() + chrono::TimeDelta::minutes(11))
        .and_utc()
        .to_rfc3339();
    let official =
        json!({"app_id": OA, "openid": population::openid(OA, 1), "results": {ONCE: "accept"}});
    let by_unionid = json!({"unionid": population::unionid(1), "results": {ONCE: "accept"}});
    let alone = json!({"app_id": MP, "openid": openid(1), "reported_at": "2026-01-01T00:00:00Z"});
    for (person, field) in [
        (
            but("results", json!({ONCE: "yes"})),
            "people[1].results.tpl-once",
        ),
        (
            but("results", json!({"errMsg": "requestSubscribeMessage:fail"})),
            "people[1].results",
        ),
        (but("reported_at", json!("today")), "people[1].reported_at"),
        (but("reported_at", json!(future)), "people[1].reported_at"),
        (official, "people[1].results"),
        (by_unionid, "people[1].results"),
        (alone, "people[1].results"),
    ] {
        let people = json!([{"unionid": population::unionid(5)}, person]);
        let body = json!({"message_type": "ping", "params": {"title": "hi"}, "people": people});
        moving
            .app
            .post(&moving.key, "/notifications", body)
            .await
            .refused(422, "invalid_field", field);
    }
    let bound = json!({"app_id": MP, "code": code, "results": {ONCE: "accept"}});
    moving.staff("s1").await;
    moving
        .app
        .post(&moving.key, "/staff/s1/bindings", bound)
        .await
        .refused(422, "unknown_field", "results");
    assert_eq!(
        moving.world().calls("/sns/jscode2session", None).unwrap(),
        0
    );
    let accepted = moving.notify_people(json!([good])).await;
    assert_eq!(MovingInFixture::verdicts(&accepted), ["queued"]);
}

async fn state_and_language_are_said_per_notification(moving: MovingInFixture) {
    for _ in 0..2 {
        moving.allowed_before(1, ONCE).await;
    }
    moving
        .bring(json!([with(1, json!({"consents": {ONCE: 2}}))]))
        .await;
    let people = json!([{"app_id": MP, "openid": openid(1)}]);
    moving
        .notify(json!({"people": people, "miniprogram_state": "trial", "lang": "en_US"}))
        .await;
    moving.notify(json!({"people": people})).await;
    let seen: Vec<_> = moving
        .world()
        .messages_to(&openid(1))
        .into_iter()
        .map(|message| (message.miniprogram_state, message.lang))
        .collect();
    let word = |text: &str| Some(text.to_owned());
    assert_eq!(seen[0], (word("trial"), word("en_US")));
    assert_ne!(seen[1], seen[0], "the message type stays as it is");
    for (name, wrong) in [("miniprogram_state", "release"), ("lang", "zh-CN")] {
        for path in ["/notifications", "/notifications/preflight"] {
            let mut body =
                json!({"message_type": "ping", "params": {"title": "hi"}, "people": people});
            body[name] = json!(wrong);
            let problem =
                moving
                    .app
                    .post(&moving.key, path, body)
                    .await
                    .refused(422, "invalid_field", name);
            assert!(
                problem["detail"]
                    .as_str()
                    .unwrap()
                    .contains("must be one of"),
                "{problem}"
            );
        }
    }
    let path = "/message-types/ping/preview";
    let asked =
        json!({"params": {"title": "hi"}, "miniprogram_state": "developer", "lang": "zh_HK"});
    let shown = moving.app.post(&moving.key, path, asked).await.ok(200);
    let route = &shown["routes"][0];
    assert_eq!(
        (&route["miniprogram_state"], &route["lang"]),
        (&json!("developer"), &json!("zh_HK"))
    );
    let wrong = json!({"params": {"title": "hi"}, "lang": "de"});
    moving
        .app
        .post(&moving.key, path, wrong)
        .await
        .refused(422, "invalid_field", "lang");
    // One key is one request, whatever is said otherwise.
    let keyed = async |state: &str| {
        let request = moving.app.request(Method::POST, "/api/v1/notifications");
        let request = request
            .bearer_auth(&moving.key)
            .header("Idempotency-Key", "k");
        let body = json!({"message_type": "ping", "params": {"title": "hi"}, "people": people, "miniprogram_state": state});
        moving.app.send(request.json(&body)).await
    };
    keyed("trial").await.ok(202);
    keyed("formal")
        .await
        .refused(409, "idempotency_conflict", "Idempotency-Key");
}
