//! People who are erased: nothing of them is found afterwards, and everything else is as before.

mod later;

use queqiao::bridge::Step;
use queqiao::bridge::steps::StepName;
use queqiao::simulator::{
    Arrival, Choice, Origin, Receipt, Spelling, TemplateKind, TemplateSettings, population,
};
use serde_json::{Value, json};

use super::{FOREIGN, MP, OA, WebhookFixture, kinds, template};
use crate::support::search::places_of;

/// What names a person.
fn words(person: u32) -> [String; 3] {
    [
        population::openid(OA, person),
        population::openid(MP, person),
        population::unionid(person),
    ]
}

impl WebhookFixture {
    /// Where a person is found in the database, by any of their ids.
    fn places(&self, person: u32) -> Vec<String> {
        let words = words(person);
        let db = self.app.database.db();
        words.iter().flat_map(|word| places_of(db, word)).collect()
    }

    /// The number of a person's identity in the official account.
    async fn number(&self, person: u32) -> i64 {
        let path = format!("/people?openid={}", population::openid(OA, person));
        let found = self.app.get(&self.key, &path).await.ok(200);
        found["items"][0]["identity_id"].as_i64().unwrap()
    }

    async fn log_in(&self, person: u32) {
        let code = self.app.simulator.world().log_in(MP, person).unwrap();
        let path = format!("/miniprogram/{MP}/sessions");
        let body = json!({"code": code});
        self.app.post(&self.key, &path, body).await.ok(200);
        self.app.drain().await;
    }

    async fn post_notification(&self, body: Value) -> i64 {
        let answer = self.app.post(&self.key, "/notifications", body).await;
        answer.ok(202)["id"].as_i64().unwrap()
    }

    async fn params_of(&self, notification: i64) -> Value {
        let path = format!("/notifications/{notification}");
        self.app.get(&self.key, &path).await.ok(200)["params"].clone()
    }

    /// Everything that can be kept of persons 1 and 2: they follow, log in, write, consent, are
    /// staff, and are notified in every way. Returns the notifications of person 1.
    async fn live(&self) -> Told {
        let world = self.app.simulator.world();
        self.ping().await;
        let once = TemplateSettings {
            kind: TemplateKind::SubscribeOnce,
            ..template("TPL", "Title:{{thing1.DATA}}\n")
        };
        world.add_template(MP, &once).unwrap();
        for person in [1, 2] {
            self.new_follower(person).await;
            self.log_in(person).await;
            self.bound(&format!("s{person}"), person).await;
            self.write(person, &format!("I am number {person}")).await;
            world
                .answer_popup(MP, person, &[("TPL", Choice::Accept)])
                .await
                .unwrap();
            self.app.drain().await;
        }
        let receipt = Receipt {
            arrival: Arrival::BeforeAnswer,
            ..Receipt::default()
        };
        world.set_receipt(OA, None, receipt).unwrap();
        let openid = population::openid(OA, 1);
        let person = json!({"app_id": OA, "openid": openid});
        let alone = json!({"message_type": "ping", "staff_ids": ["s1"],
            "params": {"title": "secret"}});
        let shared = json!({"message_type": "ping", "staff_ids": ["s1", "s2"],
            "params": {"title": "for all", "of": openid}});
        let named = json!({"message_type": "ping", "people": [person],
            "params": {"title": "secret"}});
        let by_unionid = json!({"message_type": "ping",
            "people": [{"unionid": population::unionid(1)}], "params": {"title": "secret"}});
        let about = json!({"message_type": "ping", "staff_ids": ["s2"],
            "params": {"title": "new customer", "customer": openid}});
        let tomorrow = self.app.clock.now() + chrono::TimeDelta::days(1);
        let send_at = tomorrow.and_utc().to_rfc3339();
        let later = json!({"message_type": "ping", "staff_ids": ["s1", "s2"],
            "params": {"title": "later"}, "send_at": send_at});
        let told = Told {
            alone: self.post_notification(alone).await,
            shared: self.post_notification(shared).await,
            named: self.post_notification(named).await,
            by_unionid: self.post_notification(by_unionid).await,
            about: self.post_notification(about).await,
            later: self.post_notification(later).await,
        };
        self.app.drain().await;
        let path = format!("/accounts/{OA}/imports");
        self.app
            .post(&self.key, &path, json!({"reconcile": true}))
            .await
            .ok(202);
        self.app.drain().await;
        told
    }

