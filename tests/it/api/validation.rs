//! Texts that WeChat would refuse are refused here first, with a reason; a preview shows them
//! before anybody is notified.

use serde_json::{Value, json};

use super::{ApiFixture, MP, OA};
use crate::support::api::by_unionid;
use crate::support::setup::template;

const TYPE: &str = "/message-types/order_created";
const LONG: &str = "一二三四五六七八九十一二三四五六七八九十一二三";

fn asked(params: &Value) -> Value {
    json!({"message_type": "order_created", "staff_ids": ["s1"], "params": params})
}

impl ApiFixture {
    /// One staff member who follows, a template of WeChat's, and a message type that uses it.
    async fn order_created(&self, fields: &Value) {
        let listed = template("TPL", "What: {{thing1.DATA}}\nPaid: {{amount2.DATA}}\n");
        self.world().add_template(OA, &listed).unwrap();
        self.new_follower(1).await;
        let routes = json!([{"account": OA, "template_id": "TPL", "fields": fields}]);
        self.message_type("order_created", routes).await;
        self.staff("s1").bound_to(by_unionid(1)).await;
    }
}

both_engines! {
    a_refused_field_is_explained,
    a_text_that_is_too_long_is_cut_where_that_was_chosen,
    a_preview_shows_every_route_and_what_is_wrong_with_it,
    a_preview_refuses_only_what_is_no_request,
    a_text_that_only_one_person_has_too_long_concerns_that_person_alone,
}

async fn a_refused_field_is_explained(api: ApiFixture) {
    let app = &api.app;
    api.order_created(&json!({"thing1": "{{ params.title }}", "amount2": "{{ params.paid }}"}))
        .await;
    let refused = app
        .post(
            &api.key,
            "/notifications",
            asked(&json!({"title": LONG, "paid": "￥5"})),
        )
        .await;
    let problem = refused.refused(422, "invalid_field", "routes[0].fields.thing1");
    assert_eq!(problem["message_type"], "order_created");
    assert_eq!(
        (&problem["rule"], &problem["length"], &problem["limit"]),
        (&json!("thing"), &json!(23), &json!(20))
    );
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("23 characters") && detail.contains("on_too_long"),
        "{detail}"
    );
    let refused = app
        .post(
            &api.key,
            "/notifications",
            asked(&json!({"title": "伞", "paid": "five"})),
        )
        .await;
    let problem = refused.refused(422, "invalid_field", "routes[0].fields.amount2");
    assert_eq!(
        (&problem["rule"], &problem["length"]),
        (&json!("amount"), &json!(null))
    );
    assert_eq!(
        app.get(&api.key, "/notifications").await.ok(200)["items"],
        json!([])
    );
    app.post(
        &api.key,
        "/notifications",
        asked(&json!({"title": "伞", "paid": "￥5"})),
    )
    .await
    .ok(202);
    app.drain().await;
    assert_eq!(app.simulator.world().messages().len(), 1);
}

async fn a_text_that_is_too_long_is_cut_where_that_was_chosen(api: ApiFixture) {
    let app = &api.app;
    let fields = json!({
        "thing1": {"text": "{{ params.title }}", "on_too_long": "truncate"},
        "amount2": {"text": "{{ params.paid }}", "on_too_long": "truncate"},
    });
    api.order_created(&fields).await;
    assert_eq!(
        app.get(&api.key, TYPE).await.ok(200)["routes"][0]["fields"],
        fields
    );
    let params = json!({"title": LONG, "paid": "￥5"});
    let id = app
        .post(&api.key, "/notifications", asked(&params))
        .await
        .ok(202)["id"]
        .clone();
    let stored = app
        .get(&api.key, &format!("/notifications/{id}"))
        .await
        .ok(200);
    assert_eq!(stored["routes"][0]["fields"], fields);
    app.drain().await;
    let seen = app.simulator.world().messages();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        seen[0].data["thing1"],
        "一二三四五六七八九十一二三四五六七八九…"
    );
    let params = json!({"title": LONG, "paid": "￥12345678901"});
    let refused = app.post(&api.key, "/notifications", asked(&params)).await;
    let problem = refused.refused(422, "invalid_field", "routes[0].fields.amount2");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("cannot be truncated"),
        "{problem}"
    );
    let put = async |field: Value| {
        let routes = json!([{"account": OA, "template_id": "TPL", "fields": {"thing1": field}}]);
        app.put(&api.key, "/message-types/other", json!({"routes": routes}))
            .await
    };
    put(json!({"text": "x"})).await.ok(201);
    put(json!({"text": "x", "on_too_long": "cut"}))
        .await
        .refused(422, "invalid_body", "routes[0].fields.thing1.on_too_long");
    put(json!({"text": "x", "colour": "red"})).await.refused(
        422,
        "unknown_field",
        "routes[0].fields.thing1.colour",
    );
    put(json!({"on_too_long": "reject"})).await.refused(
        422,
        "missing_field",
        "routes[0].fields.thing1.text",
    );
    put(json!({"text": "{{ nobody }}"})).await.refused(
        422,
        "invalid_field",
        "routes[0].fields.thing1",
    );
    put(json!("{{ params.x | truncat }}")).await.refused(
        422,
        "invalid_field",
        "routes[0].fields.thing1",
    );
}

