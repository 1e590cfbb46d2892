//! Pauses of accounts as deliveries see them: set, and published.

use chrono::NaiveDateTime;

use super::renewal::{day, end_of};
use crate::bridge::retry::{Backoff, jitter};
use crate::db::{Conn, QueryResult};
use crate::metrics;
use crate::models::account::pause::{self, Named, NewPause, PauseKind, PauseReason};
use crate::models::account::resumption;
use crate::models::delivery::Reason;

/// The first and the longest pause, in seconds, between the tries before midnight where the quota or the
/// budget of the day is used up: it may
/// have been raised or cleared, or WeChat's day have begun a moment after ours.
pub(in crate::bridge) const USED_UP: (u64, u64) = (300, 3_600);

/// Why a delivery waits, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    /// When to try again, UTC.
    pub(crate) until: NaiveDateTime,
    /// A stable word for why.
    pub(crate) reason: Reason,
    /// The same in a sentence.
    pub(crate) detail: String,
    /// The call of the account that is paused, or [`ALL_CALLS`], and why, where that may be over long
    /// before.
    pub(crate) far: Option<(String, PauseReason)>,
}

/// When what is used up until midnight is tried before that; not at all, if midnight is near.
pub(crate) fn tried_again(now: NaiveDateTime, failures: i32) -> Option<NaiveDateTime> {
    let (first, longest) = USED_UP;
    let again = now + Backoff::seconds(first, longest).pause(failures, jitter());
    (again < end_of(day(now))).then_some(again)
}

/// Sets or renews pauses, and returns those that nobody has been told of yet. What waits for another reason
/// than such a pause has from now on is made due, and comes to wait for that.
pub(crate) fn set(
    conn: &mut Conn,
    rows: &[NewPause],
    now: NaiveDateTime,
) -> QueryResult<Vec<Named>> {
    let before = pause::of_other_reasons(conn, rows)?;
    pause::set(conn, rows)?;
    for pause in before.iter().filter(|pause| pause.is_far(now)) {
        resumption::note(conn, pause.account_id, [pause.reason], now)?;
    }
    pause::alert(conn, rows)
}

/// Tells of pauses that have begun, each once in all processes.
pub(crate) fn log_set(app_id: &str, begun: &[Named], pauses: &[NewPause]) {
    for named in begun {
        metrics::account_paused(named.reason.as_str());
        let found = pauses
            .iter()
            .find(|pause| pause.account_id == named.account_id && pause.call == named.call);
        let Some(pause) = found else { continue };
        match named.kind {
            PauseKind::Stopped => tracing::error!(
                account.app_id = app_id,
                wechat.call = %named.call,
                pause.reason = %named.reason,
                pause.detail = %pause.detail,
                "account stopped: its owner has to act"
            ),
            PauseKind::BackingOff | PauseKind::UsedUp => tracing::warn!(
                account.app_id = app_id,
                wechat.call = %named.call,
                pause.reason = %named.reason,
                pause.until = %pause.until,
                pause.detail = %pause.detail,
                "account paused"
            ),
        }
    }
}

/// Tells of pauses that are over.
pub(crate) fn log_lifted(app_id: &str, lifted: &[Named]) {
    for named in lifted {
        tracing::info!(
            account.app_id = app_id,
            wechat.call = %named.call,
            pause.reason = %named.reason,
            "account sends again"
        );
    }
}
