//! Somebody who is no staff member: the next route, what a template says of them, and retries.

use queqiao::simulator::population;
use serde_json::{Value, json};

use super::routes::{MP_SEND, RouteFixture, TEMPLATE_SEND, route, verdicts};
use crate::support::receiver::Receiver;
use crate::support::setup::{MP, OA};

/// A person who follows, is known in the mini-program, and is no staff member.
async fn passer_by(routes: &RouteFixture, person: u32) -> Value {
    routes.follows(person).await;
    routes.logs_in(person).await;
    routes.app.drain().await;
    json!({"unionid": population::unionid(person)})
}

/// Notifies them, sends all that is due, and returns the delivery.
async fn sent(routes: &RouteFixture, person: &Value) -> Value {
    let body = json!({"message_type": "ping", "people": [person], "params": {"title": "hi"}});
    let (app, key) = (&routes.app, &routes.key);
    let accepted = app.post(key, "/notifications", body).await.ok(202);
    app.drain().await;
    let path = format!("/notifications/{}/deliveries", accepted["id"]);
    routes.delivery(&path).await
}

/// An endpoint of the business, and a route to it.
async fn endpoint(routes: &RouteFixture) -> (Receiver, Value) {
    let receiver = Receiver::start();
    let made = routes.endpoint(&receiver.url, &["webhook.disabled"]).await;
    let id = made["id"].clone();
    let fields = json!({"title": "{{ params.title }}", "for": "{{ staff.id | default('-') }}"});
    let route = json!({"channel": "webhook", "endpoint": id, "fields": fields});
    (receiver, route)
}

async fn retried(routes: &RouteFixture, delivery: &Value) -> Value {
    let (app, key) = (&routes.app, &routes.key);
    let path = format!("/deliveries/{}", delivery["id"]);
    app.post(key, &format!("{path}/retry"), json!({}))
        .await
        .ok(202);
    app.drain().await;
    app.get(key, &path).await.ok(200)
}

both_engines! {
    a_person_without_staff_id_goes_on_to_the_next_route,
    an_endpoint_is_told_who_they_are,
    a_customer_message_takes_the_window_of_their_identity,
    a_credit_of_theirs_is_used_and_counted,
    what_a_template_says_of_staff_needs_a_default,
    by_hand_they_are_planned_anew,
    what_waits_for_a_person_is_cancelled,
}

async fn a_person_without_staff_id_goes_on_to_the_next_route(routes: RouteFixture) {
    routes
        .channels(&["mp_subscribe", "template", "oa_subscribe"])
        .await;
    for (person, by_openid) in [(1, false), (2, true)] {
        let mut whom = passer_by(&routes, person).await;
        if by_openid {
            whom = json!({"app_id": MP, "openid": population::openid(MP, person)});
        }
        routes.allow(OA, person).await;
        routes.refuse(TEMPLATE_SEND, 43004);
        let delivery = sent(&routes, &whom).await;
        assert_eq!(
            (&delivery["recipient"], &delivery["staff_id"]),
            (&whom, &json!(null))
        );
        assert_eq!(delivery["state"], "delivered", "{delivery}");
        let expected = [
            ("mp_subscribe", "no_credit"),
            ("template", "not_following"),
            ("oa_subscribe", "taken"),
        ];
        assert_eq!(verdicts(&delivery), expected);
        assert_eq!(routes.seen(person), 1);
    }
}

