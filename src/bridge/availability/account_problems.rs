//! What keeps an account from sending, whomever the message is for: the one place that knows.

use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::budget::{Allowances, used_up};
use super::renewal::{day, next_midnight};
use crate::config::Config;
use crate::db::{Conn, QueryResult};
use crate::ids::AccountId;
use crate::models::account::Account;
use crate::models::account::budget;
use crate::models::account::pause::{self, ALL_CALLS, AccountPause, PauseKind, PauseReason};

/// Something that keeps an account from sending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AccountProblem {
    /// What kind of trouble.
    pub code: AccountProblemCode,
    /// The call that it concerns, such as `template/send`; none: all of them.
    pub call: Option<String>,
    /// Why the account waits, if it does.
    pub reason: Option<PauseReason>,
    /// WeChat's code, if it gave one.
    pub errcode: Option<i64>,
    /// In words, with what to do.
    pub detail: String,
    /// Since when, or when WeChat last complained.
    pub since: Option<DateTime<Utc>>,
    /// When the account sends, or tries, again by itself.
    pub until: Option<DateTime<Utc>>,
}

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountProblemCode {
    /// The account has no AppSecret here, so it cannot call WeChat.
    NoAppSecret,
    /// WeChat complained of something that only the account's owner can fix.
    AccountProblem,
    /// Its owner has to act; one message is tried now and then.
    AccountStopped,
    /// WeChat is slow or asks for patience; it is tried again soon.
    AccountBackingOff,
    /// A quota or a budget of the day is used up.
    AccountUsedUp,
}

impl AccountProblemCode {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAppSecret => "no_app_secret",
            Self::AccountProblem => "account_problem",
            Self::AccountStopped => "account_stopped",
            Self::AccountBackingOff => "account_backing_off",
            Self::AccountUsedUp => "account_used_up",
        }
    }
}

impl AccountProblem {
    /// Whether it keeps this call from being made.
    pub fn concerns(&self, call: &str) -> bool {
        self.call.as_deref().is_none_or(|one| one == call)
    }

    /// Whether it may be over before its time: WeChat counts, and one message is tried now and then.
    pub fn is_tried(&self) -> bool {
        self.reason == Some(PauseReason::QuotaUsedUp)
    }

    /// When it passes by itself, in a sentence; none if it does not.
    pub fn outlook(&self) -> Option<String> {
        let until = self.until?.format("%F %H:%M:%S UTC");
        match self.code {
            AccountProblemCode::AccountStopped => Some(format!(
                "Messages wait; one is tried at {until}, and if it works the others follow."
            )),
            AccountProblemCode::AccountBackingOff => {
                Some(format!("Messages wait; they are tried again at {until}."))
            }
            AccountProblemCode::AccountUsedUp if self.is_tried() => Some(format!(
                "Messages wait until {until}. One is tried now and then before that, and if it works \
                 the others follow."
            )),
            AccountProblemCode::AccountUsedUp => Some(format!("Messages wait until {until}.")),
            AccountProblemCode::NoAppSecret | AccountProblemCode::AccountProblem => None,
        }
    }
}

/// What keeps accounts from sending, read at one moment.
pub struct Stops {
    config: Arc<Config>,
    pauses: Vec<AccountPause>,
    used: Vec<(AccountId, String, i64)>,
    now: NaiveDateTime,
}

impl Stops {
    /// Reads what is stored of these accounts.
    ///
    /// # Errors
    /// If the database fails.
    pub fn read(
        conn: &mut Conn,
        config: Arc<Config>,
        accounts: &[Account],
        now: NaiveDateTime,
    ) -> QueryResult<Self> {
        let ids: Vec<AccountId> = accounts.iter().map(|account| account.id).collect();
        Ok(Self {
            pauses: pause::all(conn)?,
            used: budget::of_day(conn, &ids, day(now))?,
            config,
            now,
        })
    }

    /// Everything that keeps an account from sending now.
    pub fn of(&self, account: &Account) -> Vec<AccountProblem> {
        let pauses = self.pauses.iter();
        let in_force =
            |pause: &&AccountPause| pause.account_id == account.id && !pause.is_over(self.now);
        let owner = no_secret(account).into_iter().chain(problem(account));
        let mut troubles: Vec<AccountProblem> =
            owner.chain(pauses.filter(in_force).map(paused)).collect();
        for (_, call, _) in self.used.iter().filter(|(id, ..)| *id == account.id) {
            let is_told = troubles.iter().any(|one| one.call.as_ref() == Some(call));
            if !is_told && self.left(account, call) == Some(0) {
                troubles.push(self.used_up(call));
            }
        }
        troubles
    }

    /// How many more calls the account's budget of the day allows; none, if there is no limit.
    pub fn left(&self, account: &Account, call: &str) -> Option<i64> {
        let budgets = self.config.budgets.of(Some(&account.app_id));
        let most = Allowances::new(budgets).per_day(call)?;
        let mut used = self.used.iter();
        let used = used.find(|(id, one, _)| *id == account.id && one == call);
        Some((most - used.map_or(0, |(.., used)| *used)).max(0))
    }

    /// When the budgets of the day are renewed.
    pub fn renewed_at(&self) -> DateTime<Utc> {
        next_midnight(self.now).and_utc()
    }

    fn used_up(&self, call: &str) -> AccountProblem {
        AccountProblem {
            code: AccountProblemCode::AccountUsedUp,
            call: Some(call.to_owned()),
            reason: Some(PauseReason::BudgetUsedUp),
            errcode: None,
            detail: used_up(call),
            since: None,
            until: Some(self.renewed_at()),
        }
    }
}

fn no_secret(account: &Account) -> Option<AccountProblem> {
    account.sealed_secret.is_none().then(|| AccountProblem {
        code: AccountProblemCode::NoAppSecret,
        call: None,
        reason: None,
        errcode: None,
        detail: format!(
            "The account has no AppSecret here, so nothing can be sent through it. Give it one: \
             queqiao accounts set {} --secret @FILE.",
            account.app_id
        ),
        since: None,
        until: None,
    })
}

fn problem(account: &Account) -> Option<AccountProblem> {
    account.problem_code.map(|code| AccountProblem {
        code: AccountProblemCode::AccountProblem,
        call: None,
        reason: None,
        errcode: Some(code),
        detail: account.problem_text.clone().unwrap_or_default(),
        since: account.problem_at.map(|at| at.and_utc()),
        until: None,
    })
}

fn paused(pause: &AccountPause) -> AccountProblem {
    AccountProblem {
        code: match pause.kind {
            PauseKind::Stopped => AccountProblemCode::AccountStopped,
            PauseKind::BackingOff => AccountProblemCode::AccountBackingOff,
            PauseKind::UsedUp => AccountProblemCode::AccountUsedUp,
        },
        call: Some(pause.call.clone()).filter(|call| call != ALL_CALLS),
        reason: Some(pause.reason),
        errcode: None,
        detail: pause.detail.clone(),
        since: Some(pause.since.and_utc()),
        until: Some(pause.until.and_utc()),
    }
}
