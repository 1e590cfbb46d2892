//! What would be decided is what is decided.

use queqiao::bridge::steps::StepName;
use queqiao::simulator::population;
use serde_json::{Value, json};

use super::routes::{OA_SEND, RouteFixture, TEMPLATE_SEND, route};
use crate::support::receiver::Receiver;
use crate::support::setup::{MP, OA};

/// Small numbers that look drawn by lot, the same ones for the same seed.
struct Lot(u64);

impl Lot {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % most
    }

    fn hit(&mut self) -> bool {
        self.below(2) == 0
    }
}

impl RouteFixture {
    /// Somebody in any situation.
    async fn anybody(&self, staff_id: &str, person: u32, lot: &mut Lot) {
        let (app, key) = (&self.app, &self.key);
        match lot.below(5) {
            0 => return,
            1 => {
                app.put(key, &format!("/staff/{staff_id}"), json!({}))
                    .await
                    .ok(201);
                return;
            }
            2 => self.reachable(staff_id, person).await,
            _ => self.member(staff_id, person).await,
        }
        if lot.hit() {
            let named = json!({"name": format!("Li {person}"), "tags": ["some"]});
            app.put(key, &format!("/staff/{staff_id}"), named)
                .await
                .ok(200);
        }
        for account in [OA, MP] {
            if lot.below(3) == 0 {
                self.allow(account, person).await;
            }
        }
        if lot.below(3) == 0 {
            self.world().unfollow(OA, person).await.unwrap();
            app.drain().await;
        }
    }

    async fn any_routes(&self, lot: &mut Lot, endpoint: &Value) {
        let channels = [
            "template",
            "mp_subscribe",
            "oa_subscribe",
            "customer",
            "webhook",
        ];
        let routes = (0..1 + lot.below(4)).map(|_| {
            let channel = channels[lot.below(5)];
            let mut route = match channel {
                "customer" => json!({"channel": channel, "account": OA, "text": "{{ params.title }}"}),
                "webhook" => json!({"channel": channel, "endpoint": endpoint, "fields": {"title": "{{ params.title }}"}}),
                _ => route(channel),
            };
            if channel != "customer" && channel != "webhook" && lot.below(3) == 0 {
                route["fields"]["thing1"] = json!("{{ staff.name }}: {{ params.title }}");
            }
            route
        });
        let routes: Vec<Value> = routes.collect();
        self.set(json!(routes)).await;
    }

    async fn preflight(&self, body: &Value) -> Value {
        let answer = self
            .app
            .post(&self.key, "/notifications/preflight", body.clone());
        answer.await.ok(200)
    }
}

/// A pre-flight verdict as the delivery of it is shown.
fn as_delivered(verdict: &Value) -> Value {
    let sent = verdict["verdict"] != "unreachable";
    let mut routes = verdict["routes"].as_array().unwrap().clone();
    if verdict["reason"] == "not_renderable" {
        assert_eq!(routes.pop().unwrap()["verdict"], "not_renderable");
    }
    json!({
        "staff_id": verdict["staff_id"], "state": if sent { "queued" } else { "unreachable" },
        "reason": verdict["reason"], "detail": verdict["detail"], "route": verdict["route"],
        "app_id": verdict["account"], "routes": routes,
    })
}

both_engines! {
    what_would_be_decided_is_what_is_decided,
    nothing_is_stored_or_sent,
    people_who_are_not_staff_are_decided_for_as_they_would_be,
    a_login_code_is_not_used_up,
    it_refuses_what_a_notification_is_refused_for,
    it_warns_of_what_concerns_everybody,
}

