//! A retry by hand keeps what was asked for: the time, and the first answer.

use queqiao::models::delivery::DeliveryState;
use serde_json::{Value, json};

use super::routes::RouteFixture;
use crate::support::api::by_unionid;

const HOURS: i64 = 20;

impl RouteFixture {
    /// Asks under the key `k` for what is sent in some hours; with the request.
    async fn in_hours(&self, staff: &[&str], expires_in: Option<i64>) -> (Value, Value) {
        let at = |hours| (self.app.clock.now() + chrono::TimeDelta::hours(hours)).and_utc();
        let mut body = json!({
            "message_type": "ping", "staff_ids": staff, "params": {"title": "hi"}, "send_at": at(HOURS),
        });
        if let Some(hours) = expires_in {
            body["expires_at"] = json!(at(hours));
        }
        (body.clone(), self.once(&body).await)
    }

    /// Adds staff members who are bound to nobody.
    async fn strangers(&self, staff: &[&str]) {
        for staff_id in staff {
            self.staff(staff_id).await;
        }
    }

    async fn bind_all(&self, staff: &[&str], from: u32) {
        for (person, staff_id) in (from..).zip(staff) {
            self.follows(person).await;
            self.app.drain().await;
            self.bind(staff_id, by_unionid(person)).await;
        }
    }

    async fn same_answer(&self, body: &Value, first: &Value, what: &str) {
        let mut again = self.once(body).await;
        assert_eq!(again["replayed"], true);
        again["replayed"] = json!(false);
        assert_eq!(again, *first, "{what}");
    }

    async fn every_one_of(&self, accepted: &Value) -> Vec<Value> {
        let path = format!("/notifications/{}/deliveries", accepted["id"]);
        let page = self.app.get(&self.key, &path).await.ok(200);
        page["items"].as_array().unwrap().clone()
    }
}

both_engines! {
    a_retry_waits_for_the_time_at_which_the_message_is_to_be_sent,
    a_retry_after_that_time_is_sent_at_once,
    the_first_answer_outlives_a_retry_in_vain,
    the_first_answer_outlives_that_what_waited_for_consent_is_cancelled_or_expires,
}

async fn a_retry_waits_for_the_time_at_which_the_message_is_to_be_sent(routes: RouteFixture) {
    routes.reachable("s0", 9).await;
    let staff = ["s1", "s2", "s3"];
    routes.strangers(&staff).await;
    let (body, first) = routes.in_hours(&staff, Some(HOURS + 1)).await;
    assert_eq!(first["counts"], json!({"queued": 0, "unreachable": 3}));
    routes.bind_all(&staff, 1).await;
    let (app, key) = (&routes.app, &routes.key);
    let found = routes.every_one_of(&first).await;
    let one = format!("/deliveries/{}/retry", found[0]["id"]);
    let taken = app.post(key, &one, json!({})).await.ok(202);
    assert_eq!(
        (&taken["state"], &taken["next_attempt_at"]),
        (&json!("queued"), &body["send_at"]),
        "{taken}"
    );
    let rest = app
        .post(
            key,
            "/deliveries/retry",
            json!({"notification_id": first["id"]}),
        )
        .await
        .ok(202);
    assert_eq!(
        (&rest["taken"], &rest["waiting"]),
        (&json!(2), &json!(2)),
        "{rest}"
    );
    routes.pass(4 * 3_600, 3_600).await;
    assert_eq!(
        routes.world().messages().len(),
        0,
        "nothing is sent before its time"
    );
    for delivery in routes.every_one_of(&first).await {
        assert_eq!(
            (&delivery["state"], &delivery["next_attempt_at"]),
            (&json!("queued"), &body["send_at"]),
            "{delivery}"
        );
    }
    routes.same_answer(&body, &first, "while it waits").await;
    routes.pass(17 * 3_600, 3_600).await;
    for delivery in routes.every_one_of(&first).await {
        assert_eq!(delivery["state"], "delivered", "{delivery}");
    }
    assert_eq!(
        (1..=3)
            .map(|person| routes.seen(person))
            .collect::<Vec<_>>(),
        [1, 1, 1]
    );
    routes.same_answer(&body, &first, "after it was sent").await;
}

