//! Erasures: the data of a person is deleted or made anonymous, in batches that go on where the last
//! one ended.

mod messages;
mod openids;
mod outbox;
mod person;
mod subject;
mod texts;

use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Timestamp};

use crate::db::prelude::*;
use crate::db::schema::{erased, erasures};
use crate::db::{Conn, on_engine, statement, statement_of, text_enum};
use crate::ids::{ErasureId, IdentityId, ProjectId};
use crate::models::actor::ActorKind;

pub use messages::{delete_messages, delete_messages_to, replace_body};
pub use openids::{Hashed, Remembered, any_remembered, confirm, remember, remembered};
pub use outbox::{Wiped, wipe_deliveries, wipe_deliveries_of, wipe_notifications};
pub use person::{
    Removed, former_unionids, hold_waiting, kin, newest_act, remove, wipe_events,
    wipe_unnamed_events,
};
pub use subject::{Openid, Subject};
pub use texts::{is_walked, wipe_texts};

text_enum! {
    /// Why somebody is erased.
    pub enum Cause {
        /// They deleted their WeChat account.
        Cancellation = "cancellation",
        /// The business asked for it.
        Request = "request",
    }
}

text_enum! {
    /// How far an erasure has come.
    pub enum ErasureState {
        /// There is data left.
        Running = "running",
        /// There is none.
        Done = "done",
    }
}

text_enum! {
    /// What is done next. Whatever was being written while the first look passed is found by the
    /// second, which knows only the numbers of the identities.
    pub enum Phase {
        /// The identities, with what depends on them.
        Person = "person",
        /// Events that they caused.
        Events = "events",
        /// Deliveries to them.
        Deliveries = "deliveries",
        /// Notifications that name them.
        Notifications = "notifications",
        /// What endpoints are told of them.
        Messages = "webhook_messages",
        /// Small tables with texts.
        Texts = "texts",
        /// Events, once more.
        EventsAgain = "events_again",
        /// Deliveries, once more.
        DeliveriesAgain = "deliveries_again",
        /// What endpoints are told, once more.
        MessagesAgain = "webhook_messages_again",
        /// Nothing.
        Over = "over",
    }
}

/// An erasure.
#[derive(Clone, Debug, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = erasures, treat_none_as_null = true)]
pub struct Erasure {
    /// Row id.
    pub id: ErasureId,
    /// The project.
    pub project_id: ProjectId,
    /// Why.
    pub cause: Cause,
    /// By whose wish.
    pub actor: ActorKind,
    /// How far it has come.
    pub state: ErasureState,
    /// What is done next.
    pub phase: Phase,
    /// Up to which row id the table of this phase was walked.
    pub position: i64,
    /// A [`Subject`] as JSON, until all is done.
    pub subject: Option<String>,
    /// The staff ids that were bound to the person, a JSON list.
    pub staff_ids: String,
    /// Identities deleted.
    pub identities: i64,
    /// Bindings deleted.
    pub bindings: i64,
    /// Permissions for subscription messages deleted.
    pub permissions: i64,
    /// Events emptied.
    pub events: i64,
    /// Deliveries made anonymous.
    pub deliveries: i64,
    /// Notifications whose params were emptied, or rid of the ids.
    pub notifications: i64,
    /// Events for endpoints deleted.
    pub webhook_messages: i64,
    /// When it goes on, UTC.
    pub due_at: Option<NaiveDateTime>,
    /// UTC.
    pub requested_at: NaiveDateTime,
    /// UTC.
    pub finished_at: Option<NaiveDateTime>,
}

/// Starts an erasure, due at once.
pub fn create(
    conn: &mut Conn,
    project: ProjectId,
    cause: Cause,
    actor: ActorKind,
    subject: &Subject,
    now: NaiveDateTime,
) -> QueryResult<Erasure> {
    let row = (
        (
            erasures::project_id.eq(project),
            erasures::cause.eq(cause),
            erasures::actor.eq(actor),
            erasures::state.eq(ErasureState::Running),
            erasures::phase.eq(Phase::Person),
            erasures::position.eq(0_i64),
            erasures::subject.eq(subject.to_json()),
            erasures::staff_ids.eq("[]"),
            erasures::due_at.eq(now),
            erasures::requested_at.eq(now),
        ),
        (
            erasures::identities.eq(0_i64),
            erasures::bindings.eq(0_i64),
            erasures::permissions.eq(0_i64),
            erasures::events.eq(0_i64),
            erasures::deliveries.eq(0_i64),
            erasures::notifications.eq(0_i64),
            erasures::webhook_messages.eq(0_i64),
        ),
    );
    on_engine!(conn, conn => diesel::insert_into(erasures::table)
        .values(row)
        .returning(Erasure::as_returning())
        .get_result(conn))
}

