//! Walks over the openids of an account that was migrated to another one, resumable through their
//! stored cursor.

use chrono::NaiveDateTime;

use super::Identity;
use crate::db::prelude::*;
use crate::db::{
    Conn, on_engine,
    schema::{account_migrations, identities, openid_moves},
    text_enum,
};
use crate::ids::{AccountId, IdentityId, MigrationId, ProjectId};

text_enum! {
    /// How far a walk has come.
    pub enum MigrationState {
        /// Openids are still to be asked for.
        Running = "running",
        /// Every openid was asked for.
        Done = "done",
        /// It stopped for a reason that trying again does not remove.
        Failed = "failed",
    }
}

/// A walk.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = account_migrations)]
pub struct Migration {
    /// Row id.
    pub id: MigrationId,
    /// The account whose openids are walked.
    pub from_account_id: AccountId,
    /// The account that took its followers over.
    pub to_account_id: AccountId,
    /// How far it has come.
    pub state: MigrationState,
    /// Where it goes on: behind this identity.
    pub last_identity_id: IdentityId,
    /// Openids that were known when it began and had not been moved before.
    pub total: i64,
    /// Openids asked for so far.
    pub asked: i64,
    /// Openids that were moved.
    pub moved: i64,
    /// Openids that WeChat did not translate.
    pub refused: i64,
    /// What went wrong last.
    pub problem: Option<String>,
    /// UTC.
    pub started_at: NaiveDateTime,
    /// UTC.
    pub finished_at: Option<NaiveDateTime>,
}

/// Goes on with the walk that did not come to its end, or starts one over what was not moved yet.
pub fn start(
    conn: &mut Conn,
    (project, from, to): (ProjectId, AccountId, AccountId),
    now: NaiveDateTime,
) -> QueryResult<Migration> {
    use account_migrations as m;
    let last = m::table
        .filter(m::from_account_id.eq(from))
        .filter(m::to_account_id.eq(to))
        .order(m::id.desc())
        .select(Migration::as_select())
        .first(conn)
        .optional()?;
    if let Some(last) = last.filter(|last| last.state != MigrationState::Done) {
        return on_engine!(conn, conn => diesel::update(m::table.find(last.id))
            .set((m::state.eq(MigrationState::Running), m::problem.eq(None::<String>)))
            .returning(Migration::as_returning())
            .get_result(conn));
    }
    let total: i64 = waiting(project, from).count().get_result(conn)?;
    let row = (
        m::from_account_id.eq(from),
        m::to_account_id.eq(to),
        m::state.eq(MigrationState::Running),
        m::last_identity_id.eq(IdentityId(0)),
        m::total.eq(total),
        m::asked.eq(0),
        m::moved.eq(0),
        m::refused.eq(0),
        m::started_at.eq(now),
    );
    on_engine!(conn, conn => diesel::insert_into(m::table)
        .values(row)
        .returning(Migration::as_returning())
        .get_result(conn))
}

/// The identities of an account that were not moved yet.
#[diesel::dsl::auto_type(no_type_alias)]
fn waiting(project: ProjectId, from: AccountId) -> _ {
    let moved = openid_moves::table
        .filter(openid_moves::identity_id.eq(identities::id))
        .filter(openid_moves::new_identity_id.is_not_null());
    identities::table
        .filter(identities::project_id.eq(project))
        .filter(identities::account_id.eq(from))
        .filter(diesel::dsl::not(diesel::dsl::exists(moved)))
}

/// The next identities to ask for, in the order of their ids.
pub fn page(
    conn: &mut Conn,
    project: ProjectId,
    walk: &Migration,
    limit: i64,
) -> QueryResult<Vec<Identity>> {
    waiting(project, walk.from_account_id)
        .filter(identities::id.gt(walk.last_identity_id))
        .order(identities::id)
        .limit(limit)
        .select(Identity::as_select())
        .load(conn)
}

/// What a page came to.
#[derive(Clone, Copy, Debug)]
pub struct Advance {
    /// The last identity of the page.
    pub last: IdentityId,
    /// Openids of the page.
    pub asked: i64,
    /// Those that were moved.
    pub moved: i64,
    /// Those that were not.
    pub refused: i64,
}

/// Stores how far a walk has come; false if another process stored that page before.
pub fn advance(conn: &mut Conn, walk: &Migration, by: Advance) -> QueryResult<bool> {
    use account_migrations as m;
    diesel::update(
        m::table
            .find(walk.id)
            .filter(m::last_identity_id.eq(walk.last_identity_id)),
    )
    .set((
        m::last_identity_id.eq(by.last),
        m::asked.eq(m::asked + by.asked),
        m::moved.eq(m::moved + by.moved),
        m::refused.eq(m::refused + by.refused),
        m::problem.eq(None::<String>),
    ))
    .execute(conn)
    .map(|rows| rows > 0)
}

/// Ends a walk, or notes what went wrong on the way.
pub fn set_state(
    conn: &mut Conn,
    id: MigrationId,
    state: MigrationState,
    problem: Option<&str>,
    now: NaiveDateTime,
) -> QueryResult<()> {
    use account_migrations as m;
    let finished = (state == MigrationState::Done).then_some(now);
    diesel::update(m::table.find(id))
        .set((
            m::state.eq(state),
            m::problem.eq(problem),
            m::finished_at.eq(finished),
        ))
        .execute(conn)
        .map(drop)
}

/// One walk.
pub fn by_id(conn: &mut Conn, id: MigrationId) -> QueryResult<Option<Migration>> {
    account_migrations::table
        .find(id)
        .select(Migration::as_select())
        .first(conn)
        .optional()
}
