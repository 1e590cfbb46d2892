//! The hot statement: one multi-row insert per commit.
//!
//! Looking for each row in the index before it is inserted costs PostgreSQL a fifth of its work,
//! and hardly any push comes twice. So there are two: [`insert_new`] takes it that none is stored
//! yet, [`insert_many`] does not.

use std::borrow::Borrow;

use chrono::NaiveDateTime;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text, Timestamp};

use super::NewEvent;
use crate::db::prelude::*;
use crate::db::{Conn, schema::events};

/// Stores events of which none is stored yet. If one is, the statement fails as a unique
/// violation; on PostgreSQL none is stored then, on SQLite that is up to the transaction.
pub fn insert_new<E: Borrow<NewEvent>>(conn: &mut Conn, rows: &[E]) -> QueryResult<usize> {
    match conn {
        Conn::Postgres(conn) => Unnest::<false>::new(rows).execute(conn),
        Conn::Sqlite(conn) => rows.iter().try_fold(0, |stored, row| {
            diesel::insert_into(events::table)
                .values(row.borrow())
                .execute(conn)
                .map(|one| stored + one)
        }),
    }
}

/// Stores events; one that is already there is left as it is.
pub fn insert_many<E: Borrow<NewEvent>>(conn: &mut Conn, rows: &[E]) -> QueryResult<usize> {
    match conn {
        Conn::Postgres(conn) => Unnest::<true>::new(rows).execute(conn),
        Conn::Sqlite(conn) => rows.iter().try_fold(0, |stored, row| {
            diesel::insert_into(events::table)
                .values(row.borrow())
                .on_conflict_do_nothing()
                .execute(conn)
                .map(|one| stored + one)
        }),
    }
}

/// `INSERT … SELECT … FROM unnest(…)`: the text does not depend on the number of rows, so
/// PostgreSQL parses it once per connection. `SKIP`: leaves out what is stored already.
struct Unnest<'a, const SKIP: bool> {
    account_ids: Vec<i64>,
    create_times: Vec<i64>,
    received: Vec<NaiveDateTime>,
    dedup_keys: Vec<i64>,
    kinds: Vec<&'a str>,
    openids: Vec<Option<&'a str>>,
    bodies: Vec<&'a [u8]>,
    problems: Vec<Option<&'a str>>,
}

impl<'a, const SKIP: bool> Unnest<'a, SKIP> {
    fn new<E: Borrow<NewEvent>>(rows: &'a [E]) -> Self {
        let rows = || rows.iter().map(Borrow::borrow);
        Self {
            account_ids: rows().map(|row: &NewEvent| row.account_id.0).collect(),
            create_times: rows().map(|row: &NewEvent| row.create_time).collect(),
            received: rows().map(|row: &NewEvent| row.received_at).collect(),
            dedup_keys: rows().map(|row: &NewEvent| row.dedup_key).collect(),
            kinds: rows().map(|row: &NewEvent| row.kind.as_str()).collect(),
            openids: rows().map(|row: &NewEvent| row.openid.as_deref()).collect(),
            bodies: rows().map(|row: &NewEvent| row.body.as_slice()).collect(),
            problems: rows()
                .map(|row: &NewEvent| row.problem.as_deref())
                .collect(),
        }
    }
}

impl<const SKIP: bool> QueryFragment<Pg> for Unnest<'_, SKIP> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> diesel::QueryResult<()> {
        out.push_sql(
            "INSERT INTO events (account_id, create_time, received_at, dedup_key, kind, openid, \
             body, problem, state) SELECT *, 0 FROM unnest(",
        );
        out.push_bind_param::<Array<BigInt>, _>(&self.account_ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.create_times)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Timestamp>, _>(&self.received)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.dedup_keys)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.kinds)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.openids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Binary>, _>(&self.bodies)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.problems)?;
        out.push_sql(if SKIP {
            ") ON CONFLICT DO NOTHING"
        } else {
            ")"
        });
        Ok(())
    }
}

impl<const SKIP: bool> QueryId for Unnest<'_, SKIP> {
    type QueryId = Unnest<'static, SKIP>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<const SKIP: bool> diesel::RunQueryDsl<PgConnection> for Unnest<'_, SKIP> {}
