//! Events, accounts and imports.

use queqiao::models::event;
use queqiao::simulator::{Origin, population};
use serde_json::json;

use super::{ApiFixture, MP, OA};

both_engines! {
    events_are_found_shown_and_replayed,
    a_failed_event_that_is_replayed_has_its_effects,
    followers_from_before_are_imported,
}

async fn events_are_found_shown_and_replayed(api: ApiFixture) {
    let app = &api.app;
    for person in [1, 2] {
        api.new_follower(person).await;
    }
    app.simulator
        .world()
        .send_text(OA, 1, "你好")
        .await
        .unwrap();
    let count = async |query: String| {
        let page = app.get(&api.key, &format!("/events?{query}")).await.ok(200);
        page["items"].as_array().unwrap().len()
    };
    let openid = population::openid(OA, 1);
    // One is processed and found by identity, the text is still waiting.
    assert_eq!(count(format!("openid={openid}")).await, 2);
    app.drain().await;
    assert_eq!(count(format!("openid={openid}")).await, 2);
    assert_eq!(count(String::new()).await, 3);
    assert_eq!(count("kind=event.subscribe".to_owned()).await, 2);
    assert_eq!(
        count(format!("kind=text&openid={openid}&app_id={OA}")).await,
        1
    );
    assert_eq!(count(format!("app_id={MP}")).await, 0);
    assert_eq!(count("openid=nobody".to_owned()).await, 0);
    assert_eq!(count("until=1".to_owned()).await, 0);
    assert_eq!(
        count("since=2020-01-01T00:00:00Z&until=4000000000".to_owned()).await,
        3
    );
    let all = app.all_pages(&api.key, "/events", 2).await;
    assert_eq!(all.len(), 3);
    let text = app
        .get(&api.key, &format!("/events/{}", all[0]["id"]))
        .await
        .ok(200);
    assert_eq!(text["kind"], "text");
    assert_eq!(text["state"], "processed");
    assert_eq!(text["raw_encoding"], "text");
    assert!(text["raw"].as_str().unwrap().contains("你好"));
    assert_eq!(text["parsed"]["from_user_name"], json!(openid));
    assert!(
        text["parsed"]["content"].to_string().contains("你好"),
        "{text}"
    );
    let replay = format!("/events/{}/replay", all[0]["id"]);
    let queued = app.post(&api.key, &replay, json!({})).await.ok(202);
    assert_eq!(queued["state"], "waiting");
    app.drain().await;
    let text = app
        .get(&api.key, &format!("/events/{}", all[0]["id"]))
        .await
        .ok(200);
    assert_eq!(text["state"], "processed");
    app.post(&api.key, "/events/999/replay", json!({}))
        .await
        .refused(404, "not_found", "");
}

async fn a_failed_event_that_is_replayed_has_its_effects(api: ApiFixture) {
    let app = &api.app;
    let world = app.simulator.world();
    world.follow(OA, 1, Origin::default()).await.unwrap();
    let id = app.get(&api.key, "/events").await.ok(200)["items"][0]["id"].clone();
    let row = queqiao::ids::EventId(id.as_i64().unwrap());
    let fail = app
        .bridge
        .db
        .write(move |conn| event::fail(conn, row, "the disk was full"));
    fail.await.unwrap();
    app.drain().await;
    let failed = app.get(&api.key, &format!("/events/{id}")).await.ok(200);
    assert_eq!(
        (&failed["state"], &failed["problem"]),
        (&json!("failed"), &json!("the disk was full"))
    );
    assert_eq!(
        app.get(&api.key, "/people").await.ok(200)["items"],
        json!([])
    );
    app.post(&api.key, &format!("/events/{id}/replay"), json!({}))
        .await
        .ok(202);
    app.drain().await;
    let people = app.get(&api.key, "/people").await.ok(200);
    assert_eq!(
        people["items"][0]["identities"][0]["follow_state"],
        "following"
    );
    assert!(
        people["items"][0]["identities"][0]["followed_at"].is_string(),
        "{people}"
    );
}

async fn followers_from_before_are_imported(api: ApiFixture) {
    let app = &api.app;
    app.simulator
        .world()
        .add_followers(OA, 0..10, &Origin::default())
        .unwrap();
    let path = format!("/accounts/{OA}/imports");
    let started = app
        .post(&api.key, &path, json!({"reconcile": true}))
        .await
        .ok(202);
    assert_eq!(started["state"], "running");
    let again = app
        .post(&api.key, &path, json!({"reconcile": true}))
        .await
        .ok(202);
    assert_eq!(again["id"], started["id"]);
    app.drain().await;
    let done = app
        .get(&api.key, &format!("/imports/{}", started["id"]))
        .await
        .ok(200);
    assert_eq!(done["state"], "done");
    assert_eq!((&done["created"], &done["total"]), (&json!(10), &json!(10)));
    assert_eq!(app.all_pages(&api.key, "/people", 3).await.len(), 10);
    let refused = app
        .post(&api.key, &format!("/accounts/{MP}/imports"), json!({}))
        .await;
    refused.refused(422, "wrong_account_kind", "app_id");
    let accounts = app.get(&api.key, "/accounts").await.ok(200);
    assert_eq!(
        accounts["items"][0]["callback_path"],
        format!("/callback/{OA}")
    );
    assert_eq!(accounts["items"][0]["has_secret"], true);
}
