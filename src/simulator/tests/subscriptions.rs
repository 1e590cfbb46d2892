//! Subscription messages: permissions, checks, what people see.

mod events;

use super::*;
use crate::simulator::population::openid;
use crate::simulator::{Fault, FaultKind, TemplateKind};

const SEND: &str = "/cgi-bin/message/subscribe/send";
const BIZSEND: &str = "/cgi-bin/message/subscribe/bizsend";

struct Desk {
    sim: Sim,
    app_id: &'static str,
    path: String,
    once: String,
    lasting: String,
}

impl Desk {
    async fn open(app_id: &'static str) -> Self {
        let sim = Sim::start().await;
        let template = |kind| {
            let settings = TemplateSettings {
                kind,
                content: "商品:{{thing1.DATA}}\n金额:{{amount2.DATA}}".to_owned(),
                ..TemplateSettings::default()
            };
            sim.world().add_template(app_id, &settings).unwrap()
        };
        let once = template(TemplateKind::SubscribeOnce);
        let lasting = template(TemplateKind::SubscribeLongTerm);
        let token = token_of(&sim, app_id).await;
        let call = if app_id == MINI { SEND } else { BIZSEND };
        Self {
            path: format!("{call}?access_token={token}"),
            sim,
            app_id,
            once,
            lasting,
        }
    }

    fn message(&self, template: &str) -> Value {
        json!({
            "touser": openid(self.app_id, 1), "template_id": template,
            "data": {"thing1": {"value": "蓝色雨伞"}, "amount2": {"value": "￥39.80"}},
        })
    }

    async fn send(&self, template: &str) -> Value {
        self.sim.post(&self.path, &self.message(template)).await
    }

    async fn act(&self, action: &str, body: &Value) -> Value {
        let path = format!("/_sim/accounts/{}/people/1/{action}", self.app_id);
        self.sim.post(&path, body).await
    }

    async fn allow(&self, template: &str) -> Value {
        let choices = json!({"choices": {template: "accept"}});
        self.act("popup", &choices).await
    }

    async fn grants(&self) -> Value {
        let path = format!("/_sim/accounts/{}/people/1/grants", self.app_id);
        self.sim.get(&path).await
    }
}

