//! Failed events, in bulk, once more.

use crate::bridge::Bridge;
use crate::db::DbError;
use crate::ids::AccountId;
use crate::models::event::{self, Filter};

/// Events of one replay at the most: all of them are read.
pub const MAX_REPLAYED: i64 = 500;

/// What became of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// How many wait to be processed again.
    pub taken: usize,
    /// Where to go on, if there may be more.
    pub next: Option<i64>,
}

impl Bridge {
    /// Lets failed events of these accounts that match be processed once more, `limit` at the most.
    ///
    /// # Errors
    /// If the database fails; then none is.
    pub async fn replay_events(
        &self,
        accounts: Vec<AccountId>,
        filter: Filter,
        limit: i64,
    ) -> Result<Replayed, DbError> {
        let filter = Filter {
            failed: true,
            ..filter
        };
        let limit = limit.clamp(1, MAX_REPLAYED);
        let replayed = self
            .db
            .write(move |conn| {
                let page = event::list(conn, &accounts, &filter, limit)?;
                let ids: Vec<_> = page.found.iter().map(|event| event.id).collect();
                Ok::<_, DbError>(Replayed {
                    taken: event::requeue_failed(conn, &ids)?,
                    next: page.next,
                })
            })
            .await?;
        if replayed.taken > 0 {
            self.signals.events.notify_one();
        }
        Ok(replayed)
    }
}
