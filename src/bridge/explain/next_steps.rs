//! What to do next to reach the person, in the order in which to do it.

use super::Explanation;
use super::candidate_route::CandidateRoute;
use super::facts::Facts;
use super::message_type::{is_unusable, that_matter};
use super::person::{UndoneStory, unlinked};
use super::steps::{Steps, path};
use super::{account_steps, last_delivery, moved};
use crate::bridge::availability::account_problems::AccountProblem;
use crate::bridge::planning::planner::Unreachable;
use crate::bridge::routes::{Channel, Route};
use crate::ids::AccountId;
use crate::models::account::refusal_mark::SwitchedOff;
use crate::models::account::{Account, AccountKind};
use crate::models::credit::Credit;
use crate::models::identity::{Identity, ProfileState};
use crate::models::staff::invitation::State;

/// First what keeps everything from being sent, then what leads to the person, then what is to be
/// done about the last message.
pub(super) fn next(facts: &Facts, story: &Explanation) -> Vec<String> {
    let mut steps = Steps::default();
    let candidates = that_matter(facts);
    for account in involved(facts, &candidates) {
        let troubles = facts.troubles.get(&account.id).into_iter().flatten();
        let troubles = troubles.filter(|trouble| matters(facts, &candidates, account, trouble));
        account_steps::fix(account, &troubles.collect::<Vec<_>>(), &mut steps);
    }
    if let Some(asked) = &facts.asked {
        for problem in &asked.problems {
            let (name, field) = (&asked.name, &problem.field);
            steps.add(format!(
                "Fix message type {name}, {field}: {}",
                problem.detail
            ));
        }
        for view in story
            .message_type
            .iter()
            .flat_map(|of_type| &of_type.routes)
        {
            if is_unusable(view) {
                let (name, at) = (&asked.name, view.route);
                let why = view.detail.as_deref().unwrap_or_default();
                steps.add(format!(
                    "Fix message type {name}, routes[{at}].account: {why}"
                ));
            }
        }
    }
    moved::follow_up(facts, &mut steps);
    let is_reached =
        facts.asked.is_some() && candidates.iter().any(|candidate| candidate.why.is_none());
    if facts.bindings.is_empty() && !is_reached {
        let undone = undone(story);
        if let Some(undone) = undone {
            let at = undone.undone_at.format("%F %H:%M:%S UTC");
            steps.add(format!("At {at}: {}", undone.detail));
        }
        steps.add(bind(facts));
        // An invitation is refused with the binding that it made.
        if let Some(refused) = refusals(story).filter(|_| undone.is_none()) {
            steps.add(refused);
        }
    } else if !is_reached {
        for candidate in &candidates {
            let Some((reason, _)) = &candidate.why else {
                continue;
            };
            // What was said of the new unionid leads there.
            let is_told = *reason == Unreachable::NoIdentityInAccount && moved::concerns(facts);
            if !is_told {
                steps.add(reach(facts, candidate, *reason));
            }
        }
    }
    for off in &facts.switched_off {
        if let Some(step) = switched_off(facts, off) {
            steps.add(step);
        }
    }
    last_delivery::follow_up(facts, story, &mut steps);
    if steps.is_empty() {
        steps.add(nothing(facts, &candidates));
    }
    steps.into_sentences()
}

/// The accounts of the ways that matter; of all, where no message type was asked about.
fn involved<'a>(facts: &'a Facts, candidates: &[&CandidateRoute]) -> Vec<&'a Account> {
    let accounts = facts.accounts.iter();
    let sends = |account: &&Account| {
        let mut senders = candidates.iter().map(|candidate| candidate.sender.id);
        facts.asked.is_none() || senders.any(|id| id == Some(account.id))
    };
    accounts.filter(sends).collect()
}

/// Whether a trouble keeps a call from being made that matters.
fn matters(
    facts: &Facts,
    candidates: &[&CandidateRoute],
    account: &Account,
    trouble: &AccountProblem,
) -> bool {
    let mut of_account = candidates
        .iter()
        .filter(|candidate| candidate.sender.id == Some(account.id));
    facts.asked.is_none()
        || of_account.any(|candidate| trouble.concerns(candidate.sender.channel.traits().call))
}

