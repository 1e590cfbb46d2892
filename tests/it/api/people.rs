//! People: found by every word, each once, with all their identities.

use queqiao::simulator::population;
use serde_json::{Value, json};

use super::{MP, OA, Two};

async fn unionids(two: &Two, query: &str) -> Vec<Value> {
    let page = two
        .app
        .get(&two.key, &format!("/people?{query}"))
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

async fn people_are_found_by_every_word(two: Two) {
    let app = &two.app;
    for person in [1, 2, 3] {
        two.follow(person).await;
    }
    let login = format!("/miniprogram/{MP}/sessions");
    for person in [1, 4] {
        app.post(&two.key, &login, json!({"code": two.code(person)}))
            .await
            .ok(200);
    }
    app.simulator.world().unfollow(OA, 3).await.unwrap();
    app.drain().await;
    app.put(&two.key, "/staff/s1", json!({})).await.ok(201);
    let openid = population::openid(OA, 1);
    let bind = json!({"app_id": OA, "openid": openid});
    app.post(&two.key, "/staff/s1/bindings", bind).await.ok(201);
    app.put(&two.key, "/staff/s2", json!({})).await.ok(201);
    let bind = json!({"unionid": population::unionid(4)});
    app.post(&two.key, "/staff/s2/bindings", bind).await.ok(201);
    let is = |people: &[u32]| -> Vec<Value> {
        people
            .iter()
            .map(|person| json!(population::unionid(*person)))
            .collect()
    };
    assert_eq!(unionids(&two, "").await, is(&[4, 3, 2, 1]));
    assert_eq!(unionids(&two, "staff_id=s1").await, is(&[1]));
    assert_eq!(unionids(&two, "staff_id=s2").await, is(&[4]));
    assert_eq!(unionids(&two, "staff_id=%25").await, is(&[]));
    assert_eq!(
        unionids(&two, &format!("unionid={}", population::unionid(2))).await,
        is(&[2])
    );
    assert_eq!(unionids(&two, &format!("openid={openid}")).await, is(&[1]));
    assert_eq!(
        unionids(&two, &format!("app_id={OA}")).await,
        is(&[3, 2, 1])
    );
    assert_eq!(unionids(&two, &format!("app_id={MP}")).await, is(&[4, 1]));
    assert_eq!(unionids(&two, "follow_state=following").await, is(&[2, 1]));
    assert_eq!(unionids(&two, "follow_state=not_following").await, is(&[3]));
    assert_eq!(unionids(&two, "link_state=linked").await, is(&[1]));
    assert_eq!(unionids(&two, "link_state=single").await, is(&[4, 3, 2]));
    assert_eq!(unionids(&two, "link_state=no_unionid").await, is(&[]));
    let both = format!("link_state=linked&app_id={MP}&staff_id=s1");
    assert_eq!(unionids(&two, &both).await, is(&[1]));
    let pages = app.all_pages(&two.key, "/people", 1).await;
    assert_eq!(pages.len(), 4);
    let person = &pages[3];
    assert_eq!(person["staff_ids"], json!(["s1"]));
    assert_eq!(person["link_state"], "linked");
    assert_eq!(person["identities"].as_array().unwrap().len(), 2);
    for identity in person["identities"].as_array().unwrap() {
        let found = app
            .get(&two.key, &format!("/people/{}", identity["id"]))
            .await
            .ok(200);
        assert_eq!(found["identities"], person["identities"]);
    }
    app.get(&two.key, "/people/999")
        .await
        .refused(404, "not_found", "");
}

async fn nobody_is_skipped_who_comes_in_through_another_account_meanwhile(two: Two) {
    for person in 0..10 {
        two.follow(person).await;
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/people?limit=3{cursor}");
        let page = two.app.get(&two.key, &path).await.ok(200);
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
                two.app.advance(std::time::Duration::from_secs(1));
                let path = format!("/miniprogram/{MP}/sessions");
                two.app
                    .post(&two.key, &path, json!({"code": two.code(person)}))
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

async fn people_without_a_unionid_say_why(two: Two) {
    let world = two.app.simulator.world();
    world
        .change_account(OA, |settings| settings.bound_to_open_platform = false)
        .unwrap();
    two.follow(1).await;
    let people = two
        .app
        .get(&two.key, "/people?link_state=no_unionid")
        .await
        .ok(200);
    let identity = &people["items"][0]["identities"][0];
    assert_eq!(identity["profile_state"], "not_bound_to_open_platform");
    assert_eq!(identity["follow_state"], "following");
    assert_eq!(people["items"].as_array().unwrap().len(), 1);
}