async fn what_would_be_decided_is_what_is_decided(routes: RouteFixture) {
    let seed = rand::random();
    println!("seed {seed}");
    let mut lot = Lot(seed);
    let ids: Vec<String> = (1..=16).map(|person| format!("s{person}")).collect();
    for (person, staff_id) in (1..).zip(&ids) {
        routes.anybody(staff_id, person, &mut lot).await;
    }
    let receiver = Receiver::start();
    let endpoint = routes.endpoint(&receiver.url, &["account.alert"]).await;
    let person = |app_id: &str, person| json!({"app_id": app_id, "openid": population::openid(app_id, person)});
    for round in 0..12 {
        routes.any_routes(&mut lot, &endpoint["id"]).await;
        let mut body = json!({"message_type": "ping", "params": {"title": "hi"}});
        // Staff in one round; in the other people however they are named, and those never seen.
        match round % 2 {
            0 => body["staff_ids"] = json!(ids),
            _ => {
                body["people"] = json!([
                    person(OA, 1 + lot.below(16) as u32), person(MP, 1 + lot.below(16) as u32),
                    {"unionid": population::unionid(1 + lot.below(16) as u32)}, {"unionid": "nobody"},
                    person(OA, 40 + round), person(OA, 60 + round), person(MP, 80 + round), person(OA, 40 + round),
                ]);
            }
        }
        let before = routes.preflight(&body).await;
        let accepted = routes
            .app
            .post(&routes.key, "/notifications", body)
            .await
            .ok(202);
        let counts = &accepted["counts"];
        let count = |name: &str| before["counts"][name].as_u64().unwrap();
        assert_eq!(counts["queued"], count("would_send") + count("would_wait"));
        assert_eq!(counts["unreachable"], count("unreachable"));
        let path = format!("/notifications/{}/deliveries?limit=200", accepted["id"]);
        let stored = routes.app.get(&routes.key, &path).await.ok(200);
        let stored = stored["items"].as_array().unwrap();
        let verdicts = before["verdicts"].as_array().unwrap();
        assert_eq!(verdicts.len(), stored.len());
        for (verdict, delivery) in verdicts.iter().zip(stored) {
            let expected = as_delivered(verdict);
            for (member, told) in expected.as_object().unwrap() {
                assert_eq!(&delivery[member], told, "{member}: {verdict} {delivery}");
            }
            assert_eq!(
                delivery.get("recipient"),
                verdict.get("recipient"),
                "{verdict} {delivery}"
            );
        }
        // Permissions are used up, so the next round differs.
        routes.app.drain().await;
    }
}

async fn nothing_is_stored_or_sent(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.allow(OA, 1).await;
    routes.channels(&["oa_subscribe", "template"]).await;
    for recipients in [
        json!({"staff_ids": ["s1", "s1"]}),
        json!({"all_staff": true}),
    ] {
        let mut body = json!({"message_type": "ping", "params": {"title": "hi"}});
        body.as_object_mut()
            .unwrap()
            .extend(recipients.as_object().unwrap().clone());
        let answer = routes.preflight(&body).await;
        assert_eq!(
            answer["counts"],
            json!({"would_send": 1, "would_wait": 0, "unreachable": 0})
        );
        assert_eq!(
            answer["verdicts"],
            json!([{
                "staff_id": "s1", "verdict": "would_send", "reason": null, "detail": null,
                "route": 0, "channel": "oa_subscribe", "account": OA,
                "routes": [{"route": 0, "channel": "oa_subscribe", "account": OA, "verdict": "taken", "detail": null}],
            }])
        );
        assert_eq!(answer["warnings"], json!([]));
    }
    routes.app.drain().await;
    let stored = routes.app.get(&routes.key, "/notifications").await.ok(200);
    assert_eq!((&stored["items"], routes.left("s1").await), (&json!([]), 1));
    let calls = |path| routes.world().calls(path, None).unwrap();
    assert_eq!((calls(TEMPLATE_SEND), calls(OA_SEND)), (0, 0));
}

async fn people_who_are_not_staff_are_decided_for_as_they_would_be(routes: RouteFixture) {
    let (app, key) = (&routes.app, &routes.key);
    routes.member("s1", 1).await;
    routes.follows(2).await;
    app.drain().await;
    routes.channels(&["template", "mp_subscribe"]).await;
    let person = |app_id: &str, person| json!({"app_id": app_id, "openid": population::openid(app_id, person)});
    let people = json!([
        {"unionid": population::unionid(1)}, person(OA, 1), {"unionid": population::unionid(2)}, person(OA, 2),
        {"unionid": "nobody"}, person(OA, 3), person(OA, 3), person(OA, 4), person(MP, 9),
    ]);
    let body = json!({"message_type": "ping", "people": people, "params": {"title": "hi"}});
    let before = routes.preflight(&body).await;
    let known = async || {
        app.get(key, "/people").await.ok(200)["items"]
            .as_array()
            .unwrap()
            .len()
    };
    let was_known = known().await;
    assert_eq!(before, routes.preflight(&body).await);
    let accepted = app.post(key, "/notifications", body).await.ok(202);
    assert_eq!(
        was_known + 2,
        known().await,
        "only accepting stores an openid that was not seen"
    );
    assert_eq!(
        before["counts"],
        json!({"would_send": 4, "would_wait": 0, "unreachable": 2}),
        "{before:#}"
    );
    assert_eq!(before["counts"]["would_send"], accepted["counts"]["queued"]);
    let (before, accepted) = (
        before["verdicts"].as_array().unwrap(),
        accepted["verdicts"].as_array().unwrap(),
    );
    assert_eq!(before.len(), accepted.len());
    for (before, accepted) in before.iter().zip(accepted) {
        for member in ["staff_id", "recipient", "reason", "detail"] {
            assert_eq!(
                before[member], accepted[member],
                "{member}: {before} {accepted}"
            );
        }
    }
    assert_eq!(
        (&before[0]["staff_id"], &before[0]["recipient"]),
        (&json!("s1"), &json!({"unionid": population::unionid(1)}))
    );
}

