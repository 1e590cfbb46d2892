//! Of two messages to one person the older goes first.

use queqiao::db::Engine;
use serde_json::{Value, json};

use super::routes::RouteFixture;
use crate::support::Fixture;
use crate::support::setup::MP;

/// Enough that no order of the database's own is that of age by chance.
const PEOPLE: u32 = 12;

both_engines! {
    the_older_message_takes_the_last_permission,
}

async fn the_older_message_takes_the_last_permission(engine: Engine) {
    let routes = RouteFixture::on(engine).await;
    let staff: Vec<String> = (1..=PEOPLE).map(|person| format!("s{person}")).collect();
    for (person, staff_id) in (1..).zip(&staff) {
        routes.member(staff_id, person).await;
        routes.allow(MP, person).await;
    }
    routes.channels(&["mp_subscribe"]).await;
    let mut asked = Vec::new();
    // The second asks for the same people the other way round.
    for order in [staff.clone(), staff.iter().rev().cloned().collect()] {
        let body = json!({"message_type": "ping", "staff_ids": order, "params": {"title": "hi"}});
        let accepted = routes
            .app
            .post(&routes.key, "/notifications", body)
            .await
            .ok(202);
        assert_eq!(accepted["counts"]["queued"], PEOPLE, "{accepted}");
        asked.push(accepted["id"].clone());
    }
    routes.app.drain().await;
    let states = async |id: &Value| {
        let path = format!("/notifications/{id}/deliveries");
        let page = routes.app.get(&routes.key, &path).await.ok(200);
        let items = page["items"].as_array().unwrap().iter();
        items
            .map(|one| one["state"].as_str().unwrap().to_owned())
            .collect::<Vec<String>>()
    };
    assert_eq!(states(&asked[0]).await, vec!["delivered"; PEOPLE as usize]);
    assert_eq!(
        states(&asked[1]).await,
        vec!["queued"; PEOPLE as usize],
        "they wait for consent"
    );
}