async fn a_preview_shows_every_route_and_what_is_wrong_with_it(api: ApiFixture) {
    let app = &api.app;
    let routes = json!([
        {
            "account": OA, "template_id": "T1",
            "fields": {
                "thing1": {"text": "{{ params.title }}", "on_too_long": "truncate"},
                "phrase2": "{{ params.state }}", "name3": "{{ staff.name }}", "number4": "{{ params.n }}",
            },
            "url": "https://example.com/{{ params.n | default('') }}",
            "mini_program": {"app_id": MP, "path": "pages/order?id={{ staff.id }}"},
        },
        {"account": OA, "template_id": "T2", "fields": {"first": "👋", "keyword1": "{{ params.title }}", "keyword2": "✅"}},
    ]);
    app.put(&api.key, TYPE, json!({"routes": routes}))
        .await
        .ok(201);
    let body = json!({
        "params": {"title": LONG, "state": "shipped"}, "staff": {"id": "s7", "name": "王芳2"}
    });
    let shown = app
        .post(&api.key, &format!("{TYPE}/preview"), body)
        .await
        .ok(200);
    let rules = |route: &Value, kind: &str| -> Vec<Value> {
        let remarks = route[kind].as_array().unwrap().iter();
        remarks
            .map(|remark| {
                json!([
                    remark["field"],
                    remark["rule"],
                    remark["length"],
                    remark["limit"]
                ])
            })
            .collect()
    };
    let (first, second) = (&shown["routes"][0], &shown["routes"][1]);
    assert_eq!(
        (&first["route"], &first["account"], &first["channel"]),
        (&json!(0), &json!(OA), &json!("template"))
    );
    assert_eq!(first["template_id"], "T1");
    // The number did not come out at all.
    let texts = json!({
        "thing1": "一二三四五六七八九十一二三四五六七八九…", "phrase2": "shipped", "name3": "王芳2"
    });
    assert_eq!(first["fields"], texts);
    assert_eq!(
        (&first["url"], &first["page"]),
        (&json!("https://example.com/"), &json!("pages/order?id=s7"))
    );
    assert_eq!(
        rules(first, "errors"),
        [
            json!(["routes[0].fields.name3", "name", null, null]),
            json!(["routes[0].fields.number4", null, null, null]),
            json!(["routes[0].fields.phrase2", "phrase", 7, 5]),
        ]
    );
    assert_eq!(
        rules(first, "warnings"),
        [json!(["routes[0].fields.thing1", "truncated", null, null])]
    );
    assert_eq!(second["errors"], json!([]));
    assert_eq!(
        rules(second, "warnings"),
        [
            json!(["routes[1].fields.first", "not_shown", null, null]),
            json!(["routes[1].fields.keyword1", "shown", 23, 20]),
            json!(["routes[1].fields.keyword2", "emoji", null, null]),
        ]
    );
    let body = json!({"params": {"title": "伞", "state": "已发货", "n": 7}});
    let shown = app
        .post(&api.key, &format!("{TYPE}/preview"), body)
        .await
        .ok(200);
    let first = &shown["routes"][0];
    assert_eq!(
        (&first["errors"], &first["url"]),
        (&json!([]), &json!("https://example.com/7"))
    );
    assert_eq!(first["warnings"][0]["rule"], "staff");
    assert_eq!(
        app.get(&api.key, "/notifications").await.ok(200)["items"],
        json!([])
    );
    let nameless =
        json!({"params": {"title": "伞", "state": "已发货", "n": 7}, "staff": {"id": "s7"}});
    let shown = app
        .post(&api.key, &format!("{TYPE}/preview"), nameless)
        .await
        .ok(200);
    assert_eq!(
        shown["routes"][0]["errors"][0]["field"],
        "routes[0].fields.name3"
    );
}

async fn a_preview_refuses_only_what_is_no_request(api: ApiFixture) {
    let app = &api.app;
    app.post(&api.key, "/message-types/none/preview", json!({}))
        .await
        .refused(404, "not_found", "");
    api.order_created(&json!({"thing1": "{{ params.title }}"}))
        .await;
    let preview = async |body: Value| app.post(&api.key, &format!("{TYPE}/preview"), body).await;
    preview(json!({"staff": {"id": ""}}))
        .await
        .refused(422, "invalid_field", "staff.id");
    preview(json!({"staff": {"name": "x"}}))
        .await
        .refused(422, "missing_field", "staff.id");
    preview(json!({"parms": {}}))
        .await
        .refused(422, "unknown_field", "parms");
    let large = json!({"params": {"x": "x".repeat(70_000)}});
    preview(large).await.refused(422, "invalid_field", "params");
    let path = format!("{TYPE}/preview");
    app.post(&api.other, &path, json!({}))
        .await
        .refused(404, "not_found", "");
    let missing = preview(json!({})).await.ok(200);
    assert_eq!(missing["routes"][0]["fields"], json!({}));
    assert_eq!(
        missing["routes"][0]["errors"][0]["field"],
        "routes[0].fields.thing1"
    );
}

async fn a_text_that_only_one_person_has_too_long_concerns_that_person_alone(api: ApiFixture) {
    let app = &api.app;
    api.order_created(&json!({"thing1": "{{ staff.name }}你好", "amount2": "5"}))
        .await;
    app.put(&api.key, "/staff/s1", json!({"name": LONG}))
        .await
        .ok(200);
    let answer = app
        .post(&api.key, "/notifications", asked(&json!({})))
        .await
        .ok(202);
    let verdict = &answer["verdicts"][0];
    assert_eq!(verdict["reason"], "not_renderable", "{answer}");
    assert!(
        verdict["detail"]
            .as_str()
            .unwrap()
            .contains("25 characters"),
        "{answer}"
    );
    app.put(&api.key, "/staff/s1", json!({"name": "王芳"}))
        .await
        .ok(200);
    let answer = app
        .post(&api.key, "/notifications", asked(&json!({})))
        .await
        .ok(202);
    assert_eq!(answer["counts"]["queued"], 1, "{answer}");
    app.drain().await;
    assert_eq!(
        app.simulator.world().messages()[0].data["thing1"],
        "王芳你好"
    );
}
