//! Whether a customer message may be sent: the rules that the settings give, and the answer in words.

use chrono::{DateTime, Utc};

use crate::config::Customer;
use crate::models::account::AccountKind;
use crate::models::identity::windows::{Allowance, Allowances, Closed, Rules, WindowFacts};

/// What an identity is allowed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CustomerWindow {
    /// Messages may be sent.
    Open {
        /// When the last open window closes.
        until: DateTime<Utc>,
        /// How many may be sent.
        left: i32,
    },
    /// None may be sent.
    Closed {
        /// A stable word.
        reason: Closed,
        /// The same in a sentence, with what to do.
        detail: &'static str,
    },
}

/// The rules of the settings.
pub fn rules(customer: &Customer) -> Rules {
    let spoke = allowance(customer.spoke_messages, customer.spoke_seconds);
    Rules {
        official_account: Allowances {
            spoke,
            acted: allowance(customer.acted_messages, customer.acted_seconds),
        },
        mini_program: Allowances {
            spoke,
            acted: allowance(customer.entered_messages, customer.entered_seconds),
        },
    }
}

fn allowance(messages: u32, seconds: u32) -> Allowance {
    Allowance {
        messages: i32::try_from(messages).unwrap_or(i32::MAX),
        seconds: i64::from(seconds),
    }
}

/// What an identity in an account of this kind is allowed `now`, seconds since 1970.
pub fn look(rules: &Rules, kind: AccountKind, facts: &WindowFacts, now: i64) -> CustomerWindow {
    match facts.look(rules.of(kind), now) {
        Ok(open) => CustomerWindow::Open {
            until: DateTime::from_timestamp(open.until, 0).unwrap_or(DateTime::<Utc>::MAX_UTC),
            left: open.left,
        },
        Err(reason) => CustomerWindow::Closed {
            reason,
            detail: detail(kind, reason),
        },
    }
}

/// Why not, and what to do.
pub fn detail(kind: AccountKind, reason: Closed) -> &'static str {
    match (reason, kind) {
        (Closed::NotFollowing, _) => {
            "The person does not follow the account. Ask the person to follow it."
        }
        (Closed::WindowClosed, AccountKind::OfficialAccount) => {
            "The person did not write to the account lately, nor follow it, scan its code or tap its menu within \
             the last minute. Ask the person to write to it, or wait until the person does."
        }
        (Closed::WindowClosed, AccountKind::MiniProgram) => {
            "The person did not write to the mini-program lately, nor enter its chat within the last minute. Wait \
             until the person does."
        }
        (Closed::AllowanceUsed, _) => {
            "As many messages were sent as WeChat allows after the person's last action. Wait until the person \
             writes again."
        }
        (Closed::Refused, _) => {
            "WeChat refused a customer message since the person's last action (45015 or 45047). Wait until the \
             person writes again."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::models::identity::FollowState;
    use crate::models::identity::windows::WindowActivity;

    fn writer(time: i64) -> WindowFacts {
        WindowFacts {
            acts: WindowActivity {
                spoke_time: time,
                ..WindowActivity::default()
            },
            follow_state: FollowState::Unknown,
            followed_time: 0,
            unfollowed_time: 0,
        }
    }

    #[test]
    fn the_settings_are_the_rules_of_each_kind() {
        let rules = rules(&Config::default().customer);
        for (kind, acted) in [
            (AccountKind::OfficialAccount, 3),
            (AccountKind::MiniProgram, 2),
        ] {
            let of_kind = rules.of(kind);
            assert_eq!(
                (of_kind.spoke.messages, of_kind.spoke.seconds),
                (5, 48 * 3600)
            );
            assert_eq!((of_kind.acted.messages, of_kind.acted.seconds), (acted, 60));
        }
    }

    #[test]
    fn an_open_window_says_until_when_and_a_closed_one_why() {
        let rules = rules(&Config::default().customer);
        let kind = AccountKind::MiniProgram;
        let open = CustomerWindow::Open {
            until: DateTime::from_timestamp(1000 + 172_800, 0).unwrap(),
            left: 5,
        };
        assert_eq!(look(&rules, kind, &writer(1000), 1000), open);
        let CustomerWindow::Closed { reason, detail } = look(&rules, kind, &writer(1000), 999_999)
        else {
            panic!("open");
        };
        assert_eq!(reason, Closed::WindowClosed);
        assert!(detail.contains("enter its chat"), "{detail}");
    }

    #[test]
    fn every_reason_is_a_sentence() {
        for (reason, kind) in Closed::ALL
            .iter()
            .flat_map(|r| AccountKind::ALL.iter().map(move |k| (*r, *k)))
        {
            let detail = detail(kind, reason);
            assert!(detail.ends_with('.') && !detail.contains("  "), "{detail}");
        }
    }
}
