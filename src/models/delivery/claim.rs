//! The outbox: claiming what is due, lane by lane, and giving back what was not tried.

use chrono::{NaiveDateTime, TimeDelta};
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text, Timestamp};
use serde::Serialize;

use super::holds::{HOLDS, look_for_people};
use super::{Answered, DeliveryState, Edition, Reason};
use crate::db::batch::{Batch, Kind, maybe_timestamp, timestamp};
use crate::db::prelude::*;
use crate::db::{Backend, Conn, json, statement, statement_of};
use crate::ids::{AccountId, DeliveryId, IdentityId, NotificationId, VersionId};
use crate::models::notification::Priority;

/// A delivery to send now, leased to the caller.
#[derive(Clone, Debug, QueryableByName)]
pub struct Due {
    /// Row id.
    #[diesel(sql_type = BigInt)]
    pub id: DeliveryId,
    /// The notification.
    #[diesel(sql_type = BigInt)]
    pub notification_id: NotificationId,
    /// The staff member; none for a person who is not one.
    #[diesel(sql_type = Nullable<Text>)]
    pub staff_id: Option<String>,
    /// The person, where they were not asked for by staff id, as JSON.
    #[diesel(sql_type = Nullable<Text>)]
    pub recipient: Option<String>,
    /// Their name.
    #[diesel(sql_type = Nullable<Text>)]
    pub staff_name: Option<String>,
    /// The account to send from, if the channel has one.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub account_id: Option<AccountId>,
    /// The identity to send to, if the channel needs one.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub identity_id: Option<IdentityId>,
    /// Its openid.
    #[diesel(sql_type = Nullable<Text>)]
    pub openid: Option<String>,
    /// Which route.
    #[diesel(sql_type = Integer)]
    pub route: i32,
    /// This try's number, from 1; proves that what is recorded of it is.
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    /// Until when it is ours; with the number, which is given back with a claim, it proves that it still is.
    #[diesel(sql_type = Timestamp)]
    pub leased_until: NaiveDateTime,
    /// Start of the first try whose outcome is not known: now, or earlier if a try was lost.
    #[diesel(sql_type = Timestamp)]
    pub unsettled_since: NaiveDateTime,
    /// Tries before it was last retried by hand.
    #[diesel(sql_type = Integer)]
    pub spent: i32,
    /// Those since then that the account spoilt: they are no measure of the message.
    #[diesel(sql_type = Integer)]
    pub spoilt: i32,
    /// When its tries began: its age counts from here.
    #[diesel(sql_type = Timestamp)]
    pub begun_at: NaiveDateTime,
    /// Set if it was cancelled while it was being tried.
    #[diesel(sql_type = Nullable<Timestamp>)]
    pub cancelled_at: Option<NaiveDateTime>,
    /// The routes it uses, if they are not the notification's own.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub routes_id: Option<VersionId>,
    /// What it says of it, if it waits for the person's consent.
    #[diesel(sql_type = Nullable<Text>)]
    pub awaits: Option<String>,
    /// The routes that were considered, as JSON, if it waits for the person's consent.
    #[diesel(sql_type = Nullable<Text>)]
    pub considered: Option<String>,
    /// Whether the person is still there, and still whom it goes to.
    #[diesel(sql_type = Bool)]
    pub holds: bool,
    /// Whether a try of an earlier claim was marked to [`begin`](super::begin).
    #[diesel(sql_type = Bool)]
    pub begun: bool,
}

impl Due {
    /// What it sends.
    pub fn edition(&self) -> Edition {
        (self.notification_id, self.routes_id)
    }

    /// Which try of the message it is, from 1, and from 1 again after a retry by hand, without those
    /// that the account spoilt.
    pub fn number(&self) -> i32 {
        self.attempts - self.spent - self.spoilt
    }

    /// Whether an earlier try may have been taken; the claim was at `claimed_at`. One that is dated
    /// later was before it all the same: then the clock has gone back.
    pub fn is_unsettled(&self, claimed_at: NaiveDateTime) -> bool {
        self.unsettled_since != claimed_at
    }

