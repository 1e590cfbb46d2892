//! What is told of what happens, and to whom.

mod deliveries;

use queqiao::simulator::{Origin, ProfileDetails, population};
use queqiao::wechat::push;
use serde_json::{Value, json};

use super::{FOREIGN, MP, OA, WebhookFixture, kinds};
use crate::support::api::by_unionid;

fn data(webhooks: &WebhookFixture, kind: &str) -> Vec<Value> {
    let posts = webhooks.receiver.posts();
    let of_kind = posts.iter().filter(|post| post.kind() == kind);
    of_kind.map(|post| post.json()["data"].clone()).collect()
}

both_engines! {
    a_message_with_the_end_of_cdata_in_it_is_told_and_opens_the_window,
    a_person_is_told_of_from_following_to_unfollowing_in_order_and_signed,
    a_login_links_and_an_event_seen_twice_or_late_is_told_once,
    people_are_told_of_with_what_wechat_tells_of_them,
    an_account_whose_unionids_change_is_told_once_and_not_for_each_person,
    a_binding_that_is_undone_is_told_with_the_reason,
    a_follow_is_told_once_also_where_something_else_came_first,
    nothing_is_taken_down_where_nobody_listens,
}

async fn a_message_with_the_end_of_cdata_in_it_is_told_and_opens_the_window(
    webhooks: WebhookFixture,
) {
    webhooks.listen(&["*"]).await;
    webhooks.new_follower(1).await;
    for text in [
        "if (a[b[0]]>1)",
        "a]]></Content><FromUserName>oForged</FromUserName>",
        "\u{2}]]>",
    ] {
        webhooks.write(1, text).await;
    }
    let told = data(&webhooks, "message.received");
    let texts: Vec<_> = told
        .iter()
        .map(|data| data["message"]["content"]["content"].clone())
        .collect();
    assert_eq!(
        texts,
        [
            "if (a[b[0]]>1)",
            "a]]></Content><FromUserName>oForged</FromUserName>",
            "\u{2}]]>"
        ]
    );
    let openid = population::openid(OA, 1);
    assert!(
        told.iter().all(|data| data["openid"] == openid.as_str()),
        "{told:?}"
    );
    let people = webhooks
        .app
        .get(&webhooks.key, &format!("/people?openid={openid}"))
        .await
        .ok(200);
    let window = &people["items"][0]["identities"][0]["customer_window"];
    // 3 for the follow, 5 for what was written.
    assert_eq!(window["left"], 8, "{people}");
}