fn bind(facts: &Facts) -> String {
    let at = path(&facts.staff.staff_id);
    let mut invitations = facts.invitations.iter();
    let open = invitations.find(|one| one.state(facts.now) == State::Open);
    let mut accounts = facts.accounts.iter();
    let official = accounts.find(|account| account.kind == AccountKind::OfficialAccount);
    let invite = match (open, official) {
        (Some(open), _) => {
            let until = open.expires_at.format("%F %H:%M:%S UTC");
            let id = open.id;
            let account = facts.account(open.account_id);
            let app_id = account.map_or("", |account| account.app_id.as_str());
            Some(format!(
                "Have them scan the QR code of invitation {id}, which nobody has used yet and which \
                 is good until {until}; if the code is lost, make a new one: {}. Or bind",
                invite_call(&at, app_id)
            ))
        }
        (None, Some(account)) => Some(format!(
            "Create an invitation and have them scan its QR code: {}. Or bind",
            invite_call(&at, &account.app_id)
        )),
        (None, None) => None,
    };
    let bind = invite.as_deref().unwrap_or("Bind");
    format!(
        "{bind} a mini-program login: {}; or a unionid: POST {at}/bindings {{\"unionid\": \
         \"UNIONID\"}}; or an openid: POST {at}/bindings {{\"app_id\": \"APPID\", \"openid\": \
         \"OPENID\"}}.",
        login_call(facts, &at)
    )
}

/// The call that binds the login of a mini-program, of the project's if it has one.
fn login_call(facts: &Facts, at: &str) -> String {
    let mut accounts = facts.accounts.iter();
    let mini = accounts.find(|account| account.kind == AccountKind::MiniProgram);
    let app_id = mini.map_or("APPID", |account| account.app_id.as_str());
    format!("POST {at}/bindings {{\"app_id\": \"{app_id}\", \"code\": \"CODE\"}}")
}

/// The call that makes an invitation.
fn invite_call(at: &str, app_id: &str) -> String {
    format!("POST {at}/invitations {{\"app_id\": \"{app_id}\"}}")
}

/// The calls that replace a binding to an openid that is not right.
fn rebind(facts: &Facts, account: Option<AccountId>, app_id: &str) -> String {
    let at = path(&facts.staff.staff_id);
    let mut there = facts
        .identities
        .iter()
        .filter(|identity| Some(identity.account_id) == account);
    let bound = there.find_map(|identity| {
        let mut bindings = facts.bindings.iter();
        bindings.find(|binding| binding.identity_id == Some(identity.id))
    });
    let delete = match bound {
        Some(bound) => format!("DELETE {at}/bindings/{}", bound.id),
        None => format!("DELETE {at}/bindings/ID"),
    };
    format!(
        "Bind them again with the right openid: WeChat does not know the bound one in account \
         {app_id}. {delete}, then POST {at}/bindings {{\"app_id\": \"{app_id}\", \"openid\": \
         \"OPENID\"}}."
    )
}

/// The last binding that was undone, if nobody was refused an invitation since.
fn undone(story: &Explanation) -> Option<&UndoneStory> {
    let undone = story.undone.first()?;
    let refused = story.invitations.iter().filter_map(|one| one.refused_at);
    (refused.max() <= Some(undone.undone_at)).then_some(undone)
}

/// Of those who presented the last invitation and were refused.
fn refusals(story: &Explanation) -> Option<String> {
    let last = story.invitations.first()?;
    let (id, detail, at) = (last.id, last.detail?, last.refused_at?);
    let at = at.format("%F %H:%M:%S UTC");
    Some(format!(
        "Invitation {id} was presented at {at} and refused. {detail}"
    ))
}

/// What would make a route lead to the person.
fn reach(facts: &Facts, candidate: &CandidateRoute, reason: Unreachable) -> String {
    let (sender, at) = (&candidate.sender, path(&facts.staff.staff_id));
    let app_id = &sender.app_id;
    match reason {
        Unreachable::UnknownStaff | Unreachable::NotBound => bind(facts),
        Unreachable::NotFollowing => format!(
            "Ask them to follow account {app_id}, for example through an invitation's QR code: {}.",
            invite_call(&at, app_id)
        ),
        Unreachable::UnknownOpenid => rebind(facts, sender.id, app_id),
        Unreachable::NoCredit => consent(facts, candidate),
        Unreachable::WindowClosed | Unreachable::AllowanceUsed => format!(
            "Have them write to account {app_id}: WeChat takes a customer message only after the \
             person has written or acted there. A subscription or template route before it does \
             not depend on that."
        ),
        Unreachable::NoIdentityInAccount => match unlinked(facts) {
            Some(silent) => learn_unionid(facts, silent, app_id),
            None => meet(facts, sender.id, app_id),
        },
    }
}

/// The unionid is known, and nobody with it was seen in the account.
fn meet(facts: &Facts, id: Option<AccountId>, app_id: &str) -> String {
    match id
        .and_then(|id| facts.account(id))
        .map(|account| account.kind)
    {
        Some(AccountKind::MiniProgram) => format!(
            "Have them open mini-program {app_id} and log in. If they did, check that it is bound to \
             the same Open Platform account as the others."
        ),
        _ => format!(
            "Ask them to follow account {app_id}. If they follow it already, import its followers \
             (POST /accounts/{app_id}/imports) and check that it is bound to the same Open Platform \
             account as the others."
        ),
    }
}

