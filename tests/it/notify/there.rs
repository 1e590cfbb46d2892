//! A message goes to who is there when it is sent, not to who was there when it was asked for.

use std::time::Duration;

use diesel::RunQueryDsl;
use diesel::sql_query;
use queqiao::db::DbError;
use queqiao::simulator::{Fault, FaultKind, population};
use serde_json::{Value, json};

use super::routes::{RouteFixture, TEMPLATE_SEND, route, verdicts};
use crate::support::setup::{MP, OA};
use crate::support::{logs, receiver::Receiver};

impl RouteFixture {
    /// Asks for what is sent in an hour, with an idempotency key.
    async fn later(&self, whom: &Value) -> Value {
        self.once(&self.for_later(whom)).await
    }

    fn for_later(&self, whom: &Value) -> Value {
        let send_at = (self.app.clock.now() + chrono::TimeDelta::hours(1)).and_utc();
        let mut body = json!({
            "message_type": "ping", "params": {"title": "hi"}, "send_at": send_at.to_rfc3339(),
        });
        let body_fields = body.as_object_mut().unwrap();
        body_fields.extend(whom.as_object().unwrap().clone());
        body
    }

    /// Asks under the key `k`.
    pub(super) async fn once(&self, body: &Value) -> Value {
        let app = &self.app;
        let request = app.request(reqwest::Method::POST, "/api/v1/notifications");
        let request = request
            .bearer_auth(&self.key)
            .header("Idempotency-Key", "k")
            .json(body);
        app.send(request).await.ok(202)
    }

    async fn hour_passes(&self) {
        self.app.advance(Duration::from_secs(3_601));
        self.app.drain().await;
    }

    /// Takes the only binding of a staff member away.
    pub(super) async fn unbind(&self, staff_id: &str) -> Value {
        let (app, key) = (&self.app, &self.key);
        let found = app.get(key, &format!("/staff/{staff_id}")).await.ok(200);
        let id = &found["bindings"][0]["id"];
        let path = format!("/staff/{staff_id}/bindings/{id}");
        app.delete(key, &path).await.ok(200)
    }

    async fn sql(&self, sql: String) {
        let run = move |conn: &mut queqiao::db::Conn| {
            sql_query(&sql).execute(conn).map_err(DbError::from)
        };
        assert_eq!(self.app.bridge.db.write(run).await.unwrap(), 1);
    }

    async fn deliveries(&self, accepted: &Value) -> Vec<Value> {
        let path = format!("/notifications/{}/deliveries", accepted["id"]);
        let page = self.app.get(&self.key, &path).await.ok(200);
        page["items"].as_array().unwrap().clone()
    }
}

fn openid(person: u32) -> Value {
    json!({"app_id": OA, "openid": population::openid(OA, person)})
}

fn ends(deliveries: &[Value]) -> Vec<(&str, Option<&str>)> {
    deliveries
        .iter()
        .map(|one| (one["state"].as_str().unwrap(), one["reason"].as_str()))
        .collect()
}

both_engines! {
    whoever_left_is_told_in_the_log,
    whoever_left_gets_nothing_and_whoever_is_bound_by_then_gets_it,
    a_binding_by_unionid_holds_and_only_what_it_led_to_is_astray,
    people_are_looked_for_again_by_the_name_they_were_asked_for,
    while_a_try_is_open_nobody_else_is_sent_to,
    after_a_refused_try_somebody_else_gets_a_message_of_their_own,
    an_endpoint_needs_the_staff_member_and_no_binding,
    what_was_cancelled_or_has_expired_ends_as_that,
}

async fn whoever_left_is_told_in_the_log(routes: RouteFixture) {
    logs::capture();
    let staff = ["a", "b", "c"];
    for (person, staff_id) in (1..).zip(staff) {
        routes.reachable(staff_id, person).await;
    }
    let accepted = routes.later(&json!({"staff_ids": staff})).await;
    for staff_id in staff {
        routes
            .app
            .delete(&routes.key, &format!("/staff/{staff_id}"))
            .await
            .ok(200);
    }
    routes.hour_passes().await;
    let lines = routes.lines(accepted["id"].as_i64().unwrap()).await;
    let texts = [
        "deliveries.count=3",
        "delivery.state=\"unreachable\"",
        "delivery.reason=not_bound",
        "was deleted before the message was sent",
    ];
    let is_it = |line: &&String| texts.iter().all(|text| line.contains(text));
    assert!(lines.iter().any(|line| is_it(&line)), "{lines:?}");
}

