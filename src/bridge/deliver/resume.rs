//! Sending again after a pause: by itself when a call works, or by hand.

use chrono::NaiveDateTime;

use crate::bridge::Bridge;
use crate::bridge::accounts::AccountError;
use crate::db::{Conn, DbError};
use crate::ids::{AccountId, ProjectId};
use crate::models::account_pause::{self, Named, PauseKind, PauseReason};
use crate::models::{account, delivery};

/// What was resumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resumed {
    /// Pauses that were lifted.
    pub lifted: usize,
    /// Deliveries that waited for them, and are due at once.
    pub hastened: usize,
}

impl Bridge {
    /// Lifts all pauses of an account of a project; none if there is no such account.
    ///
    /// # Errors
    /// If the database does not do it.
    pub async fn resume_account(
        &self,
        project: ProjectId,
        app_id: &str,
    ) -> Result<Option<Resumed>, AccountError> {
        let (app_id, now) = (app_id.to_owned(), self.clock.now());
        let resumed = self.db.write(move |conn| {
            let found = account::by_app_id(conn, &app_id)?;
            let Some(found) = found.filter(|found| found.project_id == project) else {
                return Ok::<_, DbError>(None);
            };
            let words: Vec<&str> = PauseReason::ALL.iter().map(|word| word.as_str()).collect();
            // In the order of those who send, so that none waits for the other.
            let lifted = account_pause::clear(conn, found.id)?;
            let resumed = resumed(conn, found.id, lifted, &words, now)?;
            tracing::info!(account.app_id = app_id, "account resumed by hand");
            Ok(Some(resumed))
        });
        let resumed = resumed.await?;
        if resumed.is_some() {
            self.wake_delivery();
        }
        Ok(resumed)
    }
}

/// Lifts the pauses in which an account's owner had to act, because they have changed the account:
/// what waited for them is due at once.
pub(in crate::bridge) fn after_change(
    conn: &mut Conn,
    account: AccountId,
    now: NaiveDateTime,
) -> diesel::QueryResult<Resumed> {
    let lifted = account_pause::forgive(conn, account)?;
    let reason = PauseReason::AccountProblem.as_str();
    resumed(conn, account, lifted, &[reason], now)
}

fn resumed(
    conn: &mut Conn,
    account: AccountId,
    lifted: usize,
    reasons: &[&'static str],
    now: NaiveDateTime,
) -> diesel::QueryResult<Resumed> {
    let hastened = delivery::hasten(conn, account, reasons, now)?;
    account::clear_problem(conn, account)?;
    Ok(Resumed { lifted, hastened })
}

/// Makes due what waited for pauses that are over. What waited for WeChat to be less busy has its own
/// time, and not a far one.
pub(super) fn make_due(
    conn: &mut Conn,
    account: AccountId,
    lifted: &[Named],
    now: NaiveDateTime,
) -> diesel::QueryResult<usize> {
    let stopped = lifted
        .iter()
        .filter(|pause| pause.kind == PauseKind::Stopped);
    let words: Vec<&str> = stopped.map(|pause| pause.reason.as_str()).collect();
    match words.is_empty() {
        true => Ok(0),
        false => delivery::hasten(conn, account, &words, now),
    }
}
