//! The ledgers of permissions, kept short.

use crate::bridge::{Bridge, Step};
use crate::db::DbError;
use crate::models::credit::{self, Folded};

impl Bridge {
    /// Makes old entries of some ledgers one opening balance, a bounded number of them.
    ///
    /// # Errors
    /// If the database fails; they are folded later.
    pub async fn ledger_step(&self) -> Result<Step, DbError> {
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