async fn an_endpoint_is_told_who_they_are(routes: RouteFixture) {
    let (receiver, webhook) = endpoint(&routes).await;
    routes.set(json!([route("template"), webhook])).await;
    // Known in the mini-program only, and planned for the endpoint at once.
    routes.logs_in(1).await;
    routes.app.drain().await;
    let whom = json!({"app_id": MP, "openid": population::openid(MP, 1)});
    let delivery = sent(&routes, &whom).await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    assert_eq!(
        verdicts(&delivery),
        [("template", "no_identity_in_account"), ("webhook", "taken")]
    );
    let own = (
        &delivery["app_id"],
        &delivery["openid"],
        &delivery["identity_id"],
        &delivery["recipient"],
    );
    assert_eq!(own, (&Value::Null, &Value::Null, &Value::Null, &whom));
    let data = receiver.posts()[0].json()["data"].clone();
    assert_eq!(
        (&data["recipient"], &data["staff_id"], &data["staff_name"]),
        (&whom, &Value::Null, &Value::Null)
    );
    assert_eq!(data["fields"], json!({"title": "hi", "for": "-"}));
    // Refused at WeChat, and then posted; bound meanwhile, so the staff member is named, too.
    let whom = passer_by(&routes, 2).await;
    routes
        .app
        .put(&routes.key, "/staff/e2", json!({"name": "Li"}))
        .await
        .ok(201);
    routes.bind("e2", whom.clone()).await;
    routes.refuse(TEMPLATE_SEND, 43019);
    let delivery = sent(&routes, &whom).await;
    assert_eq!(
        verdicts(&delivery),
        [("template", "blocked"), ("webhook", "taken")]
    );
    let data = receiver.posts()[1].json()["data"].clone();
    assert_eq!(
        (&data["recipient"], &data["staff_id"], &data["staff_name"]),
        (&whom, &json!("e2"), &json!("Li"))
    );
    assert_eq!(data["fields"]["for"], "e2");
    // Nobody is nobody at the endpoint, too.
    let delivery = sent(&routes, &json!({"unionid": "nobody"})).await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("unreachable"), &json!("unknown_person"))
    );
    assert_eq!(
        (receiver.posts().len(), routes.seen(1), routes.seen(2)),
        (2, 0, 0)
    );
}

async fn a_customer_message_takes_the_window_of_their_identity(routes: RouteFixture) {
    let (_receiver, webhook) = endpoint(&routes).await;
    let customer = json!({"channel": "customer", "account": OA, "text": "{{ params.title }}"});
    routes.set(json!([customer, webhook])).await;
    passer_by(&routes, 1).await;
    routes.pass(120, 60).await;
    // By their openid in another account.
    let whom = json!({"app_id": MP, "openid": population::openid(MP, 1)});
    let delivery = sent(&routes, &whom).await;
    assert_eq!(
        verdicts(&delivery),
        [("customer", "window_closed"), ("webhook", "taken")]
    );
    routes.writes(1).await;
    for _ in 0..5 {
        let delivery = sent(&routes, &whom).await;
        assert_eq!(
            (verdicts(&delivery), &delivery["app_id"]),
            (vec![("customer", "taken")], &json!(OA))
        );
    }
    let delivery = sent(&routes, &whom).await;
    assert_eq!(
        verdicts(&delivery),
        [("customer", "allowance_used"), ("webhook", "taken")]
    );
    assert_eq!((routes.seen(1), routes.window(1).await), (5, Value::Null));
}

async fn a_credit_of_theirs_is_used_and_counted(routes: RouteFixture) {
    routes.channels(&["mp_subscribe"]).await;
    let whom = passer_by(&routes, 1).await;
    routes.allow(MP, 1).await;
    assert_eq!(sent(&routes, &whom).await["state"], "delivered");
    let delivery = sent(&routes, &whom).await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("queued"), &json!("waiting_for_consent"))
    );
    routes.pass(40, 10).await;
    let path = format!("/deliveries/{}", delivery["id"]);
    let delivery = routes.app.get(&routes.key, &path).await.ok(200);
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("unreachable"), &json!("no_credit"))
    );
    assert_eq!(routes.seen(1), 1);
}

