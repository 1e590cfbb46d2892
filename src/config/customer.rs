//! Settings of what WeChat allows of customer messages.

use serde::Deserialize;

/// What WeChat allows of customer messages: how many, and for how many seconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Customer {
    /// Messages after somebody wrote.
    pub spoke_messages: u32,
    /// For how long, seconds.
    pub spoke_seconds: u32,
    /// Messages after somebody followed a service account, scanned its code or tapped its menu.
    pub acted_messages: u32,
    /// For how long, seconds.
    pub acted_seconds: u32,
    /// Messages after somebody entered a mini-program's chat.
    pub entered_messages: u32,
    /// For how long, seconds.
    pub entered_seconds: u32,
    /// Longest text, bytes of UTF-8.
    pub text_bytes: usize,
}
