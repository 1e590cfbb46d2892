//! Recipients who are named by an openid, a unionid or a login code.

use queqiao::simulator::{Origin, population};
use reqwest::Method;
use serde_json::{Value, json};

use super::super::deliveries::StaffFixture;
use super::super::{ApiFixture, FOREIGN, MP, OA};
use super::ask;
use crate::support::app::Answer;

const SESSION: &str = "/sns/jscode2session";

fn unionid(person: u32) -> Value {
    json!({"unionid": population::unionid(person)})
}

fn openid(app_id: &str, person: u32) -> Value {
    json!({"app_id": app_id, "openid": population::openid(app_id, person)})
}

async fn people(api: &ApiFixture, people: Value) -> Answer {
    ask(api, json!({"people": people})).await
}

/// Recipient, staff id, state and reason of the verdicts.
fn told(accepted: &Value) -> Vec<(Value, &str, &str)> {
    let verdicts = accepted["verdicts"].as_array().unwrap().iter();
    let each = verdicts.map(|one| {
        let state = one["reason"].as_str().or(one["state"].as_str()).unwrap();
        (
            one["recipient"].clone(),
            one["staff_id"].as_str().unwrap_or("-"),
            state,
        )
    });
    each.collect()
}

/// Whether a person saw so many messages of the official account.
fn saw(api: &ApiFixture, person: u32) -> usize {
    let openid = population::openid(OA, person);
    api.app.simulator.world().messages_to(&openid).len()
}

/// Asks with an Idempotency-Key.
async fn keyed(api: &ApiFixture, people: Value) -> Answer {
    let body = json!({"message_type": "ping", "params": {"title": "hi"}, "people": people});
    let request = api.app.request(Method::POST, "/api/v1/notifications");
    let request = request
        .bearer_auth(&api.key)
        .header("Idempotency-Key", "k1");
    api.app.send(request.json(&body)).await
}

fn logins(api: &ApiFixture) -> u64 {
    api.app.simulator.world().calls(SESSION, None).unwrap()
}

both_engines! {
    each_is_reached_however_they_are_named,
    nobody_is_notified_twice,
    a_repetition_does_not_use_the_code_again,
    a_code_is_not_spent_on_a_request_that_is_refused,
    what_cannot_name_a_person_is_refused_with_its_place,
    people_of_another_project_are_not_reached,
    their_deliveries_are_found,
}

async fn each_is_reached_however_they_are_named(api: StaffFixture) {
    for person in [5, 6, 9] {
        api.new_follower(person).await;
    }
    // Follows, and no push said so.
    api.app
        .simulator
        .world()
        .add_followers(OA, 7..8, &Origin::search())
        .unwrap();
    let code = json!({"app_id": MP, "code": api.code(9)});
    let list = json!([
        unionid(5), openid(OA, 6), openid(OA, 7), openid(MP, 8), {"unionid": "nobody"}, code,
        unionid(1), openid(OA, 2),
    ]);
    let accepted = people(&api, list).await.ok(202);
    assert_eq!(
        told(&accepted),
        [
            (unionid(5), "-", "queued"),
            (openid(OA, 6), "-", "queued"),
            (openid(OA, 7), "-", "queued"),
            (openid(MP, 8), "-", "unknown_openid"),
            (json!({"unionid": "nobody"}), "-", "unknown_person"),
            (openid(MP, 9), "-", "queued"),
            (unionid(1), "s1", "queued"),
            (openid(OA, 2), "s2", "queued"),
        ]
    );
    assert_eq!(accepted["counts"], json!({"queued": 6, "unreachable": 2}));
    api.app.drain().await;
    for person in 1..=9 {
        let expected = usize::from([1, 2, 5, 6, 7, 9].contains(&person));
        assert_eq!(saw(&api, person), expected, "person {person}");
    }
    // Whoever was new is known by now.
    let path = format!("/people?openid={}", population::openid(OA, 7));
    let new = api.app.get(&api.key, &path).await.ok(200);
    assert_eq!(new["items"][0]["unionid"], population::unionid(7));
    let path = format!("/notifications/{}/deliveries", accepted["id"]);
    let page = api.app.get(&api.key, &path).await.ok(200);
    let delivery = &page["items"][5];
    assert_eq!(
        (&delivery["recipient"], &delivery["staff_id"]),
        (&openid(MP, 9), &json!(null))
    );
    assert_eq!(
        (&delivery["state"], &delivery["openid"]),
        (&json!("delivered"), &json!(population::openid(OA, 9)))
    );
}

