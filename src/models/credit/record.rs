//! What is said of permissions, by events and by the business, and how many that leaves.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDateTime;
use diesel::dsl::sql;
use diesel::sql_types::{BigInt, Integer, Nullable, Text};
use serde::Serialize;

use super::EntryKind;
use super::balance::{self, Entry, Opening};
use super::stated::LONG_TERM;
use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::db::{Conn, schema::credits};
use crate::ids::{AccountId, CreditId, IdentityId};
use crate::models::delivery;

/// One word on what an identity allows a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The account of the identity.
    pub account_id: AccountId,
    /// Whose permission.
    pub identity_id: IdentityId,
    /// What for; at most [`super::TEMPLATE_ID_MAX`] characters.
    pub template_id: String,
    /// What happened.
    pub word: Word,
    /// When, seconds since 1970.
    pub time: i64,
    /// Whether it was said that the template is a long-term one.
    pub long_term: bool,
}

/// What happened to a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Given, as WeChat pushed it.
    Pushed,
    /// Given, as the business reported it; `timed` if with a time of its own.
    Reported {
        /// Whether the time is the tap's, and not that of the report.
        timed: bool,
    },
    /// Given some time before, as the business stated it; one-time permissions with how many are
    /// left, none where it is a long-term one.
    Stated {
        /// How many.
        left: Option<u32>,
    },
    /// Refused in a pop-up. One-time permissions given before stay: the pop-up asked for one more.
    Rejected,
    /// Refused in the settings: nothing given before counts any more.
    Withdrawn,
    /// Not asked, since WeChat has banned the template.
    Banned,
    /// A message was sent under it, by whomever.
    Sent {
        /// WeChat's id of the message.
        msgid: i64,
    },
}

impl Word {
    fn entry(self) -> Option<(EntryKind, i64)> {
        match self {
            Self::Pushed => Some((EntryKind::Event, 0)),
            Self::Reported { timed } => Some((EntryKind::Api, i64::from(!timed))),
            Self::Sent { msgid } => Some((EntryKind::Sent, msgid)),
            Self::Stated { left } => Some((EntryKind::Imported, left.map_or(LONG_TERM, i64::from))),
            Self::Rejected | Self::Withdrawn | Self::Banned => None,
        }
    }
}

#[derive(Serialize)]
struct Row<'a> {
    account_id: AccountId,
    identity_id: IdentityId,
    template_id: &'a str,
    long_term: bool,
    event_time: i64,
    api_time: i64,
    rejected_time: i64,
    withdrawn_time: i64,
    banned_time: i64,
    #[serde(serialize_with = "timestamp")]
    now: NaiveDateTime,
}

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = BigInt)]
    id: CreditId,
    #[diesel(sql_type = BigInt)]
    identity_id: IdentityId,
    #[diesel(sql_type = Text)]
    template_id: String,
}

#[derive(Serialize)]
struct NewEntry {
    credit_id: CreditId,
    kind: EntryKind,
    happened_time: i64,
    mark: i64,
}

/// Records what was said, and counts again what is left. Said twice, it counts once: what is as old as what
/// was [folded](super::fold_old) is in that already. Returns how many deliveries that wait for these persons
/// are to be looked at again.
pub fn record(conn: &mut Conn, said: &[Said], now: NaiveDateTime) -> QueryResult<usize> {
    const RECORD: Batch = Batch {
        columns: &[
            ("account_id", Kind::BigInt),
            ("identity_id", Kind::BigInt),
            ("template_id", Kind::Text),
            ("long_term", Kind::Bool),
            ("event_time", Kind::BigInt),
            ("api_time", Kind::BigInt),
            ("rejected_time", Kind::BigInt),
            ("withdrawn_time", Kind::BigInt),
            ("banned_time", Kind::BigInt),
            ("now", Kind::Timestamp),
        ],
        sql: include_str!("record.sql"),
    };
    const ENTER: Batch = Batch {
        columns: &[
            ("credit_id", Kind::BigInt),
            ("kind", Kind::Text),
            ("happened_time", Kind::BigInt),
            ("mark", Kind::BigInt),
        ],
        sql: "INSERT INTO credit_entries (credit_id, kind, happened_time, mark) \
              SELECT r.credit_id, r.kind, r.happened_time, r.mark FROM {rows} \
              JOIN credits c ON c.id = r.credit_id WHERE r.happened_time > c.folded_time \
              ON CONFLICT DO NOTHING",
    };
    // The rows are written first, and so locked: whoever counts sees what the other has entered.
    let stored: Vec<Stored> = RECORD.load(conn, &fold(said, now))?;
    let ids: HashMap<(IdentityId, &str), CreditId> = stored
        .iter()
        .map(|row| ((row.identity_id, row.template_id.as_str()), row.id))
        .collect();
    let entries: Vec<NewEntry> = said
        .iter()
        .filter_map(|said| {
            let (kind, mark) = said.word.entry()?;
            Some(NewEntry {
                credit_id: *ids.get(&(said.identity_id, said.template_id.as_str()))?,
                kind,
                happened_time: said.time,
                mark,
            })
        })
        .collect();
    ENTER.execute(conn, &entries)?;
    let touched: Vec<CreditId> = stored.iter().map(|row| row.id).collect();
    recount(conn, &touched)?;
    // A refusal ends the wait, as a consent does.
    let heard = said
        .iter()
        .filter(|said| !matches!(said.word, Word::Sent { .. }));
    let heard: Vec<IdentityId> = heard.map(|said| said.identity_id).collect();
    delivery::consented(conn, &heard, now)
}