    /// Takes the claims before this one for what they were, if none of their tries began: nothing
    /// was sent. Only where the beginning of a try is marked.
    pub fn forget_lost_claims(&mut self, claimed_at: NaiveDateTime) {
        if !self.begun {
            self.unsettled_since = claimed_at;
        }
    }
}

/// The lane of what needs no WeChat account.
pub const NO_ACCOUNT: AccountId = AccountId(0);

/// A lane in which something of one priority is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, QueryableByName)]
pub struct Head {
    /// The lane: an account, or 0 for what needs no WeChat account.
    #[diesel(sql_type = BigInt)]
    pub lane: AccountId,
    /// [`Priority::rank`].
    #[diesel(sql_type = Integer)]
    pub rank: i32,
    /// Since when the one is due that has been due longest.
    #[diesel(sql_type = Timestamp)]
    pub due_at: NaiveDateTime,
}

/// The lanes and priorities in which something is due that nobody has leased. It costs some steps
/// into the index for each lane, however long its queue is, and one for each delivery under way.
pub fn heads(conn: &mut Conn, now: NaiveDateTime) -> QueryResult<Vec<Head>> {
    statement(conn, include_str!("claim/heads.sql"))
        .bind::<Timestamp, _>(now)
        .load(conn)
}

/// What to claim.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Of which account; 0 for what needs none.
    pub lane: AccountId,
    /// Of which priority.
    pub priority: Priority,
    /// Now.
    pub now: NaiveDateTime,
    /// How long it is left to the caller.
    pub lease: TimeDelta,
    /// How many at the most.
    pub limit: i64,
    /// Only what cannot wait any longer.
    pub ended: Option<Ended>,
}

/// What cannot wait any longer, beside what has expired or was cancelled.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Its tries began before this.
    pub begun_before: NaiveDateTime,
    /// A try of it is open since before this.
    pub unsettled_before: NaiveDateTime,
}

/// Leases the deliveries of a lane and priority that have been due longest, the oldest first. The same statement says
/// whether each still [`holds`](Due::holds); of people who were not asked for by staff id, a second
/// one in the same transaction.
pub fn claim_due(conn: &mut Conn, claim: &Claim) -> QueryResult<Vec<Due>> {
    const ENDED: &str = "AND (begun_at <= $6 OR unsettled_since <= $7 OR cancelled_at IS NOT NULL \
                         OR reason = 'waiting_for_consent' OR EXISTS ( \
                             SELECT 1 FROM notifications n \
                             WHERE n.id = deliveries.notification_id AND n.expires_at <= $3))";
    let only = claim.ended.map_or("", |_| ENDED);
    let mut query = statement_of(
        conn,
        include_str!("claim/claim.sql"),
        &[("{only}", only), ("{holds}", HOLDS)],
    )
    .into_boxed::<Backend>()
    .bind::<BigInt, _>(claim.lane)
    .bind::<Integer, _>(claim.priority.rank())
    .bind::<Timestamp, _>(claim.now)
    .bind::<BigInt, _>(claim.limit.max(0))
    .bind::<Timestamp, _>(claim.now + claim.lease);
    if let Some(ended) = claim.ended {
        query = query
            .bind::<Timestamp, _>(ended.begun_before)
            .bind::<Timestamp, _>(ended.unsettled_before);
    }
    let mut due: Vec<Due> = query.load(conn)?;
    // The statement returns them as its plan likes. Of two to one person the older goes first.
    due.sort_unstable_by_key(|one| one.id);
    look_for_people(conn, &mut due)?;
    Ok(due)
}

/// A claim, by which it is known again.
#[derive(Clone, Debug, Serialize)]
pub struct Claimed {
    id: DeliveryId,
    attempt: i32,
    #[serde(serialize_with = "timestamp")]
    leased_until: NaiveDateTime,
}

impl Claimed {
    /// That of a delivery.
    pub fn of(due: &Due) -> Self {
        Self {
            id: due.id,
            attempt: due.attempts,
            leased_until: due.leased_until,
        }
    }
}

