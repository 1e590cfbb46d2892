//! What follows from one try: pure, so that every class of error can be tested without a socket.

use chrono::{NaiveDateTime, TimeDelta};

use super::failure::{Failure, Remedy};
use crate::bridge::availability::renewal::{MINUTE, day, end_of};
use crate::bridge::retry::Backoff;
use crate::bridge::routes::Repeat;
use crate::ids::DeliveryId;
use crate::models::delivery::Reason;

/// WeChat remembers a `client_msg_id` for 10 minutes; one of them is left for clocks and for the
/// call itself.
pub(super) const REMEMBERED: TimeDelta = TimeDelta::minutes(9);
/// The last moment to plan another try of an unsettled message for: what is due is not claimed
/// at once.
const LAST_PLANNED: TimeDelta = TimeDelta::seconds(510);
/// So far ahead may the clock of another process be. A try from later than that was made before the
/// clock went back, and nobody knows how long ago.
pub(super) const AHEAD: TimeDelta = TimeDelta::minutes(1);
/// What waited comes back over this many seconds, not all at once.
const AFTER_A_MINUTE: f64 = 15.0;
const AFTER_MIDNIGHT: f64 = 300.0;
/// When a message is sent again that was refused because the person does not follow, after that try:
/// time for their profile to say otherwise, which is sometimes behind as well.
const ASKED: [TimeDelta; 3] = [
    TimeDelta::seconds(10),
    TimeDelta::minutes(1),
    TimeDelta::minutes(10),
];

/// When to stop trying.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) backoff: Backoff,
    pub(super) max_attempts: i32,
    pub(super) max_age: TimeDelta,
    /// How long a claim holds.
    pub(super) lease: TimeDelta,
    /// How long what lacks the person's consent waits for it.
    pub(super) consent_wait: TimeDelta,
}

/// One try of a delivery.
#[derive(Clone, Copy, Debug)]
pub(super) struct Try {
    /// From 1, and from 1 again after a retry by hand; without those that the account spoilt.
    pub(super) number: i32,
    /// The same with those.
    pub(super) of_all: i32,
    /// When the delivery's tries began.
    pub(super) begun_at: NaiveDateTime,
    /// When it was claimed.
    pub(super) started_at: NaiveDateTime,
    /// When its outcome was known.
    pub(super) finished_at: NaiveDateTime,
    /// Start of the first try whose outcome is not known: this one, or an earlier one.
    pub(super) unsettled_since: NaiveDateTime,
    /// Whether it may be sent again though it may have been sent already.
    pub(super) repeat: Repeat,
}

/// What becomes of the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// WeChat took it, and will tell whether it arrived.
    Sent,
    /// It was taken on a channel that tells no more.
    Delivered,
    /// It stays queued.
    Again {
        due_at: NaiveDateTime,
        unsettled_since: Option<NaiveDateTime>,
    },
    /// It will not arrive.
    Failed { reason: Reason },
    /// It may have arrived, and trying again could notify twice.
    Unknown { reason: Reason },
}

/// Why a try is not made after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The message has expired meanwhile.
    Expired,
    /// An earlier try may have taken effect too long ago for WeChat to know this one for the same.
    Forgotten,
    /// The claim has run out, or may before there is an answer: another process may send it.
    Late,
}

impl Next {
    /// With another time for the next try.
    pub(super) fn due_by(self, change: impl Fn(NaiveDateTime) -> NaiveDateTime) -> Self {
        match self {
            Self::Again {
                due_at,
                unsettled_since,
            } => Self::Again {
                due_at: change(due_at),
                unsettled_since,
            },
            other => other,
        }
    }
}

impl Try {
    /// Whether an earlier try may have taken effect, and WeChat would not know it for the same.
    pub(super) fn is_too_late(&self) -> bool {
        match self.repeat {
            Repeat::Always => false,
            Repeat::Remembered => self.is_forgotten(self.started_at),
            Repeat::Never => self.unsettled_before().is_some(),
        }
    }

    /// Whether WeChat may not know any more, at that time, that an earlier try took effect.
    fn is_forgotten(&self, now: NaiveDateTime) -> bool {
        self.unsettled_before().is_some_and(|since| {
            let age = now - since;
            age >= REMEMBERED || age < -AHEAD
        })
    }

    /// Why it may not be made at that time, which is just before the call: whatever it waited for,
    /// or the machine itself, may have taken long.
    pub(super) fn stop(
        &self,
        now: NaiveDateTime,
        lease: TimeDelta,
        end: Option<NaiveDateTime>,
    ) -> Option<Stop> {
        if end.is_some_and(|end| end <= now) {
            return Some(Stop::Expired);
        }
        if self.repeat == Repeat::Remembered && self.is_forgotten(now) {
            return Some(Stop::Forgotten);
        }
        // Where another process would show it twice, or post it again for as long as the answer
        // takes, the answer has to come within the lease.
        let most = match self.repeat {
            Repeat::Remembered => lease,
            Repeat::Never | Repeat::Always => lease / 2,
        };
        let held = now - self.started_at;
        // A clock that went back says nothing of how long it is held.
        (held >= most || held < TimeDelta::zero()).then_some(Stop::Late)
    }

