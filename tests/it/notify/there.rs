//! A message goes to who is there when it is sent, not to who was there when it was asked for.

use std::time::Duration;

use diesel::RunQueryDsl;
use diesel::sql_query;
use queqiao::db::DbError;
use queqiao::simulator::{Fault, FaultKind, population};
use serde_json::{Value, json};

use super::ways::{TEMPLATE_SEND, Ways, route, verdicts};
use crate::invariants::{MP, OA};
use crate::support::{logs, receiver::Receiver};

impl Ways {
    /// Asks for what is sent in an hour, with an idempotency key.
    async fn later(&self, whom: &Value) -> Value {
        self.once(&self.for_later(whom)).await
    }

    fn for_later(&self, whom: &Value) -> Value {
        let send_at = (self.stage.app.clock.now() + chrono::TimeDelta::hours(1)).and_utc();
        let mut body = json!({
            "message_type": "ping", "params": {"title": "hi"}, "send_at": send_at.to_rfc3339(),
        });
        let body_fields = body.as_object_mut().unwrap();
        body_fields.extend(whom.as_object().unwrap().clone());
        body
    }

    /// Asks under the key `k`.
    pub(super) async fn once(&self, body: &Value) -> Value {
        let app = &self.stage.app;
        let request = app.request(reqwest::Method::POST, "/api/v1/notifications");
        let request = request
            .bearer_auth(&self.stage.key)
            .header("Idempotency-Key", "k")
            .json(body);
        app.send(request).await.ok(202)
    }

    async fn hour_passes(&self) {
        self.stage.app.advance(Duration::from_secs(3_601));
        self.stage.app.drain().await;
    }

    /// Takes the only binding of a staff member away.
    pub(super) async fn unbind(&self, staff_id: &str) -> Value {
        let (app, key) = (&self.stage.app, &self.stage.key);
        let found = app.get(key, &format!("/staff/{staff_id}")).await.ok(200);
        let id = &found["bindings"][0]["id"];
        let path = format!("/staff/{staff_id}/bindings/{id}");
        app.delete(key, &path).await.ok(200)
    }

    async fn bind(&self, staff_id: &str, whom: Value) {
        let path = format!("/staff/{staff_id}/bindings");
        let bound = self.stage.app.post(&self.stage.key, &path, whom).await;
        bound.ok(201);
    }

    async fn sql(&self, sql: String) {
        let run = move |conn: &mut queqiao::db::Conn| {
            sql_query(&sql).execute(conn).map_err(DbError::from)
        };
        assert_eq!(self.stage.app.bridge.db.write(run).await.unwrap(), 1);
    }

