//! Budgets: how many calls an account may make, and what is left of that.

use std::collections::BTreeMap;

use chrono::{NaiveDateTime, TimeDelta};

use super::rate::Rate;
use super::renewal::{day, end_of};
use crate::bridge::routes::Channel;
use crate::config::{Budget, CallBudgets};
use crate::db::{Conn, QueryResult};
use crate::ids::AccountId;
use crate::models::account::budget::{self, Used, Uses};
use crate::models::account::pause::{self, Named, Roomy};
use crate::models::account::resumption;

/// What ends the wait for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    /// Midnight in Beijing.
    Day,
    /// The next minute or second.
    Rate(Rate),
}

/// Why nothing is sent any more today.
pub(in crate::bridge) fn used_up(call: &str) -> String {
    format!(
        "The account's budget for {call} is used up for today; it is renewed at midnight in \
         Beijing. It is set in [budgets]."
    )
}

/// What an account may use.
#[derive(Clone, Debug)]
pub(in crate::bridge) struct Allowances(CallBudgets);

impl Allowances {
    pub(in crate::bridge) fn new(budgets: CallBudgets) -> Self {
        Self(budgets)
    }

    /// How many calls may be made on a day; none, if there is no limit.
    pub(in crate::bridge) fn per_day(&self, call: &str) -> Option<i64> {
        let most = self.of(call)?.per_day;
        (most > 0).then(|| i64::try_from(most).unwrap_or(i64::MAX))
    }

    /// None, if the call has no limit.
    fn of(&self, call: &str) -> Option<Budget> {
        // Other calls than those that send have no budget.
        let budget = match Channel::of_call(call)? {
            Channel::Template => self.0.template_send,
            Channel::MpSubscribe => self.0.subscribe_send,
            Channel::OaSubscribe => self.0.subscribe_bizsend,
            Channel::Customer => self.0.custom_send,
            // It is the business's own endpoint that is called.
            Channel::Webhook => return None,
        };
        let has_limit = budget.per_day > 0 || budget.per_minute > 0 || budget.per_second > 0;
        has_limit.then_some(budget)
    }

    /// What is to be counted before so many calls.
    pub(crate) fn wanted(
        &self,
        account: AccountId,
        counts: &BTreeMap<&'static str, i64>,
        now: NaiveDateTime,
    ) -> Vec<Uses> {
        let seconds = now.and_utc().timestamp();
        counts
            .iter()
            .filter(|(call, count)| **count > 0 && self.of(call).is_some())
            .map(|(call, count)| Uses {
                account_id: account,
                call,
                day: day(now),
                second: seconds,
                minute: seconds.div_euclid(60),
                count: *count,
            })
            .collect()
    }

    /// Takes back calls that were counted and are not made. What was stopped until the midnight of their
    /// day because they were counted goes on if there is room again: returns those pauses, which are
    /// lifted.
    pub(crate) fn give_back(
        &self,
        conn: &mut Conn,
        unused: &[Uses],
        now: NaiveDateTime,
    ) -> QueryResult<Vec<Named>> {
        budget::give_back(conn, unused)?;
        // After it, and not with it: whoever stops a call holds its row meanwhile, so one of the two
        // sees what the other has done.
        let roomy: Vec<Roomy> = unused
            .iter()
            .filter(|uses| uses.count > 0)
            .filter_map(|uses| {
                Some(Roomy {
                    account_id: uses.account_id,
                    call: uses.call,
                    day: uses.day,
                    until: end_of(uses.day),
                    most: self.per_day(uses.call)?,
                })
            })
            .collect();
        let found = pause::roomy(conn, &roomy)?;
        if found.is_empty() {
            return Ok(found);
        }
        // Noted before they are lifted, as these statements are no transaction together; and after it, as
        // that may have waited.
        note(conn, &found, now)?;
        let mut lifted = Vec::new();
        // One by one, so that it holds no two of them.
        for one in &roomy {
            lifted.extend(pause::lift_roomy(conn, std::slice::from_ref(one))?);
        }
        note(conn, &lifted, now)?;
        Ok(lifted)
    }

    /// How many of those wanted may be made, and what ends the wait for the others.
    pub(crate) fn granted(
        &self,
        wanted: &Uses,
        used: &Used,
        now: NaiveDateTime,
    ) -> (i64, Option<Short>) {
        let Some(budget) = self.of(&used.call) else {
            return (wanted.count, None);
        };
        let over = |used: i64, most: u64| match most {
            0 => 0,
            most => (used - i64::try_from(most).unwrap_or(i64::MAX)).max(0),
        };
        let day = over(used.used, budget.per_day);
        let minute = over(used.minute_used, budget.per_minute);
        let second = over(used.second_used, budget.per_second);
        let most = day.max(minute).max(second);
        let granted = (wanted.count - most).max(0);
        let rate = |seconds: i64, most: u64| {
            let passed = now.and_utc().timestamp().rem_euclid(seconds);
            let whole = now - TimeDelta::nanoseconds(now.and_utc().timestamp_subsec_nanos().into());
            Short::Rate(Rate {
                until: whole + TimeDelta::seconds(seconds - passed),
                period: TimeDelta::seconds(seconds),
                most: i64::try_from(most).unwrap_or(i64::MAX),
            })
        };
        // The one that leaves the least is the one to wait for.
        let short = match most {
            0 => None,
            most if most == day => Some(Short::Day),
            most if most == minute => Some(rate(60, budget.per_minute)),
            _ => Some(rate(1, budget.per_second)),
        };
        (granted, short)
    }
}