async fn a_person_is_told_of_from_following_to_unfollowing_in_order_and_signed(
    webhooks: WebhookFixture,
) {
    let events = [
        "identity.followed",
        "identity.unfollowed",
        "person.linked",
        "staff.bound",
        "staff.unbound",
        "message.received",
    ];
    let (id, secret) = webhooks.listen(&events).await;
    webhooks.new_follower(1).await;
    let binding = webhooks.bound("s1", 1).await;
    webhooks.write(1, "hello").await;
    let path = format!("/staff/s1/bindings/{binding}");
    assert_eq!(webhooks.app.delete(&webhooks.key, &path).await.status, 200);
    webhooks
        .app
        .simulator
        .world()
        .unfollow(OA, 1)
        .await
        .unwrap();
    webhooks.app.drain().await;
    let posts = webhooks.receiver.posts();
    assert_eq!(
        kinds(&posts),
        [
            "identity.followed",
            "person.linked",
            "staff.bound",
            "message.received",
            "staff.unbound",
            "identity.unfollowed"
        ]
    );
    let (openid, unionid) = (population::openid(OA, 1), population::unionid(1));
    for post in &posts {
        assert_eq!(post.signed_by(&secret), Some(0), "{post:?}");
        let age = webhooks.app.clock.unix_seconds() - post.timestamp;
        assert!((0..10).contains(&age), "{age} seconds");
        let body = post.json();
        assert_eq!(body.as_object().unwrap().len(), 3, "{body}");
        assert!(body["timestamp"].as_str().unwrap().ends_with('Z'), "{body}");
        assert_eq!(body["data"]["app_id"], OA, "{body}");
        assert_eq!(body["data"]["openid"], openid.as_str(), "{body}");
    }
    let followed = posts[0].json()["data"].clone();
    assert_eq!(
        followed["staff_id"],
        Value::Null,
        "not bound yet: {followed}"
    );
    assert_eq!(followed.get("qr_scene"), Some(&Value::Null), "{followed}");
    assert!(followed["event_time"].is_string(), "{followed}");
    let linked = posts[1].json()["data"].clone();
    assert_eq!(linked["unionid"], unionid.as_str());
    assert_eq!(
        linked["identities"].as_array().unwrap().len(),
        1,
        "{linked}"
    );
    for known in &posts[2..4] {
        let data = known.json()["data"].clone();
        assert_eq!(
            (&data["staff_id"], &data["unionid"]),
            (&json!("s1"), &json!(unionid))
        );
    }
    assert_eq!(
        posts[3].json()["data"]["message"]["content"]["content"],
        "hello"
    );
    let delivered = webhooks.deliveries(id).await;
    assert_eq!(delivered.len(), posts.len());
    for (shown, post) in delivered.iter().zip(&posts) {
        assert_eq!(
            (&shown["state"], &shown["webhook_id"]),
            (&json!("sent"), &json!(post.id))
        );
        assert_eq!(shown["payload"], post.json());
        assert_eq!(
            shown["last_answer"],
            json!({"status": 200, "text": "thanks"})
        );
    }
}

async fn a_login_links_and_an_event_seen_twice_or_late_is_told_once(webhooks: WebhookFixture) {
    webhooks.listen(&["*"]).await;
    let world = webhooks.app.simulator.world();
    let first = world.follow(OA, 1, Origin::default()).await.unwrap();
    webhooks.app.drain().await;
    world.unfollow(OA, 1).await.unwrap();
    webhooks.app.drain().await;
    // The follow is processed once more: it is older than what is known.
    let events = webhooks
        .app
        .get(&webhooks.key, "/events?kind=event.subscribe")
        .await
        .ok(200);
    let path = format!("/events/{}/replay", events["items"][0]["id"]);
    webhooks
        .app
        .call("POST", &webhooks.key, &path, None)
        .await
        .ok(202);
    webhooks.app.drain().await;
    assert!(first.verdict.is_accepted());
    assert_eq!(data(&webhooks, "identity.followed").len(), 1);
    assert_eq!(data(&webhooks, "identity.unfollowed").len(), 1);
    // The raw push is told again, under the same id.
    let raw: Vec<String> = webhooks
        .receiver
        .posts()
        .into_iter()
        .filter(|post| post.kind() == "push.raw" && post.body.contains("event_id"))
        .map(|post| post.id)
        .collect();
    assert_eq!(raw.len(), 3, "{raw:?}");
    assert!(raw[2] == raw[0] && raw[1] != raw[0], "{raw:?}");
    for _ in 0..2 {
        let code = world.log_in(MP, 1).unwrap();
        let body = json!({"code": code});
        let path = format!("/miniprogram/{MP}/sessions");
        webhooks.app.post(&webhooks.key, &path, body).await.ok(200);
        webhooks.app.drain().await;
    }
    let linked = data(&webhooks, "person.linked");
    assert_eq!(linked.len(), 2, "one for each identity: {linked:?}");
    assert_eq!(linked[1]["app_id"], MP);
    assert_eq!(
        linked[1]["identities"].as_array().unwrap().len(),
        2,
        "{linked:?}"
    );
}

