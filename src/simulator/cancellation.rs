//! What WeChat tells of an account, and of people who leave WeChat, from a system account of its own.

use serde::{Deserialize, Serialize};

use super::account::{Account, Kind};
use super::locks::write;
use super::population;
use super::sender::PushRecord;
use super::world::{World, WorldError};
use crate::wechat::fields::Fields;

/// The sender of such events: it looks like an openid, and is nobody's.
pub const PLATFORM: &str = "oPLATFORMaccount000000000000";

/// How the ids are written: there are captures of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spelling {
    /// `OpenID`.
    #[default]
    Documented,
    /// `openid`.
    Lower,
    /// ` OpenID`, with a blank before it.
    Blank,
}

/// News of an account's verification. JSON: `{"event": "annual_renew", "expired_time": 1767225600}` or
/// `{"event": "naming_verify_fail", "fail_time": 1767225600, "fail_reason": "…"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerificationPush {
    /// The name of the event.
    pub event: String,
    /// Until when the account is verified, seconds since 1970.
    #[serde(default)]
    pub expired_time: Option<i64>,
    /// When it failed, seconds since 1970.
    #[serde(default)]
    pub fail_time: Option<i64>,
    /// Why.
    #[serde(default)]
    pub fail_reason: Option<String>,
}

impl World {
    /// A person deletes their WeChat account: they follow nobody any more, and this account is order. A service account
    /// is told the unionid too.
    pub async fn cancel_wechat(
        &self,
        app_id: &str,
        person: u32,
        spelling: Spelling,
    ) -> Result<PushRecord, WorldError> {
        let account = self.account(app_id)?;
        self.check_person(person)?;
        write(&account.followers).unfollow(person);
        let settings = account.settings();
        let name = |documented: &str| match spelling {
            Spelling::Documented => documented.to_owned(),
            Spelling::Lower => documented.to_ascii_lowercase(),
            Spelling::Blank => format!(" {documented}"),
        };
        let mut fields = self
            .system_event(&account, "user_authorization_cancellation".to_owned())
            .with(name("OpenID"), account.openid(person))
            .with(name("AppID"), settings.app_id.clone());
        if settings.kind == Kind::OfficialAccount && settings.bound_to_open_platform {
            fields.push(name("UnionID"), population::unionid(person));
        }
        self.push_event(&account, fields).await
    }

    /// WeChat tells an account how its verification stands.
    pub async fn push_verification(
        &self,
        app_id: &str,
        order: &VerificationPush,
    ) -> Result<PushRecord, WorldError> {
        let account = self.account(app_id)?;
        let mut fields = self.system_event(&account, order.event.clone());
        if let Some(time) = order.expired_time {
            fields.push("ExpiredTime", time);
        }
        if let Some(time) = order.fail_time {
            fields.push("FailTime", time);
        }
        if let Some(reason) = &order.fail_reason {
            fields.push("FailReason", reason.clone());
        }
        self.push_event(&account, fields).await
    }

    fn system_event(&self, account: &Account, event: String) -> Fields<'static> {
        Fields::new()
            .with("ToUserName", account.settings().original_id.clone())
            .with("FromUserName", PLATFORM)
            .with("CreateTime", self.seconds())
            .with("MsgType", "event")
            .with("Event", event)
    }
}