async fn whoever_left_gets_nothing_and_whoever_is_bound_by_then_gets_it(routes: RouteFixture) {
    for (person, staff_id) in (1..).zip(["left", "unbound", "rebound", "back", "stays"]) {
        routes.reachable(staff_id, person).await;
    }
    for person in [6, 7] {
        routes.follows(person).await;
    }
    routes.app.drain().await;
    let whom = json!({"staff_ids": ["left", "unbound", "rebound", "back", "stays"]});
    let body = routes.for_later(&whom);
    let accepted = routes.once(&body).await;
    assert_eq!(accepted["counts"]["queued"], 5);
    let (app, key) = (&routes.app, &routes.key);
    let one = json!({"deliveries_waiting": 1, "more": false});
    assert_eq!(app.delete(key, "/staff/left").await.ok(200), one);
    assert_eq!(routes.unbind("unbound").await, one);
    assert_eq!(routes.unbind("rebound").await, one);
    routes.bind("rebound", openid(6)).await;
    // Deleted, and added again under the same id.
    assert_eq!(app.delete(key, "/staff/back").await.ok(200), one);
    app.put(key, "/staff/back", json!({"name": "王芳"}))
        .await
        .ok(201);
    routes.bind("back", openid(7)).await;
    app.drain().await;
    assert_eq!(routes.world().messages(), [], "not before its time");
    routes.hour_passes().await;
    let seen: Vec<usize> = (1..=7).map(|person| routes.seen(person)).collect();
    assert_eq!(seen, [0, 0, 0, 0, 1, 1, 1]);
    let deliveries = routes.deliveries(&accepted).await;
    assert_eq!(
        ends(&deliveries),
        [
            ("unreachable", Some("not_bound")),
            ("unreachable", Some("not_bound")),
            ("delivered", None),
            ("delivered", None),
            ("delivered", None),
        ]
    );
    assert!(
        deliveries[0]["detail"]
            .as_str()
            .unwrap()
            .contains("deleted"),
        "{deliveries:?}"
    );
    assert!(
        deliveries[1]["detail"]
            .as_str()
            .unwrap()
            .contains("binding"),
        "{deliveries:?}"
    );
    assert_eq!(deliveries[2]["openid"], population::openid(OA, 6));
    assert_eq!(
        (
            &deliveries[0]["attempts"],
            &deliveries[0]["next_attempt_at"]
        ),
        (&json!([]), &Value::Null)
    );
    let mut again = routes.once(&body).await;
    assert_eq!(again["replayed"], true);
    again["replayed"] = json!(false);
    assert_eq!(again, accepted, "the first answer stays");
    // Nothing waits any more.
    let none = json!({"deliveries_waiting": 0, "more": false});
    assert_eq!(app.delete(key, "/staff/stays").await.ok(200), none);
    app.delete(key, "/staff/stays")
        .await
        .refused(404, "not_found", "");
}

async fn a_binding_by_unionid_holds_and_only_what_it_led_to_is_astray(routes: RouteFixture) {
    // Bound by the openid in the mini-program, and reached through the official account.
    routes.reachable("s1", 1).await;
    routes.unbind("s1").await;
    routes.logs_in(1).await;
    let mini = json!({"app_id": MP, "openid": population::openid(MP, 1)});
    routes.bind("s1", mini).await;
    routes
        .bind("s1", json!({"unionid": population::unionid(1)}))
        .await;
    let accepted = routes.later(&json!({"staff_ids": ["s1"]})).await;
    // The other binding still leads there.
    let none = json!({"deliveries_waiting": 0, "more": false});
    assert_eq!(routes.unbind("s1").await, none);
    routes.hour_passes().await;
    assert_eq!(
        ends(&routes.deliveries(&accepted).await),
        [("delivered", None)]
    );
    assert_eq!(routes.seen(1), 1);
}