/// Nothing links the person to an account as long as no other one tells their unionid.
fn learn_unionid(facts: &Facts, silent: &Identity, wanted: &str) -> String {
    let account = facts.account(silent.account_id);
    let app_id = account.map_or("", |account| account.app_id.as_str());
    let at = path(&facts.staff.staff_id);
    match silent.profile_state {
        ProfileState::NotBoundToOpenPlatform => format!(
            "Bind account {app_id} to the Open Platform account of {wanted} at open.weixin.qq.com: \
             until then WeChat tells no unionid of it, and nothing links the person to {wanted}."
        ),
        ProfileState::Pending => {
            let error = silent.profile_error.as_deref();
            let error = error.map(|error| format!(" The last try failed: {error}"));
            format!(
                "Wait until the person's profile in account {app_id} is fetched; with it comes the \
                 unionid, which links them to {wanted}.{}",
                error.unwrap_or_default()
            )
        }
        ProfileState::NotFollowing => format!(
            "Ask them to follow account {app_id}, since WeChat tells the unionid only of followers, \
             or bind them through the mini-program: {}.",
            login_call(facts, &at)
        ),
        ProfileState::UnknownOpenid => rebind(facts, Some(silent.account_id), app_id),
        ProfileState::LoginNeeded | ProfileState::Unconfirmed => format!(
            "Have them open mini-program {app_id} and log in: that tells their unionid, which links \
             them to {wanted}."
        ),
        ProfileState::Complete => format!("Ask them to follow account {wanted}."),
    }
}

/// A template that the person has switched off, if a message would go by it.
fn switched_off(facts: &Facts, off: &SwitchedOff) -> Option<String> {
    let account = facts.account(off.account_id)?;
    let (app_id, template_id) = (&account.app_id, &off.template_id);
    if let Some(asked) = &facts.asked {
        let mut routes = asked.routes.iter();
        let names = |route: &Route| {
            route.account.as_ref() == Some(app_id) && facts.is_switched_off(Some(account.id), route)
        };
        if !routes.any(names) {
            return None;
        }
    }
    let since = off.since.and_utc().format("%F %H:%M:%S UTC");
    Some(format!(
        "Ask them to switch the messages of template {template_id} on again, in the settings of \
         account {app_id} inside WeChat: WeChat refused one at {since} because they are off. Nothing \
         tells when that changes; a message is tried all the same, and a route behind it reaches them \
         meanwhile."
    ))
}

fn consent(facts: &Facts, candidate: &CandidateRoute) -> String {
    let sender = &candidate.sender;
    let (app_id, template_id) = (&sender.app_id, &sender.template_id);
    let of_lead = |credit: &&Credit| {
        Some(credit.account_id) == sender.id && credit.template_id == *template_id
    };
    let credits: Vec<&Credit> = facts.credits.iter().filter(of_lead).collect();
    let title = sender
        .id
        .and_then(|id| facts.titles.get(&(id, template_id.clone())));
    // A template may have no name.
    let title = title.filter(|title| !title.is_empty());
    let title = title.map(|title| format!(" ({title})")).unwrap_or_default();
    let declined = credits
        .iter()
        .any(|one| one.declined_time() > one.accepted_time());
    let again = if credits.is_empty() { "" } else { " again" };
    let left: i32 = credits.iter().map(|credit| credit.one_time_left).sum();
    let why = match declined {
        true => "they have refused it".to_owned(),
        false => format!("{left} left"),
    };
    format!("Ask for consent to template {template_id}{title} in account {app_id}{again}: {why}.")
}

fn nothing(facts: &Facts, candidates: &[&CandidateRoute]) -> String {
    let open = candidates.iter().find(|candidate| candidate.why.is_none());
    match (open, &facts.asked) {
        (None, _) => {
            "Add an account and a message type: nothing can be sent in this project yet.".to_owned()
        }
        (Some(candidate), _) if candidate.is_a_try => format!(
            "Notify them: it is not known yet whether they follow account {}, and a message will be \
             tried.",
            candidate.sender.app_id
        ),
        (Some(candidate), asked) => {
            let name = asked
                .as_ref()
                .map(|asked| format!(" of type {}", asked.name));
            let app_id = &candidate.sender.app_id;
            let by = match candidate.sender.channel {
                Channel::Template => {
                    format!("reaches them as a template message of account {app_id}")
                }
                Channel::MpSubscribe | Channel::OaSubscribe => {
                    format!("reaches them as a subscription message of account {app_id}")
                }
                Channel::Customer => {
                    format!("reaches them as a customer message of account {app_id}")
                }
                Channel::Webhook => "goes to your own endpoint".to_owned(),
            };
            format!("Nothing: a notification{} {by}.", name.unwrap_or_default())
        }
    }
}
