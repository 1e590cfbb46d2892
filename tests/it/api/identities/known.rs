//! What is known already stands over a table that says otherwise.

use queqiao::simulator::{Choice, population};
use serde_json::json;

use super::super::MP;
use super::{LASTING, MovingInFixture, ONCE, openid, row, told, with};

both_engines! {
    wechats_word_stands_over_the_tables,
    a_unionid_from_the_table_joins_the_follower,
    a_template_is_what_wechat_lists_it_as,
    consents_that_ended_are_not_brought_back,
    an_old_table_does_not_bring_back_who_was_erased,
}

async fn wechats_word_stands_over_the_tables(moving: MovingInFixture) {
    moving
        .bring(json!([
            with(1, json!({"unionid": "uWrong"})),
            row(2),
            row(3)
        ]))
        .await;
    assert_eq!(moving.person(1).await["unionid"], "uWrong");
    let sessions = format!("/miniprogram/{MP}/sessions");
    let told_by = moving
        .app
        .post(&moving.key, &sessions, json!({"code": moving.code(1)}))
        .await
        .ok(200);
    assert_eq!(
        (&told_by["unionid"], &told_by["profile_state"]),
        (&json!(population::unionid(1)), &json!("complete"))
    );
    let again = moving
        .bring(json!([with(1, json!({"unionid": "uWrong"}))]))
        .await;
    assert_eq!(told(&again), ["refused unionid_conflict"]);
    let detail = again["rows"][0]["detail"].as_str().unwrap();
    assert!(detail.contains(&population::unionid(1)), "{detail}");
    // An event proves the openid.
    moving.world().enter_chat(MP, 2).await.unwrap();
    moving.app.drain().await;
    assert_eq!(
        moving.person(2).await["identities"][0]["profile_state"],
        "login_needed"
    );
    assert_eq!(
        moving.person(3).await["identities"][0]["profile_state"],
        "unconfirmed"
    );
    // What the table says later of an openid that is proven is still the table's word.
    let more = moving
        .bring(json!([with(2, json!({"unionid": population::unionid(2)}))]))
        .await;
    assert_eq!(told(&more), ["updated"]);
    assert_eq!(
        moving.person(2).await["identities"][0]["profile_state"],
        "unconfirmed"
    );
    // A table that was wrong is no sign that the account has moved.
    moving
        .bring(json!([with(5, json!({"unionid": "uWrongToo"}))]))
        .await;
    let hook = json!({"url": "https://example.com/hook", "events": ["account.alert"]});
    let hook = moving
        .app
        .post(&moving.key, "/webhooks", hook)
        .await
        .ok(201);
    let told_by = moving
        .app
        .post(&moving.key, &sessions, json!({"code": moving.code(5)}))
        .await
        .ok(200);
    assert_eq!(told_by["unionid"], population::unionid(5));
    let alerts = moving
        .app
        .get(&moving.key, &format!("/webhooks/{}/deliveries", hook["id"]))
        .await
        .ok(200);
    assert_eq!(alerts["items"], json!([]));
}

async fn a_unionid_from_the_table_joins_the_follower(moving: MovingInFixture) {
    moving.new_follower(4).await;
    let row = with(
        4,
        json!({"unionid": population::unionid(4), "staff_id": "s4"}),
    );
    let answer = moving
        .post(json!({"rows": [row], "create_staff": true}))
        .await
        .ok(200);
    assert_eq!(told(&answer), ["created"]);
    let person = moving.person(4).await;
    assert_eq!(
        (&person["link_state"], &person["staff_ids"]),
        (&json!("linked"), &json!(["s4"]))
    );
    let staff = moving.app.get(&moving.key, "/staff/s4").await.ok(200);
    assert_eq!(staff["reachable"], true, "{staff}");
}