/// One row for each identity and template, sorted, so that two replicas cannot deadlock.
fn fold(said: &[Said], now: NaiveDateTime) -> Vec<Row<'_>> {
    let mut rows = BTreeMap::new();
    for said in said {
        let key = (said.identity_id, said.template_id.as_str());
        let row = rows.entry(key).or_insert_with(|| Row {
            account_id: said.account_id,
            identity_id: said.identity_id,
            template_id: &said.template_id,
            long_term: false,
            event_time: 0,
            api_time: 0,
            rejected_time: 0,
            withdrawn_time: 0,
            banned_time: 0,
            now,
        });
        row.long_term |= said.long_term;
        let newest = match said.word {
            Word::Pushed => &mut row.event_time,
            Word::Stated { left: Some(0) } => continue,
            Word::Reported { .. } | Word::Stated { .. } => &mut row.api_time,
            Word::Rejected => &mut row.rejected_time,
            Word::Withdrawn => &mut row.withdrawn_time,
            Word::Banned => &mut row.banned_time,
            Word::Sent { .. } => continue,
        };
        *newest = said.time.max(*newest);
    }
    rows.into_values().collect()
}

#[derive(Serialize)]
struct Id {
    credit: CreditId,
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = BigInt)]
    credit_id: CreditId,
    #[diesel(sql_type = BigInt)]
    floor: i64,
    #[diesel(sql_type = BigInt)]
    folded_time: i64,
    #[diesel(sql_type = Integer)]
    folded_left: i32,
    #[diesel(sql_type = Nullable<Text>)]
    kind: Option<EntryKind>,
    #[diesel(sql_type = Nullable<BigInt>)]
    happened_time: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    mark: Option<i64>,
}

impl Known {
    fn entry(&self) -> Option<Entry> {
        Some(Entry {
            kind: self.kind?,
            time: self.happened_time?,
            mark: self.mark?,
        })
    }
}

/// What is known of a permission.
#[derive(Default)]
struct Ledger {
    floor: i64,
    opening: Opening,
    entries: Vec<Entry>,
}

#[derive(Serialize)]
struct Counted {
    credit: CreditId,
    counted: i32,
}

/// Counts what is left of permissions whose rows this transaction has locked.
pub(super) fn recount(conn: &mut Conn, ids: &[CreditId]) -> QueryResult<()> {
    const ENTRIES: Batch = Batch {
        columns: &[("credit", Kind::BigInt)],
        sql: "SELECT c.id AS credit_id, {greatest}(c.withdrawn_time, c.refused_time) AS floor, \
              c.folded_time, c.folded_left, e.kind, e.happened_time, e.mark \
              FROM {rows} JOIN credits c ON c.id = r.credit \
              LEFT JOIN credit_entries e ON e.credit_id = c.id",
    };
    const COUNT: Batch = Batch {
        columns: &[("credit", Kind::BigInt), ("counted", Kind::Integer)],
        sql: "UPDATE credits SET one_time_left = r.counted FROM {rows} \
              WHERE credits.id = r.credit AND credits.one_time_left <> r.counted",
    };
    let asked: Vec<Id> = ids.iter().map(|id| Id { credit: *id }).collect();
    let known: Vec<Known> = ENTRIES.load(conn, &asked)?;
    let mut ledgers: HashMap<CreditId, Ledger> = HashMap::with_capacity(ids.len());
    for known in known {
        let ledger = ledgers.entry(known.credit_id).or_default();
        ledger.floor = known.floor;
        ledger.opening = Opening {
            time: known.folded_time,
            left: known.folded_left,
        };
        ledger.entries.extend(known.entry());
    }
    let counted: Vec<Counted> = ledgers
        .into_iter()
        .map(|(credit, of)| Counted {
            credit,
            counted: balance::left(of.opening, of.floor, &of.entries),
        })
        .collect();
    COUNT.execute(conn, &counted).map(drop)
}

/// Notes whether templates of an account are long-term ones, for everybody of whom a permission is
/// known and for whom that is not noted yet: at most `limit` of them. Returns how many those are.
pub fn mark_kind(
    conn: &mut Conn,
    account: AccountId,
    template_ids: &[&str],
    long_term: bool,
    limit: i64,
) -> QueryResult<usize> {
    let ids: Vec<CreditId> = credits::table
        .filter(credits::account_id.eq(account))
        .filter(credits::template_id.eq_any(template_ids))
        .filter(credits::long_term.ne(long_term))
        .limit(limit)
        .select(credits::id)
        .load(conn)?;
    lock(conn, &ids)?;
    diesel::update(credits::table.filter(credits::id.eq_any(&ids)))
        .set(credits::long_term.eq(long_term))
        .execute(conn)
}

/// Locks permissions, in the order of all who touch several.
pub(super) fn lock(conn: &mut Conn, ids: &[CreditId]) -> QueryResult<()> {
    let Conn::Postgres(conn) = conn else {
        return Ok(());
    };
    let template = sql::<Text>("template_id COLLATE \"C\"");
    credits::table
        .filter(credits::id.eq_any(ids))
        .order((credits::identity_id, template))
        .select(credits::id)
        .for_update()
        .load::<CreditId>(conn)
        .map(drop)
}
