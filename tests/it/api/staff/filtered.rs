//! The list of staff by whether they can be reached.

use serde_json::json;

use crate::api::{ApiFixture, OA};
use crate::support::api::{by_openid, by_unionid};

both_engines! {
    staff_are_listed_by_their_reach,
    a_page_looks_at_a_limited_number_of_staff,
}

/// The staff ids of all pages, of which some may be empty.
async fn ids(api: &ApiFixture, query: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/staff?limit=2&{query}{cursor}");
        let page = api.app.get(&api.key, &path).await.ok(200);
        let found = page["items"].as_array().unwrap().iter();
        ids.extend(found.map(|one| one["staff_id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

async fn staff_are_listed_by_their_reach(api: ApiFixture) {
    api.new_follower(1).await;
    api.new_follower(2).await;
    api.world().unfollow(OA, 2).await.unwrap();
    api.app.drain().await;
    api.staff("following").bound_to(by_openid(OA, 1)).await;
    api.staff("gone").bound_to(by_openid(OA, 2)).await;
    api.staff("elsewhere").bound_to(by_unionid(3)).await;
    api.staff("nobody").await;
    let tagged = json!({"tags": ["x"]});
    api.app.put(&api.key, "/staff/gone", tagged).await.ok(200);
    for (query, expected) in [
        ("reachable=true", &["following"][..]),
        ("reachable=false", &["nobody", "elsewhere", "gone"]),
        ("reason=not_bound", &["nobody"]),
        ("reason=not_following", &["gone"]),
        ("reason=no_identity_in_account", &["elsewhere"]),
        ("reason=not_following&reachable=true", &[]),
        ("reason=follow_unknown", &[]),
        ("reachable=false&tag=x", &["gone"]),
        ("reachable=true&tag=x", &[]),
    ] {
        assert_eq!(ids(&api, query).await, expected, "{query}");
    }
    for (query, field) in [
        ("reachable=1", "reachable"),
        ("reachable=", "reachable"),
        ("reason=no_credit", "reason"),
    ] {
        let refused = api.app.get(&api.key, &format!("/staff?{query}")).await;
        refused.refused(400, "invalid_query", field);
    }
}

async fn a_page_looks_at_a_limited_number_of_staff(api: ApiFixture) {
    api.new_follower(1).await;
    api.staff("first").bound_to(by_openid(OA, 1)).await;
    let rows: Vec<_> = (0..1_000)
        .map(|n| json!({"staff_id": format!("e{n}")}))
        .collect();
    let body = json!({"rows": rows});
    api.app.post(&api.key, "/staff/import", body).await.ok(200);
    let page = api.app.get(&api.key, "/staff?reachable=true").await.ok(200);
    assert_eq!(page["items"], json!([]));
    assert!(page["next_cursor"].is_string(), "{page}");
    assert_eq!(ids(&api, "reachable=true").await, ["first"]);
}
