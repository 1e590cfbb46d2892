//! Unionids that WeChat has replaced: what is still known and bound by the old one.

use std::collections::BTreeSet;

use super::facts::Facts;
use super::steps::{Steps, path};
use crate::models::account::AccountKind;
use crate::models::identity::unionid_change::Replacement;
use crate::models::staff::binding::Binding;

/// What a unionid was replaced by, the newest word first.
fn replaced<'a>(facts: &'a Facts, unionid: &'a str) -> impl Iterator<Item = &'a Replacement> {
    let all = facts.replacements.iter();
    all.filter(move |one| one.old_unionid == unionid)
}

/// The new unionid of the person, and since when, if theirs was replaced.
pub(super) fn news_of<'a>(facts: &'a Facts, unionid: &'a str) -> Option<&'a Replacement> {
    replaced(facts, unionid).next()
}

/// Whether the person's accounts have come apart because a unionid was replaced.
pub(super) fn concerns(facts: &Facts) -> bool {
    !facts.replacements.is_empty()
}

/// First every account tells the new unionid, then the binding names it.
pub(super) fn follow_up(facts: &Facts, steps: &mut Steps) {
    for identity in &facts.identities {
        let Some(news) = identity
            .unionid
            .as_deref()
            .and_then(|old| news_of(facts, old))
        else {
            continue;
        };
        let account = facts.account(identity.account_id);
        let elsewhere = facts.account(news.account_id);
        let (Some(account), Some(elsewhere)) = (account, elsewhere) else {
            continue;
        };
        let (app_id, other) = (&account.app_id, &elsewhere.app_id);
        let at = news.changed_at.format("%F %H:%M:%S UTC");
        steps.add(match account.kind {
            AccountKind::OfficialAccount => format!(
                "Ask for all profiles of account {app_id} again: since {at} WeChat gives the person another unionid \
                 in {other}, and in {app_id} the old one is still known. POST /accounts/{app_id}/imports \
                 {{\"refresh\": true}}."
            ),
            AccountKind::MiniProgram => format!(
                "Have them open mini-program {app_id} and log in: since {at} WeChat gives the person another unionid \
                 in {other}, and in {app_id} the old one is still known."
            ),
        });
    }
    for binding in &facts.bindings {
        if let Some(step) = bind_again(facts, binding) {
            steps.add(step);
        }
    }
}

fn bind_again(facts: &Facts, binding: &Binding) -> Option<String> {
    let old = binding.unionid.as_deref()?;
    let news = news_of(facts, old)?;
    let account = facts.account(news.account_id)?;
    let (app_id, at) = (&account.app_id, news.changed_at.format("%F %H:%M:%S UTC"));
    let all: BTreeSet<&str> = replaced(facts, old)
        .filter_map(|one| one.new_unionid.as_deref())
        .collect();
    let (id, staff) = (binding.id, path(&facts.staff.staff_id));
    let new = all.iter().copied().collect::<Vec<_>>().join(" or ");
    let how = match all.len() {
        1 => format!(
            "POST /accounts/{app_id}/moved/rebind binds all staff so, or POST {staff}/bindings {{\"unionid\": \
             \"{new}\"}} this one"
        ),
        _ => format!("POST {staff}/bindings with the right one, then DELETE {staff}/bindings/{id}"),
    };
    Some(format!(
        "Bind them by the new unionid: binding {id} names unionid {old}, which WeChat has replaced by {new} in \
         account {app_id} at {at}. {how}."
    ))
}