async fn people_are_looked_for_again_by_the_name_they_were_asked_for(routes: RouteFixture) {
    for person in 1..=4 {
        routes.member(&format!("s{person}"), person).await;
    }
    let mini = |person| json!({"app_id": MP, "openid": population::openid(MP, person)});
    let union = |person| json!({"unionid": population::unionid(person)});
    let whom = json!({"people": [mini(1), union(2), openid(3), union(4)]});
    let accepted = routes.later(&whom).await;
    assert_eq!(accepted["counts"]["queued"], 4);
    // The official account's openids of 1 and 2 belong to other people by now; 4 keeps theirs.
    for person in [1, 2] {
        let openid = population::openid(OA, person);
        routes
            .sql(format!(
                "UPDATE identities SET unionid = 'moved' WHERE openid = '{openid}'"
            ))
            .await;
    }
    routes.hour_passes().await;
    let seen: Vec<usize> = (1..=4).map(|person| routes.seen(person)).collect();
    assert_eq!(seen, [0, 0, 1, 1]);
    let deliveries = routes.deliveries(&accepted).await;
    let states: Vec<_> = ends(&deliveries)
        .into_iter()
        .map(|(state, _)| state)
        .collect();
    assert_eq!(
        states,
        ["unreachable", "unreachable", "delivered", "delivered"]
    );
}

async fn while_a_try_is_open_nobody_else_is_sent_to(routes: RouteFixture) {
    let (impatient, _server) = routes.impatient();
    routes.reachable("s1", 1).await;
    routes.follows(2).await;
    routes.app.drain().await;
    routes
        .world()
        .add_fault(Fault::at(TEMPLATE_SEND, FaultKind::TimeOutAfter).times(1))
        .unwrap();
    let path = routes.notify("s1").await;
    routes.app.drain_by(&impatient).await;
    assert_eq!(routes.delivery(&path).await["state"], "queued");
    routes.unbind("s1").await;
    routes.bind("s1", openid(2)).await;
    routes.pass(30, 5).await;
    let delivery = routes.delivery(&path).await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("unknown"), &json!("unsettled"))
    );
    assert_eq!((routes.seen(1), routes.seen(2)), (1, 0));
}

async fn after_a_refused_try_somebody_else_gets_a_message_of_their_own(routes: RouteFixture) {
    routes.reachable("s1", 1).await;
    routes.follows(2).await;
    routes.app.drain().await;
    routes.refuse(TEMPLATE_SEND, -1);
    let path = routes.notify("s1").await;
    routes.app.drain().await;
    assert_eq!(routes.delivery(&path).await["state"], "queued");
    routes.unbind("s1").await;
    routes.bind("s1", openid(2)).await;
    routes.pass(30, 5).await;
    let delivery = routes.delivery(&path).await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    assert_eq!((routes.seen(1), routes.seen(2)), (0, 1));
    let numbers: Vec<_> = delivery["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["number"].clone())
        .collect();
    assert_eq!(numbers, [1, 2]);
}

async fn an_endpoint_needs_the_staff_member_and_no_binding(routes: RouteFixture) {
    let receiver = Receiver::start();
    let made = routes.endpoint(&receiver.url, &["delivery.failed"]).await;
    let webhook = json!({"channel": "webhook", "endpoint": made["id"], "fields": {"title": "{{ params.title }}"}});
    for (person, staff_id) in (1..).zip(["unbound", "deleted"]) {
        routes.reachable(staff_id, person).await;
    }
    routes.set(json!([route("template"), webhook])).await;
    let accepted = routes
        .later(&json!({"staff_ids": ["unbound", "deleted"]}))
        .await;
    routes.unbind("unbound").await;
    routes
        .app
        .delete(&routes.key, "/staff/deleted")
        .await
        .ok(200);
    routes.hour_passes().await;
    let deliveries = routes.deliveries(&accepted).await;
    assert_eq!(
        ends(&deliveries),
        [("delivered", None), ("unreachable", Some("not_bound"))]
    );
    assert_eq!(
        verdicts(&deliveries[0]),
        [("template", "not_bound"), ("webhook", "taken")]
    );
    assert_eq!((routes.seen(1), routes.seen(2)), (0, 0));
    let told: Vec<Value> = receiver
        .posts()
        .iter()
        .map(|post| post.json()["type"].clone())
        .collect();
    assert!(
        told.contains(&json!("notification")) && told.contains(&json!("delivery.failed")),
        "{told:?}"
    );
}

async fn what_was_cancelled_or_has_expired_ends_as_that(routes: RouteFixture) {
    routes.reachable("s1", 1).await;
    let accepted = routes.later(&json!({"staff_ids": ["s1"]})).await;
    routes.app.delete(&routes.key, "/staff/s1").await.ok(200);
    let cancel = format!("/notifications/{}/cancel", accepted["id"]);
    assert_eq!(
        routes
            .app
            .call("POST", &routes.key, &cancel, None)
            .await
            .status,
        200
    );
    routes.hour_passes().await;
    assert_eq!(
        ends(&routes.deliveries(&accepted).await),
        [("cancelled", Some("cancelled"))]
    );
}