async fn token_of(sim: &Sim, app_id: &str) -> String {
    let body = json!({"grant_type": "client_credential", "appid": app_id, "secret": SECRET});
    let grant = sim.post("/cgi-bin/stable_token", &body).await;
    grant["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_one_time_permission_is_used_up_and_a_lasting_one_is_not() {
    for app_id in [MINI, OFFICIAL] {
        let desk = Desk::open(app_id).await;
        assert_eq!(errcode(&desk.send(&desk.once).await), 43101);
        for _ in 0..2 {
            let answered = desk.allow(&desk.once).await;
            assert_eq!(answered["results"], json!({desk.once.as_str(): "accept"}));
        }
        desk.allow(&desk.lasting).await;
        assert_eq!(desk.grants().await[&desk.once]["left"], 2);
        for expected in [0, 0, 43101] {
            let answer = desk.send(&desk.once).await;
            assert_eq!(answer["errcode"], expected, "{app_id}: {answer}");
            assert_eq!(desk.send(&desk.lasting).await["errcode"], 0);
        }
        assert_eq!(desk.sim.world().messages().len(), 5);
        let withdrawn = json!({"template_ids": [desk.lasting]});
        desk.act("withdraw", &withdrawn).await;
        assert_eq!(errcode(&desk.send(&desk.lasting).await), 43101);
        assert_eq!(
            desk.grants().await[&desk.lasting],
            json!({"left": 0, "lasting": false})
        );
    }
}

#[tokio::test]
async fn the_person_sees_what_was_sent() {
    let desk = Desk::open(MINI).await;
    desk.allow(&desk.once).await;
    let mut message = desk.message(&desk.once);
    message["page"] = json!("pages/order?id=1");
    message["miniprogram_state"] = json!("trial");
    message["lang"] = json!("zh_TW");
    let answer = desk.sim.post(&desk.path, &message).await;
    let seen = desk.sim.world().messages_to(&openid(MINI, 1)).remove(0);
    assert_eq!(Some(seen.msgid), answer["msgid"].as_i64());
    assert_eq!(seen.data["amount2"], "￥39.80");
    assert_eq!(seen.miniprogram_state.as_deref(), Some("trial"));
    assert_eq!(seen.lang.as_deref(), Some("zh_TW"));
    let page = seen.miniprogram.unwrap();
    assert_eq!(
        (page.appid.as_str(), page.pagepath.as_deref()),
        (MINI, Some("pages/order?id=1"))
    );

    let desk = Desk::open(OFFICIAL).await;
    desk.allow(&desk.once).await;
    let mut message = desk.message(&desk.once);
    message["page"] = json!("https://example.com/o");
    message["miniprogram"] = json!({"appid": MINI, "pagepath": "pages/order"});
    assert_eq!(desk.sim.post(&desk.path, &message).await["errcode"], 0);
    let seen = desk.sim.get("/_sim/messages").await;
    assert_eq!(seen[0]["url"], "https://example.com/o");
    assert_eq!(seen[0]["miniprogram"]["appid"], MINI);
}

#[tokio::test]
async fn a_message_is_checked_before_it_uses_a_permission() {
    let desk = Desk::open(MINI).await;
    let pages = |settings: &mut Settings| settings.pages = vec!["pages/order".to_owned()];
    desk.sim.world().change_account(MINI, pages).unwrap();
    desk.allow(&desk.once).await;
    let thing = |text: &str| json!({"thing1": {"value": text}, "amount2": {"value": "￥39.80"}});
    for (key, value, expected) in [
        ("touser", json!(""), 40003),
        ("touser", json!(openid(OFFICIAL, 1)), 40003),
        ("template_id", json!(""), 40037),
        ("template_id", json!("x".repeat(43)), 40037),
        ("data", thing(&"长".repeat(21)), 47003),
        ("data", json!({"thing1": {"value": "x"}}), 47003),
        ("data", json!([1]), 47001),
        ("page", json!("pages/gone?id=1"), 41030),
        ("miniprogram_state", json!("released"), 47001),
        ("lang", json!("de_DE"), 47001),
    ] {
        let mut message = desk.message(&desk.once);
        message[key] = value;
        let answer = desk.sim.post(&desk.path, &message).await;
        assert_eq!(errcode(&answer), expected, "{key}: {answer}");
    }
    let mut message = desk.message(&desk.once);
    message["data"] = json!({"thing1": {"value": "x"}});
    let answer = desk.sim.post(&desk.path, &message).await;
    let errmsg = answer["errmsg"].as_str().unwrap();
    assert!(
        errmsg.starts_with("argument invalid! data.amount2.value is empty rid: "),
        "{errmsg}"
    );
    assert_eq!(desk.grants().await[&desk.once]["left"], 1);
    message = desk.message(&desk.once);
    message["page"] = json!("/pages/order?id=1");
    assert_eq!(desk.sim.post(&desk.path, &message).await["errcode"], 0);
    assert_eq!(desk.sim.world().messages().len(), 1);
}

#[tokio::test]
async fn each_kind_of_account_and_template_has_its_own_call() {
    let desk = Desk::open(MINI).await;
    let official = token_of(&desk.sim, OFFICIAL).await;
    let mini = token_of(&desk.sim, MINI).await;
    let follow = crate::simulator::Origin::search();
    let world = desk.sim.world();
    world.add_followers(OFFICIAL, 1..2, &follow).unwrap();
    let plain = desk.sim.template("{{thing1.DATA}}");
    let subscription = TemplateSettings {
        kind: TemplateKind::SubscribeOnce,
        content: "{{thing1.DATA}}".to_owned(),
        ..TemplateSettings::default()
    };
    let subscription = world.add_template(OFFICIAL, &subscription).unwrap();
    let template_send = "/cgi-bin/message/template/send";
    for (call, token, template, expected) in [
        (SEND, &official, &plain, 48001),
        (BIZSEND, &mini, &plain, 48001),
        (BIZSEND, &official, &plain, 40037),
        (BIZSEND, &official, &desk.once, 40037),
        (template_send, &official, &subscription, 40037),
        (BIZSEND, &official, &subscription, 43101),
    ] {
        let mut message = desk.message(template);
        message["touser"] = json!(openid(OFFICIAL, 1));
        let answer = desk
            .sim
            .post(&format!("{call}?access_token={token}"), &message)
            .await;
        assert_eq!(errcode(&answer), expected, "{call} {answer}");
    }
    let bare = TemplateSettings {
        content: "{{thing1.DATA}}".to_owned(),
        ..TemplateSettings::default()
    };
    let bare = world.add_template(MINI, &bare).unwrap();
    desk.allow(&bare).await;
    let answer = desk.send(&bare).await;
    assert_eq!(answer["errcode"], 0, "a mini-program has no other kind");
}

#[tokio::test]
async fn two_sends_to_one_openid_may_not_overlap() {
    let desk = Desk::open(MINI).await;
    for _ in 0..3 {
        desk.allow(&desk.once).await;
    }
    let world = desk.sim.world();
    world.set_latency(SEND, Duration::from_millis(500)).unwrap();
    let (one, other) = tokio::join!(desk.send(&desk.once), desk.send(&desk.once));
    let mut codes = [one["errcode"].as_i64(), other["errcode"].as_i64()];
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(43108)]);
    assert_eq!(desk.grants().await[&desk.once]["left"], 2);
    world.set_latency(SEND, Duration::ZERO).unwrap();
    assert_eq!(desk.send(&desk.once).await["errcode"], 0, "one by one");
    assert_eq!(desk.send(&desk.once).await["errcode"], 0);
}

#[tokio::test]
async fn a_time_out_before_acceptance_keeps_the_permission_and_one_after_it_uses_it() {
    for (app_id, call) in [(MINI, SEND), (OFFICIAL, BIZSEND)] {
        let desk = Desk::open(app_id).await;
        desk.allow(&desk.once).await;
        for (kind, left) in [(FaultKind::TimeOutBefore, 1), (FaultKind::TimeOutAfter, 0)] {
            desk.sim
                .world()
                .add_fault(Fault::at(call, kind).times(1))
                .unwrap();
            let request = desk.sim.http.post(desk.sim.url(&desk.path));
            let request = request.json(&desk.message(&desk.once));
            let answer = request.timeout(Duration::from_millis(150)).send().await;
            assert!(answer.unwrap_err().is_timeout());
            assert_eq!(desk.grants().await[&desk.once]["left"], left, "{kind:?}");
            assert_eq!(desk.sim.world().messages().len(), 1 - left, "{kind:?}");
        }
    }
}