async fn people_are_told_of_with_what_wechat_tells_of_them(webhooks: WebhookFixture) {
    webhooks
        .listen(&["identity.followed", "person.linked"])
        .await;
    let world = webhooks.app.simulator.world();
    let details = ProfileDetails {
        nickname: "小王".to_owned(),
        sex: 1,
        ..ProfileDetails::default()
    };
    world.set_details(1, details).unwrap();
    webhooks.new_follower(1).await;
    let linked = data(&webhooks, "person.linked")[0].clone();
    assert_eq!(
        (&linked["nickname"], &linked["sex"], linked.get("city")),
        (&json!("小王"), &json!(1), None)
    );
    webhooks.new_follower(2).await;
    assert_eq!(data(&webhooks, "person.linked")[1].get("nickname"), None);
}

async fn an_account_whose_unionids_change_is_told_once_and_not_for_each_person(
    webhooks: WebhookFixture,
) {
    webhooks.listen(&["account.alert"]).await;
    let world = webhooks.app.simulator.world();
    for person in 1..=4 {
        webhooks.new_follower(person).await;
    }
    world.change_unionids(None).unwrap();
    let again = async |person| {
        world.unfollow(OA, person).await.unwrap();
        webhooks.advance(5).await;
        webhooks.new_follower(person).await;
    };
    for person in 1..=3 {
        again(person).await;
    }
    let alerts = data(&webhooks, "account.alert");
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(
        (&alerts[0]["app_id"], &alerts[0]["reason"]),
        (&json!(OA), &json!("unionids_changed"))
    );
    assert_eq!(
        (&alerts[0]["changed"], &alerts[0]["errcode"]),
        (&json!(1), &Value::Null)
    );
    assert!(
        alerts[0]["problem"]
            .as_str()
            .unwrap()
            .contains("Open Platform"),
        "{alerts:?}"
    );
    webhooks.advance(12 * 3_600).await;
    again(4).await;
    let alerts = data(&webhooks, "account.alert");
    assert_eq!(
        (alerts.len(), &alerts[1]["changed"]),
        (2, &json!(4)),
        "{alerts:?}"
    );
}

async fn a_binding_that_is_undone_is_told_with_the_reason(webhooks: WebhookFixture) {
    webhooks
        .listen(&["account.alert", "staff.bound", "staff.unbound"])
        .await;
    let world = webhooks.app.simulator.world();
    world.add_followers(OA, 1..2, &Origin::search()).unwrap();
    webhooks.staff("a1").bound_to(by_unionid(1)).await;
    webhooks.bound("b1", 1).await;
    assert_eq!(
        kinds(&webhooks.receiver.posts()),
        [
            "staff.bound",
            "staff.bound",
            "staff.unbound",
            "account.alert"
        ]
    );
    assert_eq!(data(&webhooks, "staff.unbound")[0]["staff_id"], "b1");
    let alert = data(&webhooks, "account.alert").remove(0);
    assert_eq!(
        (&alert["reason"], &alert["app_id"]),
        (&json!("person_already_bound"), &json!(OA)),
        "{alert}"
    );
    assert_eq!(
        (&alert["staff_id"], &alert["kept_staff_id"]),
        (&json!("b1"), &json!("a1")),
        "{alert}"
    );
    assert_eq!(
        (&alert["openid"], &alert["errcode"]),
        (&json!(population::openid(OA, 1)), &Value::Null),
        "{alert}"
    );
}