/// Whether one of these claims still stands: nothing has been recorded of it, and nobody has claimed the
/// delivery since.
pub fn are_ours(conn: &mut Conn, claims: &[Claimed]) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    const OURS: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("attempt", Kind::Integer),
            ("leased_until", Kind::Timestamp),
        ],
        sql: "SELECT COUNT(*) AS count FROM {rows} JOIN deliveries d ON d.id = r.id \
              WHERE d.attempts = r.attempt AND d.leased_until = r.leased_until",
    };
    let found: Vec<Found> = OURS.load(conn, claims)?;
    Ok(found.iter().any(|found| found.count > 0))
}

/// A delivery that was claimed and not tried.
#[derive(Clone, Debug, Serialize)]
pub struct Postponed {
    /// The delivery.
    pub id: DeliveryId,
    /// [`Due::attempts`]; taken back, as there was no try.
    pub attempt: i32,
    /// [`Due::leased_until`].
    #[serde(serialize_with = "timestamp")]
    pub leased_until: NaiveDateTime,
    /// When to claim it again.
    #[serde(serialize_with = "timestamp")]
    pub due_at: NaiveDateTime,
    /// As it was before the claim.
    #[serde(serialize_with = "maybe_timestamp")]
    pub unsettled_since: Option<NaiveDateTime>,
    /// A stable word for why; none leaves what is there.
    pub reason: Option<Reason>,
    /// The same in a sentence.
    pub detail: Option<String>,
    /// What the app was told of it, if the reason does not show that.
    pub first_answer: Option<String>,
}

impl Postponed {
    /// Gives a claim of `claimed_at` back, to be claimed again at `due_at`.
    pub fn new(due: &Due, claimed_at: NaiveDateTime, due_at: NaiveDateTime) -> Self {
        Self {
            id: due.id,
            attempt: due.attempts,
            leased_until: due.leased_until,
            due_at,
            unsettled_since: due.is_unsettled(claimed_at).then_some(due.unsettled_since),
            reason: None,
            detail: None,
            first_answer: None,
        }
    }

    /// Gives a claim of `claimed_at` back to wait for the person's consent, for the first time.
    pub fn for_consent(due: &Due, claimed_at: NaiveDateTime, due_at: NaiveDateTime) -> Self {
        let answered = Answered::of(DeliveryState::Queued, None, None);
        Self {
            reason: Some(Reason::WaitingForConsent),
            first_answer: Some(answered.to_json()),
            ..Self::new(due, claimed_at, due_at)
        }
    }
}

/// Gives back leases of deliveries that were claimed and not tried.
pub fn release(conn: &mut Conn, rows: &[Postponed]) -> QueryResult<()> {
    const RELEASE: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("attempt", Kind::Integer),
            ("leased_until", Kind::Timestamp),
            ("due_at", Kind::Timestamp),
            ("unsettled_since", Kind::Timestamp),
            ("reason", Kind::Text),
            ("detail", Kind::Text),
            ("first_answer", Kind::Text),
        ],
        sql: "UPDATE deliveries SET due_at = r.due_at, leased_until = NULL, attempts = attempts - 1, \
              first_answer = COALESCE(deliveries.first_answer, r.first_answer), \
              unsettled_since = r.unsettled_since, \
              sent_at = CASE WHEN r.unsettled_since IS NULL THEN NULL ELSE deliveries.sent_at END, \
              reason = CASE WHEN deliveries.reason = 'erased' THEN 'erased' \
              ELSE COALESCE(r.reason, deliveries.reason) END, \
              detail = CASE WHEN deliveries.reason = 'erased' THEN deliveries.detail \
              ELSE COALESCE(r.detail, deliveries.detail) END FROM {rows} \
              WHERE deliveries.id = r.id AND deliveries.attempts = r.attempt \
              AND deliveries.leased_until = r.leased_until AND deliveries.state = 'queued'",
    };
    let mut rows: Vec<&Postponed> = rows.iter().collect();
    rows.sort_unstable_by_key(|row| row.id);
    RELEASE.execute(conn, &rows).map(drop)
}