async fn a_template_is_what_wechat_lists_it_as(moving: MovingInFixture) {
    let sync = format!("/accounts/{MP}/templates/sync");
    moving
        .app
        .call("POST", &moving.key, &sync, None)
        .await
        .ok(200);
    let row = with(
        1,
        json!({"staff_id": "s1", "consents": {ONCE: "long_term"}}),
    );
    let answer = moving
        .post(json!({"rows": [row], "create_staff": true}))
        .await
        .ok(200);
    assert_eq!(told(&answer), ["refused invalid_field"]);
    assert!(
        answer["rows"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("one-time"),
        "{answer}"
    );
    // Nor does a report make it long-term, for this person or another.
    let row = with(1, json!({"staff_id": "s1", "consents": {ONCE: 1}}));
    moving
        .post(json!({"rows": [row], "create_staff": true}))
        .await
        .ok(200);
    let body = json!({"openid": openid(1), "results": {ONCE: "accept"}, "long_term": true});
    moving
        .app
        .post(
            &moving.key,
            &format!("/miniprogram/{MP}/subscriptions"),
            body,
        )
        .await
        .ok(200);
    let credits = moving
        .app
        .get(&moving.key, "/staff/s1/credits")
        .await
        .ok(200);
    assert_eq!(credits["items"][0]["long_term"], false, "{credits}");
}

async fn consents_that_ended_are_not_brought_back(moving: MovingInFixture) {
    let table = json!([
        with(1, json!({"staff_id": "s1", "consents": {ONCE: 2}})),
        with(
            2,
            json!({"staff_id": "s2", "consents": {LASTING: "long_term"}})
        ),
    ]);
    let table = json!({"rows": table, "create_staff": true});
    for person in [1, 2] {
        moving
            .allowed_before(person, if person == 1 { ONCE } else { LASTING })
            .await;
    }
    moving.post(table.clone()).await.ok(200);
    moving.app.advance(std::time::Duration::from_secs(60));
    moving
        .world()
        .withdraw_consent(MP, 1, &[ONCE])
        .await
        .unwrap();
    moving
        .world()
        .withdraw_consent(MP, 2, &[LASTING])
        .await
        .unwrap();
    moving.app.drain().await;
    moving.app.advance(std::time::Duration::from_secs(60));
    for staff in ["s1", "s2"] {
        assert_eq!(
            moving.left(staff).await,
            [(json!(0), json!(false))],
            "{staff}"
        );
    }
    assert_eq!(
        told(&moving.post(table).await.ok(200)),
        ["unchanged", "unchanged"]
    );
    for staff in ["s1", "s2"] {
        assert_eq!(
            moving.left(staff).await,
            [(json!(0), json!(false))],
            "{staff}"
        );
    }
    // A first statement that is older than the refusal, as far as anybody knows.
    moving
        .world()
        .answer_popup(MP, 3, &[(ONCE, Choice::Accept)])
        .await
        .unwrap();
    moving.app.advance(std::time::Duration::from_secs(60));
    moving
        .world()
        .withdraw_consent(MP, 3, &[ONCE])
        .await
        .unwrap();
    moving.app.drain().await;
    let answer = moving
        .bring(json!([with(3, json!({"consents": {ONCE: 5}}))]))
        .await;
    assert_eq!(told(&answer), ["unchanged"]);
    let note = answer["rows"][0]["detail"].as_str().unwrap();
    assert!(note.contains(ONCE) && note.contains("refused"), "{note}");
}

async fn an_old_table_does_not_bring_back_who_was_erased(moving: MovingInFixture) {
    let (app, key) = (&moving.app, &moving.key);
    let rows = json!([
        with(
            1,
            json!({"unionid": population::unionid(1), "staff_id": "s1", "consents": {ONCE: 2}})
        ),
        row(2),
    ]);
    let table = json!({"rows": rows, "create_staff": true});
    let answer = moving.post(table.clone()).await.ok(200);
    let id = &answer["rows"][0]["identity_id"];
    app.delete(key, &format!("/people/{id}")).await.ok(200);
    app.drain().await;
    let answer = moving.post(table.clone()).await.ok(200);
    assert_eq!(told(&answer), ["refused erased", "unchanged"], "{answer}");
    assert_eq!(
        (
            &answer["rows"][0]["field"],
            &answer["rows"][0]["identity_id"]
        ),
        (&json!("openid"), &json!(null))
    );
    assert_eq!(moving.person(1).await, json!(null));
    // They come back by themselves, and then the table may say more of them.
    app.advance(std::time::Duration::from_secs(5));
    let code = moving.world().log_in(MP, 1).unwrap();
    app.post(
        key,
        &format!("/miniprogram/{MP}/sessions"),
        json!({"code": code}),
    )
    .await
    .ok(200);
    assert_eq!(
        told(&moving.post(table).await.ok(200)),
        ["updated", "unchanged"]
    );
}
