//! The channels, and what sets each apart from the others. A new one begins here: the compiler then
//! asks for its traits, its call (`deliver::message`) and its budget (`availability::budget`).

use super::{FieldError, Route};
use crate::db::text_enum;
use crate::models::account::AccountKind;

text_enum! {
    /// A kind of message.
    #[derive(Default)]
    pub enum Channel {
        /// A template message of a service account, to who follows it.
        #[default]
        Template = "template",
        /// A subscription message of a mini-program, to who allowed its template.
        MpSubscribe = "mp_subscribe",
        /// A subscription message of a service account, to who allowed its template.
        OaSubscribe = "oa_subscribe",
        /// A customer message, to who did something in the account lately.
        Customer = "customer",
        /// A signed POST to an endpoint of the business, for any staff member.
        Webhook = "webhook",
    }
}

/// What a person must have done before a message may be sent to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Follow the account.
    Follow,
    /// Allow the template, once for each message or for good.
    Credit,
    /// Do something in the account, which allows a few messages for a while.
    Window,
    /// Nothing: the business itself brings it to them.
    Nothing,
}

/// What may follow a send of which it is not known whether it took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Nothing: the person would see the message twice.
    Never,
    /// Another one within 10 minutes, in which WeChat recognises it and shows the message once.
    Remembered,
    /// Another one whenever: the receiver recognises it.
    Always,
}

/// What sets a channel apart.
#[derive(Debug)]
pub struct Traits {
    /// Its name in routes.
    pub word: &'static str,
    /// The call that sends, for counting and for the words of its errors.
    pub call: &'static str,
    /// The kinds of account that send; none where the message does not go through WeChat.
    pub accounts: &'static [AccountKind],
    /// Whether it fills in a template of the account.
    pub has_template: bool,
    /// What a route must have.
    pub needs: &'static [&'static str],
    /// What a route may have besides.
    pub members: &'static [&'static str],
    /// What a person must have done.
    pub permission: Permission,
    /// Whether a send may be repeated after silence.
    pub repeat: Repeat,
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
    word: Channel::Template.as_str(),
    call: "template/send",
    accounts: &[AccountKind::OfficialAccount],
    has_template: true,
    needs: &["account", "template_id", "fields"],
    members: &["url", "mini_program"],
    permission: Permission::Follow,
    repeat: Repeat::Remembered,
    one_at_a_time: false,
    has_receipt: true,
    drops_silently: true,
    is_listed: true,
};

const MP_SUBSCRIBE: Traits = Traits {
    word: Channel::MpSubscribe.as_str(),
    call: "subscribe/send",
    accounts: &[AccountKind::MiniProgram],
    has_template: true,
    needs: TEMPLATE.needs,
    members: &["page", "miniprogram_state", "lang"],
    permission: Permission::Credit,
    repeat: Repeat::Never,
    one_at_a_time: true,
    has_receipt: true,
    drops_silently: false,
    is_listed: true,
};

const OA_SUBSCRIBE: Traits = Traits {
    word: Channel::OaSubscribe.as_str(),
    call: "subscribe/bizsend",
    accounts: &[AccountKind::OfficialAccount],
    members: &["url", "mini_program"],
    // WeChat lists them apart from the account's other templates, and not to every account.
    is_listed: false,
    ..MP_SUBSCRIBE
};

const CUSTOMER: Traits = Traits {
    word: Channel::Customer.as_str(),
    call: "custom/send",
    accounts: &[AccountKind::OfficialAccount, AccountKind::MiniProgram],
    has_template: false,
    needs: &["account", "text"],
    members: &["link_text", "url", "mini_program"],
    permission: Permission::Window,
    repeat: Repeat::Never,
    one_at_a_time: false,
    has_receipt: false,
    drops_silently: false,
    is_listed: false,
};

const WEBHOOK: Traits = Traits {
    word: Channel::Webhook.as_str(),
    call: "webhook",
    accounts: &[],
    needs: &["endpoint"],
    members: &["fields"],
    permission: Permission::Nothing,
    repeat: Repeat::Always,
    ..CUSTOMER
};

impl Channel {
    /// What sets it apart.
    pub const fn traits(self) -> &'static Traits {
        match self {
            Self::Template => &TEMPLATE,
            Self::MpSubscribe => &MP_SUBSCRIBE,
            Self::OaSubscribe => &OA_SUBSCRIBE,
            Self::Customer => &CUSTOMER,
            Self::Webhook => &WEBHOOK,
        }
    }

    /// The one that sends by this call, if it is such a call.
    pub fn of_call(call: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|channel| channel.traits().call == call)
    }

    /// What is wrong with an account of this kind as a sender; none is no account of the project.
    pub fn account_problem(self, kind: Option<AccountKind>) -> Option<String> {
        let Traits { word, accounts, .. } = self.traits();
        if accounts.is_empty() || kind.is_some_and(|kind| accounts.contains(&kind)) {
            return None;
        }
        let Some(kind) = kind else {
            return Some("is no account of the project: add it, or correct the app id".to_owned());
        };
        Some(format!(
            "is {}: a route of channel {word} sends through {}. Name one, or choose another channel",
            a_kind(kind),
            one_of(accounts)
        ))
    }
}

fn one_of(kinds: &[AccountKind]) -> String {
    let kinds: Vec<&str> = kinds.iter().map(|kind| a_kind(*kind)).collect();
    kinds.join(" or ")
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
        let given = given(route);
        for member in self.needs {
            if given
                .iter()
                .any(|(known, is_given)| known == member && *is_given)
            {
                continue;
            }
            let what = self.what(member);
            let problem = format!("is missing: a route of channel {word} needs it ({what})");
            return Err(FieldError::new(format!("{path}.{member}"), problem));
        }
        for (member, is_given) in given {
            if !is_given || self.needs.contains(&member) || self.members.contains(&member) {
                continue;
            }
            let members = [self.needs, self.members].concat().join(", ");
            let problem = format!(
                "is not for channel {word}, which may have {members}: leave it out, or choose \
                 another channel"
            );
            return Err(FieldError::new(format!("{path}.{member}"), problem));
        }
        Ok(())
    }

    /// What a member is that a route must have.
    fn what(&self, member: &str) -> String {
        match member {
            "account" => one_of(self.accounts),
            "template_id" => "the id of the template, from WeChat's console".to_owned(),
            "fields" => "a text for each key of the template".to_owned(),
            "endpoint" => {
                "the id of an endpoint of the project, as GET /webhooks lists it".to_owned()
            }
            _ => "what the person reads".to_owned(),
        }
    }
}

/// The members that not every channel has, and whether the route has them.
fn given(route: &Route) -> [(&'static str, bool); 11] {
    // Each by name, so that the compiler asks for one that is new.
    let Route {
        channel: _,
        account,
        endpoint,
        template_id,
        fields,
        text,
        link_text,
        url,
        mini_program,
        page,
        miniprogram_state,
        lang,
    } = route;
    [
        ("account", account.is_some()),
        ("endpoint", endpoint.is_some()),
        ("template_id", template_id.is_some()),
        ("fields", !fields.is_empty()),
        ("text", text.is_some()),
        ("link_text", link_text.is_some()),
        ("url", url.is_some()),
        ("mini_program", mini_program.is_some()),
        ("page", page.is_some()),
        ("miniprogram_state", miniprogram_state.is_some()),
        ("lang", lang.is_some()),
    ]
}

#[cfg(test)]
mod tests;
