//! What a file of queries imports: Diesel's prelude, with results that carry this project's error, so that
//! nobody above the models has to know Diesel.

pub(crate) use diesel::prelude::*;

use diesel::query_dsl::methods::{ExecuteDsl, LimitDsl, LoadQuery};

use super::DbError;

/// What a statement gave, or why it failed.
pub type QueryResult<T> = Result<T, DbError>;

/// Runs a query on a connection. The methods are Diesel's, under their names.
pub(crate) trait RunQueryDsl<C>: Sized {
    /// Executes the statement; returns how many rows it touched.
    ///
    /// # Errors
    /// If the database fails.
    fn execute(self, conn: &mut C) -> QueryResult<usize>
    where
        C: Connection,
        Self: ExecuteDsl<C>,
    {
        Ok(ExecuteDsl::execute(self, conn)?)
    }

    /// Loads all rows.
    ///
    /// # Errors
    /// If the database fails, or a row cannot be read.
    fn load<'query, U>(self, conn: &mut C) -> QueryResult<Vec<U>>
    where
        Self: LoadQuery<'query, C, U>,
    {
        Ok(self.internal_load(conn)?.collect::<Result<_, _>>()?)
    }

    /// Loads the one row.
    ///
    /// # Errors
    /// If the database fails, the row cannot be read, or there is none: see [`OptionalExtension`].
    fn get_result<'query, U>(self, conn: &mut C) -> QueryResult<U>
    where
        Self: LoadQuery<'query, C, U>,
    {
        let mut rows = self.internal_load(conn)?;
        Ok(rows.next().ok_or(diesel::NotFound)??)
    }

    /// Loads the first row.
    ///
    /// # Errors
    /// As [`RunQueryDsl::get_result`].
    fn first<'query, U>(self, conn: &mut C) -> QueryResult<U>
    where
        Self: LimitDsl,
        diesel::helper_types::Limit<Self>: LoadQuery<'query, C, U>,
    {
        RunQueryDsl::get_result(LimitDsl::limit(self, 1), conn)
    }
}

impl<Q, C> RunQueryDsl<C> for Q where Q: diesel::RunQueryDsl<C> {}

/// Of a row that may not be there.
pub(crate) trait OptionalExtension<T> {
    /// None if there is no row.
    ///
    /// # Errors
    /// Any other than that.
    fn optional(self) -> QueryResult<Option<T>>;
}

impl<T> OptionalExtension<T> for QueryResult<T> {
    fn optional(self) -> QueryResult<Option<T>> {
        match self {
            Ok(found) => Ok(Some(found)),
            Err(DbError::Query(diesel::result::Error::NotFound)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