    async fn counts(&self, notification: i64) -> Value {
        let path = format!("/notifications/{notification}");
        self.app.get(&self.key, &path).await.ok(200)["counts"].clone()
    }

    async fn audit_of_erasures(&self) -> Vec<Value> {
        let audit = self.app.get(&self.key, "/audit").await.ok(200);
        let entries = audit["items"].as_array().unwrap().clone();
        let is_one = |entry: &Value| entry["action"] == "person.erased";
        entries.into_iter().filter(is_one).collect()
    }
}

struct Told {
    alone: i64,
    shared: i64,
    named: i64,
    by_unionid: i64,
    about: i64,
    later: i64,
}

/// What is the same whoever asked for it.
#[allow(clippy::too_many_lines, reason = "a table of cases")]
async fn assert_erased(webhooks: &WebhookFixture, told: &Told, identity: i64) {
    assert_eq!(webhooks.places(1), Vec::<String>::new());
    let app = &webhooks.app;
    app.get(&webhooks.key, &format!("/people/{identity}"))
        .await
        .refused(404, "not_found", "");
    let staff = app.get(&webhooks.key, "/staff/s1").await.ok(200);
    assert_eq!(
        (&staff["bindings"], &staff["identities"]),
        (&json!([]), &json!([]))
    );
    // Whom it was for is gone, what became of it is not.
    assert_eq!(webhooks.counts(told.alone).await["delivered"], 1);
    assert_eq!(webhooks.counts(told.shared).await["delivered"], 2);
    assert_eq!(webhooks.counts(told.named).await["delivered"], 1);
    let later = webhooks.counts(told.later).await;
    assert_eq!(
        (&later["cancelled"], &later["queued"]),
        (&json!(1), &json!(1)),
        "{later}"
    );
    for alone in [told.alone, told.named, told.by_unionid] {
        assert_eq!(webhooks.params_of(alone).await, json!({}), "{alone}");
    }
    assert_eq!(webhooks.params_of(told.shared).await["title"], "for all");
    assert_eq!(webhooks.params_of(told.about).await["customer"], "[erased]");
    let path = format!("/notifications/{}/deliveries", told.later);
    let deliveries = app.get(&webhooks.key, &path).await.ok(200);
    let cancelled = deliveries["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|delivery| delivery["state"] == "cancelled")
        .unwrap();
    assert_eq!(
        (&cancelled["staff_id"], &cancelled["reason"]),
        (&json!("s1"), &json!("erased"))
    );
    assert_eq!(
        (&cancelled["openid"], &cancelled["identity_id"]),
        (&json!(null), &json!(null))
    );
    // Kinds and times of what they did are kept, and nothing of what it was.
    let texts = app.get(&webhooks.key, "/events?kind=text").await.ok(200);
    let texts = texts["items"].as_array().unwrap();
    assert_eq!(texts.len(), 2);
    let theirs = texts
        .iter()
        .find(|event| event["openid"].is_null())
        .unwrap();
    let whole = app
        .get(&webhooks.key, &format!("/events/{}", theirs["id"]))
        .await
        .ok(200);
    assert_eq!(
        (&whole["raw"], &whole["parsed"]),
        (&json!(""), &json!(null))
    );
    assert_eq!(
        (&whole["state"], &whole["problem"]),
        (&json!("processed"), &json!("erased with the person"))
    );
    assert!(whole["create_time"].is_string(), "{whole}");
    // Nobody else lost anything.
    let other = app
        .get(
            &webhooks.key,
            &format!("/people?unionid={}", population::unionid(2)),
        )
        .await
        .ok(200);
    assert_eq!(other["items"][0]["identities"].as_array().unwrap().len(), 2);
    assert_eq!(other["items"][0]["staff_ids"], json!(["s2"]));
    let credits = app.get(&webhooks.key, "/staff/s2/credits").await.ok(200);
    assert!(credits.to_string().contains("TPL"), "{credits}");
}

both_engines! {
    who_deletes_their_wechat_account_is_erased_everywhere,
    who_the_business_names_is_erased_everywhere,
    another_projects_people_cannot_be_erased,
    every_spelling_of_the_event_counts,
}

async fn who_deletes_their_wechat_account_is_erased_everywhere(webhooks: WebhookFixture) {
    let (id, _) = webhooks.listen(&["*"]).await;
    let told = webhooks.live().await;
    let identity = webhooks.number(1).await;
    assert!(webhooks.places(1).len() > 10, "{:?}", webhooks.places(1));
    let world = webhooks.app.simulator.world();
    world
        .cancel_wechat(OA, 1, Spelling::Documented)
        .await
        .unwrap();
    webhooks.app.drain().await;
    assert_erased(&webhooks, &told, identity).await;
    let posts = webhooks.receiver.posts();
    let erased: Vec<Value> = posts
        .iter()
        .filter(|post| post.kind() == "person.erased")
        .map(|post| post.json()["data"].clone())
        .collect();
    assert_eq!(erased.len(), 1);
    let told = &erased[0];
    assert_eq!(
        (&told["cause"], &told["staff_ids"]),
        (&json!("cancellation"), &json!(["s1"]))
    );
    assert_eq!(told["unionid"], population::unionid(1).as_str());
    let mut named: Vec<(&str, &str)> = told["identities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["app_id"].as_str().unwrap(),
                one["openid"].as_str().unwrap(),
            )
        })
        .collect();
    named.sort_unstable();
    let (in_oa, in_mp) = (population::openid(OA, 1), population::openid(MP, 1));
    assert_eq!(named, [(OA, in_oa.as_str()), (MP, in_mp.as_str())]);
    // What is kept of that event names nobody.
    let kept = webhooks.deliveries(id).await;
    let kept = kept
        .iter()
        .find(|kept| kept["type"] == "person.erased")
        .unwrap();
    assert_eq!(
        kept["payload"]["data"]["identities"][0]["openid"],
        json!(null),
        "{kept}"
    );
    assert_eq!(
        kept["payload"]["data"]["staff_ids"],
        json!(["s1"]),
        "{kept}"
    );
    let audit = webhooks.audit_of_erasures().await;
    assert_eq!(audit.len(), 1);
    assert_eq!(
        (&audit[0]["by"], &audit[0]["key"], &audit[0]["app_id"]),
        (&json!("wechat"), &json!(null), &json!(OA))
    );
    let path = format!("/erasures/{}", audit[0]["erasure_id"]);
    let erasure = webhooks.app.get(&webhooks.key, &path).await.ok(200);
    assert_eq!(
        (&erasure["state"], &erasure["cause"]),
        (&json!("done"), &json!("cancellation"))
    );
    assert_eq!(erasure["erased"]["identities"], 2, "{erasure}");
    assert_eq!(erasure["erased"]["bindings"], 1, "{erasure}");
    assert_eq!(erasure["erased"]["permissions"], 1, "{erasure}");
    webhooks
        .app
        .get(&webhooks.other, &path)
        .await
        .refused(403, "missing_scope", "");
    // A second look finds nothing new, and is the last.
    webhooks.advance(601).await;
    assert_eq!(
        webhooks.app.get(&webhooks.key, &path).await.ok(200),
        erasure
    );
    assert_eq!(
        webhooks.app.bridge.run(StepName::Erase).await.unwrap(),
        Step::Idle
    );
    assert_eq!(webhooks.places(1), Vec::<String>::new());
}

