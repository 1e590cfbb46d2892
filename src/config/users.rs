//! Settings of signing in.

use chrono::TimeDelta;
use serde::Deserialize;

/// People who sign in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Users {
    /// Whether they may do so by a password of ours.
    pub local: bool,
    /// How long a session may be left alone, seconds.
    pub session_idle_seconds: u32,
    /// How long a session lasts in any case, seconds.
    pub session_seconds: u32,
    /// Whether a proxy in front says from where they come.
    pub behind_proxy: bool,
}

impl Users {
    /// How long a session may be left alone.
    pub fn session_idle(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.session_idle_seconds))
    }

    /// How long a session lasts in any case.
    pub fn session_length(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.session_seconds))
    }
}