async fn a_login_code_is_not_used_up(routes: RouteFixture) {
    let (app, key) = (&routes.app, &routes.key);
    routes.channels(&["mp_subscribe"]).await;
    let code = routes.world().log_in(MP, 1).unwrap();
    let body = json!({"message_type": "ping", "people": [{"app_id": MP, "code": code}], "params": {"title": "hi"}});
    let refused = app
        .post(key, "/notifications/preflight", body.clone())
        .await;
    let refused = refused.refused(422, "invalid_field", "people[0].code");
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("without using it up"),
        "{refused}"
    );
    app.post(key, "/notifications", body).await.ok(202);
}

async fn it_refuses_what_a_notification_is_refused_for(routes: RouteFixture) {
    routes.member("s1", 1).await;
    let long = "x".repeat(30);
    let mut bodies: Vec<Value> = [
        json!({"message_type": "nope", "staff_ids": ["s1"]}),
        json!({"staff_ids": []}),
        json!({"staff_ids": ["s1"], "tag": "x"}),
        json!({"tag": "nobody"}),
        json!({}),
        json!({"staff_ids": ["s1"], "params": {"title": long}}),
        json!({"staff_ids": ["s1"], "params": {}}),
        json!({"staff_ids": ["s1"], "send_at": "soon"}),
        json!({"staff_ids": ["s1"], "expires_at": "2020-01-01T00:00:00Z"}),
        json!({"staff_ids": ["s1"], "colour": "red"}),
        json!({"staff_ids": ["s1"], "priority": "high"}),
        json!({"people": []}),
        json!({"people": [{}]}),
        json!({"people": [{"app_id": "wx0", "openid": "o"}]}),
    ]
    .into();
    for body in &mut bodies {
        let body = body.as_object_mut().unwrap();
        body.entry("message_type").or_insert(json!("ping"));
        body.entry("params").or_insert(json!({"title": "hi"}));
    }
    let (app, key) = (&routes.app, &routes.key);
    for body in bodies {
        let refused = app
            .post(key, "/notifications/preflight", body.clone())
            .await;
        let accepting = app.post(key, "/notifications", body.clone()).await;
        assert_eq!(refused.status, 422, "{body} {refused:?}");
        assert_eq!(
            (refused.status, refused.json()),
            (accepting.status, accepting.json()),
            "{body}"
        );
    }
}

async fn it_warns_of_what_concerns_everybody(routes: RouteFixture) {
    use queqiao::simulator::TemplateSettings;
    routes.member("s1", 1).await;
    routes.channels(&["template"]).await;
    let (app, key) = (&routes.app, &routes.key);
    let sync = format!("/accounts/{OA}/templates/sync");
    assert_eq!(app.call("POST", key, &sync, None).await.status, 200);
    let template = TemplateSettings {
        template_id: "TPL".to_owned(),
        title: "Notice".to_owned(),
        content: "{{thing1.DATA}}{{time2.DATA}}".to_owned(),
        ..TemplateSettings::default()
    };
    routes
        .world()
        .change_template(OA, "TPL", &template)
        .unwrap();
    assert_eq!(app.call("POST", key, &sync, None).await.status, 200);
    // The quota of the day is used up: the account waits.
    routes.refuse(TEMPLATE_SEND, 45009);
    routes.notify("s1").await;
    app.bridge.run(StepName::Deliver).await.unwrap();
    routes.refuse("/cgi-bin/template/get_all_private_template", 40164);
    assert_eq!(app.call("POST", key, &sync, None).await.status, 502);
    let body = json!({"message_type": "ping", "staff_ids": ["s1"], "params": {"title": "hi"}});
    let answer = routes.preflight(&body).await;
    assert_eq!(answer["verdicts"][0]["verdict"], "would_send");
    let warnings = answer["warnings"].as_array().unwrap();
    let told: Vec<_> = warnings
        .iter()
        .map(|one| {
            (
                one["field"].as_str().unwrap(),
                one["code"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("routes[0].account", "account_problem"),
            ("routes[0].account", "account_used_up"),
            ("routes[0].fields", "key_missing"),
        ]
    );
    let detail = |at: usize| warnings[at]["detail"].as_str().unwrap();
    assert!(detail(0).contains("40164"), "{warnings:?}");
    assert!(
        detail(1).starts_with("45009")
            && detail(1).contains("Messages wait until ")
            && detail(1).contains("16:00:00 UTC"),
        "{warnings:?}"
    );
    // A quota is counted call by call.
    routes.channels(&["oa_subscribe"]).await;
    let answer = routes.preflight(&body).await;
    let told: Vec<_> = answer["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["code"].as_str().unwrap())
        .collect();
    assert!(
        told.contains(&"account_problem") && !told.contains(&"account_used_up"),
        "{answer}"
    );
}
