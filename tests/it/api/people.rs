//! People: found by every word, each once, with all their identities.

use queqiao::simulator::population;
use serde_json::{Value, json};

use super::{ApiFixture, MP, OA};
use crate::support::api::{by_openid, by_unionid};

async fn unionids(api: &ApiFixture, query: &str) -> Vec<Value> {
    let page = api
        .app
        .get(&api.key, &format!("/people?{query}"))
        .await
        .ok(200);
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|person| person["unionid"].clone())
        .collect()
}

both_engines! {
    people_are_found_by_every_word,
    nobody_is_skipped_who_comes_in_through_another_account_meanwhile,
    people_without_a_unionid_say_why,
}

async fn people_are_found_by_every_word(api: ApiFixture) {
    let app = &api.app;
    for person in [1, 2, 3] {
        api.new_follower(person).await;
    }
    let login = format!("/miniprogram/{MP}/sessions");
    for person in [1, 4] {
        app.post(&api.key, &login, json!({"code": api.code(person)}))
            .await
            .ok(200);
    }
    app.simulator.world().unfollow(OA, 3).await.unwrap();
    app.drain().await;
    let openid = population::openid(OA, 1);
    api.staff("s1").bound_to(by_openid(OA, 1)).await;
    api.staff("s2").bound_to(by_unionid(4)).await;
    let is = |people: &[u32]| -> Vec<Value> {
        people
            .iter()
            .map(|person| json!(population::unionid(*person)))
            .collect()
    };
    assert_eq!(unionids(&api, "").await, is(&[4, 3, 2, 1]));
    assert_eq!(unionids(&api, "staff_id=s1").await, is(&[1]));
    assert_eq!(unionids(&api, "staff_id=s2").await, is(&[4]));
    assert_eq!(unionids(&api, "staff_id=%25").await, is(&[]));
    assert_eq!(
        unionids(&api, &format!("unionid={}", population::unionid(2))).await,
        is(&[2])
    );
    assert_eq!(unionids(&api, &format!("openid={openid}")).await, is(&[1]));
    assert_eq!(
        unionids(&api, &format!("app_id={OA}")).await,
        is(&[3, 2, 1])
    );
    assert_eq!(unionids(&api, &format!("app_id={MP}")).await, is(&[4, 1]));
    assert_eq!(unionids(&api, "follow_state=following").await, is(&[2, 1]));
    assert_eq!(unionids(&api, "follow_state=not_following").await, is(&[3]));
    assert_eq!(unionids(&api, "link_state=linked").await, is(&[1]));
    assert_eq!(unionids(&api, "link_state=single").await, is(&[4, 3, 2]));
    assert_eq!(unionids(&api, "link_state=no_unionid").await, is(&[]));
    let both = format!("link_state=linked&app_id={MP}&staff_id=s1");
    assert_eq!(unionids(&api, &both).await, is(&[1]));
    let pages = app.all_pages(&api.key, "/people", 1).await;
    assert_eq!(pages.len(), 4);
    let person = &pages[3];
    assert_eq!(person["staff_ids"], json!(["s1"]));
    assert_eq!(person["link_state"], "linked");
    assert_eq!(person["identities"].as_array().unwrap().len(), 2);
    for identity in person["identities"].as_array().unwrap() {
        let found = app
            .get(&api.key, &format!("/people/{}", identity["id"]))
            .await
            .ok(200);
        assert_eq!(found["identities"], person["identities"]);
    }
    app.get(&api.key, "/people/999")
        .await
        .refused(404, "not_found", "");
}

async fn nobody_is_skipped_who_comes_in_through_another_account_meanwhile(api: ApiFixture) {
    for person in 0..10 {
        api.new_follower(person).await;
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/people?limit=3{cursor}");
        let page = api.app.get(&api.key, &path).await.ok(200);
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["unionid"].clone()),
        );
        if cursor.is_empty() {
            // Of the last page, and of this one.
            for person in [0, 9] {
                api.app.advance(std::time::Duration::from_secs(1));
                let path = format!("/miniprogram/{MP}/sessions");
                api.app
                    .post(&api.key, &path, json!({"code": api.code(person)}))
                    .await
                    .ok(200);
            }
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    for person in 0..10 {
        assert!(
            seen.contains(&json!(population::unionid(person))),
            "{person} of {seen:?}"
        );
    }
    assert!(seen.len() <= 12, "{seen:?}");
}

async fn people_without_a_unionid_say_why(api: ApiFixture) {
    let world = api.app.simulator.world();
    world
        .change_account(OA, |settings| settings.bound_to_open_platform = false)
        .unwrap();
    api.new_follower(1).await;
    let people = api
        .app
        .get(&api.key, "/people?link_state=no_unionid")
        .await
        .ok(200);
    let identity = &people["items"][0]["identities"][0];
    assert_eq!(identity["profile_state"], "not_bound_to_open_platform");
    assert_eq!(identity["follow_state"], "following");
    assert_eq!(people["items"].as_array().unwrap().len(), 1);
}
