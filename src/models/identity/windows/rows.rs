//! The windows in the database: opened by events, counted by sends.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use diesel::sql_types::{BigInt, Integer, Text};
use serde::Serialize;

use super::{Closed, Rules, Taken, WindowActivity, WindowFacts};
use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::db::{Conn, Engine};
use crate::ids::IdentityId;
use crate::models::account::AccountKind;
use crate::models::identity::FollowState;

/// The newest acts of a person in a batch of events, by their CreateTime; 0 none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Opening {
    /// Who.
    #[serde(rename = "actor")]
    pub identity_id: IdentityId,
    /// When they wrote.
    #[serde(rename = "spoke")]
    pub spoke_time: i64,
    /// When they did something else that counts. Not a follow: that is known already.
    #[serde(rename = "acted")]
    pub acted_time: i64,
}

/// Opens windows. Only something newer than what is known opens one again, so events may come in any order and any
/// number. Identities must differ. A transaction that calls [`crate::models::identity::record_sightings`] on them first cannot deadlock.
pub fn open(conn: &mut Conn, openings: &[Opening]) -> QueryResult<usize> {
    const OPEN: Batch = Batch {
        columns: &[
            ("actor", Kind::BigInt),
            ("spoke", Kind::BigInt),
            ("acted", Kind::BigInt),
        ],
        sql: "UPDATE identities SET \
              spoke_used = CASE WHEN r.spoke > spoke_time THEN 0 ELSE spoke_used END, \
              spoke_time = {greatest}(spoke_time, r.spoke), \
              acted_used = CASE WHEN r.acted > acted_time THEN 0 ELSE acted_used END, \
              acted_time = {greatest}(acted_time, r.acted) \
              FROM {rows} WHERE id = r.actor AND (r.spoke > spoke_time OR r.acted > acted_time)",
    };
    OPEN.execute(conn, openings)
}

/// How an identity stands, and in which kind of account.
#[derive(Clone, Copy, Debug)]
pub struct WindowState {
    /// Who.
    pub identity_id: IdentityId,
    /// The kind of their account.
    pub kind: AccountKind,
    /// What they did, and what was sent since.
    pub facts: WindowFacts,
}

/// How identities stand; nothing is taken.
pub fn states(conn: &mut Conn, ids: &[IdentityId]) -> QueryResult<Vec<WindowState>> {
    let rows: Vec<Row> = FIND.load(conn, &id_rows(ids.iter().copied()))?;
    let stands = rows.into_iter().map(|row| {
        let (id, locked) = (row.id, Locked::from(row));
        WindowState {
            identity_id: id,
            kind: locked.kind,
            facts: locked.facts,
        }
    });
    Ok(stands.collect())
}

/// Takes one message for each identity wanted, from its window that closes first, or says why none may be sent: an
/// answer for each, in their order. An identity may be wanted several times. `now` in seconds since 1970. Two
/// transactions cannot take the same message.
pub fn take(
    conn: &mut Conn,
    wanted: &[IdentityId],
    rules: &Rules,
    now: i64,
) -> QueryResult<Vec<Result<Taken, Closed>>> {
    let mut locked = lock(conn, wanted.iter().copied())?;
    let taken = wanted.iter().map(|&id| {
        let Some(locked) = locked.get_mut(&id) else {
            return Err(Closed::WindowClosed);
        };
        let allowances = rules.of(locked.kind);
        locked.facts.take(id, allowances, now)
    });
    let taken = taken.collect();
    store(conn, locked)?;
    Ok(taken)
}

/// Gives messages back that WeChat refused for another reason than a closed window. Each once: a second time would
/// give another's message back.
pub fn give_back(conn: &mut Conn, taken: &[Taken]) -> QueryResult<()> {
    settle(conn, taken, WindowFacts::give_back)
}

/// Closes the windows that WeChat says are closed (45015, 45047). What the person did after the message was taken
/// stays open.
pub fn close(conn: &mut Conn, taken: &[Taken]) -> QueryResult<()> {
    settle(conn, taken, WindowFacts::close)
}

