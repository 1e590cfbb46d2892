//! What people typed stays data: in the addresses that a tap opens, and in params of the wrong kind.

use serde_json::{Value, json};

use super::{ApiFixture, MP, OA};
use crate::support::api::by_unionid;
use crate::support::setup::template;

const TYPE: &str = "/message-types/order_created";
const TYPED: &str = "伞&role=admin#x";

impl ApiFixture {
    async fn linked(&self, url: &str, path: &str) {
        let listed = template("TPL", "{{thing1.DATA}}\n");
        self.world().add_template(OA, &listed).unwrap();
        self.new_follower(1).await;
        let routes = json!([{
            "account": OA, "template_id": "TPL", "fields": {"thing1": "{{ params.title | default('伞') }}"},
            "url": url, "mini_program": {"app_id": MP, "path": path},
        }]);
        self.message_type("order_created", routes).await;
        self.staff("s1").bound_to(by_unionid(1)).await;
    }

    async fn order(&self, params: Value) -> crate::support::app::Answer {
        let body = json!({"message_type": "order_created", "staff_ids": ["s1"], "params": params});
        self.app.post(&self.key, "/notifications", body).await
    }
}

both_engines! {
    a_param_in_a_query_stays_one_value,
    whoever_wants_a_param_raw_says_so,
    a_param_that_is_no_text_is_refused_by_name,
}

async fn a_param_in_a_query_stays_one_value(api: ApiFixture) {
    let app = &api.app;
    api.linked(
        "https://example.com/o?t={{ params.t }}&ref=wx",
        "pages/a?t={{ params.t }}&role=staff",
    )
    .await;
    let shown = app
        .post(
            &api.key,
            &format!("{TYPE}/preview"),
            json!({"params": {"t": TYPED}}),
        )
        .await
        .ok(200);
    let route = &shown["routes"][0];
    let (url, page) = (
        "https://example.com/o?t=%E4%BC%9E%26role%3Dadmin%23x&ref=wx",
        "pages/a?t=%E4%BC%9E%26role%3Dadmin%23x&role=staff",
    );
    assert_eq!((&route["url"], &route["page"]), (&json!(url), &json!(page)));
    let rules: Vec<_> = route["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["field"], &one["rule"]))
        .collect();
    assert!(
        rules.contains(&(&json!("routes[0].url"), &json!("encoded"))),
        "{route}"
    );
    assert!(
        rules.contains(&(&json!("routes[0].mini_program.path"), &json!("encoded"))),
        "{route}"
    );
    api.order(json!({"t": TYPED})).await.ok(202);
    app.drain().await;
    let seen = app.simulator.world().messages();
    assert_eq!(seen.len(), 1);
    let message = serde_json::to_value(&seen[0]).unwrap().to_string();
    assert!(message.contains(url) && message.contains(page), "{message}");
    // What needs no encoding is told of in no warning.
    let shown = app
        .post(
            &api.key,
            &format!("{TYPE}/preview"),
            json!({"params": {"t": "A-1"}}),
        )
        .await
        .ok(200);
    assert_eq!(shown["routes"][0]["warnings"], json!([]));
}

async fn whoever_wants_a_param_raw_says_so(api: ApiFixture) {
    let app = &api.app;
    api.linked(
        "{{ params.url }}",
        "{{ params.page | raw }}?{{ params.query | raw }}",
    )
    .await;
    let params =
        json!({"url": "https://example.com/a?b=1&c=%20", "page": "pages/a", "query": "x=1&y=2"});
    let shown = app
        .post(
            &api.key,
            &format!("{TYPE}/preview"),
            json!({"params": params}),
        )
        .await
        .ok(200);
    let route = &shown["routes"][0];
    assert_eq!(route["url"], "https://example.com/a?b=1&c=%20");
    assert_eq!(
        (&route["page"], &route["warnings"]),
        (&json!("pages/a?x=1&y=2"), &json!([]))
    );
}

async fn a_param_that_is_no_text_is_refused_by_name(api: ApiFixture) {
    let app = &api.app;
    api.linked(
        "https://example.com/",
        "pages/a{% if params.vip %}?vip={{ params.vip }}{% endif %}",
    )
    .await;
    for (params, field, name) in [
        (
            json!({"title": true}),
            "routes[0].fields.thing1",
            "params.title",
        ),
        (
            json!({"title": ["a"]}),
            "routes[0].fields.thing1",
            "params.title",
        ),
        (
            json!({"title": {"a": 1}}),
            "routes[0].fields.thing1",
            "params.title",
        ),
        (
            json!({"vip": true}),
            "routes[0].mini_program.path",
            "params.vip",
        ),
    ] {
        let problem = api
            .order(params.clone())
            .await
            .refused(422, "invalid_field", field);
        assert!(
            problem["detail"].as_str().unwrap().contains(name),
            "{problem}"
        );
        let shown = app
            .post(
                &api.key,
                &format!("{TYPE}/preview"),
                json!({"params": params}),
            )
            .await
            .ok(200);
        assert_eq!(shown["routes"][0]["errors"][0]["field"], field, "{shown}");
    }
    // In a condition it may be anything.
    api.order(json!({"vip": false})).await.ok(202);
    api.order(json!({"title": 7, "vip": "gold"})).await.ok(202);
}
