//! Identities over the years: what WeChat tells of people, unionids that change, accounts that move.

mod details;
mod migrate;
mod moved;
mod unconfirmed;

use serde_json::Value;

use queqiao::ids::ProjectId;

use crate::support::TestProject;
use crate::support::setup::{MP, OA};

/// The project of the accounts.
const ONE: ProjectId = ProjectId(1);

/// An account as `GET /accounts` shows it.
async fn account(project: &TestProject, app_id: &str) -> Value {
    let page = project.app.get(&project.key, "/accounts").await.ok(200);
    let accounts = page["items"].as_array().unwrap();
    let mut found = accounts.iter().filter(|one| one["app_id"] == app_id);
    found.next().unwrap().clone()
}

/// Unfollows and follows again, so that the profile is fetched again.
async fn comes_back(project: &TestProject, person: u32) {
    project.world().unfollow(OA, person).await.unwrap();
    project.app.advance(std::time::Duration::from_secs(2));
    project.follows(person).await;
    project.app.drain().await;
}