async fn a_follow_is_told_once_also_where_something_else_came_first(webhooks: WebhookFixture) {
    webhooks
        .listen(&["identity.followed", "identity.unfollowed"])
        .await;
    let world = webhooks.app.simulator.world();
    let openid = population::openid(OA, 1);
    let url = world.settings(OA).unwrap().callback_url.clone();
    let lost = async |follows: bool| {
        world
            .change_account(OA, |settings| settings.callback_url = None)
            .unwrap();
        match follows {
            true => world.follow(OA, 1, Origin::search()).await.unwrap(),
            false => world.unfollow(OA, 1).await.unwrap(),
        };
        world
            .change_account(OA, |settings| settings.callback_url = url.clone())
            .unwrap();
        world.now() / 1_000
    };
    let arrives = async |time: i64, name: &str| {
        let push = push::event("gh_1", &openid, time, name)
            .with("EventKey", "qrscene_shop_12")
            .with("Ticket", "t");
        world.push(OA, push.into_owned()).await.unwrap();
        webhooks.app.drain().await;
    };
    let scene = async || {
        let people = webhooks
            .app
            .get(&webhooks.key, &format!("/people?openid={openid}"))
            .await
            .ok(200);
        people["items"][0]["identities"][0]["qr_scene"].clone()
    };
    let told = || {
        let posts = webhooks.receiver.posts();
        posts
            .iter()
            .filter(|post| post.kind() == "identity.followed")
            .count()
    };
    let followed = lost(true).await;
    webhooks.app.advance(std::time::Duration::from_secs(1));
    world.click(OA, 1, "menu").await.unwrap();
    webhooks.app.drain().await;
    assert_eq!(
        (told(), scene().await),
        (0, Value::Null),
        "it may have been years ago"
    );
    for _ in 0..2 {
        arrives(followed, "subscribe").await;
        assert_eq!((told(), scene().await), (1, json!("shop_12")));
    }
    assert_eq!(
        data(&webhooks, "identity.followed")[0]["qr_scene"],
        "shop_12"
    );
    // Somebody who had gone is told of when the profile says that they are back, and not once more.
    world.unfollow(OA, 1).await.unwrap();
    webhooks.advance(60).await;
    let followed = lost(true).await;
    webhooks.app.advance(std::time::Duration::from_secs(1));
    world.click(OA, 1, "menu").await.unwrap();
    webhooks.app.drain().await;
    assert_eq!(told(), 2);
    arrives(followed, "subscribe").await;
    assert_eq!(told(), 2);
    // An unfollow that only an import found out is told then, and not by its event.
    webhooks.app.advance(std::time::Duration::from_secs(60));
    let left = lost(false).await;
    let body = json!({"reconcile": true});
    webhooks
        .app
        .post(&webhooks.key, &format!("/accounts/{OA}/imports"), body)
        .await
        .ok(202);
    webhooks.app.drain().await;
    assert_eq!(data(&webhooks, "identity.unfollowed").len(), 2);
    let push = push::event("gh_1", &openid, left, "unsubscribe").into_owned();
    world.push(OA, push).await.unwrap();
    webhooks.app.drain().await;
    assert_eq!(data(&webhooks, "identity.unfollowed").len(), 2);
}

async fn nothing_is_taken_down_where_nobody_listens(webhooks: WebhookFixture) {
    let url = webhooks.receiver.url.clone();
    let body = json!({"url": url, "events": ["*"], "enabled": false});
    let made = webhooks
        .app
        .post(&webhooks.key, "/webhooks", body)
        .await
        .ok(201);
    let disabled = made["id"].as_i64().unwrap();
    let (of_other_type, _) = webhooks.listen(&["account.alert"]).await;
    let body = json!({"url": url, "events": ["*"], "app_ids": [MP]});
    let made = webhooks
        .app
        .post(&webhooks.key, "/webhooks", body)
        .await
        .ok(201);
    let of_other_account = made["id"].as_i64().unwrap();
    let body = json!({"url": url, "events": ["*"], "app_ids": [FOREIGN]});
    webhooks
        .app
        .post(&webhooks.other, "/webhooks", body)
        .await
        .ok(201);
    webhooks.new_follower(1).await;
    webhooks.write(1, "hello").await;
    for id in [disabled, of_other_type, of_other_account] {
        assert_eq!(webhooks.deliveries(id).await, Vec::<Value>::new());
    }
    assert!(webhooks.receiver.posts().is_empty());
    // The same endpoints hear what they are for.
    let world = webhooks.app.simulator.world();
    world.follow(FOREIGN, 2, Origin::default()).await.unwrap();
    webhooks.app.drain().await;
    assert_eq!(
        kinds(&webhooks.receiver.posts()),
        ["identity.followed", "push.raw", "person.linked"]
    );
}
