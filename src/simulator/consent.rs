//! The consent pop-up of wx.requestSubscribeMessage and of wx-open-subscribe, later changes of mind, and the result of
//! each send, with the pushes that come of them (WeChat guide, subscription messages).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::account::{Account, Kind};
use super::grants::Grant;
use super::locks::read;
use super::receipts::Receipt;
use super::sender::PushRecord;
use super::template::TemplateKind;
use super::world::{World, WorldError};
use crate::wechat::fields::{Fields, Format, Value};

/// Templates that one pop-up may ask for.
const ASKED_MAX: usize = 5;

/// What becomes of one template in a pop-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The person allows it.
    Accept,
    /// The person refuses it.
    Reject,
    /// WeChat has banned the template: the person is not asked.
    Ban,
    /// It has another template's title: the person is not asked.
    Filter,
}

/// A pop-up that was answered.
#[derive(Clone, Debug, Serialize)]
pub struct Popup {
    /// What wx.requestSubscribeMessage returns to the mini-program, by template.
    pub results: BTreeMap<String, Choice>,
    /// What became of the push; none where the person was asked nothing.
    pub push: Option<PushRecord>,
}

impl World {
    /// A person answers the pop-up: permissions are given, and `subscribe_msg_popup_event` is pushed.
    pub async fn answer_popup(
        &self,
        app_id: &str,
        person: u32,
        choices: &[(&str, Choice)],
    ) -> Result<Popup, WorldError> {
        let account = self.account(app_id)?;
        self.check_person(person)?;
        let mut kinds = Vec::with_capacity(choices.len());
        for (template, _) in choices {
            kinds.push(subscription_kind(&account, template)?);
        }
        let long_term = check_popup(&kinds)?;
        let settings = account.settings();
        let scene = match settings.kind {
            Kind::MiniProgram => 0,
            Kind::OfficialAccount => 1,
        };
        let mut entries = Vec::new();
        for (template, choice) in choices {
            let status = match choice {
                Choice::Accept => {
                    account.grants.allow(person, template, long_term);
                    "accept"
                }
                Choice::Reject => {
                    account.grants.refuse(person, template);
                    "reject"
                }
                Choice::Ban | Choice::Filter => continue,
            };
            let entry = consent(template, status);
            entries.push(entry.with("PopupScene", number(settings.format, scene)));
        }
        let results = choices
            .iter()
            .map(|(template, choice)| ((*template).to_owned(), *choice))
            .collect();
        let push = match entries.is_empty() {
            true => None,
            false => Some(self.tell_entries(&account, person, POPUP, entries).await?),
        };
        Ok(Popup { results, push })
    }

    /// A person refuses templates in the settings: their permissions end, and `subscribe_msg_change_event` is pushed.
    /// WeChat pushes no change in the other direction.
    pub async fn withdraw_consent(
        &self,
        app_id: &str,
        person: u32,
        templates: &[&str],
    ) -> Result<PushRecord, WorldError> {
        let account = self.account(app_id)?;
        self.check_person(person)?;
        for template in templates {
            subscription_kind(&account, template)?;
        }
        for template in templates {
            account.grants.withdraw(person, template);
        }
        let entries = templates.iter().map(|id| consent(id, "reject")).collect();
        self.tell_entries(&account, person, CHANGE, entries).await
    }

    /// What a person allows in an account, by template.
    pub fn grants(&self, app_id: &str, person: u32) -> Result<BTreeMap<String, Grant>, WorldError> {
        let account = self.account(app_id)?;
        self.check_person(person)?;
        Ok(account.grants.of(person))
    }

    async fn tell_entries(
        &self,
        account: &Account,
        person: u32,
        event: Event,
        entries: Vec<Fields<'static>>,
    ) -> Result<PushRecord, WorldError> {
        let fields = self.event_of_entries(account, person, event, entries);
        self.push_event(account, fields).await
    }

    /// Pushes `subscribe_msg_sent_event` as `receipt` says.
    pub(super) async fn push_sent(
        &self,
        account: &Arc<Account>,
        person: u32,
        template: &str,
        msgid: i64,
        receipt: Receipt,
    ) {
        let format = account.settings().format;
        // WeChat names the code 0 with `success`; all else are failures of its systems, for which it lists no code.
        let (code, status) = match receipt.status.as_str() {
            "success" => (0, "success"),
            failed => (-1, failed.strip_prefix("failed:").unwrap_or(failed).trim()),
        };
        let entry = Fields::new()
            .with("TemplateId", template.to_owned())
            .with("MsgID", number(format, msgid))
            .with("ErrorCode", number(format, code))
            .with("ErrorStatus", status.to_owned());
        let fields = self.event_of_entries(account, person, SENT, vec![entry]);
        self.push_result(account, fields, receipt.arrival).await;
    }

    /// In XML the entries are in a wrapper, in JSON at the top: an object if it is one, an array if there are several.
    fn event_of_entries(
        &self,
        account: &Account,
        person: u32,
        event: Event,
        entries: Vec<Fields<'static>>,
    ) -> Fields<'static> {
        let fields = self.event(account, person, event.name);
        let list = |fields: Fields<'static>, entry| fields.with("List", Value::Fields(entry));
        match account.settings().format {
            Format::Json => entries.into_iter().fold(fields, list),
            Format::Xml => {
                let wrapped = entries.into_iter().fold(Fields::new(), list);
                fields.with(event.wrapper, Value::Fields(wrapped))
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Event {
    name: &'static str,
    wrapper: &'static str,
}

const POPUP: Event = Event {
    name: "subscribe_msg_popup_event",
    wrapper: "SubscribeMsgPopupEvent",
};
const CHANGE: Event = Event {
    name: "subscribe_msg_change_event",
    wrapper: "SubscribeMsgChangeEvent",
};
const SENT: Event = Event {
    name: "subscribe_msg_sent_event",
    wrapper: "SubscribeMsgSentEvent",
};

fn consent(template: &str, status: &'static str) -> Fields<'static> {
    Fields::new()
        .with("TemplateId", template.to_owned())
        .with("SubscribeStatusString", status)
}

/// Bare in XML, in quotation marks in JSON, as live pushes have it.
fn number(format: Format, number: i64) -> Value<'static> {
    match format {
        Format::Xml => Value::Literal(number.to_string().into()),
        Format::Json => Value::Text(number.to_string().into()),
    }
}

fn subscription_kind(account: &Account, template: &str) -> Result<TemplateKind, WorldError> {
    let templates = read(&account.templates);
    let kind = templates.get(template).map(|template| template.kind);
    kind.filter(|kind| *kind != TemplateKind::Template)
        .ok_or_else(|| WorldError::Popup {
            errcode: 20001,
            reason: format!("{template:?} is not a subscription template of the account"),
        })
}

/// Whether the templates asked for are long-term ones, if they may be asked for together.
fn check_popup(kinds: &[TemplateKind]) -> Result<bool, WorldError> {
    let refused = |errcode, reason: String| Err(WorldError::Popup { errcode, reason });
    let Some((first, rest)) = kinds.split_first() else {
        return refused(10001, "no template is asked for".to_owned());
    };
    if kinds.len() > ASKED_MAX {
        return refused(20003, format!("more than {ASKED_MAX} templates at once"));
    }
    if rest.iter().any(|kind| kind != first) {
        let reason = "one-time and long-term templates at once";
        return refused(20002, reason.to_owned());
    }
    Ok(*first == TemplateKind::SubscribeLongTerm)
}
