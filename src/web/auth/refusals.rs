//! What is refused for who asks: counted, and logged with one line per cause and second.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::metrics;
use crate::web::error::Code;

/// What was refused, by its cause: when a line was last written, and how many there were since.
#[derive(Debug, Default)]
pub(in crate::web) struct Refusals(Mutex<HashMap<&'static str, (i64, u64)>>);

impl Refusals {
    /// Counts what is refused for who asks.
    pub(in crate::web) fn note(&self, code: Code, second: i64) {
        let is_about_who = matches!(
            code,
            Code::Unauthorized
                | Code::MissingScope
                | Code::MissingRole
                | Code::UserNeeded
                | Code::UnknownProject
                | Code::CrossSite
                | Code::SignInRefused
                | Code::SignInPaused
                | Code::OidcRefused
        );
        if !is_about_who {
            return;
        }
        metrics::api_refused(code.word());
        if let Some(count) = self.due(code.word(), second) {
            tracing::warn!(cause = code.word(), count, "requests to the API refused");
        }
    }

    /// How many there were since the last line, if another one may be written.
    fn due(&self, cause: &'static str, second: i64) -> Option<u64> {
        let mut causes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, unlogged) = causes.entry(cause).or_insert((i64::MIN, 0));
        *unlogged += 1;
        (*last != second).then(|| {
            *last = second;
            std::mem::take(unlogged)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_logged_once_a_second_with_how_many_there_were() {
        let refusals = Refusals::default();
        assert_eq!(refusals.due("a", 1), Some(1));
        assert_eq!((refusals.due("a", 1), refusals.due("a", 1)), (None, None));
        assert_eq!(refusals.due("b", 1), Some(1));
        assert_eq!(refusals.due("a", 2), Some(3));
    }
}