async fn what_a_template_says_of_staff_needs_a_default(routes: RouteFixture) {
    let whom = passer_by(&routes, 1).await;
    let says =
        |text: &str| json!([{"account": OA, "template_id": "TPL", "fields": {"thing1": text}}]);
    for text in ["{{ staff.id }}", "{{ staff.name }}"] {
        routes.set(says(text)).await;
        let delivery = sent(&routes, &whom).await;
        assert_eq!(
            (&delivery["state"], &delivery["reason"]),
            (&json!("unreachable"), &json!("not_renderable"))
        );
        assert!(
            delivery["detail"].as_str().unwrap().contains("default"),
            "{delivery}"
        );
    }
    let defaults = "{{ staff.name | default('there') }} {{ staff.id | default('-') }}";
    routes.set(says(defaults)).await;
    assert_eq!(sent(&routes, &whom).await["state"], "delivered");
    // Bound meanwhile, they are that staff member.
    routes
        .app
        .put(&routes.key, "/staff/e1", json!({"name": "Li"}))
        .await
        .ok(201);
    routes.bind("e1", whom.clone()).await;
    let delivery = sent(&routes, &whom).await;
    assert_eq!(
        (&delivery["staff_id"], &delivery["recipient"]),
        (&json!("e1"), &whom)
    );
    let seen: Vec<String> = routes
        .world()
        .messages()
        .iter()
        .map(|one| one.data["thing1"].clone())
        .collect();
    assert_eq!(seen, ["there -", "Li e1"]);
}

async fn by_hand_they_are_planned_anew(routes: RouteFixture) {
    routes.set(json!([{"account": OA, "template_id": "TPL", "fields": {"thing1": "{{ staff.id | default('-') }}"}}])).await;
    let whom = json!({"unionid": population::unionid(1)});
    let delivery = sent(&routes, &whom).await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("unreachable"), &json!("unknown_person"))
    );
    assert_eq!(delivery["routes"], json!([]));
    let path = format!("/deliveries/{}/retry", delivery["id"]);
    let refused = routes.app.post(&routes.key, &path, json!({})).await;
    let problem = refused.refused(409, "not_retryable", "");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("unknown_person"),
        "{problem}"
    );
    // They follow, and are staff by now: the text knows it.
    passer_by(&routes, 1).await;
    routes.staff("e1").await;
    routes.bind("e1", whom.clone()).await;
    let again = retried(&routes, &delivery).await;
    assert_eq!(
        (&again["state"], &again["staff_id"], &again["recipient"]),
        (&json!("delivered"), &json!("e1"), &whom)
    );
    assert_eq!(routes.world().messages()[0].data["thing1"], "e1");
    // One that failed, too.
    routes.refuse(TEMPLATE_SEND, 43019);
    let whom = passer_by(&routes, 2).await;
    let delivery = sent(&routes, &whom).await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("failed"), &json!("blocked"))
    );
    let again = retried(&routes, &delivery).await;
    assert_eq!(
        (&again["state"], &again["staff_id"]),
        (&json!("delivered"), &json!(null))
    );
    assert_eq!(routes.seen(2), 1);
}

async fn what_waits_for_a_person_is_cancelled(routes: RouteFixture) {
    routes.channels(&["template", "mp_subscribe"]).await;
    let whom = passer_by(&routes, 1).await;
    let at = (routes.app.clock.now() + chrono::TimeDelta::hours(1)).and_utc();
    let body = json!({"message_type": "ping", "people": [whom], "params": {"title": "hi"}, "send_at": at.to_rfc3339()});
    let (app, key) = (&routes.app, &routes.key);
    let accepted = app.post(key, "/notifications", body).await.ok(202);
    let cancelled = app
        .post(
            key,
            &format!("/notifications/{}/cancel", accepted["id"]),
            json!({}),
        )
        .await
        .ok(200);
    assert_eq!(
        (&cancelled["cancelled"], &cancelled["too_late"]),
        (&json!(1), &json!(0))
    );
    routes.pass(7_200, 3_600).await;
    assert_eq!(
        (routes.seen(1), routes.world().calls(MP_SEND, None).unwrap()),
        (0, 0)
    );
}