    /// Start of an earlier try whose outcome is not known. An answer to this one does not settle
    /// that one, unless WeChat took the message.
    pub(super) fn unsettled_before(&self) -> Option<NaiveDateTime> {
        (self.unsettled_since != self.started_at).then_some(self.unsettled_since)
    }

    /// What follows from a failure.
    pub(super) fn after(&self, failure: &Failure, limits: &Limits, jitter: f64) -> Next {
        let reason = match failure.remedy {
            Remedy::Never => return self.after_refusal(failure.reason),
            Remedy::Ambiguous => return self.after_silence(limits, jitter),
            Remedy::Retry | Remedy::Minute | Remedy::Midnight => Reason::GaveUp,
        };
        let unsettled_since = self.unsettled_before();
        if self.is_last(limits, failure.whole_account) {
            return match unsettled_since {
                Some(_) => Next::Unknown { reason },
                None => Next::Failed { reason },
            };
        }
        let number = match failure.whole_account {
            true => self.of_all,
            false => self.number,
        };
        let due_at = self.due_at(failure.remedy, number, limits, jitter);
        match unsettled_since {
            Some(since) if due_at > self.last_planned(since) => Next::Unknown {
                reason: Reason::Unsettled,
            },
            _ => Next::Again {
                due_at,
                unsettled_since,
            },
        }
    }

    /// When to send again what was refused because the person does not follow, should that be in
    /// doubt. Not where an earlier try may have taken effect.
    pub(super) fn asked_again(&self) -> Option<NaiveDateTime> {
        let number = usize::try_from(self.number).ok()?;
        let pause = ASKED.get(number.checked_sub(1)?)?;
        self.unsettled_before()
            .is_none()
            .then(|| self.finished_at + *pause)
    }

    /// A refusal says nothing of an earlier try: in which order WeChat looks at a message's id and at
    /// the person is not known, and an endpoint may refuse a repetition for just that.
    fn after_refusal(&self, reason: Reason) -> Next {
        match self.unsettled_before() {
            Some(_) => Next::Unknown { reason },
            None => Next::Failed { reason },
        }
    }

    fn after_silence(&self, limits: &Limits, jitter: f64) -> Next {
        let last = self.last_planned(self.unsettled_since);
        let is_last = self.is_last(limits, false);
        if is_last && self.repeat == Repeat::Always {
            return Next::Unknown {
                reason: Reason::GaveUp,
            };
        }
        if self.repeat == Repeat::Never || is_last || self.finished_at >= last {
            return Next::Unknown {
                reason: Reason::Unsettled,
            };
        }
        Next::Again {
            due_at: self
                .due_at(Remedy::Retry, self.number, limits, jitter)
                .min(last),
            unsettled_since: Some(self.unsettled_since),
        }
    }

    /// The last moment to plan another try for, where one may have taken effect.
    fn last_planned(&self, unsettled_since: NaiveDateTime) -> NaiveDateTime {
        match self.repeat {
            Repeat::Always => NaiveDateTime::MAX,
            Repeat::Remembered | Repeat::Never => unsettled_since + LAST_PLANNED,
        }
    }

    /// When to try again after so many tries.
    fn due_at(&self, remedy: Remedy, number: i32, limits: &Limits, jitter: f64) -> NaiveDateTime {
        let now = self.finished_at;
        let pause = limits.backoff.pause(number - 1, jitter);
        match remedy {
            Remedy::Midnight => {
                let spread = TimeDelta::milliseconds((AFTER_MIDNIGHT * 1_000.0 * jitter) as i64);
                // Of the day whose quota it was, which may be over by now.
                (end_of(day(self.started_at)) + spread).max(now + pause)
            }
            Remedy::Minute => {
                let spread = TimeDelta::milliseconds((AFTER_A_MINUTE * 1_000.0 * jitter) as i64);
                now + pause.max(MINUTE + spread)
            }
            Remedy::Never | Remedy::Retry | Remedy::Ambiguous => now + pause,
        }
    }

    /// Where WeChat refuses the account, the tries of one message are no measure, now or later.
    fn is_last(&self, limits: &Limits, whole_account: bool) -> bool {
        let enough = self.number >= limits.max_attempts && !whole_account;
        enough || self.finished_at - self.begun_at >= limits.max_age
    }
}

/// The same for every try of a delivery, and unlike that of any other. The nonce tells
/// installations apart that send through the same account. A retry by hand is a message of its own:
/// under the old id WeChat would take it and not send it.
pub(super) fn client_msg_id(nonce: i64, id: DeliveryId, spent: i32) -> String {
    let message = format!("q{:08x}{:x}", nonce as u32, id.0);
    match spent {
        0 => message,
        // As many digits as WeChat's limit of 32 leaves at least.
        spent => format!("{message}r{:x}", spent & 0xff_ffff),
    }
}

#[cfg(test)]
mod tests;
