//! Accounts: one WeChat app each, with its secrets sealed.

pub mod access_token;
pub mod budget;
pub mod pause;
pub mod refusal_mark;
pub mod resumption;
pub mod template;
pub mod template_sync;
pub mod unionid_move;

use std::collections::HashMap;

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

use crate::clock::TimeZone;
use crate::db::prelude::*;
use crate::db::schema::{accounts, projects, webhooks};
use crate::db::{Conn, on_engine, text_enum};
use crate::ids::{AccountId, ProjectId};

text_enum! {
    /// What kind of WeChat app an account is.
    pub enum AccountKind {
        /// A service account or subscription account (公众号).
        OfficialAccount = "official_account",
        /// A mini-program (小程序).
        MiniProgram = "mini_program",
    }
}

text_enum! {
    /// Which of WeChat's two interfaces the access token comes from.
    pub enum TokenSource {
        /// `POST /cgi-bin/stable_token`: systems that share the account do not fight over it.
        StableToken = "stable_token",
        /// `GET /cgi-bin/token`: each fetch ends the life of the token before.
        Token = "token",
    }
}

/// An account as stored. The sealed columns open only with the vault.
#[derive(Clone, PartialEq, Eq, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = accounts)]
pub struct Account {
    /// Row id.
    pub id: AccountId,
    /// The project it belongs to.
    pub project_id: ProjectId,
    /// WeChat's id of the app: `wx` and 16 hex digits.
    pub app_id: String,
    /// Official account or mini-program.
    pub kind: AccountKind,
    /// A name for people.
    pub name: String,
    /// Encryption mode of its callbacks: `plain`, `compatible` or `secure`.
    pub mode: String,
    /// The callback token.
    pub sealed_callback_token: Vec<u8>,
    /// The EncodingAESKey.
    pub sealed_aes_key: Option<Vec<u8>>,
    /// The app secret.
    pub sealed_secret: Option<Vec<u8>>,
    /// Where its access token comes from.
    pub token_source: TokenSource,
    /// What a new follower is answered.
    pub welcome_text: Option<String>,
    /// WeChat's last error that only the owner can fix.
    pub problem_code: Option<i64>,
    /// What it means and what to do.
    pub problem_text: Option<String>,
    /// Since when, UTC.
    pub problem_at: Option<NaiveDateTime>,
    /// The call that WeChat refused: the problem is over when it works again.
    pub problem_call: Option<String>,
    /// WeChat's own words.
    pub problem_errmsg: Option<String>,
    /// WeChat's id of the request.
    pub problem_rid: Option<String>,
    /// When it was added, UTC.
    pub created_at: NaiveDateTime,
    /// When it was last changed, UTC.
    pub updated_at: NaiveDateTime,
}

/// What an operator says of an account.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = accounts)]
#[diesel(treat_none_as_null = true)]
pub struct AccountSettings {
    /// The project it belongs to.
    pub project_id: ProjectId,
    /// WeChat's id of the app.
    pub app_id: String,
    /// Official account or mini-program.
    pub kind: AccountKind,
    /// A name for people.
    pub name: String,
    /// Encryption mode of its callbacks.
    pub mode: String,
    /// The callback token, sealed.
    pub sealed_callback_token: Vec<u8>,
    /// The EncodingAESKey, sealed.
    pub sealed_aes_key: Option<Vec<u8>>,
    /// The app secret, sealed.
    pub sealed_secret: Option<Vec<u8>>,
    /// Where its access token comes from.
    pub token_source: TokenSource,
    /// What a new follower is answered.
    pub welcome_text: Option<String>,
    /// Now.
    pub updated_at: NaiveDateTime,
}

/// Adds an account.
pub fn create(conn: &mut Conn, settings: &AccountSettings) -> QueryResult<Account> {
    let row = (settings, accounts::created_at.eq(settings.updated_at));
    on_engine!(conn, conn => diesel::insert_into(accounts::table)
        .values(row)
        .returning(Account::as_returning())
        .get_result(conn))
}

/// Replaces an account's settings and forgets its last problem.
pub fn update(
    conn: &mut Conn,
    id: AccountId,
    settings: &AccountSettings,
) -> QueryResult<Option<Account>> {
    let row = (settings, NoProblem::default());
    on_engine!(conn, conn => diesel::update(accounts::table.find(id))
        .set(row)
        .returning(Account::as_returning())
        .get_result(conn)
        .optional())
}

/// The account of that app id, whatever its project.
pub fn by_app_id(conn: &mut Conn, app_id: &str) -> QueryResult<Option<Account>> {
    accounts::table
        .filter(accounts::app_id.eq(app_id))
        .select(Account::as_select())
        .first(conn)
        .optional()
}

/// The accounts of a project, oldest first.
pub fn list(conn: &mut Conn, project: ProjectId) -> QueryResult<Vec<Account>> {
    accounts::table
        .filter(accounts::project_id.eq(project))
        .order(accounts::id)
        .select(Account::as_select())
        .load(conn)
}

/// What names an account to people.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = accounts)]
pub struct Label {
    /// Row id.
    pub id: AccountId,
    /// WeChat's id of the app.
    pub app_id: String,
    /// Official account or mini-program.
    pub kind: AccountKind,
}

