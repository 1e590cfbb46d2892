//! Staff that a business's own systems have, brought in as a table.

use queqiao::simulator::{Origin, population};
use serde_json::{Value, json};

use crate::api::bindings::HeldBack;
use crate::api::{ApiFixture, MP, OA};
use crate::support::api::{by_openid, by_unionid};

both_engines! {
    a_table_is_taken_in_once,
    a_row_is_taken_whole_or_not_at_all,
    rows_count_one_after_another,
    what_a_row_does_not_say_stays,
    a_trial_says_the_same_and_stores_nothing,
    a_row_that_cannot_be_read_is_refused_alone,
    openids_that_nobody_has_seen_are_looked_up,
    the_number_of_statements_does_not_grow_with_the_rows,
    a_binding_that_is_made_meanwhile_counts,
}

async fn import(api: &ApiFixture, rows: Value) -> Value {
    let body = json!({"rows": rows});
    api.app.post(&api.key, "/staff/import", body).await.ok(200)
}

/// The outcome of each row, with what refused it.
fn outcomes(answer: &Value) -> Vec<String> {
    let rows = answer["rows"].as_array().unwrap().iter();
    rows.map(|row| {
        let word = row["outcome"].as_str().unwrap();
        let bound = if row["bound"] == true { " bound" } else { "" };
        match (row["code"].as_str(), row["field"].as_str()) {
            (Some(code), field) => format!("{word} {code} {}", field.unwrap_or("-")),
            _ => format!("{word}{bound}"),
        }
    })
    .collect()
}

/// A row that binds a staff member.
fn bound(staff_id: &str, whom: Value) -> Value {
    let mut row = whom;
    row["staff_id"] = json!(staff_id);
    row
}

