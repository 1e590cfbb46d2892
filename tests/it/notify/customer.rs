//! Customer messages: sent while a window allows them, and counted as WeChat counts them.

use queqiao::simulator::population;
use serde_json::{Value, json};

use super::routes::{RouteFixture, route, verdicts};
use crate::support::setup::{MP, OA};

pub(super) const CUSTOM_SEND: &str = "/cgi-bin/message/custom/send";

impl RouteFixture {
    /// A person writes to the service account.
    pub(super) async fn writes(&self, person: u32) {
        let push = self.world().send_text(OA, person, "hello").await;
        assert!(push.unwrap().verdict.is_accepted());
        self.app.drain().await;
    }

    /// Messages that we believe to be allowed in the service account.
    pub(super) async fn window(&self, person: u32) -> Value {
        self.identity(person).await["customer_window"]["left"].clone()
    }

    fn texts(&self, app_id: &str, person: u32) -> Vec<String> {
        let openid = population::openid(app_id, person);
        let seen = self.world().messages_to(&openid).into_iter();
        seen.filter_map(|message| message.text).collect()
    }
}

fn customer() -> Value {
    json!({"channel": "customer", "account": OA, "text": "订单 {{ params.title }}\n已创建"})
}

both_engines! {
    a_text_is_sent_while_the_window_allows_it,
    a_mini_program_answers_in_its_chat,
    two_deliveries_do_not_share_the_last_message_of_a_window,
    what_wechat_says_of_a_window_is_believed,
    a_text_that_comes_out_too_long_is_refused_or_cut,
}

async fn a_text_is_sent_while_the_window_allows_it(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.pass(120, 60).await;
    let mut own = customer();
    own["mini_program"] = json!({"app_id": MP, "path": "pages/order?of={{ staff.id }}"});
    own["link_text"] = json!("看看");
    routes.set(json!([own])).await;
    let refused = routes.refused_at_once("s1").await;
    assert_eq!(refused["reason"], "window_closed", "{refused}");
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.contains(OA) && detail.contains("Ask the person to write"),
        "{detail}"
    );
    routes.writes(1).await;
    for left in (0..5).rev() {
        let delivery = routes.sent("s1").await;
        assert_eq!(delivery["state"], "delivered", "{delivery}");
        assert_eq!(
            (&delivery["msgid"], verdicts(&delivery)),
            (&Value::Null, vec![("customer", "taken")])
        );
        let shown = if left == 0 { Value::Null } else { json!(left) };
        assert_eq!(routes.window(1).await, shown);
    }
    let link = format!(
        "<a data-miniprogram-appid=\"{MP}\" data-miniprogram-path=\"pages/order?of=s1\">看看</a>"
    );
    assert_eq!(
        routes.texts(OA, 1),
        vec![format!("订单 hi\n已创建\n{link}"); 5]
    );
    let refused = routes.refused_at_once("s1").await;
    assert_eq!(refused["reason"], "allowance_used", "{refused}");
    // WeChat tells seconds, so what is done again in the same one is the same.
    routes.pass(1, 1).await;
    routes.writes(1).await;
    assert_eq!(routes.sent("s1").await["state"], "delivered");
}

async fn a_mini_program_answers_in_its_chat(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes
        .set(json!([{"channel": "customer", "account": MP, "text": "{{ params.title }}"}]))
        .await;
    let refused = routes.refused_at_once("s1").await;
    assert_eq!(refused["reason"], "window_closed", "{refused}");
    routes.world().enter_chat(MP, 1).await.unwrap();
    routes.app.drain().await;
    assert_eq!(routes.sent("s1").await["state"], "delivered");
    assert_eq!(routes.texts(MP, 1), ["hi"]);
}

