//! The part of the service that a process is.

use clap::ValueEnum;

/// What a process does, so that replicas can be split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Role {
    /// Everything.
    #[default]
    All,
    /// Callbacks and the API.
    Web,
    /// The work behind them.
    Worker,
}
