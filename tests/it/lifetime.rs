//! Identities over the years: what WeChat tells of people, unionids that change, accounts that move.

mod details;
mod migrate;
mod moved;
mod unconfirmed;

use serde_json::Value;

use crate::invariants::{MP, OA, ONE, Stage};

/// An account as `GET /accounts` shows it.
async fn account(stage: &Stage, app_id: &str) -> Value {
    let page = stage.app.get(&stage.key, "/accounts").await.ok(200);
    let accounts = page["items"].as_array().unwrap();
    let mut found = accounts.iter().filter(|one| one["app_id"] == app_id);
    found.next().unwrap().clone()
}

/// Unfollows and follows again, so that the profile is fetched again.
async fn comes_back(stage: &Stage, person: u32) {
    stage.world().unfollow(OA, person).await.unwrap();
    stage.app.advance(std::time::Duration::from_secs(2));
    stage.follows(person).await;
    stage.app.drain().await;
}
