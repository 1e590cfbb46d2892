//! Logs: one line per event, fields rather than prose, text for people or JSON for machines.

use std::io::IsTerminal as _;

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
        None => EnvFilter::new("warn,queqiao=info"),
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