/// The erasure that has waited longest (only the given one, if any).
pub fn due(
    conn: &mut Conn,
    only: Option<ErasureId>,
    now: NaiveDateTime,
) -> QueryResult<Option<ErasureId>> {
    let mut query = erasures::table
        .filter(erasures::due_at.is_not_null())
        .filter(erasures::due_at.le(now))
        .order(erasures::due_at)
        .select(erasures::id)
        .into_boxed();
    if let Some(only) = only {
        query = query.filter(erasures::id.eq(only));
    }
    query.first(conn).optional()
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: ErasureId,
}

/// One that is due, kept from other processes until the transaction ends. None if another has it.
pub fn claim(conn: &mut Conn, id: ErasureId, now: NaiveDateTime) -> QueryResult<Option<Erasure>> {
    let free: Vec<Id> = statement(
        conn,
        "SELECT id FROM erasures WHERE id = $1 AND due_at <= $2 {skip_locked}",
    )
    .bind::<BigInt, _>(id)
    .bind::<Timestamp, _>(now)
    .load(conn)?;
    match free.first() {
        Some(free) => by_id_in_any(conn, free.id).map(Some),
        None => Ok(None),
    }
}

fn by_id_in_any(conn: &mut Conn, id: ErasureId) -> QueryResult<Erasure> {
    erasures::table
        .find(id)
        .select(Erasure::as_select())
        .first(conn)
}

/// Stores how far it has come.
pub fn save(conn: &mut Conn, erasure: &Erasure) -> QueryResult<()> {
    diesel::update(erasures::table.find(erasure.id))
        .set(erasure)
        .execute(conn)
        .map(drop)
}

/// Makes due what waits, at most `limit` of it: the clock went back. Returns how many those are.
pub fn make_all_due(conn: &mut Conn, now: NaiveDateTime, limit: i64) -> QueryResult<usize> {
    statement(
        conn,
        "WITH planned AS MATERIALIZED ( \
             SELECT id FROM erasures WHERE due_at IS NOT NULL AND due_at > $1 \
             ORDER BY due_at LIMIT $2 {skip_locked} \
         ) UPDATE erasures SET due_at = $1 WHERE id IN (SELECT id FROM planned)",
    )
    .bind::<Timestamp, _>(now)
    .bind::<BigInt, _>(limit)
    .execute(conn)
}

/// Lets one wait.
pub fn put_off(conn: &mut Conn, id: ErasureId, until: NaiveDateTime) -> QueryResult<()> {
    diesel::update(
        erasures::table
            .find(id)
            .filter(erasures::due_at.is_not_null()),
    )
    .set(erasures::due_at.eq(until))
    .execute(conn)
    .map(drop)
}

/// One erasure of a project.
pub fn by_id(conn: &mut Conn, project: ProjectId, id: ErasureId) -> QueryResult<Option<Erasure>> {
    erasures::table
        .find(id)
        .filter(erasures::project_id.eq(project))
        .select(Erasure::as_select())
        .first(conn)
        .optional()
}

/// The newest erasure of a project by which an identity went, or is about to go.
pub fn of_identity(
    conn: &mut Conn,
    project: ProjectId,
    identity: IdentityId,
) -> QueryResult<Option<Erasure>> {
    erasures::table
        .inner_join(erased::table)
        .filter(erased::identity_id.eq(identity))
        .filter(erasures::project_id.eq(project))
        .order(erasures::id.desc())
        .select(Erasure::as_select())
        .first(conn)
        .optional()
}

/// The numbers of the identities that went by an erasure.
pub fn identity_ids(conn: &mut Conn, id: ErasureId) -> QueryResult<Vec<IdentityId>> {
    let ids: Vec<Option<IdentityId>> = erased::table
        .filter(erased::erasure_id.eq(id))
        .filter(erased::identity_id.is_not_null())
        .order(erased::identity_id)
        .select(erased::identity_id)
        .distinct()
        .load(conn)?;
    Ok(ids.into_iter().flatten().collect())
}

/// The last of the `rows` ids of a table behind `after`; none if there is none.
fn window(conn: &mut Conn, table: &'static str, after: i64, rows: i64) -> QueryResult<Option<i64>> {
    #[derive(QueryableByName)]
    struct Last {
        #[diesel(sql_type = diesel::sql_types::Nullable<BigInt>)]
        last: Option<i64>,
    }
    let last: Last = statement_of(
        conn,
        "SELECT MAX(w.id) AS last FROM (SELECT id FROM {table} WHERE id > $1 \
         ORDER BY id LIMIT $2) w",
        &[("{table}", table)],
    )
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(rows)
    .get_result(conn)?;
    Ok(last.last)
}
