//! What lacks nothing but the person's consent waits for it for a while.

use std::time::Duration;

use queqiao::db::Engine;
use queqiao::simulator::{Choice, PushOrder};
use serde_json::{Value, json};

use super::routes::{ONCE, RouteFixture, TEMPLATE_SEND, route, verdicts};
use crate::support::setup::{MP, OA};

fn asked() -> Value {
    json!({"message_type": "ping", "staff_ids": ["s1"], "params": {"title": "hi"}})
}

impl RouteFixture {
    /// A member of whom the mini-program's route asks for consent.
    async fn asking(&self) -> (Value, String) {
        self.member("s1", 1).await;
        self.channels(&["mp_subscribe"]).await;
        let accepted = self.once(&asked()).await;
        let path = format!("/notifications/{}/deliveries", accepted["id"]);
        (accepted, path)
    }

    async fn answers(&self, app_id: &str, choice: Choice) {
        let choices = [(ONCE, choice)];
        let popup = self.world().answer_popup(app_id, 1, &choices);
        popup.await.unwrap();
    }
}

fn end(delivery: &Value) -> (&str, Option<&str>) {
    (
        delivery["state"].as_str().unwrap(),
        delivery["reason"].as_str(),
    )
}

const WAITS: (&str, Option<&str>) = ("queued", Some("waiting_for_consent"));
const NOTHING_CAME: (&str, Option<&str>) = ("unreachable", Some("no_credit"));

both_engines! {
    a_consent_that_comes_after_the_request_sends_the_message,
    without_a_consent_it_ends_after_the_time,
    a_refusal_is_final,
    any_word_that_opens_a_route_counts,
    the_second_of_two_messages_waits_for_the_second_consent,
    a_message_that_moved_on_waits_on_its_new_route,
    a_message_for_later_is_not_sent_before_its_time,
    what_is_cancelled_or_expires_meanwhile_ends_as_that,
    a_replica_with_nothing_in_its_memory_goes_on,
    it_can_be_switched_off,
}

async fn a_consent_that_comes_after_the_request_sends_the_message(routes: RouteFixture) {
    routes.world().hold_pushes(MP).unwrap();
    routes.member("s1", 1).await;
    routes.channels(&["mp_subscribe"]).await;
    routes.answers(MP, Choice::Accept).await;
    let forecast = routes
        .app
        .post(&routes.key, "/notifications/preflight", asked())
        .await
        .ok(200);
    assert_eq!(
        forecast["counts"],
        json!({"would_send": 0, "would_wait": 1, "unreachable": 0})
    );
    let accepted = routes.once(&asked()).await;
    assert_eq!(accepted["counts"], json!({"queued": 1, "unreachable": 0}));
    let verdict = accepted["verdicts"][0].clone();
    assert_eq!(end(&verdict), WAITS);
    assert!(
        verdict["detail"]
            .as_str()
            .unwrap()
            .contains("waits for it until"),
        "{verdict}"
    );
    let path = format!("/notifications/{}/deliveries", accepted["id"]);
    routes.pass(10, 1).await;
    let waiting = routes.delivery(&path).await;
    assert_eq!(
        (end(&waiting), verdicts(&waiting)),
        (WAITS, vec![("mp_subscribe", "no_credit")])
    );
    assert_eq!(waiting["attempts"], json!([]));
    let story = routes
        .app
        .get(&routes.key, "/staff/s1/explain?message_type=ping")
        .await
        .ok(200);
    assert_eq!(story["message_type"]["verdict"], "would_wait", "{story}");
    let steps = story["next_steps"].to_string();
    assert!(steps.contains("waits for their consent"), "{steps}");
    routes
        .world()
        .release_pushes(MP, PushOrder::Given)
        .await
        .unwrap();
    routes.app.drain().await;
    let delivery = routes.delivery(&path).await;
    assert_eq!(
        (end(&delivery), verdicts(&delivery)),
        (("delivered", None), vec![("mp_subscribe", "taken")])
    );
    assert_eq!((routes.seen(1), routes.left("s1").await), (1, 0));
    let again = routes.once(&asked()).await;
    assert_eq!(
        (&again["verdicts"], &again["counts"]),
        (&accepted["verdicts"], &accepted["counts"])
    );
}