async fn nobody_is_notified_twice(api: StaffFixture) {
    api.new_follower(5).await;
    // Without an Open Platform account nothing but the openid tells who somebody is.
    api.app
        .simulator
        .world()
        .add_followers(OA, 6..8, &Origin::search())
        .unwrap();
    let code = api.code(5);
    let list = json!([
        unionid(5), unionid(5), openid(OA, 5), {"app_id": MP, "code": code}, {"app_id": MP, "code": code},
        openid(OA, 6), openid(OA, 7), openid(OA, 6), {"unionid": "nobody"}, {"unionid": "nobody"},
    ]);
    let accepted = people(&api, list).await.ok(202);
    assert_eq!(
        told(&accepted),
        [
            (unionid(5), "-", "queued"),
            (openid(OA, 6), "-", "queued"),
            (openid(OA, 7), "-", "queued"),
            (json!({"unionid": "nobody"}), "-", "unknown_person"),
        ]
    );
    api.app.drain().await;
    assert_eq!([5, 6, 7].map(|person| saw(&api, person)), [1, 1, 1]);
}

async fn a_repetition_does_not_use_the_code_again(api: StaffFixture) {
    api.new_follower(5).await;
    let list = json!([{"app_id": MP, "code": api.code(5)}]);
    let first = keyed(&api, list.clone()).await.ok(202);
    assert_eq!(told(&first), [(openid(MP, 5), "-", "queued")]);
    api.app.drain().await;
    let again = keyed(&api, list.clone()).await.ok(202);
    assert_eq!(
        (&again["id"], &again["replayed"]),
        (&first["id"], &json!(true))
    );
    assert_eq!(again["verdicts"], first["verdicts"]);
    assert_eq!((logins(&api), saw(&api, 5)), (1, 1));
    // Without the key it is another request, and WeChat knows that the code was used.
    people(&api, list)
        .await
        .refused(422, "code_used", "people[0].code");
    let other = json!([{"app_id": MP, "code": api.code(5)}]);
    keyed(&api, other)
        .await
        .refused(409, "idempotency_conflict", "Idempotency-Key");
    assert_eq!(logins(&api), 2);
}

async fn a_code_is_not_spent_on_a_request_that_is_refused(api: StaffFixture) {
    api.new_follower(5).await;
    let code = json!({"app_id": MP, "code": api.code(5)});
    let foreign = json!([code, openid(FOREIGN, 1)]);
    people(&api, foreign)
        .await
        .refused(422, "unknown_app_id", "people[1].app_id");
    let other_kind = json!([code, {"app_id": OA, "code": "c"}]);
    people(&api, other_kind)
        .await
        .refused(422, "wrong_account_kind", "people[1].app_id");
    let body = json!({"message_type": "none", "people": [code]});
    let refused = api.app.post(&api.key, "/notifications", body).await;
    refused.refused(422, "unknown_message_type", "message_type");
    let unfilled = json!({"message_type": "ping", "people": [code]});
    let refused = api.app.post(&api.key, "/notifications", unfilled).await;
    refused.refused(422, "invalid_field", "routes[0].fields.thing1");
    assert_eq!(logins(&api), 0);
    let bad = json!([code, {"app_id": MP, "code": "none"}]);
    people(&api, bad)
        .await
        .refused(422, "code_invalid", "people[1].code");
    let none = api.app.get(&api.key, "/notifications").await.ok(200);
    assert_eq!(none["items"], json!([]));
}

