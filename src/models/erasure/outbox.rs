//! Deliveries to the person, and notifications that name them. Both tables are walked in the order of
//! their ids: no index names a person, as it would be written for each message.

use chrono::NaiveDateTime;
use diesel::sql_types::{BigInt, Bool, Text};
use serde::Serialize;

use super::{Subject, window};
use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::db::schema::{attempts, deliveries, notifications};
use crate::db::{Conn, json, statement};
use crate::ids::{AttemptId, DeliveryId, IdentityId, NotificationId, ProjectId};
use crate::models::delivery::{DeliveryState, Reason, transitions};

/// Why a delivery was not sent, in a sentence.
const DETAIL: &str = "The person was erased before this was sent.";

/// What a piece of a walk did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wiped {
    /// Up to which id it went; none if it was the end.
    pub upto: Option<i64>,
    /// Deliveries made anonymous.
    pub deliveries: usize,
    /// Those of them that ended by it.
    pub ended: Vec<DeliveryId>,
    /// Notifications changed.
    pub notifications: usize,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    id: DeliveryId,
    #[diesel(sql_type = BigInt)]
    notification_id: NotificationId,
    /// Whether it is a delivery to the person, and not one that only names them.
    #[diesel(sql_type = Bool)]
    theirs: bool,
}

/// Makes the person's deliveries among the next `rows` behind `after` anonymous, with their attempts
/// and the params of notifications that were for the person alone. What is not sent yet is not sent
/// any more; what is being sent is marked, and looked at again by the second look.
pub fn wipe_deliveries(
    conn: &mut Conn,
    project: ProjectId,
    subject: &Subject,
    (after, rows): (i64, i64),
    now: NaiveDateTime,
) -> QueryResult<Wiped> {
    let Some(upto) = window(conn, "deliveries", after, rows)? else {
        return Ok(Wiped::default());
    };
    let found: Vec<Found> = statement(
        conn,
        "WITH words AS MATERIALIZED (SELECT value AS word FROM {list_1}) \
         SELECT id, notification_id, theirs FROM ( \
             SELECT d.*, COALESCE(d.identity_id {in_ids_2} AND d.identity_id IS NOT NULL \
                 OR d.openid IN (SELECT word FROM words) AND d.openid IS NOT NULL OR EXISTS ( \
                     SELECT 1 FROM words WHERE {position}(COALESCE(d.recipient, ''), words.word) > 0 \
                 ), FALSE) AS theirs \
             FROM deliveries d WHERE d.id > $3 AND d.id <= $4 AND d.project_id = $5 \
         ) d WHERE theirs OR EXISTS (SELECT 1 FROM words WHERE {position}(COALESCE(d.detail, '') || ' ' || \
             COALESCE(d.considered, '') || ' ' || COALESCE(d.first_answer, ''), words.word) > 0) \
         ORDER BY id",
    )
    .bind::<Text, _>(subject.words_json())
    .bind::<Text, _>(json(&subject.identity_ids())?)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(upto)
    .bind::<BigInt, _>(project)
    .load(conn)?;
    wipe_found(conn, subject, &found, Some(upto), now)
}

/// The same for the second look, which knows only the identities.
pub fn wipe_deliveries_of(
    conn: &mut Conn,
    project: ProjectId,
    ids: &[IdentityId],
    (after, rows): (i64, i64),
    now: NaiveDateTime,
) -> QueryResult<Wiped> {
    let Some(upto) = window(conn, "deliveries", after, rows)? else {
        return Ok(Wiped::default());
    };
    let found: Vec<Found> = statement(
        conn,
        "SELECT id, notification_id, TRUE AS theirs FROM deliveries \
         WHERE id > $1 AND id <= $2 AND project_id = $3 AND identity_id {in_ids_4} ORDER BY id",
    )
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(upto)
    .bind::<BigInt, _>(project)
    .bind::<Text, _>(json(ids)?)
    .load(conn)?;
    wipe_found(conn, &Subject::default(), &found, Some(upto), now)
}