async fn without_a_consent_it_ends_after_the_time(routes: RouteFixture) {
    let (accepted, path) = routes.asking().await;
    routes.pass(29, 1).await;
    assert_eq!(end(&routes.delivery(&path).await), WAITS);
    routes.pass(2, 1).await;
    let delivery = routes.delivery(&path).await;
    assert_eq!(
        (end(&delivery), verdicts(&delivery)),
        (NOTHING_CAME, vec![("mp_subscribe", "no_credit")])
    );
    assert_eq!(
        (&delivery["next_attempt_at"], routes.seen(1)),
        (&Value::Null, 0)
    );
    assert_eq!(
        routes.once(&asked()).await["verdicts"],
        accepted["verdicts"]
    );
    // A consent after that does not send it; a retry does.
    routes.allow(MP, 1).await;
    assert_eq!(
        (end(&routes.delivery(&path).await), routes.seen(1)),
        (NOTHING_CAME, 0)
    );
    let retry = format!("/deliveries/{}/retry", delivery["id"]);
    routes
        .app
        .post(&routes.key, &retry, json!({}))
        .await
        .ok(202);
    routes.app.drain().await;
    assert_eq!(routes.seen(1), 1);
}

async fn a_refusal_is_final(routes: RouteFixture) {
    let (_, path) = routes.asking().await;
    routes.answers(MP, Choice::Reject).await;
    routes.app.drain().await;
    let delivery = routes.delivery(&path).await;
    assert_eq!(end(&delivery), NOTHING_CAME);
    assert!(
        delivery["detail"].as_str().unwrap().contains("refused"),
        "{delivery}"
    );
    // Who has refused is not waited for.
    let body = json!({"message_type": "ping", "staff_ids": ["s1"], "params": {"title": "again"}});
    let accepted = routes
        .app
        .post(&routes.key, "/notifications", body)
        .await
        .ok(202);
    assert_eq!(end(&accepted["verdicts"][0]), NOTHING_CAME);
}

async fn any_word_that_opens_a_route_counts(routes: RouteFixture) {
    // Reported by the business, and for the other account of the same person.
    let (_, path) = routes.asking().await;
    routes.pass(5, 1).await;
    routes
        .world()
        .answer_popup(OA, 1, &[(ONCE, Choice::Accept)])
        .await
        .unwrap();
    routes.app.drain().await;
    assert_eq!(
        end(&routes.delivery(&path).await),
        WAITS,
        "no route of it leads there"
    );
    routes.believe(1).await;
    routes.app.drain().await;
    let delivery = routes.delivery(&path).await;
    assert_ne!(end(&delivery), WAITS, "it was tried: {delivery}");
    assert_eq!(delivery["attempts"].as_array().unwrap().len(), 1);
    routes
        .set(json!([route("mp_subscribe"), route("oa_subscribe")]))
        .await;
    // The one permission of the official account is still there.
    let delivery = routes.sent("s1").await;
    assert_eq!(
        (end(&delivery), &delivery["app_id"]),
        (("delivered", None), &json!(OA))
    );
    // Two consents of one person in one second would be one push, repeated.
    routes.pass(1, 1).await;
    let waiting = routes.notify("s1").await;
    routes.app.drain().await;
    assert_eq!(end(&routes.delivery(&waiting).await), WAITS);
    routes.allow(OA, 1).await;
    assert_eq!(
        verdicts(&routes.delivery(&waiting).await),
        [("mp_subscribe", "no_credit"), ("oa_subscribe", "taken")]
    );
}

async fn the_second_of_two_messages_waits_for_the_second_consent(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.allow(MP, 1).await;
    routes.channels(&["mp_subscribe"]).await;
    let first = routes.notify("s1").await;
    let second = routes.once(&asked()).await;
    assert_eq!(end(&second["verdicts"][0]), ("queued", None));
    let path = format!("/notifications/{}/deliveries", second["id"]);
    routes.pass(5, 1).await;
    assert_eq!(end(&routes.delivery(&first).await), ("delivered", None));
    let waiting = routes.delivery(&path).await;
    assert_eq!((end(&waiting), &waiting["attempts"]), (WAITS, &json!([])));
    // What the app was told stays what it was told.
    assert_eq!(routes.once(&asked()).await["verdicts"], second["verdicts"]);
    routes.allow(MP, 1).await;
    assert_eq!(end(&routes.delivery(&path).await), ("delivered", None));
    assert_eq!((routes.seen(1), routes.left("s1").await), (2, 0));
}