fn settle(
    conn: &mut Conn,
    taken: &[Taken],
    change: fn(&mut WindowFacts, &Taken),
) -> QueryResult<()> {
    let mut locked = lock(conn, taken.iter().map(|taken| taken.identity_id))?;
    for taken in taken {
        if let Some(locked) = locked.get_mut(&taken.identity_id) {
            change(&mut locked.facts, taken);
        }
    }
    store(conn, locked)
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: IdentityId,
    #[diesel(sql_type = Text)]
    kind: AccountKind,
    #[diesel(sql_type = Text)]
    follow_state: FollowState,
    #[diesel(sql_type = BigInt)]
    followed_time: i64,
    #[diesel(sql_type = BigInt)]
    unfollowed_time: i64,
    #[diesel(sql_type = BigInt)]
    spoke_time: i64,
    #[diesel(sql_type = Integer)]
    spoke_used: i32,
    #[diesel(sql_type = BigInt)]
    acted_time: i64,
    #[diesel(sql_type = Integer)]
    acted_used: i32,
    #[diesel(sql_type = BigInt)]
    refused_time: i64,
}

/// An identity whose row nobody else changes until the transaction ends.
struct Locked {
    kind: AccountKind,
    before: WindowActivity,
    facts: WindowFacts,
}

impl From<Row> for Locked {
    fn from(row: Row) -> Self {
        let acts = WindowActivity {
            spoke_time: row.spoke_time,
            spoke_used: row.spoke_used,
            acted_time: row.acted_time,
            acted_used: row.acted_used,
            refused_time: row.refused_time,
        };
        Self {
            kind: row.kind,
            before: acts,
            facts: WindowFacts {
                acts,
                follow_state: row.follow_state,
                followed_time: row.followed_time,
                unfollowed_time: row.unfollowed_time,
            },
        }
    }
}

macro_rules! find {
    ($lock:literal) => {
        Batch {
            columns: &[("wanted", Kind::BigInt)],
            sql: concat!(
                "SELECT i.id, a.kind, i.follow_state, i.followed_time, i.unfollowed_time, i.spoke_time, \
                 i.spoke_used, i.acted_time, i.acted_used, i.refused_time \
                 FROM {rows} JOIN identities i ON i.id = r.wanted JOIN accounts a ON a.id = i.account_id ",
                $lock
            ),
        }
    };
}

const FIND: Batch = find!("");
const LOCK: Batch = find!("ORDER BY i.account_id, i.openid COLLATE \"C\" FOR NO KEY UPDATE OF i");

#[derive(Serialize)]
struct IdRow {
    wanted: IdentityId,
}

/// Each once.
fn id_rows(ids: impl Iterator<Item = IdentityId>) -> Vec<IdRow> {
    let ids: BTreeSet<IdentityId> = ids.collect();
    ids.into_iter().map(|wanted| IdRow { wanted }).collect()
}

/// Locks rows in the order in which events lock them, so that the two cannot deadlock. SQLite has one writer anyhow.
fn lock(
    conn: &mut Conn,
    ids: impl Iterator<Item = IdentityId>,
) -> QueryResult<HashMap<IdentityId, Locked>> {
    let wanted = id_rows(ids);
    let rows: Vec<Row> = match conn.engine() {
        Engine::Postgres => LOCK.load(conn, &wanted)?,
        Engine::Sqlite => FIND.load(conn, &wanted)?,
    };
    Ok(rows.into_iter().map(|row| (row.id, row.into())).collect())
}

#[derive(Serialize)]
struct Counted {
    counted: IdentityId,
    spoke_now: i32,
    acted_at: i64,
    acted_now: i32,
    refused_at: i64,
}

fn store(conn: &mut Conn, locked: HashMap<IdentityId, Locked>) -> QueryResult<()> {
    const STORE: Batch = Batch {
        columns: &[
            ("counted", Kind::BigInt),
            ("spoke_now", Kind::Integer),
            ("acted_at", Kind::BigInt),
            ("acted_now", Kind::Integer),
            ("refused_at", Kind::BigInt),
        ],
        sql: "UPDATE identities SET spoke_used = r.spoke_now, acted_time = r.acted_at, \
              acted_used = r.acted_now, refused_time = r.refused_at FROM {rows} WHERE id = r.counted",
    };
    let changed: BTreeMap<IdentityId, WindowActivity> = locked
        .into_iter()
        .filter(|(_, locked)| locked.facts.acts != locked.before)
        .map(|(id, locked)| (id, locked.facts.acts))
        .collect();
    let rows: Vec<Counted> = changed
        .into_iter()
        .map(|(counted, acts)| Counted {
            counted,
            spoke_now: acts.spoke_used,
            acted_at: acts.acted_time,
            acted_now: acts.acted_used,
            refused_at: acts.refused_time,
        })
        .collect();
    STORE.execute(conn, &rows)?;
    Ok(())
}
