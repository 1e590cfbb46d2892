//! Waiting for somebody's consent: WeChat's event of it races the app's request to notify, so what
//! lacks nothing else waits for a while before it counts as unreachable.

use chrono::{NaiveDateTime, TimeDelta};

use super::decide::Decision;
use crate::models::delivery::Reason;
use crate::models::staff::ReachRow;

/// How soon after the first look a second one follows: a consent that was committed at the same
/// moment as the request may have missed it.
const SECOND_LOOK: TimeDelta = TimeDelta::seconds(1);

/// Until when what lacks a permission, which was there when it was planned, waits for another: for
/// `wait` from `since`. None if that is over.
pub(in crate::bridge) fn until(
    wait: TimeDelta,
    since: NaiveDateTime,
    now: NaiveDateTime,
) -> Option<NaiveDateTime> {
    let until = since + wait;
    (until > now).then_some(until)
}

/// When what begins to wait is looked at for the second time.
pub(in crate::bridge) fn second_look(now: NaiveDateTime) -> NaiveDateTime {
    now + SECOND_LOOK
}

/// A delivery that waits for consent.
pub(in crate::bridge) struct Waiting<'a> {
    /// The route that the consent opens.
    pub(in crate::bridge) route: i32,
    /// Whose consent it is.
    pub(in crate::bridge) to: &'a ReachRow,
    pub(in crate::bridge) reason: Reason,
    pub(in crate::bridge) detail: String,
    /// When it ends, if nothing comes.
    until: NaiveDateTime,
    /// When the wait began, or begins.
    since: NaiveDateTime,
}

impl<'a> Waiting<'a> {
    /// Whether a decision leaves something to wait for: for `wait` from `since`, at most until
    /// `expires_at`. `now` is the time of the decision.
    pub(in crate::bridge) fn of(
        decision: &Decision<'a>,
        wait: TimeDelta,
        (since, expires_at): (NaiveDateTime, Option<NaiveDateTime>),
        now: NaiveDateTime,
    ) -> Option<Self> {
        let (route, to) = decision.awaiting.filter(|_| wait > TimeDelta::zero())?;
        let end = since + wait;
        let until = expires_at.map_or(end, |expires_at| expires_at.min(end));
        if until <= now {
            return None;
        }
        let of_route = |one: &&super::planner::Considered| i32::try_from(one.route) == Ok(route);
        let why = decision.considered.iter().find(of_route);
        let why = why.map_or("", |one| one.detail.as_str());
        let time = until.format("%F %H:%M:%S UTC");
        Some(Self {
            route,
            to,
            reason: Reason::WaitingForConsent,
            detail: format!(
                "{why} The message waits for it until {time}, and is sent if it comes."
            ),
            until,
            since,
        })
    }

    /// When to look again, if no consent is heard of before.
    pub(in crate::bridge) fn next_look(&self, now: NaiveDateTime) -> NaiveDateTime {
        let second = self.since + SECOND_LOOK;
        match now < second {
            true => self.until.min(second),
            false => self.until,
        }
    }
}