    async fn deliveries(&self, accepted: &Value) -> Vec<Value> {
        let path = format!("/notifications/{}/deliveries", accepted["id"]);
        let page = self.stage.app.get(&self.stage.key, &path).await.ok(200);
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

async fn whoever_left_is_told_in_the_log(ways: Ways) {
    logs::capture();
    let staff = ["a", "b", "c"];
    for (person, staff_id) in (1..).zip(staff) {
        ways.stage.staff(staff_id, person).await;
    }
    let accepted = ways.later(&json!({"staff_ids": staff})).await;
    for staff_id in staff {
        ways.stage
            .app
            .delete(&ways.stage.key, &format!("/staff/{staff_id}"))
            .await
            .ok(200);
    }
    ways.hour_passes().await;
    let lines = ways.lines(accepted["id"].as_i64().unwrap()).await;
    let texts = [
        "deliveries.count=3",
        "delivery.state=\"unreachable\"",
        "delivery.reason=not_bound",
        "was deleted before the message was sent",
    ];
    let is_it = |line: &&String| texts.iter().all(|text| line.contains(text));
    assert!(lines.iter().any(|line| is_it(&line)), "{lines:?}");
}

async fn whoever_left_gets_nothing_and_whoever_is_bound_by_then_gets_it(ways: Ways) {
    for (person, staff_id) in (1..).zip(["left", "unbound", "rebound", "back", "stays"]) {
        ways.stage.staff(staff_id, person).await;
    }
    for person in [6, 7] {
        ways.stage.follows(person).await;
    }
    ways.stage.app.drain().await;
    let whom = json!({"staff_ids": ["left", "unbound", "rebound", "back", "stays"]});
    let body = ways.for_later(&whom);
    let accepted = ways.once(&body).await;
    assert_eq!(accepted["counts"]["queued"], 5);
    let (app, key) = (&ways.stage.app, &ways.stage.key);
    let one = json!({"deliveries_waiting": 1, "more": false});
    assert_eq!(app.delete(key, "/staff/left").await.ok(200), one);
    assert_eq!(ways.unbind("unbound").await, one);
    assert_eq!(ways.unbind("rebound").await, one);
    ways.bind("rebound", openid(6)).await;
    // Deleted, and added again under the same id.
    assert_eq!(app.delete(key, "/staff/back").await.ok(200), one);
    app.put(key, "/staff/back", json!({"name": "王芳"}))
        .await
        .ok(201);
    ways.bind("back", openid(7)).await;
    app.drain().await;
    assert_eq!(ways.stage.world().messages(), [], "not before its time");
    ways.hour_passes().await;
    let seen: Vec<usize> = (1..=7).map(|person| ways.seen(person)).collect();
    assert_eq!(seen, [0, 0, 0, 0, 1, 1, 1]);
    let deliveries = ways.deliveries(&accepted).await;
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
    let mut again = ways.once(&body).await;
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

async fn a_binding_by_unionid_holds_and_only_what_it_led_to_is_astray(ways: Ways) {
    // Bound by the openid in the mini-program, and reached through the official account.
    ways.stage.staff("s1", 1).await;
    ways.unbind("s1").await;
    ways.stage.logs_in(1).await;
    let mini = json!({"app_id": MP, "openid": population::openid(MP, 1)});
    ways.bind("s1", mini).await;
    ways.bind("s1", json!({"unionid": population::unionid(1)}))
        .await;
    let accepted = ways.later(&json!({"staff_ids": ["s1"]})).await;
    // The other binding still leads there.
    let none = json!({"deliveries_waiting": 0, "more": false});
    assert_eq!(ways.unbind("s1").await, none);
    ways.hour_passes().await;
    assert_eq!(
        ends(&ways.deliveries(&accepted).await),
        [("delivered", None)]
    );
    assert_eq!(ways.seen(1), 1);
}

async fn people_are_looked_for_again_by_the_name_they_were_asked_for(ways: Ways) {
    for person in 1..=4 {
        ways.member(&format!("s{person}"), person).await;
    }
    let mini = |person| json!({"app_id": MP, "openid": population::openid(MP, person)});
    let union = |person| json!({"unionid": population::unionid(person)});
    let whom = json!({"people": [mini(1), union(2), openid(3), union(4)]});
    let accepted = ways.later(&whom).await;
    assert_eq!(accepted["counts"]["queued"], 4);
    // The official account's openids of 1 and 2 belong to other people by now; 4 keeps theirs.
    for person in [1, 2] {
        let openid = population::openid(OA, person);
        ways.sql(format!(
            "UPDATE identities SET unionid = 'moved' WHERE openid = '{openid}'"
        ))
        .await;
    }
    ways.hour_passes().await;
    let seen: Vec<usize> = (1..=4).map(|person| ways.seen(person)).collect();
    assert_eq!(seen, [0, 0, 1, 1]);
    let deliveries = ways.deliveries(&accepted).await;
    let states: Vec<_> = ends(&deliveries)
        .into_iter()
        .map(|(state, _)| state)
        .collect();
    assert_eq!(
        states,
        ["unreachable", "unreachable", "delivered", "delivered"]
    );
}

async fn while_a_try_is_open_nobody_else_is_sent_to(ways: Ways) {
    let (impatient, _server) = ways.stage.impatient();
    ways.stage.staff("s1", 1).await;
    ways.stage.follows(2).await;
    ways.stage.app.drain().await;
    ways.stage
        .world()
        .add_fault(Fault::at(TEMPLATE_SEND, FaultKind::TimeOutAfter).times(1))
        .unwrap();
    let path = ways.stage.notify("s1").await;
    ways.stage.app.drain_by(&impatient).await;
    assert_eq!(ways.stage.delivery(&path).await["state"], "queued");
    ways.unbind("s1").await;
    ways.bind("s1", openid(2)).await;
    ways.stage.pass(30, 5).await;
    let delivery = ways.stage.delivery(&path).await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("unknown"), &json!("unsettled"))
    );
    assert_eq!((ways.seen(1), ways.seen(2)), (1, 0));
}

async fn after_a_refused_try_somebody_else_gets_a_message_of_their_own(ways: Ways) {
    ways.stage.staff("s1", 1).await;
    ways.stage.follows(2).await;
    ways.stage.app.drain().await;
    ways.refuse(TEMPLATE_SEND, -1);
    let path = ways.stage.notify("s1").await;
    ways.stage.app.drain().await;
    assert_eq!(ways.stage.delivery(&path).await["state"], "queued");
    ways.unbind("s1").await;
    ways.bind("s1", openid(2)).await;
    ways.stage.pass(30, 5).await;
    let delivery = ways.stage.delivery(&path).await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    assert_eq!((ways.seen(1), ways.seen(2)), (0, 1));
    let numbers: Vec<_> = delivery["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["number"].clone())
        .collect();
    assert_eq!(numbers, [1, 2]);
}

async fn an_endpoint_needs_the_staff_member_and_no_binding(ways: Ways) {
    let receiver = Receiver::start();
    let body = json!({"url": receiver.url, "events": ["delivery.failed"]});
    let made = ways
        .stage
        .app
        .post(&ways.stage.key, "/webhooks", body)
        .await
        .ok(201);
    let hook = json!({"channel": "webhook", "endpoint": made["id"], "fields": {"title": "{{ params.title }}"}});
    for (person, staff_id) in (1..).zip(["unbound", "deleted"]) {
        ways.stage.staff(staff_id, person).await;
    }
    ways.set_routes(json!([route("template"), hook])).await;
    let accepted = ways
        .later(&json!({"staff_ids": ["unbound", "deleted"]}))
        .await;
    ways.unbind("unbound").await;
    ways.stage
        .app
        .delete(&ways.stage.key, "/staff/deleted")
        .await
        .ok(200);
    ways.hour_passes().await;
    let deliveries = ways.deliveries(&accepted).await;
    assert_eq!(
        ends(&deliveries),
        [("delivered", None), ("unreachable", Some("not_bound"))]
    );
    assert_eq!(
        verdicts(&deliveries[0]),
        [("template", "not_bound"), ("webhook", "taken")]
    );
    assert_eq!((ways.seen(1), ways.seen(2)), (0, 0));
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

async fn what_was_cancelled_or_has_expired_ends_as_that(ways: Ways) {
    ways.stage.staff("s1", 1).await;
    let accepted = ways.later(&json!({"staff_ids": ["s1"]})).await;
    ways.stage
        .app
        .delete(&ways.stage.key, "/staff/s1")
        .await
        .ok(200);
    let cancel = format!("/notifications/{}/cancel", accepted["id"]);
    assert_eq!(
        ways.stage
            .app
            .call("POST", &ways.stage.key, &cancel, None)
            .await
            .status,
        200
    );
    ways.hour_passes().await;
    assert_eq!(
        ends(&ways.deliveries(&accepted).await),
        [("cancelled", Some("cancelled"))]
    );
}
