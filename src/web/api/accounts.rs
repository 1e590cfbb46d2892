//! Accounts: what is set up, without any secret, and what WeChat holds against it.

use std::collections::HashMap;

use actix_web::web::{Data, Json, Path};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::cursor::Page;
use super::{Caller, State};
use crate::bridge::people::moved::{self, Warning};
use crate::ids::AccountId;
use crate::models::account::pause::{self, ALL_CALLS, AccountPause, PauseKind, PauseReason};
use crate::models::account::{self, Account, AccountKind, TokenSource};
use crate::web::error::Problem;
use crate::wechat::error::rid_hint;

#[derive(Debug, Serialize, ToSchema)]
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
    /// WeChat's last error that only the owner can fix.
    problem: Option<AccountProblemView>,
    /// Its people come with other unionids than before.
    moved: Option<MovedView>,
    /// Why nothing is sent, or nothing by one call.
    pauses: Vec<PauseView>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
struct AccountProblemView {
    /// WeChat's code.
    code: i64,
    /// What it means and what to do.
    text: Option<String>,
    /// The call that WeChat refused.
    call: Option<String>,
    /// WeChat's own words.
    errmsg: Option<String>,
    /// WeChat's id of the request, and where it is looked up.
    rid: Option<String>,
    rid_hint: Option<&'static str>,
    at: Option<DateTime<Utc>>,
}

impl AccountProblemView {
    fn of(account: &Account) -> Option<Self> {
        let call = account.problem_call.as_deref().unwrap_or_default();
        let rid = account.problem_rid.as_deref();
        Some(Self {
            code: account.problem_code?,
            text: account.problem_text.clone(),
            rid_hint: rid.and_then(|rid| rid_hint(call, rid)),
            call: account.problem_call.clone(),
            errmsg: account.problem_errmsg.clone(),
            rid: account.problem_rid.clone(),
            at: account.problem_at.map(|time| time.and_utc()),
        })
    }
}

/// The account has moved to another Open Platform account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MovedCountView)]
struct MovedView {
    /// When the first and the last openid came with another unionid.
    since: DateTime<Utc>,
    last_at: DateTime<Utc>,
    /// How many did.
    changed: i64,
    /// Staff members who are bound by an old unionid.
    staff: i64,
    /// What happened and what to do.
    detail: String,
}

impl From<Warning> for MovedView {
    fn from(warning: Warning) -> Self {
        Self {
            since: warning.known.since.and_utc(),
            last_at: warning.known.last_at.and_utc(),
            changed: warning.known.changed,
            staff: warning.staff,
            detail: warning.detail,
        }
    }
}

/// A pause in sending.
#[derive(Debug, Serialize, ToSchema)]
struct PauseView {
    /// The call, such as `template/send`; null for all of the account.
    call: Option<String>,
    /// `stopped`, `backing_off` or `used_up`.
    kind: PauseKind,
    reason: PauseReason,
    detail: String,
    since: DateTime<Utc>,
    /// When one delivery is tried, or, for `used_up`, when sending goes on.
    until: DateTime<Utc>,
}

impl From<AccountPause> for PauseView {
    fn from(pause: AccountPause) -> Self {
        Self {
            call: Some(pause.call).filter(|call| call != ALL_CALLS),
            kind: pause.kind,
            reason: pause.reason,
            detail: pause.detail,
            since: pause.since.and_utc(),
            until: pause.until.and_utc(),
        }
    }
}

/// What a resumption did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ResumedView {
    app_id: String,
    /// Pauses that were lifted.
    lifted: usize,
    /// Deliveries that waited, and are due at once.
    hastened: usize,
}

impl AccountView {
    fn of(account: Account, pauses: Vec<AccountPause>, moved: Option<Warning>) -> Self {
        Self {
            callback_path: format!("/callback/{}", account.app_id),
            problem: AccountProblemView::of(&account),
            app_id: account.app_id,
            kind: account.kind,
            name: account.name,
            mode: account.mode,
            token_source: account.token_source,
            has_secret: account.sealed_secret.is_some(),
            has_aes_key: account.sealed_aes_key.is_some(),
            welcome_text: account.welcome_text,
            moved: moved.map(MovedView::from),
            pauses: pauses.into_iter().map(PauseView::from).collect(),
            created_at: account.created_at.and_utc(),
            updated_at: account.updated_at.and_utc(),
        }
    }
}

/// `GET /accounts`: all accounts of the project, oldest first, on one page.
#[utoipa::path(
    get,
    path = "/accounts",
    tag = "accounts",
    responses((status = 200, description = "The accounts", body = Page<AccountView>)),
)]
pub(super) async fn list(
    state: Data<State>,
    caller: Caller,
) -> Result<Json<Page<AccountView>>, Problem> {
    let (project, now) = (caller.project_id, state.bridge.clock.now());
    let found = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let accounts = account::list(conn, project)?;
        let moved = moved::warnings(conn, project, now)?;
        Ok((accounts, pause::all(conn)?, moved))
    });
    let (accounts, pauses, mut moved) = found.await?;
    let mut pauses_of: HashMap<AccountId, Vec<AccountPause>> = HashMap::new();
    for pause in pauses.into_iter().filter(|pause| !pause.is_over(now)) {
        pauses_of.entry(pause.account_id).or_default().push(pause);
    }
    let items = accounts.into_iter().map(|account| {
        let pauses = pauses_of.remove(&account.id).unwrap_or_default();
        let moved = moved.remove(&account.id);
        AccountView::of(account, pauses, moved)
    });
    Ok(Json(Page::new(items.collect(), None)))
}

/// `POST /accounts/{app_id}/resume`: lifts the account's pauses; 200, also where there are none.
#[utoipa::path(
    post,
    path = "/accounts/{app_id}/resume",
    tag = "accounts",
    responses((status = 200, description = "The account is used again", body = ResumedView)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn resume(
    state: Data<State>,
    caller: Caller,
    app_id: Path<String>,
) -> Result<Json<ResumedView>, Problem> {
    let resumed = state.bridge.resume_account(caller.project_id, &app_id);
    let resumed = resumed.await?;
    let resumed = resumed.ok_or_else(|| Problem::not_found("account"))?;
    Ok(Json(ResumedView {
        app_id: app_id.into_inner(),
        lifted: resumed.lifted,
        hastened: resumed.hastened,
    }))
}
