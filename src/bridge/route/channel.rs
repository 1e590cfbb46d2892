//! The channels, and what sets each apart from the others. A new one begins here: the compiler then
//! asks for its call in `deliver::send`.

use serde::{Deserialize, Serialize};

use super::{FieldError, Route};
use crate::models::account::AccountKind;

/// A kind of message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A template message of a service account, to who follows it.
    #[default]
    Template,
    /// A subscription message of a mini-program, to who allowed its template.
    MpSubscribe,
    /// A subscription message of a service account, to who allowed its template.
    OaSubscribe,
}

/// What a person must have done before a message may be sent to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Follow the account.
    Follow,
    /// Allow the template, once for each message or for good.
    Credit,
}

/// What sets a channel apart.
#[derive(Debug)]
pub struct Traits {
    /// Its name in routes.
    pub word: &'static str,
    /// The call that sends, for counting and for the words of its errors.
    pub call: &'static str,
    /// The kind of account that sends; none where the message does not go through WeChat.
    pub account: Option<AccountKind>,
    /// Whether it fills in a template of the account.
    pub has_template: bool,
    /// What a route may have beside account, template and fields.
    pub members: &'static [&'static str],
    /// What a person must have done.
    pub permission: Permission,
    /// Whether WeChat recognises a repeated send and shows the message once. Where it does not,
    /// silence is never followed by another try.
    pub repeat_is_safe: bool,
    /// Whether WeChat refuses two calls at a time for one openid (43108).
    pub one_at_a_time: bool,
    /// Whether WeChat tells later what became of the message.
    pub has_receipt: bool,
    /// Whether WeChat takes texts of which it then drops or cuts a part.
    pub drops_silently: bool,
    /// Whether its templates are among those that are listed for the account.
    pub is_listed: bool,
}

const TEMPLATE: Traits = Traits {
    word: "template",
    call: "template/send",
    account: Some(AccountKind::OfficialAccount),
    has_template: true,
    members: &["url", "mini_program"],
    permission: Permission::Follow,
    repeat_is_safe: true,
    one_at_a_time: false,
    has_receipt: true,
    drops_silently: true,
    is_listed: true,
};

const MP_SUBSCRIBE: Traits = Traits {
    word: "mp_subscribe",
    call: "subscribe/send",
    account: Some(AccountKind::MiniProgram),
    has_template: true,
    members: &["page", "miniprogram_state", "lang"],
    permission: Permission::Credit,
    repeat_is_safe: false,
    one_at_a_time: true,
    has_receipt: true,
    drops_silently: false,
    is_listed: true,
};

const OA_SUBSCRIBE: Traits = Traits {
    word: "oa_subscribe",
    call: "subscribe/bizsend",
    account: Some(AccountKind::OfficialAccount),
    members: &["url", "mini_program"],
    // WeChat lists them apart from the account's other templates, and not to every account.
    is_listed: false,
    ..MP_SUBSCRIBE
};

impl Channel {
    /// What sets it apart.
    pub const fn traits(self) -> &'static Traits {
        match self {
            Self::Template => &TEMPLATE,
            Self::MpSubscribe => &MP_SUBSCRIBE,
            Self::OaSubscribe => &OA_SUBSCRIBE,
        }
    }

    /// What is wrong with an account of this kind as a sender; none is no account of the project.
    pub fn account_problem(self, kind: Option<AccountKind>) -> Option<String> {
        let Traits { word, account, .. } = self.traits();
        let wanted = (*account)?;
        if kind == Some(wanted) {
            return None;
        }
        let Some(kind) = kind else {
            return Some("is no account of the project: add it, or correct the app id".to_owned());
        };
        Some(format!(
            "is {}: a route of channel {word} sends through {}. Name one, or choose another channel",
            a_kind(kind),
            a_kind(wanted)
        ))
    }
}

fn a_kind(kind: AccountKind) -> &'static str {
    match kind {
        AccountKind::OfficialAccount => "an official account",
        AccountKind::MiniProgram => "a mini-program",
    }
}