async fn who_the_business_names_is_erased_everywhere(webhooks: WebhookFixture) {
    webhooks.listen(&["person.erased"]).await;
    let told = webhooks.live().await;
    let identity = webhooks.number(1).await;
    let path = format!("/people/{identity}");
    webhooks
        .app
        .delete(&webhooks.other, &path)
        .await
        .refused(403, "missing_scope", "");
    let erased = webhooks.app.delete(&webhooks.key, &path).await.ok(200);
    assert_eq!(
        (&erased["state"], &erased["by"]),
        (&json!("done"), &json!("api_key"))
    );
    assert_eq!(erased["staff_ids"], json!(["s1"]));
    assert!(
        erased["identity_ids"]
            .as_array()
            .unwrap()
            .contains(&json!(identity)),
        "{erased}"
    );
    webhooks.app.drain().await;
    assert_erased(&webhooks, &told, identity).await;
    assert_eq!(kinds(&webhooks.receiver.posts()), ["person.erased"]);
    assert_eq!(
        webhooks.receiver.posts()[0].json()["data"]["cause"],
        "request"
    );
    let audit = webhooks.audit_of_erasures().await;
    assert_eq!(
        (&audit[0]["by"], &audit[0]["key"]["name"]),
        (&json!("api_key"), &json!("test"))
    );
    assert_eq!(
        (&audit[0]["identity_id"], &audit[0]["erasure_id"]),
        (&json!(identity), &erased["id"])
    );
    // Asked for again, it is the same one.
    assert_eq!(
        webhooks.app.delete(&webhooks.key, &path).await.ok(200),
        erased
    );
    assert_eq!(webhooks.audit_of_erasures().await.len(), 1);
    assert_eq!(webhooks.receiver.posts().len(), 1);
    webhooks
        .app
        .delete(&webhooks.key, "/people/999999")
        .await
        .refused(404, "not_found", "");
}

