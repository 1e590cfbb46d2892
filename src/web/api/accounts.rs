//! Accounts: what is set up, without any secret, and what WeChat holds against it.

use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::cursor::Page;
use super::{Caller, State};
use crate::models::account::{self, Account, AccountKind, TokenSource};
use crate::web::error::Problem;

#[derive(Debug, Serialize)]
pub(super) struct AccountView {
    app_id: String,
    kind: AccountKind,
    name: String,
    /// `plain`, `compatible` or `secure`.
    mode: String,
    token_source: TokenSource,
    has_secret: bool,
    has_aes_key: bool,
    welcome_text: Option<String>,
    /// The path of the URL to enter in WeChat's console.
    callback_path: String,
    /// WeChat's last error that only the owner can mend.
    problem: Option<Trouble>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Debug, Serialize)]
struct Trouble {
    /// WeChat's code.
    code: i64,
    /// What it means and what to do.
    text: Option<String>,
    at: Option<DateTime<Utc>>,
}

impl From<Account> for AccountView {
    fn from(account: Account) -> Self {
        Self {
            callback_path: format!("/callback/{}", account.app_id),
            app_id: account.app_id,
            kind: account.kind,
            name: account.name,
            mode: account.mode,
            token_source: account.token_source,
            has_secret: account.sealed_secret.is_some(),
            has_aes_key: account.sealed_aes_key.is_some(),
            welcome_text: account.welcome_text,
            problem: account.problem_code.map(|code| Trouble {
                code,
                text: account.problem_text,
                at: account.problem_at.map(|time| time.and_utc()),
            }),
            created_at: account.created_at.and_utc(),
            updated_at: account.updated_at.and_utc(),
        }
    }
}

/// `GET /accounts`: all accounts of the project, oldest first, on one page.
pub(super) async fn list(
    state: Data<State>,
    caller: Caller,
) -> Result<Json<Page<AccountView>>, Problem> {
    let project = caller.project_id;
    let found = state
        .bridge
        .db
        .read(move |conn| Ok::<_, Problem>(account::list(conn, project)?));
    let items = found.await?.into_iter().map(AccountView::from).collect();
    Ok(Json(Page::new(items, None)))
}
