//! What came of a claimed delivery: tried, or why not.

use chrono::NaiveDateTime;

use super::failure::Failure;
use super::outcome::Next;
use crate::bridge::availability::pause::Pause;
use crate::models::delivery::DeliveryState;

/// What came of a claimed delivery.
#[allow(
    clippy::large_enum_variant,
    reason = "nearly every delivery is tried, so a box would cost each of them"
)]
pub(super) enum AttemptResult {
    /// It was tried.
    Tried {
        finished_at: NaiveDateTime,
        next: Next,
        msgid: Option<i64>,
        failure: Option<Failure>,
        /// When WeChat refused the message with its mini-program, and how, if this one went without.
        with_link: Option<(NaiveDateTime, Failure)>,
        /// When to send again, should it be in doubt whether the person follows.
        doubted: Option<NaiveDateTime>,
    },
    /// It was tried with its mini-program, which WeChat refused, and then not without it.
    Halfway {
        /// When WeChat refused it, and how.
        with_link: (NaiveDateTime, Failure),
        /// Why it was not tried once more.
        then: Box<AttemptResult>,
    },
    /// It was not tried, because the account may not send before `due_at`.
    Postponed { due_at: NaiveDateTime, pause: Pause },
    /// It was not tried, because the permission that was there has been used. Another may be on its
    /// way.
    AwaitsConsent {
        due_at: NaiveDateTime,
        detail: String,
    },
    /// It was not tried, because an earlier try may have taken effect too long ago.
    TooLate,
    /// It was not tried, because it is not to be sent any more, as was found `at` that time.
    Withdrawn {
        state: DeliveryState,
        at: NaiveDateTime,
    },
    /// It was not tried, and is to be claimed again: it does not go where it was planned to go.
    GivenBack { due_at: NaiveDateTime },
    /// It was not tried, because the account has been paused for longer than the delivery may wait.
    GivenUp { pause: Pause },
}

impl AttemptResult {
    pub(super) fn wait(pause: Pause) -> Self {
        let due_at = pause.until;
        Self::Postponed { due_at, pause }
    }
}