async fn a_retry_after_that_time_is_sent_at_once(routes: RouteFixture) {
    routes.reachable("s0", 9).await;
    routes.strangers(&["s1"]).await;
    let (body, first) = routes.in_hours(&["s1"], None).await;
    routes.bind_all(&["s1"], 1).await;
    // The time that a message may be tried for counts from the retry.
    routes.pass((HOURS as u64 + 40) * 3_600, 10 * 3_600).await;
    let (app, key) = (&routes.app, &routes.key);
    let found = routes.every_one_of(&first).await.remove(0);
    let taken = app
        .post(
            key,
            &format!("/deliveries/{}/retry", found["id"]),
            json!({}),
        )
        .await
        .ok(202);
    assert_eq!(
        taken["next_attempt_at"],
        json!(app.clock.now().and_utc()),
        "{taken}"
    );
    app.drain().await;
    assert_eq!(
        (
            &routes.every_one_of(&first).await[0]["state"],
            routes.seen(1)
        ),
        (&json!("delivered"), 1)
    );
    routes.same_answer(&body, &first, "after it was sent").await;
}

async fn the_first_answer_outlives_a_retry_in_vain(routes: RouteFixture) {
    routes.reachable("s0", 9).await;
    routes.strangers(&["s1", "s2"]).await;
    let (body, first) = routes.in_hours(&["s1", "s2", "nobody"], None).await;
    let (app, key) = (&routes.app, &routes.key);
    // Bound to somebody who is not known: unreachable for another reason.
    let whom = json!({"unionid": queqiao::simulator::population::unionid(50)});
    app.post(key, "/staff/s1/bindings", whom).await.ok(201);
    let rest = app
        .post(
            key,
            "/deliveries/retry",
            json!({"notification_id": first["id"]}),
        )
        .await
        .ok(202);
    assert_eq!(
        (&rest["taken"], &rest["waiting"], &rest["not_taken"]),
        (&json!(0), &json!(0), &json!(3)),
        "{rest}"
    );
    let found = routes.every_one_of(&first).await;
    assert_eq!(found[0]["reason"], "no_identity_in_account", "{found:?}");
    routes.same_answer(&body, &first, "another reason").await;
}

async fn the_first_answer_outlives_that_what_waited_for_consent_is_cancelled_or_expires(
    routes: RouteFixture,
) {
    for (person, (cancelled, leased)) in (1..).zip([(true, false), (true, true), (false, true)]) {
        let staff = format!("s{person}");
        routes.member(&staff, person).await;
        routes.channels(&["mp_subscribe"]).await;
        let app = &routes.app;
        let end = (app.clock.now() + chrono::TimeDelta::seconds(20)).and_utc();
        let mut body = json!({"message_type": "ping", "staff_ids": [staff], "params": {"title": person}, "expires_at": end});
        let keyed = async |body: &Value| {
            let request = app.request(reqwest::Method::POST, "/api/v1/notifications");
            let request = request
                .bearer_auth(&routes.key)
                .header("Idempotency-Key", staff.as_str())
                .json(body);
            app.send(request).await.ok(202)
        };
        if cancelled {
            body.as_object_mut().unwrap().remove("expires_at");
        }
        let first = keyed(&body).await;
        assert_eq!(
            first["verdicts"][0]["reason"], "waiting_for_consent",
            "{first}"
        );
        if leased {
            // As a process that is looking at it, and is lost.
            let now = app.clock.now();
            let look = app.bridge.db.write(move |conn| {
                use diesel::RunQueryDsl;
                let leased = (now + chrono::TimeDelta::seconds(5)).format("%F %T%.f");
                let time = now.format("%F %T%.f");
                let sql = format!(
                    "UPDATE deliveries SET leased_until = '{leased}', attempts = attempts + 1, \
                        unsettled_since = '{time}' WHERE state = 'queued'"
                );
                Ok::<_, queqiao::db::DbError>(diesel::sql_query(sql).execute(conn)?)
            });
            assert_eq!(look.await.unwrap(), 1);
        }
        if cancelled {
            let path = format!("/notifications/{}/cancel", first["id"]);
            app.call("POST", &routes.key, &path, None).await.ok(200);
        }
        routes.pass(25, 5).await;
        let delivery = routes.every_one_of(&first).await.remove(0);
        let what = format!("{delivery}");
        assert_ne!(delivery["state"], json!(DeliveryState::Queued), "{what}");
        assert_eq!(routes.seen(person), 0);
        let mut again = keyed(&body).await;
        again["replayed"] = json!(false);
        assert_eq!(again, first, "{what}");
    }
}
