//! What people's actions push, in which order and how often, and the receipts of messages.

use super::stub::{Got, Stub};
use super::*;
use crate::simulator::population::openid;
use crate::simulator::{Arrival, BulkOutcome, Origin, PushOrder, PushOutcome, Receipt};
use crate::wechat::fields::Fields;

fn field(body: &str, name: &str) -> Option<String> {
    Fields::parse(body.as_bytes())
        .unwrap()
        .text(name)
        .map(str::to_owned)
}

#[tokio::test]
async fn actions_push_what_wechat_pushes() {
    let sim = Sim::start().await;
    let mut stub = Stub::saying("success").await;
    sim.push_to(&stub);
    let act = async |action: &str, body: Value| {
        let path = format!("/_sim/accounts/{OFFICIAL}/people/4/{action}");
        sim.post(&path, &body).await
    };
    for (action, body, event, key) in [
        ("follow", json!({}), "subscribe", Some("")),
        ("unfollow", json!(null), "unsubscribe", Some("")),
        (
            "follow",
            json!({"subscribe_scene": "ADD_SCENE_QR_CODE", "qr_scene": "shop_12"}),
            "subscribe",
            Some("qrscene_shop_12"),
        ),
        ("scan", json!({"scene": "shop_13"}), "SCAN", Some("shop_13")),
        (
            "click",
            json!({"key": "menu_balance"}),
            "CLICK",
            Some("menu_balance"),
        ),
        ("text", json!({"content": "余额?"}), "text", None),
    ] {
        let record = act(action, body).await;
        assert_eq!(record["verdict"]["kind"], "success", "{record}");
        assert_eq!(record["event"], event);
        let got = stub.next().await;
        assert_eq!(field(&got.body, "FromUserName"), Some(openid(OFFICIAL, 4)));
        assert_eq!(field(&got.body, "EventKey").as_deref(), key, "{action}");
        let has_ticket = key.is_some_and(|key| key.contains("shop"));
        assert_eq!(field(&got.body, "Ticket").is_some(), has_ticket, "{action}");
        if action == "text" {
            assert_eq!(field(&got.body, "Content").as_deref(), Some("余额?"));
        }
    }
    let path = format!("/cgi-bin/user/get?access_token={}", sim.token().await);
    assert_eq!(
        sim.get(&path).await["data"]["openid"],
        json!([openid(OFFICIAL, 4)])
    );
    let nobody = act("login", json!(null)).await;
    assert!(
        nobody["error"].as_str().unwrap().contains("kind"),
        "{nobody}"
    );
    let pushes = sim.get(&format!("/_sim/pushes?app_id={OFFICIAL}")).await;
    assert_eq!(pushes.as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn held_pushes_go_out_in_the_order_asked_for() {
    let sim = Sim::start().await;
    let mut stub = Stub::saying("success").await;
    sim.push_to(&stub);
    let world = sim.world();
    for (order, expected) in [
        (PushOrder::Reverse, vec!["unsubscribe", "subscribe"]),
        (PushOrder::Given, vec!["subscribe", "unsubscribe"]),
        (
            PushOrder::Indices(vec![1, 0, 1]),
            vec!["unsubscribe", "subscribe", "unsubscribe"],
        ),
    ] {
        world.hold_pushes(OFFICIAL).unwrap();
        let held = world.follow(OFFICIAL, 1, Origin::search()).await.unwrap();
        assert_eq!(held.verdict, PushOutcome::Held);
        world.unfollow(OFFICIAL, 1).await.unwrap();
        assert!(stub.rest().is_empty());
        let records = world.release_pushes(OFFICIAL, order).await.unwrap();
        assert!(
            records
                .iter()
                .all(|record| record.verdict == PushOutcome::Success)
        );
        let events: Vec<_> = stub
            .rest()
            .iter()
            .map(|got| field(&got.body, "Event").unwrap())
            .collect();
        assert_eq!(events, expected);
    }
    let free = world.follow(OFFICIAL, 1, Origin::search()).await.unwrap();
    assert_eq!(
        free.verdict,
        PushOutcome::Success,
        "nothing is held any more"
    );
}

#[tokio::test]
async fn copies_are_identical_and_many_follow_at_once() {
    let sim = Sim::start().await;
    let mut stub = Stub::saying("success").await;
    sim.push_to(&stub);
    sim.world().set_push_copies(OFFICIAL, 3).unwrap();
    sim.world()
        .follow(OFFICIAL, 1, Origin::search())
        .await
        .unwrap();
    let copies = stub.rest();
    assert!(copies.len() == 3 && copies.iter().all(|got| *got == copies[0]));
    sim.world().set_push_copies(OFFICIAL, 1).unwrap();
    let crowd = json!({"from": 2, "to": 10, "concurrency": 4});
    let outcome = sim
        .post(&format!("/_sim/accounts/{OFFICIAL}/follow_many"), &crowd)
        .await;
    assert_eq!(
        outcome,
        json!(BulkOutcome {
            accepted: 8,
            failed: 0
        })
    );
    assert_eq!(stub.rest().len(), 8);
}

struct Sending {
    sim: Sim,
    stub: Stub,
    path: String,
    message: Value,
}

impl Sending {
    async fn ready() -> Self {
        let sim = Sim::start().await;
        let stub = Stub::saying("success").await;
        sim.push_to(&stub);
        sim.world()
            .add_followers(OFFICIAL, 0..2, &Origin::search())
            .unwrap();
        let path = format!(
            "/cgi-bin/message/template/send?access_token={}",
            sim.token().await
        );
        let message = json!({
            "touser": openid(OFFICIAL, 0), "template_id": sim.template("{{thing1.DATA}}"),
            "data": {"thing1": {"value": "x"}},
        });
        Self {
            sim,
            stub,
            path,
            message,
        }
    }

    async fn send(&self) -> String {
        let answer = self.sim.post(&self.path, &self.message).await;
        answer["msgid"].as_i64().unwrap().to_string()
    }

    fn arrive(&self, person: Option<u32>, status: &str, arrival: Arrival) {
        let receipt = Receipt {
            status: status.to_owned(),
            arrival,
        };
        self.sim
            .world()
            .set_receipt(OFFICIAL, person, receipt)
            .unwrap();
    }
}

#[tokio::test]
async fn a_receipt_follows_each_accepted_message() {
    let mut sending = Sending::ready().await;
    let msgid = sending.send().await;
    let got = sending.stub.next().await;
    assert_eq!(
        field(&got.body, "Event").as_deref(),
        Some("TEMPLATESENDJOBFINISH")
    );
    assert_eq!(field(&got.body, "MsgID"), Some(msgid));
    assert_eq!(field(&got.body, "Status").as_deref(), Some("success"));
    assert_eq!(field(&got.body, "FromUserName"), Some(openid(OFFICIAL, 0)));

    sending.arrive(Some(0), "failed:user block", Arrival::Delayed(1));
    sending.send().await;
    let got = sending.stub.next().await;
    assert_eq!(
        field(&got.body, "Status").as_deref(),
        Some("failed:user block")
    );
    assert_eq!(
        sending.sim.world().messages().len(),
        1,
        "a blocked message is not seen"
    );
}

#[tokio::test]
async fn receipts_come_early_or_twice_or_never() {
    let mut sending = Sending::ready().await;
    sending.arrive(None, "success", Arrival::BeforeAnswer);
    let msgid = sending.send().await;
    let before = sending.stub.rest();
    assert_eq!(before.len(), 1);
    assert_eq!(field(&before[0].body, "MsgID"), Some(msgid));

    sending.arrive(None, "success", Arrival::Duplicated(2));
    sending.send().await;
    assert_eq!(sending.stub.next().await, sending.stub.next().await);

    sending.arrive(None, "success", Arrival::Lost);
    sending.send().await;
    sending.arrive(None, "success", Arrival::BeforeAnswer);
    let msgid = sending.send().await;
    let rest = sending.stub.rest();
    assert_eq!(rest.len(), 1, "only that of the last message");
    assert_eq!(field(&rest[0].body, "MsgID"), Some(msgid));
}

#[tokio::test]
async fn receipts_are_held_and_every_so_many_is_lost() {
    let mut sending = Sending::ready().await;
    sending.arrive(None, "success", Arrival::Held);
    let held = [sending.send().await, sending.send().await];
    assert!(sending.stub.rest().is_empty());
    let path = format!("/_sim/accounts/{OFFICIAL}/receipts/release");
    let released = sending.sim.post(&path, &json!({})).await;
    assert_eq!(released.as_array().unwrap().len(), 2);
    let of = |got: &Got| field(&got.body, "MsgID").unwrap();
    let got: Vec<String> = sending.stub.rest().iter().map(of).collect();
    assert_eq!(got, held);
    assert_eq!(sending.sim.post(&path, &json!({})).await, json!([]));

    sending.arrive(None, "success", Arrival::LostEvery(3));
    for _ in 0..6 {
        sending.send().await;
    }
    sending.sim.world().results_arrived().await;
    assert_eq!(sending.stub.rest().len(), 4);
}

#[tokio::test]
async fn a_repeated_client_msg_id_has_no_second_receipt() {
    let mut sending = Sending::ready().await;
    sending.arrive(None, "success", Arrival::BeforeAnswer);
    sending.message["client_msg_id"] = json!("a");
    assert_eq!(sending.send().await, sending.send().await);
    assert_eq!(sending.stub.rest().len(), 1);
}

#[tokio::test]
async fn a_broken_body_goes_out_signed_and_without_an_address_nothing_goes_out() {
    let sim = Sim::start().await;
    let world = sim.world();
    let silent = world.follow(OFFICIAL, 1, Origin::search()).await.unwrap();
    assert_eq!(silent.verdict, PushOutcome::NotConfigured);
    assert_eq!(
        (silent.event.as_str(), world.stats().pushes),
        ("subscribe", 0)
    );

    let mut stub = Stub::saying("success").await;
    sim.push_to(&stub);
    let broken = "<xml><Content><![CDATA[]]>]]></Content></xml>";
    let push = json!({"openid": openid(OFFICIAL, 1), "body": broken});
    let record = sim
        .post(&format!("/_sim/accounts/{OFFICIAL}/pushes/raw"), &push)
        .await;
    assert_eq!(record["verdict"]["kind"], "success");
    let got = stub.next().await;
    assert_eq!(got.body, broken);
    let settings = world.settings(OFFICIAL).unwrap();
    let query = got.query();
    let signed = [
        settings.token.as_str(),
        query.timestamp.as_deref().unwrap(),
        query.nonce.as_deref().unwrap(),
    ];
    assert!(crate::wechat::signature::verify(
        query.signature.as_deref().unwrap(),
        &signed
    ));
}

#[tokio::test]
async fn an_account_can_be_set_up_and_changed_over_http() {
    let sim = Sim::start().await;
    let account = sim
        .post(
            "/_sim/accounts",
            &json!({"app_id": "wx07", "kind": "mini_program"}),
        )
        .await;
    assert_eq!(account["encoding_aes_key"].as_str().unwrap().len(), 43);
    assert_eq!(
        (&account["mode"], &account["format"]),
        (&json!("plain"), &json!("xml"))
    );
    let change =
        json!({"mode": "secure", "format": "json", "callback_url": "http://127.0.0.1:1/x"});
    let changed = sim.http.patch(sim.url("/_sim/accounts/wx07")).json(&change);
    let changed: Value = changed.send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (&changed["mode"], &changed["secret"]),
        (&json!("secure"), &account["secret"])
    );
    assert_eq!(changed["callback_url"], "http://127.0.0.1:1/x");
    let person = sim.get("/_sim/people/3").await;
    assert_eq!(person["openids"]["wx07"], openid("wx07", 3));
    let unknown = sim
        .http
        .get(sim.url("/_sim/people/10"))
        .send()
        .await
        .unwrap();
    assert_eq!(unknown.status(), 404);
    let typo = sim
        .post("/_sim/accounts", &json!({"app_id": "wx08", "kind": "x"}))
        .await;
    assert!(
        typo["error"].as_str().unwrap().contains("unknown variant"),
        "{typo}"
    );
    let settings = sim.world().settings("wx07").unwrap();
    assert!(!format!("{settings:?}{:?}", sim.world()).contains(&settings.secret));
}
