//! What an event says of permissions for subscription messages.

use std::collections::HashMap;

use crate::ids::{AccountId, IdentityId};
use crate::models::credit::{Said, TEMPLATE_ID_MAX, Word};
use crate::models::event::Waiting;
use crate::models::storable;
use crate::wechat::message::{Consent, ConsentEntry, Content, Push, SentEntry};

/// One word of an event on one permission of its sender.
#[derive(Debug)]
pub(super) struct Heard {
    account_id: AccountId,
    openid: String,
    template_id: String,
    word: Word,
    time: i64,
}

/// Every word of an event, in any of its shapes.
pub(super) fn heard(event: &Waiting, push: &Push) -> Vec<Heard> {
    let words: Vec<(&str, Word)> = match &push.content {
        Content::SubscribeMsgPopup { entries } => {
            let word = |entry| (popup_word(entry), entry);
            with_templates(entries.iter().map(word))
        }
        Content::SubscribeMsgChange { entries } => {
            let word = |entry| (change_word(entry), entry);
            with_templates(entries.iter().map(word))
        }
        Content::SubscribeMsgSent { entries } => entries
            .iter()
            .filter_map(|entry| Some((entry.template_id.as_str(), sent_word(entry)?)))
            .collect(),
        _ => return Vec::new(),
    };
    let Some(openid) = &event.openid else {
        return Vec::new();
    };
    let fits = |id: &str| !id.is_empty() && id.chars().count() <= TEMPLATE_ID_MAX;
    words
        .into_iter()
        .filter(|(template_id, _)| fits(template_id))
        .map(|(template_id, word)| Heard {
            account_id: event.account_id,
            openid: openid.clone(),
            template_id: storable(template_id).into_owned(),
            word,
            time: event.create_time,
        })
        .collect()
}

fn with_templates<'a>(
    words: impl Iterator<Item = (Option<Word>, &'a ConsentEntry)>,
) -> Vec<(&'a str, Word)> {
    words
        .filter_map(|(word, entry)| Some((entry.template_id.as_str(), word?)))
        .collect()
}

fn popup_word(entry: &ConsentEntry) -> Option<Word> {
    match &entry.status {
        Consent::Accept => Some(Word::Pushed),
        Consent::Reject => Some(Word::Rejected),
        Consent::Other(_) => None,
    }
}

/// WeChat pushes refusals only; an acceptance here would say that refused ones may be sent again,
/// and not that there is one more.
fn change_word(entry: &ConsentEntry) -> Option<Word> {
    (entry.status == Consent::Reject).then_some(Word::Withdrawn)
}

/// Only a message that arrived is known to have used a permission. Ours have taken theirs already.
fn sent_word(entry: &SentEntry) -> Option<Word> {
    let msgid = entry.msg_id.as_deref()?.parse().ok()?;
    entry.delivered().then_some(Word::Sent { msgid })
}

/// The words as the ledger takes them, once the identities have their row ids.
pub(super) fn said(heard: &[Heard], ids: &HashMap<(AccountId, &str), IdentityId>) -> Vec<Said> {
    heard
        .iter()
        .filter_map(|heard| {
            Some(Said {
                account_id: heard.account_id,
                identity_id: *ids.get(&(heard.account_id, heard.openid.as_str()))?,
                template_id: heard.template_id.clone(),
                word: heard.word,
                time: heard.time,
                long_term: false,
            })
        })
        .collect()
}
