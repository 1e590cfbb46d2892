//! `Prefer: wait=N`: the answer to a request has what became of each message.

use futures_util::future::join;
use queqiao::simulator::population;
use serde_json::{Value, json};

use super::routes::{RouteFixture, TEMPLATE_SEND};
use crate::support::app::Answer;

impl RouteFixture {
    async fn prefer(&self, wait: &str, body: &Value) -> Answer {
        let app = &self.app;
        let request = app.request(reqwest::Method::POST, "/api/v1/notifications");
        let request = request
            .bearer_auth(&self.key)
            .header("Prefer", wait)
            .header("Idempotency-Key", "k")
            .json(body);
        app.send(request).await
    }

    /// Sends what is due as soon as there is a notification.
    async fn once_accepted(&self) {
        loop {
            let path = "/notifications?limit=1";
            let page = self.app.get(&self.key, path).await.ok(200);
            if page["items"] != json!([]) {
                return self.app.drain().await;
            }
            tokio::task::yield_now().await;
        }
    }
}

fn applied(answer: &Answer) -> Option<&str> {
    let value = answer.headers.get("preference-applied")?;
    Some(value.to_str().unwrap())
}

fn to(staff_ids: &[&str]) -> Value {
    json!({"message_type": "ping", "staff_ids": staff_ids, "params": {"title": "hi"}})
}

both_engines! {
    the_answer_has_wechat_s_code_for_each_person,
    what_is_not_known_in_time_is_still_queued,
    what_is_for_later_or_many_is_not_waited_for,
}

async fn the_answer_has_wechat_s_code_for_each_person(routes: RouteFixture) {
    for (person, staff_id) in (1..).zip(["s1", "s2"]) {
        routes.reachable(staff_id, person).await;
    }
    routes.refuse(TEMPLATE_SEND, 43019);
    let body = to(&["s1", "s2", "s9"]);
    let (answer, ()) = join(
        routes.prefer("respond-async, wait=30", &body),
        routes.once_accepted(),
    )
    .await;
    assert_eq!(
        applied(&answer),
        Some("wait=10"),
        "no longer than the limit"
    );
    let first = answer.ok(202);
    let outcomes: Vec<Value> = first["verdicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["outcome"].clone())
        .collect();
    let mut codes: Vec<_> = outcomes[..2]
        .iter()
        .map(|one| one["errcode"].as_i64().unwrap())
        .collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 43019]);
    for outcome in &outcomes[..2] {
        let is_taken = outcome["errcode"] == 0;
        assert_eq!(outcome["msgid"].is_string(), is_taken, "{outcome}");
        assert!(outcome["errmsg"].is_string(), "{outcome}");
        let state = if is_taken {
            ["sent", "delivered"]
        } else {
            ["failed"; 2]
        };
        assert!(
            state.contains(&outcome["state"].as_str().unwrap()),
            "{outcome}"
        );
    }
    assert_eq!(
        (&outcomes[2]["state"], &outcomes[2]["reason"]),
        (&json!("unreachable"), &json!("unknown_staff"))
    );
    assert_eq!(outcomes[2]["errcode"], Value::Null);
    // A repetition gets the first verdicts, and waits as well: here there is nothing to wait for.
    let again = routes.prefer("wait=5", &body).await;
    assert_eq!(applied(&again), Some("wait=5"));
    let again = again.ok(202);
    assert_eq!(again["replayed"], true);
    assert_eq!(
        again["verdicts"][0]["outcome"]["errcode"],
        outcomes[0]["errcode"]
    );
}

async fn what_is_not_known_in_time_is_still_queued(routes: RouteFixture) {
    routes.reachable("s1", 1).await;
    let answer = routes.prefer("wait=0", &to(&["s1"])).await;
    assert_eq!(applied(&answer), Some("wait=0"));
    let outcome = answer.ok(202)["verdicts"][0]["outcome"].clone();
    assert_eq!(
        (&outcome["state"], &outcome["errcode"]),
        (&json!("queued"), &Value::Null)
    );
}

async fn what_is_for_later_or_many_is_not_waited_for(routes: RouteFixture) {
    routes.reachable("s1", 1).await;
    let send_at = (routes.app.clock.now() + chrono::TimeDelta::hours(1)).and_utc();
    let mut later = to(&["s1"]);
    later["send_at"] = json!(send_at.to_rfc3339());
    let outcome = routes.prefer("wait=10", &later).await.ok(202)["verdicts"][0]["outcome"].clone();
    assert_eq!(outcome["state"], "queued");
    let people: Vec<Value> = (1..=101)
        .map(|person| json!({"unionid": population::unionid(person)}))
        .collect();
    let body = json!({"message_type": "ping", "people": people, "params": {"title": "hi"}});
    let app = &routes.app;
    let request = app.request(reqwest::Method::POST, "/api/v1/notifications");
    let answer = app
        .send(
            request
                .bearer_auth(&routes.key)
                .header("Prefer", "wait=10")
                .json(&body),
        )
        .await;
    assert_eq!(applied(&answer), None);
    assert_eq!(answer.ok(202)["verdicts"][0].get("outcome"), None);
}
