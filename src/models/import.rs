//! Imports: walks over an account's follower list, resumable through their stored cursor.

use chrono::NaiveDateTime;

use crate::db::prelude::*;
use crate::db::{Conn, on_engine, schema::imports, text_enum};
use crate::ids::{AccountId, IdentityId, ImportId};

text_enum! {
    /// How far an import has come.
    pub enum ImportState {
        /// Pages are still to be fetched.
        Running = "running",
        /// The whole list was seen.
        Done = "done",
        /// It stopped for a reason that trying again does not fix.
        Failed = "failed",
    }
}

/// An import.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = imports)]
pub struct Import {
    /// Row id.
    pub id: ImportId,
    /// The account whose followers are walked.
    pub account_id: AccountId,
    /// Whether those who are gone are marked at the end.
    pub reconcile: bool,
    /// Whether all profiles are asked for again.
    pub refresh: bool,
    /// How far it has come.
    pub state: ImportState,
    /// Where it goes on: WeChat's `next_openid`.
    pub next_openid: Option<String>,
    /// Openids seen so far.
    pub collected: i64,
    /// How many followers WeChat last said there are; never the measure of the end.
    pub total: Option<i64>,
    /// Followers that were not known before.
    pub created: i64,
    /// Followers marked as gone.
    pub gone: i64,
    /// What went wrong last, or why it waits.
    pub problem: Option<String>,
    /// Failures in a row.
    pub attempts: i32,
    /// When the next page is due, or until when it is leased, UTC.
    pub due_at: Option<NaiveDateTime>,
    /// UTC.
    pub started_at: NaiveDateTime,
    /// UTC.
    pub finished_at: Option<NaiveDateTime>,
    /// Pages fetched.
    pub pages: i64,
    /// The cursor of an earlier page: a list that comes back to it has no end.
    pub mark: Option<String>,
    /// The identity up to which those who were not on the list have been asked about; none while the
    /// list is walked.
    pub checked_to: Option<IdentityId>,
    /// Of how many of those WeChat said nothing that settles whether they follow.
    pub unsettled: i64,
    /// When it is the turn of the last profile that it has asked for again, UTC.
    pub last_turn: Option<NaiveDateTime>,
}

impl Import {
    /// As it stands, to be changed; with no failure, and nothing due.
    pub fn progress(&self) -> Progress {
        Progress {
            state: self.state,
            next_openid: self.next_openid.clone(),
            collected: self.collected,
            total: self.total,
            created: self.created,
            gone: self.gone,
            problem: None,
            attempts: 0,
            due_at: None,
            finished_at: None,
            pages: self.pages,
            mark: self.mark.clone(),
            checked_to: self.checked_to,
            unsettled: self.unsettled,
            last_turn: self.last_turn,
        }
    }
}

/// What a step changed.
#[derive(AsChangeset, Clone, Debug)]
#[diesel(table_name = imports)]
#[diesel(treat_none_as_null = true)]
pub struct Progress {
    /// How far it has come.
    pub state: ImportState,
    /// Where it goes on.
    pub next_openid: Option<String>,
    /// Openids seen so far.
    pub collected: i64,
    /// How many followers WeChat says there are.
    pub total: Option<i64>,
    /// Followers that were not known before.
    pub created: i64,
    /// Followers marked as gone.
    pub gone: i64,
    /// What went wrong last.
    pub problem: Option<String>,
    /// Failures in a row.
    pub attempts: i32,
    /// When the next page is due.
    pub due_at: Option<NaiveDateTime>,
    /// UTC.
    pub finished_at: Option<NaiveDateTime>,
    /// Pages fetched.
    pub pages: i64,
    /// The cursor of an earlier page.
    pub mark: Option<String>,
    /// The identity up to which those not on the list have been asked about.
    pub checked_to: Option<IdentityId>,
    /// How many of those are not settled.
    pub unsettled: i64,
    /// When it is the turn of the last profile that was asked for again.
    pub last_turn: Option<NaiveDateTime>,
}

/// Starts an import, or returns the one that is running for the account with the same purpose.
pub fn start(
    conn: &mut Conn,
    account: AccountId,
    reconcile: bool,
    refresh: bool,
    now: NaiveDateTime,
) -> QueryResult<Import> {
    let running = imports::table
        .filter(imports::account_id.eq(account))
        .filter(imports::state.eq(ImportState::Running))
        .filter(imports::reconcile.eq(reconcile))
        .filter(imports::refresh.eq(refresh))
        .order(imports::id.desc())
        .select(Import::as_select())
        .first(conn)
        .optional()?;
    if let Some(running) = running {
        return Ok(running);
    }
    let row = (
        imports::account_id.eq(account),
        imports::reconcile.eq(reconcile),
        imports::refresh.eq(refresh),
        imports::state.eq(ImportState::Running),
        imports::collected.eq(0),
        imports::created.eq(0),
        imports::gone.eq(0),
        imports::attempts.eq(0),
        imports::due_at.eq(now),
        imports::started_at.eq(now),
    );
    on_engine!(conn, conn => diesel::insert_into(imports::table)
        .values(row)
        .returning(Import::as_returning())
        .get_result(conn))
}

/// Leases a running import whose next page is due (only the given one, if any) until
/// `lease_until`.
pub fn claim_due(
    conn: &mut Conn,
    only: Option<ImportId>,
    now: NaiveDateTime,
    lease_until: NaiveDateTime,
) -> QueryResult<Option<Import>> {
    let mut query = imports::table
        .filter(imports::state.eq(ImportState::Running))
        .filter(imports::due_at.le(now))
        .order(imports::due_at)
        .select((imports::id, imports::due_at))
        .into_boxed();
    if let Some(only) = only {
        query = query.filter(imports::id.eq(only));
    }
    let due: Option<(ImportId, Option<NaiveDateTime>)> = query.first(conn).optional()?;
    let Some((id, due_at)) = due else {
        return Ok(None);
    };
    // Of two replicas that saw it due, the first to move `due_at` has it.
    on_engine!(conn, conn => diesel::update(imports::table.find(id).filter(imports::due_at.eq(due_at)))
        .set(imports::due_at.eq(lease_until))
        .returning(Import::as_returning())
        .get_result(conn)
        .optional())
}

/// Makes the running imports due: the clock went back, and leases would last as much longer.
pub fn make_all_due(conn: &mut Conn, now: NaiveDateTime) -> QueryResult<usize> {
    let running = imports::table.filter(imports::state.eq(ImportState::Running));
    diesel::update(running.filter(imports::due_at.gt(now)))
        .set(imports::due_at.eq(now))
        .execute(conn)
}

/// Stores what a step changed, unless its lease has run out and another process has taken it: the
/// import is as it was claimed. A walk that is over keeps no cursor: it is somebody's openid.
pub fn advance(conn: &mut Conn, import: &Import, progress: &Progress) -> QueryResult<bool> {
    let mine = imports::table
        .find(import.id)
        .filter(imports::state.eq(ImportState::Running))
        .filter(imports::due_at.eq(import.due_at));
    let changed = diesel::update(mine).set(progress).execute(conn)?;
    let over = imports::table
        .find(import.id)
        .filter(imports::state.ne(ImportState::Running));
    diesel::update(over)
        .set((
            imports::next_openid.eq(None::<String>),
            imports::mark.eq(None::<String>),
        ))
        .execute(conn)?;
    Ok(changed == 1)
}

/// One import.
pub fn by_id(conn: &mut Conn, id: ImportId) -> QueryResult<Option<Import>> {
    imports::table
        .find(id)
        .select(Import::as_select())
        .first(conn)
        .optional()
}
