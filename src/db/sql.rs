//! Statements that are put together: of pieces whose texts are constant, each with its values.

use chrono::NaiveDateTime;
use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::Error::QueryBuilderError;
use diesel::sql_types::{BigInt, Bool, Text, Timestamp, Untyped};

use super::statement::json;
use super::{Backend, Conn, Engine, QueryResult};

/// A value that is bound.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    BigInt(i64),
    Text(String),
    Timestamp(NaiveDateTime),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::BigInt(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<NaiveDateTime> for Value {
    fn from(time: NaiveDateTime) -> Self {
        Self::Timestamp(time)
    }
}

/// A statement, or a piece of one. Each `?` in its text stands for the next of its values, `{name}` for a
/// piece that is still to be put there. A piece may be the condition of a query of Diesel's as well.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sql {
    text: String,
    values: Vec<Value>,
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self {
            text: text.to_owned(),
            values: Vec::new(),
        }
    }
}

impl Sql {
    pub(crate) fn new(text: &'static str) -> Self {
        text.into()
    }

    /// With the value for the next `?`.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// With a piece behind it.
    pub(crate) fn and(mut self, piece: impl Into<Self>) -> Self {
        let piece = piece.into();
        self.text += &piece.text;
        self.values.extend(piece.values);
        self
    }

    /// With a piece wherever `place` is. The values of its own are bound before.
    pub(crate) fn put(self, place: &str, piece: impl Into<Self>) -> Self {
        debug_assert_eq!(self.text.matches('?').count(), self.values.len());
        let piece = piece.into();
        let mut values = self.values.into_iter();
        let mut put = Self::default();
        for (at, part) in self.text.split(place).enumerate() {
            if at > 0 {
                put = put.and(piece.clone());
            }
            put.text += part;
            let theirs = part.matches('?').count();
            put.values.extend(values.by_ref().take(theirs));
        }
        put
    }

    /// Pieces with something between them.
    pub(crate) fn joined(pieces: impl IntoIterator<Item = Self>, between: &'static str) -> Self {
        let mut pieces = pieces.into_iter();
        let first = pieces.next().unwrap_or_default();
        pieces.fold(first, |joined, piece| joined.and(between).and(piece))
    }

    /// Values as a list for `IN`, for a few.
    pub(crate) fn list<V: Into<Value>>(values: impl IntoIterator<Item = V>) -> Self {
        let each = values.into_iter().map(|value| Self::new("?").bind(value));
        Self::new("(").and(Self::joined(each, ", ")).and(")")
    }

    /// What follows an id to say that it is one of many.
    pub(crate) fn in_ids(conn: &Conn, ids: &[i64]) -> QueryResult<Self> {
        let text = match conn.engine() {
            Engine::Postgres => {
                "= ANY (ARRAY(SELECT value::bigint FROM json_array_elements_text(?::json)))"
            }
            Engine::Sqlite => "IN (SELECT value FROM json_each(?))",
        };
        Ok(Self::new(text).bind(json(ids)?.as_str()))
    }
}

impl QueryFragment<Backend> for Sql {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> diesel::QueryResult<()> {
        // Never prepared for later: each plan is made for these very values.
        out.unsafe_to_cache_prepared();
        let mut texts = self.text.split('?');
        out.push_sql(texts.next().unwrap_or_default());
        let mut values = self.values.iter();
        for text in texts {
            match values.next() {
                Some(Value::BigInt(number)) => out.push_bind_param::<BigInt, _>(number)?,
                Some(Value::Text(text)) => out.push_bind_param::<Text, _>(text)?,
                Some(Value::Timestamp(time)) => out.push_bind_param::<Timestamp, _>(time)?,
                None => return Err(QueryBuilderError("a value is missing".into())),
            }
            out.push_sql(text);
        }
        Ok(())
    }
}

impl QueryId for Sql {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Sql {
    type SqlType = Untyped;
}

impl diesel::RunQueryDsl<Conn> for Sql {}

impl Expression for Sql {
    type SqlType = Bool;
}

impl<Table> AppearsOnTable<Table> for Sql {}

impl<Table> SelectableExpression<Table> for Sql {}

impl<Columns> ValidGrouping<Columns> for Sql {
    type IsAggregate = diesel::expression::is_aggregate::Never;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_with_their_pieces_wherever_they_are_put() {
        let range = Sql::new("time >= ? AND time < ?").bind(1).bind(2);
        let kind = Sql::new("kind IN ").and(Sql::list(["a", "b"]));
        let sql = Sql::new("SELECT {column} FROM t WHERE id = ? AND {range} AND {kind} LIMIT ?")
            .bind(7)
            .bind(50)
            .put("{column}", "id")
            .put("{kind}", kind)
            .put("{range}", range);
        assert_eq!(
            sql.text,
            "SELECT id FROM t WHERE id = ? AND time >= ? AND time < ? AND kind IN (?, ?) LIMIT ?"
        );
        let [seven, one, two, fifty] = [7, 1, 2, 50].map(Value::BigInt);
        let [a, b] = ["a", "b"].map(Value::from);
        assert_eq!(sql.values, [seven, one, two, a, b, fifty]);
    }

    #[test]
    fn a_piece_that_stands_twice_has_its_values_twice() {
        let one = Sql::new("a = ?").bind(1);
        let sql = Sql::new("({one}) AND b = ? OR {one}")
            .bind(2)
            .put("{one}", one);
        assert_eq!(sql.text, "(a = ?) AND b = ? OR a = ?");
        assert_eq!(sql.values, [1, 2, 1].map(Value::BigInt));
    }
}