async fn a_message_that_moved_on_waits_on_its_new_route(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.channels(&["template", "mp_subscribe"]).await;
    for comes in [true, false] {
        routes.refuse(TEMPLATE_SEND, 43019);
        let path = routes.notify("s1").await;
        let before = routes.calls(TEMPLATE_SEND);
        routes.pass(5, 1).await;
        let waiting = routes.delivery(&path).await;
        assert_eq!(end(&waiting), WAITS);
        assert_eq!(
            verdicts(&waiting),
            [("template", "blocked"), ("mp_subscribe", "no_credit")]
        );
        let last = if comes {
            routes.allow(MP, 1).await;
            (("delivered", None), "taken")
        } else {
            routes.pass(30, 1).await;
            (("failed", Some("no_credit")), "no_credit")
        };
        let delivery = routes.delivery(&path).await;
        assert_eq!(end(&delivery), last.0);
        assert_eq!(
            verdicts(&delivery),
            [("template", "blocked"), ("mp_subscribe", last.1)]
        );
        assert_eq!(
            routes.calls(TEMPLATE_SEND) - before,
            1,
            "a route that failed is not tried again"
        );
    }
    assert_eq!(routes.seen(1), 1);
}

async fn a_message_for_later_is_not_sent_before_its_time(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.channels(&["mp_subscribe"]).await;
    let send_at = (routes.app.clock.now() + chrono::TimeDelta::minutes(10)).and_utc();
    let mut later = asked();
    later["send_at"] = json!(send_at.to_rfc3339());
    let accepted = routes
        .app
        .post(&routes.key, "/notifications", later)
        .await
        .ok(202);
    assert_eq!(end(&accepted["verdicts"][0]), WAITS);
    let path = format!("/notifications/{}/deliveries", accepted["id"]);
    routes.pass(300, 60).await;
    routes.allow(MP, 1).await;
    assert_eq!(
        (end(&routes.delivery(&path).await), routes.seen(1)),
        (WAITS, 0)
    );
    routes.pass(360, 60).await;
    assert_eq!(
        (end(&routes.delivery(&path).await), routes.seen(1)),
        (("delivered", None), 1)
    );
}

async fn what_is_cancelled_or_expires_meanwhile_ends_as_that(routes: RouteFixture) {
    let (accepted, path) = routes.asking().await;
    routes.app.drain().await;
    let cancel = format!("/notifications/{}/cancel", accepted["id"]);
    assert_eq!(
        routes
            .app
            .call("POST", &routes.key, &cancel, None)
            .await
            .status,
        200
    );
    assert_eq!(
        end(&routes.delivery(&path).await),
        ("cancelled", Some("cancelled"))
    );
    let expires_at = (routes.app.clock.now() + chrono::TimeDelta::seconds(10)).and_utc();
    let mut short = asked();
    short["expires_at"] = json!(expires_at.to_rfc3339());
    let accepted = routes
        .app
        .post(&routes.key, "/notifications", short)
        .await
        .ok(202);
    let path = format!("/notifications/{}/deliveries", accepted["id"]);
    routes.pass(11, 1).await;
    assert_eq!(
        end(&routes.delivery(&path).await),
        ("expired", Some("expired"))
    );
    routes.allow(MP, 1).await;
    assert_eq!(routes.seen(1), 0);
}

async fn a_replica_with_nothing_in_its_memory_goes_on(routes: RouteFixture) {
    let (_, path) = routes.asking().await;
    routes.app.drain().await;
    let (replica, _server) = routes.app.replica();
    routes.answers(MP, Choice::Accept).await;
    routes.app.drain_by(&replica).await;
    assert_eq!(
        (end(&routes.delivery(&path).await), routes.seen(1)),
        (("delivered", None), 1)
    );
}

async fn it_can_be_switched_off(engine: Engine) {
    let routes = RouteFixture::with(engine, |config| config.deliver.consent_wait_seconds = 0).await;
    routes.member("s1", 1).await;
    routes.channels(&["mp_subscribe"]).await;
    let accepted = routes
        .app
        .post(&routes.key, "/notifications", asked())
        .await
        .ok(202);
    assert_eq!(end(&accepted["verdicts"][0]), NOTHING_CAME);
    routes.app.advance(Duration::from_secs(1));
    routes.app.drain().await;
    assert_eq!(routes.seen(1), 0);
}