fn wipe_found(
    conn: &mut Conn,
    subject: &Subject,
    found: &[Found],
    upto: Option<i64>,
    now: NaiveDateTime,
) -> QueryResult<Wiped> {
    let theirs: Vec<&Found> = found.iter().filter(|found| found.theirs).collect();
    // A notification is held before its deliveries, as a cancellation does.
    let notifications = wipe_params(conn, &theirs)?;
    let ids: Vec<DeliveryId> = found.iter().map(|found| found.id).collect();
    statement(
        conn,
        "SELECT id FROM deliveries WHERE id {in_ids_1} ORDER BY id {lock}",
    )
    .bind::<Text, _>(json(&ids)?)
    .execute(conn)?;
    let stored: Vec<StoredDelivery> = deliveries::table
        .filter(deliveries::id.eq_any(&ids))
        .order(deliveries::id)
        .select(StoredDelivery::as_select())
        .load(conn)?;
    let theirs: std::collections::HashSet<DeliveryId> =
        theirs.iter().map(|found| found.id).collect();
    let rows: Vec<Anonymous> = stored
        .into_iter()
        .map(|one| anonymous(subject, one, &theirs, now))
        .collect();
    let ended = rows.iter().filter(|row| row.ends).map(|row| row.id);
    let ended: Vec<DeliveryId> = ended.collect();
    transitions::erased(conn, &ended, now)?;
    write(conn, &rows)?;
    let theirs: Vec<DeliveryId> = theirs.into_iter().collect();
    wipe_attempts(conn, subject, &theirs)?;
    Ok(Wiped {
        upto,
        deliveries: theirs.len(),
        ended,
        notifications,
    })
}

/// Empties the params of notifications that are for nobody else.
fn wipe_params(conn: &mut Conn, theirs: &[&Found]) -> QueryResult<usize> {
    if theirs.is_empty() {
        return Ok(0);
    }
    let notifications: Vec<NotificationId> =
        theirs.iter().map(|found| found.notification_id).collect();
    let deliveries: Vec<DeliveryId> = theirs.iter().map(|found| found.id).collect();
    let notifications = json(&notifications)?;
    statement(
        conn,
        "SELECT id FROM notifications WHERE id {in_ids_1} ORDER BY id {lock}",
    )
    .bind::<Text, _>(&notifications)
    .execute(conn)?;
    statement(
        conn,
        "UPDATE notifications SET params = '{}' WHERE id {in_ids_1} \
         AND params <> '{}' AND NOT EXISTS (SELECT 1 FROM deliveries o \
         WHERE o.notification_id = notifications.id AND o.id {not_in_ids_2})",
    )
    .bind::<Text, _>(&notifications)
    .bind::<Text, _>(json(&deliveries)?)
    .execute(conn)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = deliveries)]
struct StoredDelivery {
    id: DeliveryId,
    state: DeliveryState,
    recipient: Option<String>,
    reason: Option<String>,
    detail: Option<String>,
    considered: Option<String>,
    first_answer: Option<String>,
    unsettled_since: Option<NaiveDateTime>,
}

#[derive(Serialize)]
struct Anonymous {
    id: DeliveryId,
    theirs: bool,
    /// Whether it is not sent, though it was to be.
    #[serde(skip)]
    ends: bool,
    /// Whether it may be on its way at this moment.
    open: bool,
    /// Whether nothing is to be sent of it any more.
    marked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    considered: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_answer: Option<String>,
    #[serde(serialize_with = "timestamp")]
    now: NaiveDateTime,
}

fn anonymous(
    subject: &Subject,
    one: StoredDelivery,
    theirs: &std::collections::HashSet<DeliveryId>,
    now: NaiveDateTime,
) -> Anonymous {
    let theirs = theirs.contains(&one.id);
    let queued = theirs && one.state == DeliveryState::Queued;
    let open = queued && one.unsettled_since.is_some();
    let ends = queued && !open;
    // What is open ends later, and then for the same reason.
    let (reason, detail) = match queued {
        true => (Some(Reason::Erased.to_string()), Some(DETAIL.to_owned())),
        false => (one.reason, subject.clean(one.detail)),
    };
    Anonymous {
        id: one.id,
        theirs,
        ends,
        open,
        marked: queued,
        recipient: one.recipient.filter(|_| !theirs),
        reason,
        detail,
        considered: subject.clean(one.considered),
        first_answer: subject.clean(one.first_answer),
        now,
    }
}

fn write(conn: &mut Conn, rows: &[Anonymous]) -> QueryResult<usize> {
    // One that is open keeps its identity, by which the second look finds it.
    const WRITE: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("theirs", Kind::Bool),
            ("open", Kind::Bool),
            ("marked", Kind::Bool),
            ("recipient", Kind::Text),
            ("reason", Kind::Text),
            ("detail", Kind::Text),
            ("considered", Kind::Text),
            ("first_answer", Kind::Text),
            ("now", Kind::Timestamp),
        ],
        sql: "UPDATE deliveries SET recipient = r.recipient, reason = r.reason, \
              detail = r.detail, considered = r.considered, first_answer = r.first_answer, \
              openid = CASE WHEN r.theirs THEN NULL ELSE deliveries.openid END, \
              staff_name = CASE WHEN r.theirs THEN NULL ELSE staff_name END, \
              identity_id = CASE WHEN r.theirs AND NOT r.open THEN NULL \
                  ELSE deliveries.identity_id END, \
              cancelled_at = CASE WHEN r.marked THEN COALESCE(cancelled_at, r.now) \
                  ELSE cancelled_at END \
              FROM {rows} WHERE deliveries.id = r.id",
    };
    WRITE.execute(conn, rows)
}

