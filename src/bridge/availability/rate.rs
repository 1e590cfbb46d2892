//! Rates: which calls of an account rest until the next second or minute, and when what goes beyond may
//! go. Pure, so that it can be tested without sending.
//!
//! A rate belongs to a call. What goes beyond it is put off, so that what is due is always what may go,
//! whichever call that takes. As many are put off to each second or minute as may be sent in it: so a
//! queue is not claimed over and over. Nobody is put before those who came earlier.

use std::collections::BTreeMap;

use chrono::{NaiveDateTime, TimeDelta};

/// How far ahead a place is given. What finds none looks again then, in the order in which it came: by that
/// time others may have been cancelled, or the rate be another one.
const FARTHEST: TimeDelta = TimeDelta::minutes(10);
/// Between two that look again: what a timestamp can tell apart.
const APART: TimeDelta = TimeDelta::microseconds(1);

/// A rate that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// When the next second or minute begins.
    pub(crate) until: NaiveDateTime,
    /// A second or a minute.
    pub(crate) period: TimeDelta,
    /// How many calls may be made in it.
    pub(crate) most: i64,
}

/// The calls of an account whose rate was used up.
#[derive(Debug, Default)]
pub(crate) struct Rests(BTreeMap<&'static str, Rest>);

#[derive(Debug)]
struct Rest {
    rate: Rate,
    /// Up to where places are given, by the rank of the priority and the period.
    ends: BTreeMap<(i32, TimeDelta), End>,
}

#[derive(Clone, Copy, Debug)]
struct End {
    at: NaiveDateTime,
    /// Places given in that period.
    given: i64,
    /// When those look again that found no place, and when the last of them does: until then, whoever
    /// comes stands behind them.
    full: Option<(NaiveDateTime, NaiveDateTime)>,
}

impl Rests {
    /// A call rests.
    pub(crate) fn begin(&mut self, call: &'static str, rate: Rate) {
        let rest = self.0.entry(call).or_insert_with(|| Rest {
            rate,
            ends: BTreeMap::new(),
        });
        // Another loop may have found a longer rest.
        if rest.rate.until < rate.until {
            rest.rate = rate;
        }
    }

    /// Those that rest now.
    pub(crate) fn now(&self, now: NaiveDateTime) -> Vec<(&'static str, Rate)> {
        let resting = self.0.iter().filter(|(_, rest)| now < rest.rate.until);
        resting.map(|(call, rest)| (*call, rest.rate)).collect()
    }

    pub(crate) fn has_places(&self) -> bool {
        self.0.values().any(|rest| !rest.ends.is_empty())
    }

    /// What was given a place may not need it any more. Where some have found none, nobody gets theirs.
    pub(crate) fn forget_places(&mut self, now: NaiveDateTime) {
        let is_full = |end: &End| end.full.is_some_and(|(begin, _)| now < begin);
        for rest in self.0.values_mut() {
            rest.ends.retain(|_, end| is_full(end));
        }
    }

    /// When one more message of a priority may go that takes this call.
    pub(crate) fn put_off(
        &mut self,
        call: &'static str,
        rank: i32,
        rate: Rate,
        now: NaiveDateTime,
    ) -> NaiveDateTime {
        let Some(rest) = self.0.get_mut(call) else {
            return rate.until;
        };
        let first = End {
            at: rate.until,
            given: 0,
            full: None,
        };
        let end = rest.ends.entry((rank, rate.period)).or_insert(first);
        if let Some((begin, last)) = end.full.filter(|(begin, _)| now < *begin) {
            let next = last + APART;
            end.full = Some((begin, next));
            return next;
        }
        end.full = None;
        if end.at < rate.until {
            *end = first;
        }
        if end.given >= rate.most.max(1) {
            end.at += rate.period;
            end.given = 0;
        }
        let farthest = (now + FARTHEST).max(rate.until);
        if end.at > farthest {
            end.full = Some((farthest, farthest));
            return farthest;
        }
        end.given += 1;
        end.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> NaiveDateTime {
        let time = chrono::DateTime::from_timestamp(1_790_000_000 + seconds, 0);
        time.unwrap().naive_utc()
    }

    fn rate(until: i64, period: i64, most: i64) -> Rate {
        Rate {
            until: at(until),
            period: TimeDelta::seconds(period),
            most,
        }
    }

    fn put_off(rests: &mut Rests, rank: i32, rate: Rate, count: usize) -> Vec<i64> {
        let now = rate.until - TimeDelta::seconds(1);
        let times = (0..count).map(|_| rests.put_off("a", rank, rate, now));
        times.map(|time| (time - at(0)).num_seconds()).collect()
    }

    #[test]
    fn a_call_rests_until_its_time_and_no_other_one() {
        let mut rests = Rests::default();
        assert_eq!(rests.now(at(0)), []);
        rests.begin("a", rate(60, 60, 2));
        rests.begin("a", rate(1, 1, 1));
        rests.begin("b", rate(1, 1, 1));
        let calls = |seconds| {
            let resting = rests.now(at(seconds)).into_iter();
            resting.map(|(call, _)| call).collect::<Vec<_>>()
        };
        assert_eq!(calls(0), ["a", "b"]);
        assert_eq!(calls(1), ["a"]);
        assert_eq!(calls(60), Vec::<&str>::new());
    }

    #[test]
    fn each_period_is_given_to_as_many_as_may_go_in_it() {
        let mut rests = Rests::default();
        let minute = rate(60, 60, 2);
        rests.begin("a", minute);
        assert_eq!(put_off(&mut rests, 1, minute, 5), [60, 60, 120, 120, 180]);
        // Whoever is more urgent does not stand behind them.
        assert_eq!(put_off(&mut rests, 0, minute, 1), [60]);
        // What goes beyond the rate of a second does not wait for minutes.
        assert_eq!(put_off(&mut rests, 1, rate(1, 1, 1), 2), [1, 2]);
        let next = rate(120, 60, 2);
        rests.begin("a", next);
        assert_eq!(put_off(&mut rests, 1, next, 2), [180, 240]);
        let later = rate(600, 60, 2);
        rests.begin("a", later);
        assert_eq!(
            put_off(&mut rests, 1, later, 1),
            [600],
            "no place in the past"
        );
    }

    #[test]
    fn no_place_is_given_far_ahead() {
        let mut rests = Rests::default();
        let minute = rate(60, 60, 1);
        rests.begin("a", minute);
        let times = put_off(&mut rests, 1, minute, 1_000);
        assert_eq!(times[9], 600);
        assert!(
            times[10..].iter().all(|time| *time == 59 + 600),
            "{times:?}"
        );
    }

    /// Two a minute, of which there are more all the time than may go.
    #[test]
    fn nobody_passes_those_who_found_no_place() {
        let mut rests = Rests::default();
        let mut waiting: BTreeMap<NaiveDateTime, Vec<usize>> = BTreeMap::new();
        let (mut sent, mut came) = (Vec::new(), 0);
        for minute in 0..120 {
            let begin = at(minute * 60);
            let rate = rate(minute * 60 + 60, 60, 2);
            let later = waiting.split_off(&rate.until);
            let mut due: Vec<usize> = std::mem::replace(&mut waiting, later)
                .into_values()
                .flatten()
                .collect();
            let more = if minute == 0 { 100 } else { 2 };
            due.extend(came..came + more);
            came += more;
            let rest = due.split_off(2.min(due.len()));
            sent.extend(due);
            rests.begin("a", rate);
            for one in rest {
                let again = rests.put_off("a", 1, rate, begin);
                assert!(again >= rate.until);
                waiting.entry(again).or_default().push(one);
            }
        }
        assert_eq!(
            sent,
            (0..sent.len()).collect::<Vec<_>>(),
            "in the order in which they came"
        );
        assert!(sent.len() >= 230, "{}", sent.len());
    }

    #[test]
    fn places_are_given_again_that_are_not_needed_any_more() {
        let mut rests = Rests::default();
        let minute = rate(60, 60, 2);
        rests.begin("a", minute);
        put_off(&mut rests, 1, minute, 15);
        rests.forget_places(at(59));
        assert_eq!(put_off(&mut rests, 1, minute, 3), [60, 60, 120]);
        put_off(&mut rests, 1, minute, 100);
        rests.forget_places(at(59));
        assert_eq!(
            put_off(&mut rests, 1, minute, 1),
            [59 + 600],
            "behind those who found none"
        );
    }
}