fn note(conn: &mut Conn, lifted: &[Named], now: NaiveDateTime) -> QueryResult<()> {
    for pause in lifted.iter().filter(|pause| pause.is_far(now)) {
        resumption::note(conn, pause.account_id, [pause.reason], now)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> NaiveDateTime {
        let time = chrono::DateTime::from_timestamp(seconds, 250_000_000);
        time.unwrap().naive_utc()
    }

    fn allowances(per_day: u64, per_minute: u64, per_second: u64) -> Allowances {
        Allowances::new(CallBudgets {
            template_send: Budget {
                per_day,
                per_minute,
                per_second,
            },
            ..CallBudgets::default()
        })
    }

    fn granted(allowances: &Allowances, want: i64, used: [i64; 3]) -> (i64, Option<Short>) {
        let counts = BTreeMap::from([("template/send", want)]);
        let wanted = allowances.wanted(AccountId(1), &counts, at(70)).remove(0);
        let [day, minute, second] = used.map(|used| used + want);
        let used = Used {
            account_id: AccountId(1),
            call: "template/send".to_owned(),
            used: day,
            minute_used: minute,
            second_used: second,
        };
        allowances.granted(&wanted, &used, at(70))
    }

    #[test]
    fn what_is_left_is_granted_and_the_wait_for_the_rest_is_known() {
        let all = allowances(100, 50, 10);
        let rate = |until, period, most| {
            Some(Short::Rate(Rate {
                until: at(until) - TimeDelta::milliseconds(250),
                period: TimeDelta::seconds(period),
                most,
            }))
        };
        assert_eq!(granted(&all, 10, [0, 0, 0]), (10, None));
        assert_eq!(granted(&all, 12, [0, 0, 0]), (10, rate(71, 1, 10)));
        assert_eq!(granted(&all, 9, [0, 45, 0]), (5, rate(120, 60, 50)));
        assert_eq!(granted(&all, 9, [97, 45, 9]), (1, rate(71, 1, 10)));
        assert_eq!(granted(&all, 9, [97, 45, 0]), (3, Some(Short::Day)));
        assert_eq!(granted(&all, 9, [200, 0, 0]), (0, Some(Short::Day)));
        assert_eq!(granted(&allowances(5, 0, 0), 9, [0, 0, 0]).0, 5);
    }

    #[test]
    fn a_call_without_a_limit_is_not_counted() {
        let counts = BTreeMap::from([("template/send", 5), ("webhook", 5)]);
        let none = allowances(0, 0, 0).wanted(AccountId(1), &counts, at(0));
        assert!(none.is_empty(), "{none:?}");
        assert_eq!(
            allowances(1, 0, 0)
                .wanted(AccountId(1), &counts, at(0))
                .len(),
            1
        );
    }

    #[test]
    fn every_call_that_sends_through_wechat_has_the_budget_of_its_own_settings() {
        let budget = |per_day| Budget {
            per_day,
            ..Budget::default()
        };
        let all = Allowances::new(CallBudgets {
            template_send: budget(1),
            subscribe_send: budget(2),
            subscribe_bizsend: budget(3),
            custom_send: budget(4),
        });
        let of_channels = Channel::ALL.iter().map(|channel| channel.traits());
        for traits in of_channels {
            let is_wechat = !traits.accounts.is_empty();
            assert_eq!(
                all.per_day(traits.call).is_some(),
                is_wechat,
                "{}",
                traits.word
            );
        }
        for (call, per_day) in [
            ("template/send", Some(1)),
            ("subscribe/send", Some(2)),
            ("subscribe/bizsend", Some(3)),
            ("custom/send", Some(4)),
            ("user/info", None),
            ("", None),
        ] {
            assert_eq!(all.per_day(call), per_day, "{call}");
        }
    }

    #[test]
    fn days_begin_at_midnight_in_beijing() {
        let day = |seconds| {
            let counts = BTreeMap::from([("template/send", 1)]);
            allowances(1, 0, 0).wanted(AccountId(1), &counts, at(seconds))[0].day
        };
        assert_eq!((day(16 * 3600 - 1), day(16 * 3600)), (0, 1));
    }
}
