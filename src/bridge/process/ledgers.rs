//! The ledgers of permissions, kept short.

use crate::bridge::{Bridge, Step};
use crate::clock::Clock;
use crate::db::{Db, DbError};
use crate::models::credit::{self, Folded};

/// Keeps the ledgers of permissions short.
pub(in crate::bridge) struct LedgerFolder {
    db: Db,
    clock: Clock,
}

impl LedgerFolder {
    pub(in crate::bridge) fn of(bridge: &Bridge) -> Self {
        wire!(bridge => Self { db, clock })
    }

    /// Makes old entries of some ledgers one opening balance, a bounded number of them.
    ///
    /// # Errors
    /// If the database fails; they are folded later.
    pub(in crate::bridge) async fn step(&self) -> Result<Step, DbError> {
        let now = self.clock.now().and_utc().timestamp();
        // Looked at first, because a write transaction is one of many and this is mostly idle.
        let old = self.db.read(move |conn| credit::has_old(conn, now));
        if !old.await? {
            return Ok(Step::Idle);
        }
        let folded = self.db.write(move |conn| credit::fold_old(conn, now));
        Ok(match folded.await? {
            Folded { passed: 0, .. } => Step::Idle,
            _ => Step::Worked,
        })
    }
}