async fn what_cannot_name_a_person_is_refused_with_its_place(api: StaffFixture) {
    let long = "x".repeat(129);
    for (one, field) in [
        (json!({}), "people[1]"),
        (json!({"openid": "o"}), "people[1]"),
        (json!({"app_id": OA}), "people[1]"),
        (
            json!({"app_id": OA, "openid": "o", "unionid": "u"}),
            "people[1]",
        ),
        (json!({"unionid": ""}), "people[1].unionid"),
        (json!({"unionid": "a\u{0}b"}), "people[1].unionid"),
        (json!({"app_id": OA, "openid": long}), "people[1].openid"),
        (json!({"app_id": "", "openid": "o"}), "people[1].app_id"),
        (json!({"app_id": MP, "code": ""}), "people[1].code"),
    ] {
        people(&api, json!([unionid(1), one]))
            .await
            .refused(422, "invalid_field", field);
    }
    people(&api, json!([]))
        .await
        .refused(422, "invalid_field", "people");
    let code = |number: u32| json!({"app_id": MP, "code": format!("c{number}")});
    let codes: Vec<Value> = (0..21).map(code).collect();
    let problem = people(&api, json!(codes))
        .await
        .refused(422, "invalid_field", "people");
    assert!(
        problem["detail"].as_str().unwrap().contains("at most 20"),
        "{problem}"
    );
    people(&api, json!([{"staff_id": "s1"}])).await.refused(
        422,
        "unknown_field",
        "people[0].staff_id",
    );
    assert_eq!(logins(&api), 0);
}

async fn people_of_another_project_are_not_reached(api: StaffFixture) {
    let world = api.app.simulator.world();
    world.follow(FOREIGN, 8, Origin::default()).await.unwrap();
    api.app.drain().await;
    let refused = people(&api, json!([openid(FOREIGN, 8)])).await;
    refused.refused(422, "unknown_app_id", "people[0].app_id");
    let stolen = json!({"app_id": OA, "openid": population::openid(FOREIGN, 8)});
    let accepted = people(&api, json!([unionid(8), stolen])).await.ok(202);
    assert_eq!(told(&accepted)[0], (unionid(8), "-", "unknown_person"));
    api.app.drain().await;
    assert_eq!(world.messages_to(&population::openid(FOREIGN, 8)).len(), 0);
    let path = format!("/deliveries?openid={}", population::openid(FOREIGN, 8));
    let found = api.app.get(&api.key, &path).await.ok(200);
    // Tried through our own account, where WeChat does not know that openid.
    assert_eq!(
        (&found["items"][0]["state"], &found["items"][0]["reason"]),
        (&json!("failed"), &json!("wrong_openid"))
    );
}

async fn their_deliveries_are_found(api: StaffFixture) {
    api.new_follower(5).await;
    let accepted = people(&api, json!([unionid(5), unionid(6), openid(OA, 2)]))
        .await
        .ok(202);
    let ids: Vec<&Value> = accepted["verdicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["delivery_id"])
        .collect();
    api.app.drain().await;
    let by_unionid = |person| format!("unionid={}", population::unionid(person));
    let by_openid = |person| format!("openid={}", population::openid(OA, person));
    for (query, expected) in [
        (by_unionid(5), ids[0]),
        (by_openid(5), ids[0]),
        (by_unionid(6), ids[1]),
        (by_unionid(2), ids[2]),
        ("staff_id=s2".to_owned(), ids[2]),
    ] {
        let found = api
            .app
            .get(&api.key, &format!("/deliveries?{query}"))
            .await
            .ok(200);
        let found: Vec<&Value> = found["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["id"])
            .collect();
        assert_eq!(found, [expected], "{query}");
    }
    let none = api
        .app
        .get(&api.key, &format!("/deliveries?{}", by_openid(6)))
        .await
        .ok(200);
    assert_eq!(none["items"], json!([]));
    // Foreign eyes see nothing.
    let none = api
        .app
        .get(&api.other, &format!("/deliveries?{}", by_unionid(5)))
        .await
        .ok(200);
    assert_eq!(none["items"], json!([]));
}