async fn another_projects_people_cannot_be_erased(webhooks: WebhookFixture) {
    webhooks.new_follower(1).await;
    let world = webhooks.app.simulator.world();
    world.follow(FOREIGN, 1, Origin::default()).await.unwrap();
    webhooks.app.drain().await;
    let db = webhooks.app.database.db();
    let foreign = population::openid(FOREIGN, 1);
    let before = places_of(db, &foreign);
    let identity = webhooks.number(1).await;
    for id in [identity + 1, identity + 2] {
        let answer = webhooks
            .app
            .delete(&webhooks.key, &format!("/people/{id}"))
            .await;
        answer.refused(404, "not_found", "");
    }
    // The same unionid in another project is another person's data: another owner holds it.
    webhooks
        .app
        .delete(&webhooks.key, &format!("/people/{identity}"))
        .await
        .ok(200);
    webhooks.app.drain().await;
    assert_eq!(places_of(db, &foreign), before);
}

async fn every_spelling_of_the_event_counts(webhooks: WebhookFixture) {
    let world = webhooks.app.simulator.world();
    for (person, spelling) in [(1, Spelling::Lower), (2, Spelling::Blank)] {
        webhooks.new_follower(person).await;
        world.cancel_wechat(OA, person, spelling).await.unwrap();
        webhooks.app.drain().await;
        assert_eq!(
            webhooks.places(person),
            Vec::<String>::new(),
            "{spelling:?}"
        );
    }
    // By the mini-program, which is told no unionid, and by an event that is broken behind it.
    webhooks.new_follower(3).await;
    webhooks.log_in(3).await;
    world
        .cancel_wechat(MP, 3, Spelling::Documented)
        .await
        .unwrap();
    webhooks.app.drain().await;
    assert_eq!(webhooks.places(3), Vec::<String>::new());
    webhooks.new_follower(4).await;
    let body = format!(
        "<xml><ToUserName>gh_1</ToUserName><FromUserName>oPLATFORM</FromUserName><CreateTime>{}</CreateTime>\
             <MsgType>event</MsgType><Event>user_authorization_cancellation</Event><OpenID> {} </OpenID>\
             <AppID>{OA}</AppID><Broken>]]></Broken></xml>",
        webhooks.app.clock.unix_seconds(),
        population::openid(OA, 4)
    );
    world.push_raw(OA, "oPLATFORM", &body).await.unwrap();
    webhooks.app.drain().await;
    assert_eq!(webhooks.places(4), Vec::<String>::new());
    let people = webhooks.app.get(&webhooks.key, "/people").await.ok(200);
    assert_eq!(people["items"], json!([]));
}