#[derive(Serialize)]
struct Cleaned {
    id: AttemptId,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errmsg: Option<String>,
}

fn wipe_attempts(conn: &mut Conn, subject: &Subject, ids: &[DeliveryId]) -> QueryResult<usize> {
    const WRITE: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("detail", Kind::Text),
            ("errmsg", Kind::Text),
        ],
        sql: "UPDATE attempts SET detail = r.detail, errmsg = r.errmsg FROM {rows} \
              WHERE attempts.id = r.id",
    };
    let found: Vec<(AttemptId, Option<String>, Option<String>)> = attempts::table
        .filter(attempts::delivery_id.eq_any(ids))
        .filter(
            attempts::detail
                .is_not_null()
                .or(attempts::errmsg.is_not_null()),
        )
        .order(attempts::id)
        .select((attempts::id, attempts::detail, attempts::errmsg))
        .load(conn)?;
    let rows: Vec<Cleaned> = found
        .into_iter()
        .filter(|(_, detail, errmsg)| {
            let mut texts = [detail, errmsg].into_iter().flatten();
            texts.any(|text| subject.cleaned(text).is_some())
        })
        .map(|(id, detail, errmsg)| Cleaned {
            id,
            detail: subject.clean(detail),
            errmsg: subject.clean(errmsg),
        })
        .collect();
    WRITE.execute(conn, &rows)
}

#[derive(QueryableByName)]
struct Naming {
    #[diesel(sql_type = BigInt)]
    id: NotificationId,
}

#[derive(Serialize)]
struct Unnamed {
    id: NotificationId,
    params: String,
    routes: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
}

/// Takes the person's ids out of the next `rows` notifications behind `after`, whomever these are
/// for. A key that had one is gone.
pub fn wipe_notifications(
    conn: &mut Conn,
    project: ProjectId,
    subject: &Subject,
    (after, rows): (i64, i64),
) -> QueryResult<Wiped> {
    const WRITE: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("params", Kind::Text),
            ("routes", Kind::Text),
            ("idempotency_key", Kind::Text),
        ],
        sql: "UPDATE notifications SET params = r.params, routes = r.routes, \
              idempotency_key = r.idempotency_key FROM {rows} WHERE notifications.id = r.id",
    };
    let Some(upto) = window(conn, "notifications", after, rows)? else {
        return Ok(Wiped::default());
    };
    let found: Vec<Naming> = statement(
        conn,
        "WITH words AS MATERIALIZED (SELECT value AS word FROM {list_1}) \
         SELECT n.id FROM notifications n WHERE n.id > $2 AND n.id <= $3 AND n.project_id = $4 \
         AND EXISTS (SELECT 1 FROM words WHERE {position}(n.params || ' ' || n.routes || ' ' || \
             COALESCE(n.idempotency_key, ''), words.word) > 0) ORDER BY id {lock}",
    )
    .bind::<Text, _>(subject.words_json())
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(upto)
    .bind::<BigInt, _>(project)
    .load(conn)?;
    let ids: Vec<NotificationId> = found.iter().map(|naming| naming.id).collect();
    let named: Vec<(NotificationId, String, String, Option<String>)> = notifications::table
        .filter(notifications::id.eq_any(&ids))
        .order(notifications::id)
        .select((
            notifications::id,
            notifications::params,
            notifications::routes,
            notifications::idempotency_key,
        ))
        .load(conn)?;
    let rows: Vec<Unnamed> = named
        .into_iter()
        .map(|(id, params, routes, key)| Unnamed {
            id,
            params: subject.cleaned(&params).unwrap_or(params),
            routes: subject.cleaned(&routes).unwrap_or(routes),
            idempotency_key: key.filter(|key| subject.cleaned(key).is_none()),
        })
        .collect();
    Ok(Wiped {
        upto: Some(upto),
        notifications: WRITE.execute(conn, &rows)?,
        ..Wiped::default()
    })
}