impl Traits {
    /// Whether a route has what the channel needs, and nothing that it does not know.
    pub(super) fn check(&self, path: &str, route: &Route) -> Result<(), FieldError> {
        let word = self.word;
        let kind = self.account.map_or("an account", a_kind);
        let template = "the id of the template, from WeChat's console";
        for (member, needed, given, what) in [
            (
                "account",
                self.account.is_some(),
                route.account.is_some(),
                kind,
            ),
            (
                "template_id",
                self.has_template,
                route.template_id.is_some(),
                template,
            ),
            (
                "fields",
                self.has_template,
                !route.fields.is_empty(),
                "a text for each key of the template",
            ),
        ] {
            let problem = match (needed, given) {
                (true, false) => format!("is missing: a route of channel {word} needs it ({what})"),
                (false, true) => format!("is not for channel {word}: leave it out"),
                _ => continue,
            };
            return Err(FieldError::new(format!("{path}.{member}"), problem));
        }
        for (member, given) in [
            ("url", route.url.is_some()),
            ("mini_program", route.mini_program.is_some()),
            ("page", route.page.is_some()),
            ("miniprogram_state", route.miniprogram_state.is_some()),
            ("lang", route.lang.is_some()),
        ] {
            if given && !self.members.contains(&member) {
                let members = self.members.join(", ");
                let problem = format!(
                    "is not for channel {word}, which may have {members}: leave it out, or choose \
                     another channel"
                );
                return Err(FieldError::new(format!("{path}.{member}"), problem));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(change: &serde_json::Value) -> String {
        let mut route = json!({"account": "wx1", "template_id": "TPL", "fields": {"thing1": "x"}});
        for (member, value) in change.as_object().unwrap() {
            match value.is_null() {
                true => drop(route.as_object_mut().unwrap().remove(member)),
                false => route[member] = value.clone(),
            }
        }
        match super::super::parse(&json!([route]).to_string()) {
            Ok(_) => "taken".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn each_channel_has_its_own_members() {
        let linked = json!({"app_id": "wx2", "path": "pages/x"});
        for (channel, member, value, taken) in [
            ("template", "url", json!("https://example.com"), true),
            ("template", "mini_program", linked.clone(), true),
            ("template", "page", json!("pages/x"), false),
            ("template", "lang", json!("zh_CN"), false),
            (
                "mp_subscribe",
                "page",
                json!("pages/x?id={{ params.id }}"),
                true,
            ),
            ("mp_subscribe", "miniprogram_state", json!("trial"), true),
            ("mp_subscribe", "lang", json!("zh_TW"), true),
            ("mp_subscribe", "url", json!("https://example.com"), false),
            ("mp_subscribe", "mini_program", linked.clone(), false),
            ("oa_subscribe", "url", json!("https://example.com"), true),
            ("oa_subscribe", "mini_program", linked, true),
            ("oa_subscribe", "miniprogram_state", json!("trial"), false),
        ] {
            let told = refused(&json!({"channel": channel, member: value}));
            if taken {
                assert_eq!(told, "taken", "{channel} {member}");
                continue;
            }
            let expected = format!("routes[0].{member} is not for channel {channel}");
            assert!(told.starts_with(&expected), "{told}");
            assert!(told.contains("choose another channel"), "{told}");
        }
    }

    #[test]
    fn what_a_channel_needs_is_named() {
        for channel in [
            Channel::Template,
            Channel::MpSubscribe,
            Channel::OaSubscribe,
        ] {
            let word = channel.traits().word;
            assert_eq!(json!(channel), word);
            for member in ["account", "template_id", "fields"] {
                let told = refused(&json!({"channel": word, member: null}));
                let expected = format!("routes[0].{member} is missing");
                assert!(told.starts_with(&expected) && told.contains(word), "{told}");
            }
        }
    }

    #[test]
    fn an_account_of_the_wrong_kind_is_told_with_the_right_one() {
        use AccountKind::{MiniProgram, OfficialAccount};
        for (channel, right, wrong) in [
            (Channel::Template, OfficialAccount, MiniProgram),
            (Channel::MpSubscribe, MiniProgram, OfficialAccount),
            (Channel::OaSubscribe, OfficialAccount, MiniProgram),
        ] {
            assert_eq!(channel.account_problem(Some(right)), None);
            let told = channel.account_problem(Some(wrong)).unwrap();
            assert!(
                told.contains(a_kind(right)) && told.contains(channel.traits().word),
                "{told}"
            );
            let told = channel.account_problem(None).unwrap();
            assert!(told.starts_with("is no account of the project"), "{told}");
        }
    }
}