async fn a_table_is_taken_in_once(api: ApiFixture) {
    api.new_follower(1).await;
    let told = api.endpoint("https://example.com/", &["staff.bound"]).await;
    let mut first = bound("e1", by_openid(OA, 1));
    first["name"] = json!("王芳");
    first["tags"] = json!(["night", "仓库"]);
    first["phone"] = json!("+86 138-0013-8000");
    let rows = json!([first, bound("e2", by_unionid(2)), {"staff_id": "e3", "name": null}]);
    let answer = import(&api, rows.clone()).await;
    assert_eq!(
        outcomes(&answer),
        ["created bound", "created bound", "created"]
    );
    let counts = json!({"created": 3, "updated": 0, "unchanged": 0, "refused": 0});
    assert_eq!(answer["counts"], counts);
    assert_eq!(answer["rows"][1]["staff_id"], "e2");
    let member = api.app.get(&api.key, "/staff/e1").await.ok(200);
    assert_eq!(member["name"], "王芳");
    assert_eq!(member["tags"], json!(["night", "仓库"]));
    assert_eq!(member["phone"], "+8613800138000");
    assert_eq!(member["reachable"], true);
    let path = format!("/webhooks/{}/deliveries", told["id"]);
    let page = api.app.get(&api.key, &path).await.ok(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    let again = import(&api, rows).await;
    assert_eq!(outcomes(&again), ["unchanged"; 3]);
    let same = api.app.get(&api.key, "/staff/e1").await.ok(200);
    assert_eq!(same, member);
    let page = api.app.get(&api.key, &path).await.ok(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
}

async fn a_row_is_taken_whole_or_not_at_all(api: ApiFixture) {
    api.new_follower(1).await;
    api.staff("s1").bound_to(by_unionid(1)).await;
    api.staff("s2").await;
    let mut taken = bound("s2", by_openid(OA, 1));
    taken["name"] = json!("not stored");
    taken["tags"] = json!(["not stored"]);
    let answer = import(
        &api,
        json!([
            bound("new1", by_unionid(1)),
            taken,
            bound("new2", by_openid(MP, 3)),
            bound(
                "new3",
                json!({"app_id": "wx00000000000000ff", "openid": "oA"})
            ),
            // Another openid of the same person, for the same staff member.
            bound("s1", by_openid(OA, 1)),
        ]),
    )
    .await;
    let expected = [
        "refused already_bound unionid",
        "refused already_bound openid",
        "refused unknown_openid openid",
        "refused unknown_app_id app_id",
        "updated bound",
    ];
    assert_eq!(outcomes(&answer), expected);
    let detail = answer["rows"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("\"s1\""), "{detail}");
    for staff in ["new1", "new2", "new3"] {
        let path = format!("/staff/{staff}");
        api.app
            .get(&api.key, &path)
            .await
            .refused(404, "not_found", "");
    }
    let member = api.app.get(&api.key, "/staff/s2").await.ok(200);
    assert_eq!(
        (&member["name"], &member["tags"]),
        (&json!(null), &json!([]))
    );
}

async fn rows_count_one_after_another(api: ApiFixture) {
    api.new_follower(1).await;
    let unseen = json!({"app_id": OA, "openid": population::openid(OA, 9)});
    let answer = import(
        &api,
        json!([
            // Two people of one staff member.
            bound("e1", by_openid(OA, 1)),
            bound("e1", by_unionid(2)),
            // One person of two staff members, whichever way they are named.
            bound("e2", by_unionid(1)),
            bound("e3", by_unionid(2)),
            bound("e4", unseen.clone()),
            bound("e5", unseen),
            // The very same.
            bound("e1", by_unionid(2)),
            {"staff_id": "e6", "name": "A"},
            {"staff_id": "e6", "name": "B"},
            {"staff_id": "e6", "tags": ["x"]},
        ]),
    )
    .await;
    let expected = [
        "created bound",
        "updated bound",
        "refused already_bound unionid",
        "refused already_bound unionid",
        "created bound",
        "refused already_bound openid",
        "unchanged",
        "created",
        "refused duplicate name",
        "updated",
    ];
    assert_eq!(outcomes(&answer), expected);
    let member = api.app.get(&api.key, "/staff/e6").await.ok(200);
    assert_eq!(
        (&member["name"], &member["tags"]),
        (&json!("A"), &json!(["x"]))
    );
}

async fn what_a_row_does_not_say_stays(api: ApiFixture) {
    let body = json!({"name": "A", "tags": ["x"], "phone": "12345678"});
    api.app.put(&api.key, "/staff/e1", body).await.ok(201);
    let empty = json!({"staff_id": "e1", "name": "", "phone": null, "app_id": OA});
    assert_eq!(outcomes(&import(&api, json!([empty])).await), ["unchanged"]);
    let member = api.app.get(&api.key, "/staff/e1").await.ok(200);
    assert_eq!(
        (&member["name"], &member["phone"]),
        (&json!("A"), &json!("12345678"))
    );
    let less = json!([{"staff_id": "e1", "tags": []}]);
    assert_eq!(outcomes(&import(&api, less).await), ["updated"]);
    let member = api.app.get(&api.key, "/staff/e1").await.ok(200);
    assert_eq!(
        (&member["name"], &member["tags"]),
        (&json!("A"), &json!([]))
    );
    // Left out, the phone number stays; an empty text takes it away.
    let put = api
        .app
        .put(&api.key, "/staff/e1", json!({"name": "B"}))
        .await
        .ok(200);
    assert_eq!(put["phone"], "12345678");
    let put = api
        .app
        .put(&api.key, "/staff/e1", json!({"phone": ""}))
        .await
        .ok(200);
    assert_eq!(put["phone"], json!(null));
    api.app
        .put(&api.key, "/staff/e1", json!({"phone": "none"}))
        .await
        .refused(422, "invalid_field", "phone");
}

async fn a_trial_says_the_same_and_stores_nothing(api: ApiFixture) {
    api.new_follower(1).await;
    // More than one part has.
    let mut rows: Vec<Value> = (0..1_000)
        .map(|n| json!({"staff_id": format!("e{n}")}))
        .collect();
    rows.extend([
        json!({"staff_id": "e0", "name": "A"}),
        bound("e1", by_openid(OA, 1)),
        bound("e2", by_unionid(1)),
        bound(
            "e3",
            json!({"app_id": OA, "openid": population::openid(OA, 9)}),
        ),
    ]);
    let body = json!({"rows": rows, "dry_run": true});
    let trial = api.app.post(&api.key, "/staff/import", body).await.ok(200);
    assert_eq!(trial["dry_run"], true);
    assert_eq!(
        outcomes(&trial)[1_000..],
        [
            "updated",
            "updated bound",
            "refused already_bound unionid",
            "updated bound"
        ]
    );
    let page = api.app.get(&api.key, "/staff").await.ok(200);
    assert_eq!(page["items"], json!([]));
    let openid = population::openid(OA, 9);
    assert_eq!(
        api.people(&format!("openid={openid}")).await,
        Vec::<Value>::new()
    );
    let done = import(&api, json!(rows)).await;
    assert_eq!(outcomes(&done), outcomes(&trial));
}

async fn a_row_that_cannot_be_read_is_refused_alone(api: ApiFixture) {
    let answer = import(
        &api,
        json!([
            "e1",
            {"name": "A"},
            {"staff_id": "undefined"},
            {"staff_id": "export"},
            {"staff_id": "e1", "phone": "none"},
            {"staff_id": "e1", "tags": "x"},
            {"staff_id": "e1", "tags": ["x", 1]},
            {"staff_id": 1},
            {"staff_id": "e1", "department": "x"},
            {"staff_id": "e1", "openid": "oA"},
            {"staff_id": "e1", "app_id": OA, "openid": "oA", "unionid": "uA"},
            {"staff_id": "e1"},
        ]),
    )
    .await;
    let expected = [
        "refused invalid_field -",
        "refused missing_field staff_id",
        "refused invalid_field staff_id",
        "refused invalid_field staff_id",
        "refused invalid_field phone",
        "refused invalid_field tags",
        "refused invalid_field tags",
        "refused invalid_field staff_id",
        "refused unknown_field department",
        "refused invalid_field app_id",
        "refused invalid_field unionid",
        "created",
    ];
    assert_eq!(outcomes(&answer), expected);
    for rows in [json!([]), json!(vec![json!({}); 10_001])] {
        let body = json!({"rows": rows});
        let refused = api.app.post(&api.key, "/staff/import", body).await;
        refused.refused(422, "invalid_field", "rows");
    }
}

async fn openids_that_nobody_has_seen_are_looked_up(api: ApiFixture) {
    // They followed before there was a Queqiao.
    let world = api.world();
    world.add_followers(OA, 7..8, &Origin::default()).unwrap();
    let answer = import(&api, json!([bound("e1", by_openid(OA, 7))])).await;
    assert_eq!(outcomes(&answer), ["created bound"]);
    api.app.drain().await;
    let member = api.app.get(&api.key, "/staff/e1").await.ok(200);
    assert_eq!(member["reachable"], true, "{member}");
    assert_eq!(
        member["identities"][0]["unionid"],
        json!(population::unionid(7))
    );
}

async fn the_number_of_statements_does_not_grow_with_the_rows(api: ApiFixture) {
    const ROWS: u32 = 3_000;
    /// For each 1,000 rows, and for the request itself.
    const MOST: u64 = 3 * 30 + 20;
    api.endpoint("https://example.com/", &["staff.bound"]).await;
    let rows: Vec<Value> = (0..ROWS)
        .map(|n| {
            let whom = match n % 2 {
                0 => by_unionid(n),
                _ => by_openid(OA, n),
            };
            let mut row = bound(&format!("e{n}"), whom);
            row["name"] = json!(format!("name {n}"));
            row["tags"] = json!(["a", "b"]);
            row
        })
        .collect();
    let db = &api.app.bridge.db;
    for expected in ["created bound", "unchanged"] {
        let before = db.statements();
        let answer = import(&api, json!(rows)).await;
        let count = db.statements() - before;
        assert!(outcomes(&answer).iter().all(|one| one == expected));
        assert!(count <= MOST, "{count} statements");
    }
}

async fn a_binding_that_is_made_meanwhile_counts(api: ApiFixture) {
    api.new_follower(1).await;
    for staff in ["s1", "s2"] {
        api.staff(staff).await;
    }
    let held = HeldBack::begin(&api.app);
    let path = "/staff/s1/bindings";
    let one = api.app.post(&api.key, path, by_openid(OA, 1));
    let table = async {
        held.until_wait(1).await;
        import(
            &api,
            json!([bound("s2", by_unionid(1)), bound("s3", by_unionid(2))]),
        )
        .await
    };
    let end = async {
        held.until_wait(2).await;
        held.let_go();
    };
    let (one, table, ()) = tokio::join!(one, table, end);
    match one.status {
        201 => assert_eq!(
            outcomes(&table),
            ["refused already_bound unionid", "created bound"]
        ),
        _ => {
            one.refused(409, "already_bound", "");
            assert_eq!(outcomes(&table), ["updated bound", "created bound"]);
        }
    }
}