async fn two_deliveries_do_not_share_the_last_message_of_a_window(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.pass(120, 60).await;
    routes.writes(1).await;
    routes.set(json!([customer(), route("template")])).await;
    for _ in 0..4 {
        routes.sent("s1").await;
    }
    let paths = [routes.notify("s1").await, routes.notify("s1").await];
    routes.app.drain().await;
    let mut taken = Vec::new();
    for path in &paths {
        let delivery = routes.delivery(path).await;
        assert_eq!(delivery["state"], "delivered", "{delivery}");
        let last = verdicts(&delivery);
        taken.push(
            last.iter()
                .map(|(_, verdict)| (*verdict).to_owned())
                .collect::<Vec<_>>(),
        );
    }
    taken.sort();
    assert_eq!(taken, [vec!["allowance_used", "taken"], vec!["taken"]]);
    assert_eq!(
        routes.world().calls(CUSTOM_SEND, None).unwrap(),
        5,
        "WeChat refused none"
    );
}

async fn what_wechat_says_of_a_window_is_believed(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.pass(120, 60).await;
    routes.set(json!([customer(), route("template")])).await;
    for (errcode, reason, left) in [
        (45015, "window_closed", Value::Null),
        (45047, "allowance_used", Value::Null),
        (48002, "refused_by_person", json!(5)),
        (70000, "recipient_refused", json!(5)),
    ] {
        routes.pass(10, 10).await;
        routes.writes(1).await;
        routes.refuse(CUSTOM_SEND, errcode);
        let delivery = routes.sent("s1").await;
        assert_eq!(
            verdicts(&delivery),
            [("customer", reason), ("template", "taken")],
            "{errcode}"
        );
        assert_eq!(routes.window(1).await, left, "{errcode}");
    }
    routes.refuse(CUSTOM_SEND, 45002);
    let delivery = routes.sent("s1").await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("failed"), &json!("refused_content"))
    );
    assert_eq!(routes.window(1).await, 5, "it is given back");
}

async fn a_text_that_comes_out_too_long_is_refused_or_cut(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.writes(1).await;
    routes
        .set(json!([{"channel": "customer", "account": OA, "text": "{{ params.title }}"}]))
        .await;
    let body =
        json!({"message_type": "ping", "staff_ids": ["s1"], "params": {"title": "长".repeat(700)}});
    let refused = routes
        .app
        .post(&routes.key, "/notifications", body.clone())
        .await
        .ok(422);
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.contains("routes[0].text")
            && detail.contains("2100 bytes")
            && detail.contains("2048"),
        "{detail}"
    );
    let shown = json!({"params": {"title": "长".repeat(700)}});
    let preview = routes
        .app
        .post(&routes.key, "/message-types/ping/preview", shown.clone())
        .await
        .ok(200);
    let error = &preview["routes"][0]["errors"][0];
    assert_eq!(
        (&error["rule"], &error["length"], &error["limit"]),
        (&json!("text_bytes"), &json!(2100), &json!(2048))
    );
    let cut = json!({"text": "{{ params.title }}", "on_too_long": "truncate"});
    routes
        .set(json!([{"channel": "customer", "account": OA, "text": cut}]))
        .await;
    routes
        .app
        .post(&routes.key, "/notifications", body)
        .await
        .ok(202);
    routes.app.drain().await;
    assert_eq!(routes.texts(OA, 1), [format!("{}…", "长".repeat(681))]);
    let preview = routes
        .app
        .post(&routes.key, "/message-types/ping/preview", shown)
        .await
        .ok(200);
    assert_eq!(
        preview["routes"][0]["warnings"][0]["rule"], "truncated",
        "{preview}"
    );
}

impl RouteFixture {
    /// The verdict of a request that reaches nobody.
    async fn refused_at_once(&self, staff_id: &str) -> Value {
        let body =
            json!({"message_type": "ping", "staff_ids": [staff_id], "params": {"title": "hi"}});
        let accepted = self.app.post(&self.key, "/notifications", body).await;
        let id = accepted.ok(202)["id"].clone();
        self.delivery(&format!("/notifications/{id}/deliveries"))
            .await
    }
}
