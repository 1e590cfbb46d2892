//! Sessions of a process that was stopped in the middle of sending a statement. PostgreSQL counts them as
//! active, so that neither the limit of a statement nor that of an idle transaction ends them, and what they
//! have locked stays locked for as long as their process stands still.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Double};

use super::{Conn, Db, DbError, Engine};

/// For sessions of this service alone: who shares its role and not its name is somebody else.
const END: &str = "SELECT count(*) FILTER (WHERE pg_terminate_backend(s.pid)) AS ended \
     FROM pg_stat_activity s \
     WHERE s.datname = current_database() AND s.usename = current_user \
     AND s.application_name = current_setting('application_name') AND s.pid <> pg_backend_pid() \
     AND s.state = 'active' AND s.wait_event = 'ClientRead' \
     AND s.state_change < clock_timestamp() - make_interval(secs => $1) \
     AND s.pid IN (SELECT unnest(pg_blocking_pids(w.pid)) FROM pg_stat_activity w \
         WHERE w.datname = current_database() AND w.wait_event_type = 'Lock')";

#[derive(QueryableByName)]
struct Ended {
    #[diesel(sql_type = BigInt)]
    ended: i64,
}

impl Db {
    /// Ends sessions of this service that have waited for so long for the rest of a statement, and that
    /// others wait for. Returns how many those are; on SQLite, where there are none, 0.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn end_stopped(&self, waited: Duration) -> Result<i64, DbError> {
        if self.engine() == Engine::Sqlite {
            return Ok(0);
        }
        self.read(move |conn| -> Result<_, DbError> {
            let Conn::Postgres(conn) = conn else {
                return Ok(0);
            };
            let query = sql_query(END).bind::<Double, _>(waited.as_secs_f64());
            Ok(query.get_result::<Ended>(conn)?.ended)
        })
        .await
    }
}
