//! Who the staff member is: bindings, invitations, and the unionid that links their openids.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::facts::Facts;
use super::moved::news_of;
use crate::bridge::invitations::why_refused;
use crate::bridge::people::one_staff;
use crate::bridge::planning::planner::no_unionid;
use crate::ids::{BindingId, InvitationId};
use crate::models::identity::unionid_change::Replacement;
use crate::models::identity::{Identity, ProfileState};
use crate::models::staff::binding::Binding;
use crate::models::staff::invitation::{Refusal, State};
use crate::models::staff::undone_binding::UndoneBinding;

/// One binding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BindingStory {
    /// Row id.
    pub id: BindingId,
    /// The account of the bound openid; none if bound to a unionid.
    pub app_id: Option<String>,
    /// The bound openid.
    pub openid: Option<String>,
    /// The bound unionid.
    pub unionid: Option<String>,
    /// The invitation that it came through, if any.
    pub invitation_id: Option<InvitationId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// An invitation that can still be used, or that somebody was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct InvitationStory {
    /// Row id.
    pub id: InvitationId,
    /// The account to follow.
    pub app_id: Option<String>,
    /// What can still become of it.
    pub state: State,
    /// From when it cannot be used any more.
    pub expires_at: DateTime<Utc>,
    /// Why somebody was refused who presented it, a stable word.
    pub refusal: Option<Refusal>,
    /// The same in a sentence, with what to do.
    pub detail: Option<&'static str>,
    /// When that was.
    pub refused_at: Option<DateTime<Utc>>,
}

/// A binding that was undone, since the person was another staff member already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct UndoneStory {
    /// The account of the openid that was bound, or that told who the person is.
    pub app_id: Option<String>,
    /// That openid.
    pub openid: String,
    /// The staff member who is bound to the person; none if there is no such one any more.
    pub kept_staff_id: Option<String>,
    /// The same in a sentence, with what to do.
    pub detail: String,
    /// When.
    pub undone_at: DateTime<Utc>,
}

/// The person's unionid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct UnionidStory {
    /// The unionid, if it is known.
    pub unionid: Option<String>,
    /// The one by which WeChat has replaced it in another account of the project, if it has.
    pub replaced_by: Option<String>,
    /// Why it is not, a stable word.
    pub reason: Option<ProfileState>,
    /// The same in a sentence, with what to do.
    pub detail: Option<String>,
    /// The account that should tell it.
    pub app_id: Option<String>,
    /// What went wrong when it was last asked for.
    pub error: Option<String>,
    /// When it is asked for next.
    pub next_try_at: Option<DateTime<Utc>>,
}

pub(super) fn bindings(facts: &Facts) -> Vec<BindingStory> {
    let story = |binding: &Binding| {
        let mut identities = facts.identities.iter();
        let bound = identities.find(|one| Some(one.id) == binding.identity_id);
        let used = facts.invitations.iter().find(|one| {
            one.used_by.is_some()
                && one.used_by == binding.identity_id
                && one.used_at == Some(binding.created_at)
        });
        BindingStory {
            id: binding.id,
            app_id: bound.and_then(|one| app_id(facts, one)),
            openid: bound.map(|one| one.openid.clone()),
            unionid: binding.unionid.clone(),
            invitation_id: used.map(|one| one.id),
            created_at: binding.created_at.and_utc(),
        }
    };
    facts.bindings.iter().map(story).collect()
}

pub(super) fn invitations(facts: &Facts) -> Vec<InvitationStory> {
    let stories = facts.invitations.iter().map(|one| InvitationStory {
        id: one.id,
        app_id: facts
            .account(one.account_id)
            .map(|account| account.app_id.clone()),
        state: one.state(facts.now),
        expires_at: one.expires_at.and_utc(),
        refusal: one.refusal,
        detail: one.refusal.map(why_refused),
        refused_at: one.refused_at.map(|at| at.and_utc()),
    });
    let matters = |one: &InvitationStory| one.state == State::Open || one.refusal.is_some();
    stories.filter(matters).collect()
}

pub(super) fn undone(facts: &Facts) -> Vec<UndoneStory> {
    let staff_id = facts.staff.staff_id.as_str();
    let story = |one: &UndoneBinding| UndoneStory {
        app_id: facts
            .account(one.account_id)
            .map(|account| account.app_id.clone()),
        openid: one.openid.clone(),
        kept_staff_id: one.kept_staff_id.clone(),
        detail: one_staff::detail(staff_id, one.kept_staff_id.as_deref()),
        undone_at: one.undone_at.and_utc(),
    };
    facts.undone.iter().map(story).collect()
}

/// The identity that should have told the unionid.
pub(super) fn unlinked(facts: &Facts) -> Option<&Identity> {
    let is_known = facts.reach.iter().any(|row| row.unionid.is_some());
    facts.identities.first().filter(|_| !is_known)
}

fn app_id(facts: &Facts, identity: &Identity) -> Option<String> {
    let account = facts.account(identity.account_id)?;
    Some(account.app_id.clone())
}

pub(super) fn unionid(facts: &Facts) -> UnionidStory {
    let known = facts.reach.iter().find_map(|row| row.unionid.clone());
    let Some(silent) = unlinked(facts) else {
        let news = known.as_deref().and_then(|known| news_of(facts, known));
        return UnionidStory {
            replaced_by: news.and_then(|news| news.new_unionid.clone()),
            detail: news.and_then(|news| replaced(facts, news)),
            unionid: known,
            ..UnionidStory::default()
        };
    };
    UnionidStory {
        unionid: None,
        replaced_by: None,
        reason: Some(silent.profile_state),
        detail: Some(no_unionid(Some(silent.profile_state)).to_owned()),
        app_id: app_id(facts, silent),
        error: silent.profile_error.clone(),
        next_try_at: silent.profile_due_at.map(|due| due.and_utc()),
    }
}

fn replaced(facts: &Facts, news: &Replacement) -> Option<String> {
    let app_id = &facts.account(news.account_id)?.app_id;
    let at = news.changed_at.format("%F %H:%M:%S UTC");
    Some(format!(
        "WeChat has replaced this unionid: since {at} it gives the person another one in account {app_id}, as that \
         has moved to another Open Platform account."
    ))
}
