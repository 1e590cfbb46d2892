//! Logs: one line per event, fields rather than prose, text for people or JSON for machines.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging to standard error. `filter` is as in `RUST_LOG`, for example `queqiao=debug`.
///
/// Nothing below our own crates is shown above `warn` by default: HTTP libraries log URLs, and
/// WeChat's URLs carry the access token.
pub fn start(format: Format, filter: Option<&str>) {
    let filter = match filter {
        Some(filter) => EnvFilter::new(filter),
        // What it says of requests that are none is a stranger's to repeat without end.
        None => EnvFilter::new("warn,actix_http=off,queqiao=info"),
    };
    // A file or a journal keeps the colours' control characters as they are.
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr);
    // A second call, in a test process, leaves the first logger in place.
    let _ = match format {
        Format::Text => builder.try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// How often a line of one kind is written at the most.
const SELDOM: Duration = Duration::from_secs(1);
/// Kinds of lines that are remembered.
const KINDS: usize = 1_000;

/// For lines that would come by the thousand in an outage: whether to write one of this kind now, and
/// how many were not written since the last one.
pub fn now_and_then(kind: &str) -> Option<u64> {
    static LAST: Mutex<Option<Last>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    last.get_or_insert_default().take(kind, Instant::now())
}

/// When a line of each kind was last written, and how many were not since then.
#[derive(Debug, Default)]
struct Last(HashMap<String, (Instant, u64)>);

impl Last {
    fn take(&mut self, kind: &str, now: Instant) -> Option<u64> {
        if let Some((at, unsaid)) = self.0.get_mut(kind) {
            if now.duration_since(*at) < SELDOM {
                *unsaid += 1;
                return None;
            }
            *at = now;
            return Some(std::mem::take(unsaid));
        }
        if self.0.len() >= KINDS {
            self.0.retain(|_, (at, _)| now.duration_since(*at) < SELDOM);
        }
        if self.0.len() < KINDS {
            self.0.insert(kind.to_owned(), (now, 0));
        }
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_one_kind_comes_once_a_second_and_says_how_many_did_not() {
        let (mut last, start) = (Last::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(last.take("a", at(0)), Some(0));
        assert_eq!(last.take("a", at(1)), None);
        assert_eq!(last.take("b", at(1)), Some(0));
        assert_eq!(last.take("a", at(999)), None);
        assert_eq!(last.take("a", at(1_000)), Some(2));
        assert_eq!(last.take("a", at(1_999)), None);
        for kind in 0..2 * KINDS {
            last.take(&kind.to_string(), at(2_500));
        }
        assert!(last.0.len() <= KINDS);
    }
}
