//! Requests with WeChat's parameters that no route or account takes: a callback URL that was typed wrongly in
//! WeChat's console, or changed by a proxy. WeChat says nothing about it, so Queqiao does.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};

use actix_web::{HttpRequest, HttpResponse, web};

use super::State;
use crate::metrics;
use crate::wechat::callback::Query;

/// Paths that are logged in one minute; the others are only counted.
const PATHS_PER_MINUTE: usize = 64;
/// Characters of a path in the log.
const PATH_SHOWN_MAX: usize = 200;

/// The paths that this minute's lines have.
#[derive(Default)]
pub(super) struct Strays(Mutex<LoggedPaths>);

#[derive(Default)]
struct LoggedPaths {
    minute: i64,
    paths: HashSet<u64>,
}

impl Strays {
    /// Whether a line about this path may be written: one for each path and minute, and not many in all.
    fn may_log(&self, path: &str, seconds: i64) -> bool {
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        let minute = seconds.div_euclid(60);
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.minute != minute {
            logged.minute = minute;
            logged.paths.clear();
        }
        logged.paths.len() < PATHS_PER_MINUTE && logged.paths.insert(hasher.finish())
    }

    /// Counts a callback whose path leads to no account, and logs it if it may be WeChat's.
    pub(super) fn unknown_account(&self, state: &State, request: &HttpRequest) {
        metrics::callback("unknown_account");
        if is_like_wechats(request)
            && self.may_log(request.path(), state.bridge.clock.unix_seconds())
        {
            tracing::warn!(
                path = shown(request.path()),
                cause = "unknown_account",
                "callback refused: no account has this app id; the path is /callback/ and the AppID of an account"
            );
        }
    }

    /// Counts and logs a request that no route takes, if it may be WeChat's.
    pub(super) fn unknown_path(&self, state: &State, request: &HttpRequest) {
        if !is_like_wechats(request) {
            return;
        }
        metrics::callback("unknown_path");
        if self.may_log(request.path(), state.bridge.clock.unix_seconds()) {
            tracing::warn!(
                path = shown(request.path()),
                method = %request.method(),
                cause = "unknown_path",
                "callback refused: no route has this path; the callback URL is /callback/ and the AppID of an account"
            );
        }
    }
}

fn is_like_wechats(request: &HttpRequest) -> bool {
    Query::parse(request.query_string()).is_like_wechats()
}

/// A stranger's text, without its query, for a log.
fn shown(path: &str) -> String {
    path.chars()
        .take(PATH_SHOWN_MAX)
        .collect::<String>()
        .escape_debug()
        .to_string()
}

/// What no route takes.
pub(super) async fn nowhere(
    state: web::Data<State>,
    strays: web::Data<Strays>,
    request: HttpRequest,
) -> HttpResponse {
    strays.unknown_path(&state, &request);
    HttpResponse::NotFound().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_logged_once_a_minute_and_not_too_many_are() {
        let strays = Strays::default();
        assert!(strays.may_log("/a", 60));
        assert!(!strays.may_log("/a", 119));
        assert!(strays.may_log("/b", 61));
        assert!(strays.may_log("/a", 120));
        let logged = (0..1000)
            .filter(|n| strays.may_log(&n.to_string(), 130))
            .count();
        assert_eq!(logged, PATHS_PER_MINUTE - 1);
    }

    #[test]
    fn a_path_in_the_log_is_short_and_has_no_control_characters() {
        assert_eq!(shown("/a\u{1b}[31m\n"), "/a\\u{1b}[31m\\n");
        assert_eq!(shown(&"x".repeat(9_999)).len(), PATH_SHOWN_MAX);
    }
}
