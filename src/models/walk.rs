//! Lists that are read back from the newest row, so much of them for one page and no more.
//!
//! What an index holds in the order of ids is read through it (the branches of a [`Walk`]). Conditions
//! that no index has are looked at row by row, and where few rows meet them, that is a long way: so one
//! page looks at [`Walk::rows`] rows, says where it stopped, and may have fewer items than were asked
//! for. The cost of a page is then the same, whatever the rows are like.

use std::collections::HashMap;

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable};

use crate::db::prelude::*;
use crate::db::{Backend, Conn, Sql};

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked<T> {
    /// What was found, newest first.
    pub found: Vec<T>,
    /// The next page has the ids below this one; none if this is the last.
    pub next: Option<i64>,
}

impl<T> Walked<T> {
    /// The same page with something else in it, each in the place of the one with its id.
    pub(crate) fn with<R>(self, mut rows: Vec<R>, id: impl Fn(&R) -> i64) -> Walked<R>
    where
        T: Into<i64> + Copy,
    {
        let places: HashMap<i64, usize> = self
            .found
            .iter()
            .enumerate()
            .map(|(at, one)| ((*one).into(), at))
            .collect();
        rows.sort_by_key(|row| places.get(&id(row)).copied());
        Walked {
            found: rows,
            next: self.next,
        }
    }

    /// The page of at most `limit` rows that were read with one row more, if there are more.
    pub fn cut(mut found: Vec<T>, limit: i64, id: impl Fn(&T) -> i64) -> Self {
        let limit = usize::try_from(limit).unwrap_or_default();
        let more = found.len() > limit;
        found.truncate(limit);
        Self {
            next: found.last().filter(|_| more).map(id),
            found,
        }
    }
}

/// How many of the first rows of these sizes have at most so many bytes together; one at least.
pub(crate) fn fitting(sizes: impl IntoIterator<Item = i32>, most: usize) -> usize {
    let mut bytes = 0_usize;
    let fit = sizes.into_iter().take_while(|size| {
        bytes = bytes.saturating_add(usize::try_from(*size).unwrap_or_default());
        bytes <= most
    });
    fit.count().max(1)
}

/// A list to be read back.
pub(crate) struct Walk {
    table: &'static str,
    /// Conditions of which no two find the same row, each with an index that holds what it finds in
    /// the order of ids.
    branches: Vec<Sql>,
    /// Conditions that are looked at row by row.
    rest: Vec<Sql>,
    /// Only ids below this one.
    before: Option<i64>,
    /// So many rows are looked at.
    rows: i64,
}

/// An id by itself.
#[derive(QueryableByName)]
pub(crate) struct Row {
    #[diesel(sql_type = BigInt)]
    pub(crate) id: i64,
}

/// The rows of one page, newest first.
#[derive(Clone, Copy, QueryableByName)]
struct Span {
    #[diesel(sql_type = Nullable<BigInt>)]
    first: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    last: Option<i64>,
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

impl Walk {
    pub(crate) fn new(table: &'static str, rows: i64, before: Option<i64>) -> Self {
        Self {
            table,
            branches: Vec::new(),
            rest: Vec::new(),
            before,
            rows,
        }
    }

    /// Rows that an index holds in the order of their ids.
    pub(crate) fn branch(&mut self, condition: Sql) {
        self.branches.push(condition);
    }

    /// What has to be true of each row as well.
    pub(crate) fn only(&mut self, condition: impl Into<Sql>) {
        self.rest.push(condition.into());
    }

    /// The page. The table's columns are read by their names.
    pub(crate) fn page<T>(
        &self,
        conn: &mut Conn,
        limit: i64,
        id: impl Fn(&T) -> i64,
    ) -> QueryResult<Walked<T>>
    where
        T: QueryableByName<Backend> + 'static,
    {
        self.go(conn, "*", limit, id)
    }

    /// The ids of the page.
    pub(crate) fn ids(&self, conn: &mut Conn, limit: i64) -> QueryResult<Walked<i64>> {
        let page = self.go(conn, "id", limit, |row: &Row| row.id)?;
        Ok(Walked {
            found: page.found.iter().map(|row| row.id).collect(),
            next: page.next,
        })
    }