/// Makes due at once what waits for WeChat's word on whether these people follow. What is sent again
/// for the second time keeps its time.
pub fn resume_asked(conn: &mut Conn, ids: &[IdentityId], now: NaiveDateTime) -> QueryResult<usize> {
    if ids.is_empty() {
        return Ok(0);
    }
    // Whoever has one of them in hand is not waited for.
    statement(
        conn,
        "WITH waiting AS MATERIALIZED ( \
             SELECT id FROM deliveries WHERE identity_id {in_ids_1} \
             AND reason = 'not_following' AND due_at IS NOT NULL AND due_at > $2 \
             AND state = 'queued' AND unsettled_since IS NULL \
             AND attempts <= spent + spoilt + 1 {skip_locked} \
         ) UPDATE deliveries SET due_at = $2 WHERE id IN (SELECT id FROM waiting)",
    )
    .bind::<Text, _>(json(ids)?)
    .bind::<Timestamp, _>(now)
    .execute(conn)
}

/// Makes due at once what a pause of an account has postponed, the most urgent first: at most `limit` of
/// it, so that no statement and no lock lasts as long as a queue is. What is leased, or may have been
/// sent, keeps its time. Returns how many those are.
pub fn make_due(
    conn: &mut Conn,
    account: AccountId,
    reasons: &[Reason],
    now: NaiveDateTime,
    limit: i64,
) -> QueryResult<usize> {
    // Whoever has one of them in hand is not waited for: it is being dealt with. As nothing is waited
    // for, the order needs not be that of the ids: in that of the index, no round sorts the whole queue.
    statement(
        conn,
        "WITH waiting AS MATERIALIZED ( \
             SELECT id FROM deliveries WHERE due_at IS NOT NULL \
             AND COALESCE(account_id, 0) = $1 AND due_at > $2 AND state = 'queued' \
             AND unsettled_since IS NULL AND reason {in_words_3} \
             ORDER BY priority, due_at LIMIT $4 {skip_locked} \
         ) UPDATE deliveries SET due_at = $2 WHERE id IN (SELECT id FROM waiting)",
    )
    .bind::<BigInt, _>(account)
    .bind::<Timestamp, _>(now)
    .bind::<Text, _>(json(reasons)?)
    .bind::<BigInt, _>(limit)
    .execute(conn)
}

/// Of what waits in an account for this reason, until a time between `from` and `latest`, makes some due at
/// once, so that it can be seen whether the pause is over: at most `most` of each priority. Returns how
/// many those are.
pub fn rouse(
    conn: &mut Conn,
    (account, reason): (AccountId, Reason),
    (from, latest): (NaiveDateTime, NaiveDateTime),
    now: NaiveDateTime,
    most: i64,
) -> QueryResult<usize> {
    let mut roused = 0;
    for priority in Priority::ALL {
        roused += statement(
            conn,
            "WITH waiting AS MATERIALIZED ( \
                 SELECT id FROM deliveries WHERE due_at IS NOT NULL \
                 AND COALESCE(account_id, 0) = $1 AND priority = $2 \
                 AND due_at >= $3 AND due_at <= $4 AND state = 'queued' \
                 AND unsettled_since IS NULL AND reason = $5 \
                 ORDER BY due_at DESC LIMIT $6 {skip_locked} \
             ) UPDATE deliveries SET due_at = $7 WHERE id IN (SELECT id FROM waiting)",
        )
        .bind::<BigInt, _>(account)
        .bind::<Integer, _>(priority.rank())
        .bind::<Timestamp, _>(from.max(now))
        .bind::<Timestamp, _>(latest)
        .bind::<Text, _>(reason)
        .bind::<BigInt, _>(most)
        .bind::<Timestamp, _>(now)
        .execute(conn)?;
    }
    Ok(roused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_looked_for_in_every_priority() {
        let ranks: Vec<i32> = Priority::ALL.iter().map(|one| one.rank()).collect();
        assert_eq!(ranks, [0, 1, 2]);
        let all = "(SELECT 0 AS rank UNION ALL SELECT 1 UNION ALL SELECT 2) ranks";
        assert!(include_str!("claim/heads.sql").contains(all));
    }
}