/// The accounts of a project without their settings, oldest first.
pub fn labels(conn: &mut Conn, project: ProjectId) -> QueryResult<Vec<Label>> {
    accounts::table
        .filter(accounts::project_id.eq(project))
        .order(accounts::id)
        .select(Label::as_select())
        .load(conn)
}

/// Where an account's events belong.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// The project.
    pub project_id: ProjectId,
    /// Official account or mini-program.
    pub kind: AccountKind,
    /// In which the project's days begin.
    pub time_zone: TimeZone,
}

/// Where the events of every account belong: needs no secret, so that events are processed even
/// while one does not open.
pub fn scopes(conn: &mut Conn) -> QueryResult<HashMap<AccountId, Scope>> {
    let rows: Vec<(AccountId, ProjectId, AccountKind, String)> = accounts::table
        .inner_join(projects::table)
        .select((
            accounts::id,
            accounts::project_id,
            accounts::kind,
            projects::time_zone,
        ))
        .load(conn)?;
    let scope = |(id, project_id, kind, zone): (_, _, _, String)| {
        let time_zone = TimeZone::stored(&zone);
        let scope = Scope {
            project_id,
            kind,
            time_zone,
        };
        (id, scope)
    };
    Ok(rows.into_iter().map(scope).collect())
}

/// Whether anything is sealed under the master key.
pub fn any_sealed(conn: &mut Conn) -> QueryResult<bool> {
    let accounts = accounts::table.limit(1).count();
    let webhooks = webhooks::table.limit(1).count();
    Ok(accounts.get_result::<i64>(conn)? > 0 || webhooks.get_result::<i64>(conn)? > 0)
}

/// The id, AppID and kind of every account of the installation.
pub fn kinds(conn: &mut Conn) -> QueryResult<Vec<(AccountId, String, AccountKind)>> {
    accounts::table
        .order(accounts::id)
        .select((accounts::id, accounts::app_id, accounts::kind))
        .load(conn)
}

/// Every account of the installation.
pub fn all(conn: &mut Conn) -> QueryResult<Vec<Account>> {
    accounts::table
        .order(accounts::id)
        .select(Account::as_select())
        .load(conn)
}

/// An error that only the account's owner can correct.
#[derive(Debug, AsChangeset)]
#[diesel(table_name = accounts)]
pub struct Problem<'a> {
    /// WeChat's code.
    #[diesel(column_name = problem_code)]
    pub code: i64,
    /// What it means and what to do.
    #[diesel(column_name = problem_text)]
    pub text: &'a str,
    /// The call that WeChat refused.
    #[diesel(column_name = problem_call)]
    pub call: &'a str,
    /// WeChat's own words.
    #[diesel(column_name = problem_errmsg)]
    pub errmsg: &'a str,
    /// WeChat's id of the request.
    #[diesel(column_name = problem_rid, treat_none_as_null = true)]
    pub rid: Option<&'a str>,
    /// Now.
    #[diesel(column_name = problem_at)]
    pub at: NaiveDateTime,
}

/// What an account without a problem has.
#[derive(Debug, Default, AsChangeset)]
#[diesel(table_name = accounts, treat_none_as_null = true)]
struct NoProblem {
    problem_code: Option<i64>,
    problem_text: Option<String>,
    problem_call: Option<String>,
    problem_errmsg: Option<String>,
    problem_rid: Option<String>,
    problem_at: Option<NaiveDateTime>,
}

/// Notes an error that only the account's owner can correct. Whether it is another one than before.
pub fn set_problem(conn: &mut Conn, id: AccountId, problem: &Problem<'_>) -> QueryResult<bool> {
    let known = accounts::problem_code.eq(problem.code);
    let other = accounts::problem_code.is_null().or(diesel::dsl::not(known));
    diesel::update(accounts::table.find(id).filter(other))
        .set(problem)
        .execute(conn)
        .map(|changed| changed > 0)
}

/// Forgets an account's problem, whichever call it came from.
pub fn clear_problem(conn: &mut Conn, id: AccountId) -> QueryResult<()> {
    diesel::update(
        accounts::table
            .find(id)
            .filter(accounts::problem_code.is_not_null()),
    )
    .set(NoProblem::default())
    .execute(conn)
    .map(drop)
}

/// Forgets an account's problem if it came from one of these calls, which have worked again; one of
/// which it is not known where it came from, too.
pub fn clear_problem_of(conn: &mut Conn, id: AccountId, calls: &[&str]) -> QueryResult<()> {
    let theirs = accounts::problem_call.eq_any(calls);
    diesel::update(
        accounts::table
            .find(id)
            .filter(accounts::problem_code.is_not_null())
            .filter(accounts::problem_call.is_null().or(theirs)),
    )
    .set(NoProblem::default())
    .execute(conn)
    .map(drop)
}

/// The app id of every account.
pub fn app_ids(conn: &mut Conn) -> QueryResult<HashMap<AccountId, String>> {
    let rows: Vec<(AccountId, String)> = accounts::table
        .select((accounts::id, accounts::app_id))
        .load(conn)?;
    Ok(rows.into_iter().collect())
}

/// WeChat's code for the account's problem, if it has one.
pub fn problem_code(conn: &mut Conn, id: AccountId) -> QueryResult<Option<i64>> {
    accounts::table
        .find(id)
        .select(accounts::problem_code)
        .first(conn)
}
