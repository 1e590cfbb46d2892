//! Template messages: checks, client_msg_ids, what people see.

use super::*;
use crate::simulator::Origin;
use crate::simulator::population::openid;

struct Desk {
    sim: Sim,
    path: String,
    template_id: String,
}

impl Desk {
    async fn open() -> Self {
        let sim = Sim::start().await;
        sim.world()
            .add_followers(OFFICIAL, 0..3, &Origin::search())
            .unwrap();
        let template_id = sim.template("单号:{{character_string1.DATA}}\n说明:{{thing2.DATA}}\n");
        assert_eq!(template_id.len(), 43);
        let path = format!(
            "/cgi-bin/message/template/send?access_token={}",
            sim.token().await
        );
        Self {
            sim,
            path,
            template_id,
        }
    }

    fn message(&self, person: u32) -> Value {
        json!({
            "touser": openid(OFFICIAL, person),
            "template_id": self.template_id,
            "data": {"character_string1": {"value": "SF1"}, "thing2": {"value": "已发货"}},
        })
    }

    async fn send(&self, message: &Value) -> Value {
        self.sim.post(&self.path, message).await
    }
}

#[tokio::test]
async fn an_accepted_message_is_seen_by_its_person() {
    let desk = Desk::open().await;
    let mut message = desk.message(1);
    message["miniprogram"] = json!({"appid": MINI, "pagepath": "pages/order?id=1"});
    message["client_msg_id"] = json!("order-1");
    let answer = desk.send(&message).await;
    assert_eq!(
        (&answer["errcode"], &answer["errmsg"]),
        (&json!(0), &json!("ok"))
    );
    assert!(answer["msgid"].as_i64().unwrap() > 1 << 53);
    let seen = desk.sim.world().messages_to(&openid(OFFICIAL, 1));
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].data["thing2"], "已发货");
    assert_eq!(Some(seen[0].msgid), answer["msgid"].as_i64());
    assert_eq!(
        seen[0].miniprogram.as_ref().unwrap().pagepath.as_deref(),
        Some("pages/order?id=1")
    );
    let listed = desk
        .sim
        .get(&format!("/_sim/messages?openid={}", openid(OFFICIAL, 1)))
        .await;
    assert_eq!(listed[0]["client_msg_id"], "order-1");
    let others = desk
        .sim
        .get(&format!("/_sim/messages?openid={}", openid(OFFICIAL, 2)))
        .await;
    assert_eq!(others, json!([]));
}

#[tokio::test]
async fn a_client_msg_id_is_shown_once_in_ten_minutes() {
    let desk = Desk::open().await;
    let mut message = desk.message(0);
    message["client_msg_id"] = json!("order-1");
    let first = desk.send(&message).await;
    desk.sim.world().advance(Duration::from_secs(595));
    let repeat = desk.send(&message).await;
    assert_eq!(repeat, first);
    let mut other = desk.message(1);
    other["client_msg_id"] = json!("order-1");
    assert_ne!(desk.send(&other).await["msgid"], first["msgid"]);
    assert_eq!(desk.sim.world().messages().len(), 2);
    assert_eq!(desk.sim.world().stats().repeats, 1);

    desk.sim.world().advance(Duration::from_secs(6));
    assert_ne!(desk.send(&message).await["msgid"], first["msgid"]);
    assert_eq!(desk.sim.world().messages_to(&openid(OFFICIAL, 0)).len(), 2);
    message["client_msg_id"] = json!("x".repeat(33));
    assert_eq!(errcode(&desk.send(&message).await), 45067);
}

#[tokio::test]
async fn a_message_is_checked() {
    let desk = Desk::open().await;
    let refused = async |key: &str, value: Value| {
        let mut message = desk.message(0);
        message[key] = value;
        desk.send(&message).await
    };
    assert_eq!(
        errcode(&refused("touser", json!(openid(MINI, 0))).await),
        40003
    );
    assert_eq!(errcode(&refused("touser", json!("")).await), 40003);
    assert_eq!(
        errcode(&refused("touser", json!(openid(OFFICIAL, 5))).await),
        43004
    );
    assert_eq!(
        errcode(&refused("template_id", json!("x".repeat(43))).await),
        40037
    );
    assert_eq!(errcode(&refused("template_id", json!("")).await), 40036);
    assert_eq!(errcode(&refused("data", json!({})).await), 47001);
    assert_eq!(errcode(&refused("data", json!([1])).await), 47001);
    let too_long =
        json!({"character_string1": {"value": "SF1"}, "thing2": {"value": "长".repeat(21)}});
    let answer = refused("data", too_long).await;
    assert_eq!(errcode(&answer), 47003);
    let errmsg = answer["errmsg"].as_str().unwrap();
    assert!(
        errmsg.starts_with("argument invalid! data.thing2.value invalid rid: "),
        "{errmsg}"
    );
    let answer = refused("data", json!({"thing2": {"value": "x"}})).await;
    let errmsg = answer["errmsg"].as_str().unwrap();
    assert!(
        errmsg.starts_with("argument invalid! data.character_string1.value is empty rid: "),
        "{errmsg}"
    );

    let not_json = desk.sim.http.post(desk.sim.url(&desk.path)).body("{");
    let not_json: Value = not_json.send().await.unwrap().json().await.unwrap();
    assert_eq!(errcode(&not_json), 47001);
    let without_token = desk
        .sim
        .post("/cgi-bin/message/template/send", &desk.message(0))
        .await;
    assert_eq!(errcode(&without_token), 41001);
    assert!(desk.sim.world().messages().is_empty());
}

#[tokio::test]
async fn a_mini_program_may_not_send_template_messages() {
    let sim = Sim::start().await;
    let body = json!({"grant_type": "client_credential", "appid": MINI, "secret": SECRET});
    let grant = sim.post("/cgi-bin/stable_token", &body).await;
    let token = grant["access_token"].as_str().unwrap();
    let answer = sim
        .post(
            &format!("/cgi-bin/message/template/send?access_token={token}"),
            &json!({"touser": "x"}),
        )
        .await;
    assert_eq!(errcode(&answer), 48001);
}

#[tokio::test]
async fn a_mini_program_that_is_not_linked_is_refused() {
    let desk = Desk::open().await;
    for app_id in ["wx00000000000000ff", OFFICIAL] {
        let mut message = desk.message(1);
        message["miniprogram"] = json!({"appid": app_id, "pagepath": "pages/order"});
        assert_eq!(errcode(&desk.send(&message).await), 40013, "{app_id}");
    }
    assert!(
        desk.sim
            .world()
            .messages_to(&openid(OFFICIAL, 1))
            .is_empty()
    );
}
