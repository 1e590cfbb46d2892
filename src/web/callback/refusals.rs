//! What is logged of callbacks that are not taken in: one line for an account, a cause and a second, however many come,
//! with how many there were. The metric counts each.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use actix_web::http::StatusCode;

/// Pairs of account and cause that are logged in one second; those beyond are only counted by the metric.
const LINES_PER_SECOND: usize = 256;

/// An account's AppID and a cause.
type Key = (String, &'static str);

/// What this second's lines have logged.
#[derive(Default)]
pub(in crate::web) struct Refusals(Mutex<LoggedRefusals>);

#[derive(Default)]
struct LoggedRefusals {
    second: i64,
    /// How many came after the line.
    more: HashMap<Key, u64>,
}

/// One callback that is not taken in.
pub(super) struct RefusedCallback<'a> {
    pub(super) app_id: &'a str,
    pub(super) cause: &'static str,
    pub(super) status: StatusCode,
    pub(super) error: &'a dyn std::fmt::Display,
}

impl Refusals {
    /// Logs it, unless this second has a line like it already.
    pub(super) fn log(&self, refused: &RefusedCallback<'_>, second: i64) {
        let (is_first, past) = self.count(refused, second);
        for ((app_id, cause), more) in past {
            tracing::warn!(account.app_id = %app_id, cause, more, "callbacks refused: more of the same second");
        }
        let RefusedCallback {
            app_id,
            cause,
            status,
            error,
        } = *refused;
        if !is_first {
            return;
        }
        if status.is_server_error() {
            tracing::error!(account.app_id = app_id, cause, error = %error, "callback not taken");
        } else {
            tracing::warn!(account.app_id = app_id, cause, error = %error, "callback refused");
        }
    }

    /// Whether it is the first of its second, and what was left out in the seconds before.
    fn count(&self, refused: &RefusedCallback<'_>, second: i64) -> (bool, Vec<(Key, u64)>) {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut past = Vec::new();
        if logged.second != second {
            logged.second = second;
            past.extend(logged.more.drain().filter(|(_, more)| *more > 0));
        }
        let key = (refused.app_id.to_owned(), refused.cause);
        if let Some(more) = logged.more.get_mut(&key) {
            *more += 1;
            return (false, past);
        }
        let is_logged = logged.more.len() < LINES_PER_SECOND;
        if is_logged {
            logged.more.insert(key, 0);
        }
        (is_logged, past)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<'a>(app_id: &'a str, cause: &'static str) -> RefusedCallback<'a> {
        let status = StatusCode::FORBIDDEN;
        RefusedCallback {
            app_id,
            cause,
            status,
            error: &"no",
        }
    }

    #[test]
    fn one_line_for_an_account_a_cause_and_a_second_and_the_next_second_logs_the_rest() {
        let refusals = Refusals::default();
        let count = |app_id, cause, second| refusals.count(&refused(app_id, cause), second);
        assert!(count("a", "x", 1).0);
        assert!(!count("a", "x", 1).0);
        assert!(!count("a", "x", 1).0);
        assert!(count("a", "y", 1).0);
        assert!(count("b", "x", 1).0);
        let (is_first, past) = count("a", "x", 2);
        assert!(is_first);
        assert_eq!(past, [(("a".to_owned(), "x"), 2)]);
        assert_eq!(count("a", "x", 3).1, []);
    }

    #[test]
    fn not_too_many_are_logged_in_a_second() {
        let refusals = Refusals::default();
        let logged = (0..1000)
            .filter(|n| refusals.count(&refused(&n.to_string(), "x"), 1).0)
            .count();
        assert_eq!(logged, LINES_PER_SECOND);
    }
}
