//! Staff given out as a file, and taken in again.

use queqiao::db::Engine;
use serde_json::{Value, json};

use crate::api::{ApiFixture, OA};
use crate::support::api::{by_openid, by_unionid};
use crate::support::{Fixture as _, TestApp};

both_engines! {
    a_table_is_given_out_with_all_bindings,
    what_a_spreadsheet_would_calculate_is_a_text,
    a_table_is_filtered_like_the_list,
    many_pages_are_one_file,
}

/// The lines of the CSV file, without the mark at its beginning.
async fn csv(app: &TestApp, key: &str, query: &str) -> Vec<String> {
    let answer = app.get(key, &format!("/staff/export{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(
        answer.headers["content-disposition"],
        "attachment; filename=\"staff.csv\""
    );
    // Decoding takes the mark away; Excel needs it.
    let path = format!("/api/v1/staff/export{query}");
    let request = app.request(reqwest::Method::GET, &path).bearer_auth(key);
    let bytes = request.send().await.unwrap().bytes().await.unwrap();
    assert!(bytes.starts_with(b"\xef\xbb\xbf"), "{bytes:?}");
    let text = String::from_utf8(bytes[3..].to_vec()).unwrap();
    let lines = text.split_terminator("\r\n").map(str::to_owned);
    lines.collect()
}

async fn a_table_is_given_out_with_all_bindings(api: ApiFixture) {
    api.new_follower(1).await;
    api.staff("e1").bound_to(by_openid(OA, 1)).await;
    api.bind("e1", by_unionid(2)).await;
    let body = json!({"name": "王芳", "tags": ["night", "a;b"], "phone": "13800138000"});
    api.app.put(&api.key, "/staff/e1", body).await.ok(200);
    api.staff("e2").await;
    api.app
        .put(&api.other, "/staff/e9", json!({}))
        .await
        .ok(201);
    let (openid, unionid) = (by_openid(OA, 1), by_unionid(2));
    let expected = [
        "staff_id,name,tags,phone,app_id,openid,unionid".to_owned(),
        "e2,,,,,,".to_owned(),
        format!(
            "e1,王芳,\"\"\"a;b\"\";night\",13800138000,{OA},{},",
            openid["openid"].as_str().unwrap()
        ),
        format!(
            "e1,王芳,\"\"\"a;b\"\";night\",13800138000,,,{}",
            unionid["unionid"].as_str().unwrap()
        ),
    ];
    assert_eq!(csv(&api.app, &api.key, "").await, expected);
    assert_eq!(csv(&api.app, &api.key, "?format=csv").await, expected);
    let path = "/api/v1/staff/export?format=xlsx";
    let request = api.app.request(reqwest::Method::GET, path);
    let answer = request.bearer_auth(&api.key).send().await.unwrap();
    assert_eq!(
        answer.headers()["content-disposition"],
        "attachment; filename=\"staff.xlsx\""
    );
    assert!(answer.bytes().await.unwrap().starts_with(b"PK\x03\x04"));
    for (query, field) in [
        ("format=xls", "format"),
        ("reachable=yes", "reachable"),
        ("reason=gone", "reason"),
    ] {
        let path = format!("/staff/export?{query}");
        let refused = api.app.get(&api.key, &path).await;
        refused.refused(400, "invalid_query", field);
    }
}

async fn what_a_spreadsheet_would_calculate_is_a_text(api: ApiFixture) {
    for (number, name) in ["=1+1", "+86", "-1", "@x", "'=1", "＝1", "x=1"]
        .iter()
        .enumerate()
    {
        let path = format!("/staff/e{number}");
        let body = json!({"name": name, "tags": [name]});
        api.app.put(&api.key, &path, body).await.ok(201);
    }
    let lines = csv(&api.app, &api.key, "").await;
    let expected = [
        "e6,x=1,x=1,,,,",
        "e5,'＝1,'＝1,,,,",
        "e4,''=1,''=1,,,,",
        "e3,'@x,'@x,,,,",
        "e2,'-1,'-1,,,,",
        "e1,'+86,'+86,,,,",
        "e0,'=1+1,'=1+1,,,,",
    ];
    assert_eq!(lines[1..], expected);
}

async fn a_table_is_filtered_like_the_list(api: ApiFixture) {
    api.new_follower(1).await;
    api.staff("e1").bound_to(by_openid(OA, 1)).await;
    api.staff("e2").await;
    api.app
        .put(&api.key, "/staff/e3", json!({"tags": ["x"]}))
        .await
        .ok(201);
    for (query, expected) in [
        ("?reachable=true", &["e1"][..]),
        ("?reachable=false", &["e3", "e2"]),
        ("?reason=not_bound&tag=x", &["e3"]),
        ("?tag=nobody", &[]),
    ] {
        let lines = csv(&api.app, &api.key, query).await;
        let ids: Vec<&str> = lines[1..]
            .iter()
            .map(|line| line.split(',').next().unwrap())
            .collect();
        assert_eq!(ids, expected, "{query}");
    }
}

async fn many_pages_are_one_file(engine: Engine) {
    let api = ApiFixture::on(engine).await;
    // More than one page looks at, and nobody of the newest meets the filter.
    let rows: Vec<Value> = (0..1_200)
        .map(|n| json!({"staff_id": format!("e{n:04}"), "tags": [if n < 3 { "old" } else { "new" }]}))
        .collect();
    let body = json!({"rows": rows});
    api.app.post(&api.key, "/staff/import", body).await.ok(200);
    let lines = csv(&api.app, &api.key, "").await;
    assert_eq!(lines.len(), 1_201);
    assert!(lines[1].starts_with("e1199,") && lines[1_200].starts_with("e0000,"));
    let lines = csv(&api.app, &api.key, "?tag=old&reachable=false").await;
    assert_eq!(lines.len(), 4);
}
