//! Other processes that stand still with rows locked that this one needs.

use std::sync::Arc;
use std::time::Duration;

use crate::bridge::{Bridge, Step};
use crate::config::Config;
use crate::db::{Db, DbError};

/// Ends the sessions of processes that stand still.
pub(in crate::bridge) struct StoppedSessions {
    db: Db,
    config: Arc<Config>,
}

impl StoppedSessions {
    pub(in crate::bridge) fn of(bridge: &Bridge) -> Self {
        wire!(bridge => Self { db, config })
    }

    /// Ends their sessions, so that everybody else goes on. What they had begun is rolled back; when they
    /// wake up, they begin it again.
    ///
    /// # Errors
    /// If the database does not answer.
    pub(in crate::bridge) async fn step(&self) -> Result<Step, DbError> {
        let settings = &self.config.database;
        let waited = Duration::from_millis(settings.idle_in_transaction_timeout_ms);
        let ended = self.db.end_stopped(waited).await?;
        if ended > 0 {
            tracing::warn!(
                sessions = ended,
                "a process stands still in the middle of a statement: its sessions were ended"
            );
        }
        Ok(Step::Idle)
    }
}
