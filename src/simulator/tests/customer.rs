//! Customer messages: when they are allowed, what is refused, what people see; and budgets.

use super::*;
use crate::simulator::population::openid;
use crate::simulator::{Fault, FaultKind, Origin};

const SEND: &str = "/cgi-bin/message/custom/send";

struct Desk {
    sim: Sim,
    app_id: &'static str,
    path: String,
}

impl Desk {
    async fn open(app_id: &'static str) -> Self {
        let sim = Sim::start().await;
        let people = sim.world().add_followers(OFFICIAL, 0..5, &Origin::search());
        people.unwrap();
        let body = json!({"grant_type": "client_credential", "appid": app_id, "secret": SECRET});
        let grant = sim.post("/cgi-bin/stable_token", &body).await;
        let token = grant["access_token"].as_str().unwrap();
        Self {
            path: format!("{SEND}?access_token={token}"),
            sim,
            app_id,
        }
    }

    async fn say(&self, content: &str) -> Value {
        let body = json!({
            "touser": openid(self.app_id, 1), "msgtype": "text", "text": {"content": content},
        });
        self.sim.post(&self.path, &body).await
    }

    async fn act(&self, action: &str, body: &Value) {
        let path = format!("/_sim/accounts/{}/people/1/{action}", self.app_id);
        assert_eq!(self.sim.post(&path, body).await["app_id"], self.app_id);
    }

    /// How many messages go out, and what the next one is refused with.
    async fn all(&self) -> (usize, i64) {
        let mut sent = 0;
        loop {
            let answer = self.say("hi").await;
            if answer["errcode"] != 0 {
                return (sent, errcode(&answer));
            }
            assert_eq!(answer, json!({"errcode": 0, "errmsg": "ok"}));
            sent += 1;
        }
    }

    fn advance(&self, seconds: u64) {
        self.sim.world().advance(Duration::from_secs(seconds));
    }
}

#[tokio::test]
async fn each_action_allows_its_messages_for_its_time() {
    let text = json!({"content": "hi"});
    let entry = json!({"id": "101", "content": "yes"});
    for (app_id, action, body, messages, seconds) in [
        (OFFICIAL, "text", &text, 5, 172_800),
        (OFFICIAL, "click", &json!({"key": "k"}), 3, 60),
        (
            OFFICIAL,
            "menu_scan",
            &json!({"key": "k", "result": "r"}),
            3,
            60,
        ),
        (OFFICIAL, "menu_message", &entry, 3, 60),
        (OFFICIAL, "scan", &json!({"scene": "s"}), 3, 60),
        (OFFICIAL, "follow", &json!({}), 3, 60),
        (MINI, "text", &text, 5, 172_800),
        (MINI, "enter_chat", &json!({}), 2, 60),
    ] {
        let desk = Desk::open(app_id).await;
        assert_eq!(desk.all().await, (0, 45015), "{action}");
        desk.act(action, body).await;
        assert_eq!(desk.all().await, (messages, 45047), "{action}");
        desk.act(action, body).await;
        // Tokens live for two hours only.
        if seconds == 60 {
            desk.advance(61);
            assert_eq!(desk.all().await, (0, 45015), "{action}");
        }
        assert_eq!(desk.sim.world().messages().len(), messages);
    }
}

#[tokio::test]
async fn what_is_refused_uses_nothing_up() {
    let desk = Desk::open(OFFICIAL).await;
    desk.act("click", &json!({"key": "k"})).await;
    let nobody = json!({"touser": "oX", "msgtype": "text", "text": {"content": "hi"}});
    let card = json!({"touser": openid(OFFICIAL, 1), "msgtype": "wxcard"});
    for (body, expected) in [(nobody, 40003), (card, 40008)] {
        assert_eq!(errcode(&desk.sim.post(&desk.path, &body).await), expected);
    }
    assert_eq!(errcode(&desk.say("").await), 44004);
    assert_eq!(errcode(&desk.say(&"好".repeat(683)).await), 45002);
    let longest = "好".repeat(682) + "ab";
    assert_eq!(desk.say(&longest).await["errcode"], 0);
    let seen = &desk.sim.world().messages_to(&openid(OFFICIAL, 1))[0];
    assert_eq!(seen.text.as_ref(), Some(&longest));
    assert_eq!((seen.template_id.as_str(), seen.msgid), ("", 0));
    assert_eq!(desk.all().await, (2, 45047));
}

#[tokio::test]
async fn who_unfollowed_is_out_of_reach() {
    let desk = Desk::open(OFFICIAL).await;
    desk.act("text", &json!({"content": "hi"})).await;
    assert_eq!(desk.say("hi").await["errcode"], 0);
    desk.sim.world().unfollow(OFFICIAL, 1).await.unwrap();
    assert_eq!(errcode(&desk.say("hi").await), 45015);
}

#[tokio::test]
async fn an_account_may_be_allowed_more() {
    let desk = Desk::open(OFFICIAL).await;
    let change = desk
        .sim
        .world()
        .change_account(OFFICIAL, |settings| settings.answers = 20);
    change.unwrap();
    desk.act("text", &json!({"content": "hi"})).await;
    assert_eq!(desk.all().await, (20, 45047));
}

#[tokio::test]
async fn a_text_is_shown_after_a_time_out_after_acceptance_only() {
    let desk = Desk::open(OFFICIAL).await;
    desk.act("text", &json!({"content": "hi"})).await;
    let body = json!({"touser": openid(OFFICIAL, 1), "msgtype": "text", "text": {"content": "hi"}});
    for (kind, seen) in [
        (FaultKind::TimeOutBefore, 0),
        (FaultKind::TimeOutAfter, 1),
        (FaultKind::Reset, 1),
        (FaultKind::ResetAfter, 2),
    ] {
        let fault = Fault::at(SEND, kind).times(1);
        desk.sim.world().add_fault(fault).unwrap();
        let request = desk.sim.http.post(desk.sim.url(&desk.path)).json(&body);
        let answer = request.timeout(Duration::from_millis(150)).send().await;
        assert!(answer.is_err(), "{kind:?}");
        assert_eq!(desk.sim.world().messages().len(), seen, "{kind:?}");
    }
    assert_eq!(desk.all().await, (3, 45047), "what was shown was counted");
}

#[tokio::test]
async fn a_budget_ends_for_the_minute_and_for_the_day() {
    let desk = Desk::open(OFFICIAL).await;
    desk.sim
        .world()
        .change_account(OFFICIAL, |settings| settings.answers = 99)
        .unwrap();
    desk.act("text", &json!({"content": "hi"})).await;
    let set = async |budget: Value| {
        let path = format!("/_sim/accounts/{OFFICIAL}/budgets");
        let set = desk.sim.http.post(desk.sim.url(&path)).json(&budget);
        set.send().await.unwrap().status().as_u16()
    };
    assert_eq!(set(json!({"path": SEND, "daily": 3})).await, 204);
    assert_eq!(desk.all().await, (3, 45009));
    assert_eq!(set(json!({"path": SEND, "per_minute": 0})).await, 204);
    assert_eq!(desk.all().await, (0, 45011));
    assert_eq!(set(json!({"path": SEND})).await, 204);
    assert_eq!(desk.say("hi").await["errcode"], 0);
    assert_eq!(
        set(json!({"path": "/cgi-bin/nothing", "daily": 3})).await,
        400
    );
}
