//! How much of WeChat's calls each account may use.

use std::collections::HashMap;

use serde::Deserialize;

/// A limit of one call; 0 means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Calls on a day in Beijing.
    pub per_day: u64,
    /// Calls in a minute.
    pub per_minute: u64,
    /// Calls in a second.
    pub per_second: u64,
}

/// A limit of one call that an account has of its own; what is not given is as for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OwnBudget {
    /// Calls on a day in Beijing.
    pub per_day: Option<u64>,
    /// Calls in a minute.
    pub per_minute: Option<u64>,
    /// Calls in a second.
    pub per_second: Option<u64>,
}

impl OwnBudget {
    fn or(self, general: Budget) -> Budget {
        Budget {
            per_day: self.per_day.unwrap_or(general.per_day),
            per_minute: self.per_minute.unwrap_or(general.per_minute),
            per_second: self.per_second.unwrap_or(general.per_second),
        }
    }
}

/// The limits of one account; what is not given is as for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountBudgets {
    /// Template messages: `message/template/send`.
    pub template_send: OwnBudget,
    /// Subscription messages of mini-programs: `message/subscribe/send`.
    pub subscribe_send: OwnBudget,
    /// Subscription messages of service accounts: `message/subscribe/bizsend`.
    pub subscribe_bizsend: OwnBudget,
    /// Customer messages: `message/custom/send`.
    pub custom_send: OwnBudget,
}

/// The limits of all accounts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// Template messages: `message/template/send`.
    pub template_send: Budget,
    /// Subscription messages of mini-programs: `message/subscribe/send`.
    pub subscribe_send: Budget,
    /// Subscription messages of service accounts: `message/subscribe/bizsend`.
    pub subscribe_bizsend: Budget,
    /// Customer messages: `message/custom/send`.
    pub custom_send: Budget,
    /// Accounts that have others, by app_id.
    #[serde(default)]
    pub accounts: HashMap<String, AccountBudgets>,
}

impl Budgets {
    /// The limits of an account.
    pub fn of(&self, app_id: Option<&str>) -> CallBudgets {
        let own = app_id.and_then(|app_id| self.accounts.get(app_id));
        let own = own.copied().unwrap_or_default();
        CallBudgets {
            template_send: own.template_send.or(self.template_send),
            subscribe_send: own.subscribe_send.or(self.subscribe_send),
            subscribe_bizsend: own.subscribe_bizsend.or(self.subscribe_bizsend),
            custom_send: own.custom_send.or(self.custom_send),
        }
    }
}

/// The limits that are in force for an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallBudgets {
    /// Template messages: `message/template/send`.
    pub template_send: Budget,
    /// Subscription messages of mini-programs: `message/subscribe/send`.
    pub subscribe_send: Budget,
    /// Subscription messages of service accounts: `message/subscribe/bizsend`.
    pub subscribe_bizsend: Budget,
    /// Customer messages: `message/custom/send`.
    pub custom_send: Budget,
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn an_account_may_have_its_own_limits_and_has_the_others_too() {
        let path = std::env::temp_dir().join(format!("queqiao-{:x}.toml", rand::random::<u64>()));
        let text = "[budgets.template_send]\nper_minute = 9\n\
                    [budgets.accounts.wx0123456789abcdef.template_send]\nper_day = 1000000\n";
        std::fs::write(&path, text).unwrap();
        let budgets = Config::load(Some(&path)).unwrap().budgets;
        std::fs::remove_file(path).unwrap();
        let own = budgets.of(Some("wx0123456789abcdef"));
        assert_eq!(own.template_send.per_day, 1_000_000);
        assert_eq!(own.template_send.per_minute, 9, "its rate is that of all");
        assert_eq!(own.subscribe_send.per_day, 10_000_000);
        for other in [None, Some("wx00000000000000ff")] {
            let all = budgets.of(other).template_send;
            assert_eq!((all.per_day, all.per_minute), (100_000, 9));
        }
    }
}
