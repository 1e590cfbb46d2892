//! QR codes with a scene: what is refused, and what a scan does.

use super::*;
use crate::simulator::Origin;
use crate::simulator::population::openid;

const CREATE: &str = "/cgi-bin/qrcode/create";

impl Sim {
    async fn qr_code(&self, body: &Value) -> Value {
        let token = self.token().await;
        self.post(&format!("{CREATE}?access_token={token}"), body)
            .await
    }

    async fn scan(&self, person: u32, code: &Value) -> Option<String> {
        let code = code.as_str().unwrap();
        let seen = self.world().scan_code(OFFICIAL, person, code).await;
        match seen {
            Ok(None) => None,
            other => Some(format!("{other:?}")),
        }
    }
}

fn temporary(scene: &str, seconds: i64) -> Value {
    json!({
        "expire_seconds": seconds,
        "action_name": "QR_STR_SCENE",
        "action_info": {"scene": {"scene_str": scene}},
    })
}

#[tokio::test]
async fn a_request_that_breaks_a_rule_is_refused() {
    let sim = Sim::start().await;
    let with =
        |name: &str, scene: Value| json!({"action_name": name, "action_info": {"scene": scene}});
    for (body, errcode) in [
        (json!({}), 40052),
        (with("QR_NONE", json!({"scene_str": "x"})), 40052),
        (with("QR_STR_SCENE", json!({"scene_id": 1})), 40053),
        (with("QR_SCENE", json!({"scene_str": "x"})), 40053),
        (with("QR_LIMIT_SCENE", json!({"scene_id": 100_001})), 40053),
        (json!({"action_name": "QR_STR_SCENE"}), 40053),
        (temporary("", 60), 40053),
        (temporary(&"x".repeat(65), 60), 40053),
        (temporary("x", 0), 40053),
        (temporary("x", 2_592_001), 40053),
        (json!([]), 47001),
    ] {
        assert_eq!(sim.qr_code(&body).await["errcode"], errcode, "{body}");
    }
    for (body, life) in [
        (temporary(&"x".repeat(64), 2_592_000), json!(2_592_000)),
        (with("QR_SCENE", json!({"scene_id": 7})), json!(60)),
        (
            with("QR_LIMIT_STR_SCENE", json!({"scene_str": "x"})),
            json!(null),
        ),
    ] {
        let made = sim.qr_code(&body).await;
        assert_eq!(made["expire_seconds"], life, "{made}");
        assert!(
            made["url"]
                .as_str()
                .unwrap()
                .starts_with("http://weixin.qq.com/q/")
        );
    }
}

#[tokio::test]
async fn a_scan_makes_a_follower_and_only_while_the_code_lives() {
    let sim = Sim::start().await;
    let made = sim.qr_code(&temporary("shop_12", 60)).await;
    // Told to nobody, as the account has no callback; the follow itself stays.
    assert!(sim.scan(1, &made["ticket"]).await.is_some());
    let path = format!("/cgi-bin/user/info?access_token={}", sim.token().await);
    let info = async |person| {
        let openid = openid(OFFICIAL, person);
        sim.get(&format!("{path}&openid={openid}")).await
    };
    let first = info(1).await;
    assert_eq!(first["subscribe_scene"], "ADD_SCENE_QR_CODE");
    assert_eq!(first["qr_scene_str"], "shop_12");
    sim.world()
        .add_followers(OFFICIAL, 2..3, &Origin::search())
        .unwrap();
    assert!(sim.scan(2, &made["url"]).await.is_some());
    assert_eq!(info(2).await["subscribe_scene"], "ADD_SCENE_SEARCH");
    assert_eq!(sim.scan(3, &json!("gQunknown")).await, None);
    sim.world().advance(Duration::from_secs(60));
    assert_eq!(sim.scan(3, &made["ticket"]).await, None);
    assert_eq!(info(3).await["subscribe"], 0);
}