    fn go<T>(
        &self,
        conn: &mut Conn,
        columns: &'static str,
        limit: i64,
        id: impl Fn(&T) -> i64,
    ) -> QueryResult<Walked<T>>
    where
        T: QueryableByName<Backend> + 'static,
    {
        let limit = limit.max(0);
        if self.branches.is_empty() {
            return Ok(Walked::cut(Vec::new(), limit, id));
        }
        let span = self.span(conn)?;
        let page = Walked::cut(self.load(conn, columns, limit + 1, span)?, limit, id);
        let is_cut = span.filter(|span| span.rows >= self.rows);
        Ok(Walked {
            next: page.next.or(is_cut.and_then(|span| span.last)),
            ..page
        })
    }

    /// The rows that are looked at; none if none has to be left out.
    fn span(&self, conn: &mut Conn) -> QueryResult<Option<Span>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let looked_at = self.union("id", &Sql::default(), self.rows);
        Sql::new(
            "SELECT MAX(id) AS first, MIN(id) AS last, COUNT(*) AS rows \
             FROM ({looked_at} LIMIT ?) looked_at",
        )
        .bind(self.rows)
        .put("{looked_at}", looked_at)
        .get_result(conn)
        .map(Some)
    }

    fn load<T>(
        &self,
        conn: &mut Conn,
        columns: &'static str,
        limit: i64,
        span: Option<Span>,
    ) -> QueryResult<Vec<T>>
    where
        T: QueryableByName<Backend> + 'static,
    {
        let mut rest = Sql::default();
        for condition in &self.rest {
            rest = rest.and(" AND (").and(condition.clone()).and(")");
        }
        // Both ends, so that through whatever index it is read, what lies outside is not.
        if let Some((first, last)) = span.and_then(|span| span.first.zip(span.last)) {
            let within = Sql::new(" AND {table}.id BETWEEN ? AND ?");
            let within = within.bind(last).bind(first);
            rest = rest.and(within.put("{table}", self.table));
        }
        let found = self.union(columns, &rest, limit);
        found.and(Sql::new(" LIMIT ?").bind(limit)).load(conn)
    }

    /// The newest of all branches, of each so many at the most.
    fn union(&self, columns: &'static str, rest: &Sql, limit: i64) -> Sql {
        let before = self.before.map_or_else(Sql::default, |before| {
            Sql::new(" AND {table}.id < ?").bind(before)
        });
        let branches = self.branches.iter().map(|branch| {
            Sql::new(
                "SELECT * FROM (SELECT {columns} FROM {table} WHERE ({branch}){before}{rest} \
                 ORDER BY {table}.id DESC LIMIT ?) branch",
            )
            .bind(limit)
            .put("{branch}", branch.clone())
            .put("{before}", before.clone())
            .put("{rest}", rest.clone())
            .put("{columns}", columns)
            .put("{table}", self.table)
        });
        Sql::new("SELECT * FROM ({branches}) walked ORDER BY id DESC")
            .put("{branches}", Sql::joined(branches, " UNION ALL "))
    }
}

/// Words of our own, and the same as a list for `IN`.
pub(crate) struct Words {
    pub(crate) all: &'static [&'static str],
    pub(crate) list: &'static str,
}

macro_rules! words {
    ($first:literal $(, $word:literal)* $(,)?) => {
        $crate::models::walk::Words {
            all: &[$first $(, $word)*],
            list: concat!("('", $first, "'" $(, ", '", $word, "'")*, ")"),
        }
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use super::fitting;

    #[test]
    fn rows_go_together_by_bytes_and_one_goes_always() {
        let mib = 1 << 20;
        assert_eq!(fitting([100; 500], 4 << 20), 500);
        assert_eq!(fitting([mib; 20], 4 << 20), 4);
        assert_eq!(fitting([9 * mib, 1], 4 << 20), 1);
    }
}
