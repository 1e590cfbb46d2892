//! What became of people: a unionid learnt, a follow state corrected, a binding made or removed.

use std::collections::HashMap;

use chrono::NaiveDateTime;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Event, EventKind, Subscribers, Who, follow};
use crate::db::{Conn, QueryResult};
use crate::ids::{BindingId, IdentityId, ProjectId};
use crate::models::identity::FollowState;
use crate::models::staff::binding::Binding;
use crate::models::webhook::{self, IdentityFact, IdentityState, OfPerson};

/// Identities, before and after what WeChat says of them is stored.
pub(crate) struct People {
    subscribers: Subscribers,
    known: HashMap<IdentityId, IdentityState>,
}

const KINDS: [EventKind; 3] = [
    EventKind::Linked,
    EventKind::Followed,
    EventKind::Unfollowed,
];

#[derive(Serialize, ToSchema)]
#[schema(as = LinkedEvent)]
pub(super) struct Linked<'a> {
    #[serde(flatten)]
    who: Who<'a>,
    /// All that is known of the person by now, this one among it.
    identities: Vec<Sibling<'a>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = LinkedIdentity)]
struct Sibling<'a> {
    identity_id: IdentityId,
    app_id: &'a str,
    openid: &'a str,
}

impl People {
    /// To be called before the change.
    pub(crate) fn before(conn: &mut Conn, ids: &[IdentityId]) -> QueryResult<Self> {
        let subscribers = Subscribers::of(conn)?;
        let known = match subscribers.wants(&KINDS) {
            true => identity_states(conn, ids)?,
            false => HashMap::new(),
        };
        Ok(Self { subscribers, known })
    }

    /// To be called after it, with the same identities and those that are new.
    pub(crate) fn after(
        self,
        conn: &mut Conn,
        ids: &[IdentityId],
        now: NaiveDateTime,
    ) -> QueryResult<usize> {
        if !self.subscribers.wants(&KINDS) {
            return Ok(0);
        }
        let mut linked = Vec::new();
        let mut moved = Vec::new();
        let mut after: Vec<IdentityState> = identity_states(conn, ids)?.into_values().collect();
        after.sort_unstable_by_key(|after| after.id);
        for after in after {
            let before = self.known.get(&after.id);
            let wants = |kind| self.subscribers.wants_in(after.project_id, kind);
            let was_linked = before.is_some_and(|before| before.unionid.is_some());
            if after.unionid.is_some() && !was_linked && wants(EventKind::Linked) {
                linked.push(after.id);
            }
            if let Some(followed) = before.and_then(|before| turn(before, &after)) {
                let kind = match followed {
                    true => EventKind::Followed,
                    false => EventKind::Unfollowed,
                };
                moved.extend(wants(kind).then_some((after.id, followed)));
            }
        }
        if linked.is_empty() && moved.is_empty() {
            return Ok(0);
        }
        let events = self.events(conn, &linked, &moved, now)?;
        self.subscribers.publish(conn, &events, now)
    }

    fn events(
        &self,
        conn: &mut Conn,
        linked: &[IdentityId],
        moved: &[(IdentityId, bool)],
        now: NaiveDateTime,
    ) -> QueryResult<Vec<Event>> {
        let mut wanted: Vec<IdentityId> = moved.iter().map(|(id, _)| *id).collect();
        wanted.extend(linked);
        wanted.sort_unstable();
        wanted.dedup();
        let facts = webhook::identities(conn, &wanted)?;
        let facts: HashMap<IdentityId, &IdentityFact> =
            facts.iter().map(|fact| (fact.identity_id, fact)).collect();
        let siblings = webhook::identities_of_people(conn, linked)?;
        let mut events = Vec::new();
        for (id, followed) in moved {
            if let Some(fact) = facts.get(id) {
                events.push(follow(fact, *followed, 0, now)?);
            }
        }
        for id in linked {
            if let Some(fact) = facts.get(id) {
                events.push(link(fact, &siblings, now)?);
            }
        }
        Ok(events)
    }
}

fn identity_states(
    conn: &mut Conn,
    ids: &[IdentityId],
) -> QueryResult<HashMap<IdentityId, IdentityState>> {
    let found = webhook::identity_states(conn, ids)?;
    Ok(found.into_iter().map(|one| (one.id, one)).collect())
}

/// Whether somebody has come or gone unseen. Somebody of whom nothing was known, as in an import
/// of followers, has not come now.
fn turn(before: &IdentityState, after: &IdentityState) -> Option<bool> {
    match (before.follow_state, after.follow_state) {
        (FollowState::NotFollowing, FollowState::Following) => Some(true),
        (FollowState::Following, FollowState::NotFollowing) => Some(false),
        _ => None,
    }
}

fn link(fact: &IdentityFact, siblings: &[OfPerson], now: NaiveDateTime) -> QueryResult<Event> {
    let of_person = siblings
        .iter()
        .filter(|sibling| sibling.origin == fact.identity_id);
    let data = Linked {
        who: fact.into(),
        identities: of_person
            .map(|sibling| Sibling {
                identity_id: sibling.identity_id,
                app_id: &sibling.app_id,
                openid: &sibling.openid,
            })
            .collect(),
    };
    let event = Event::new(fact.project_id, EventKind::Linked, now, &data)?;
    Ok(event
        .of_account(Some(&fact.app_id))
        .of_identity(Some(fact.identity_id)))
}

#[derive(Serialize, ToSchema)]
#[schema(as = BindingEvent)]
pub(super) struct BindingData<'a> {
    staff_id: &'a str,
    binding_id: BindingId,
    /// Null where the binding is to a unionid.
    identity_id: Option<IdentityId>,
    app_id: Option<&'a str>,
    openid: Option<&'a str>,
    unionid: Option<&'a str>,
}

/// A staff member was bound.
pub(crate) fn bound(
    conn: &mut Conn,
    staff_id: &str,
    binding: &Binding,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    bound_many(conn, binding.project_id, &[(staff_id, binding)], now)
}

/// Many staff members of a project were bound.
pub(crate) fn bound_many(
    conn: &mut Conn,
    project: ProjectId,
    bindings: &[(&str, &Binding)],
    now: NaiveDateTime,
) -> QueryResult<usize> {
    bindings_changed(conn, project, EventKind::Bound, bindings, now)
}

/// Bindings of a staff member were removed; to be called with what they were.
pub(crate) fn unbound(
    conn: &mut Conn,
    project: ProjectId,
    staff_id: &str,
    bindings: &[Binding],
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let bindings: Vec<(&str, &Binding)> = bindings.iter().map(|one| (staff_id, one)).collect();
    bindings_changed(conn, project, EventKind::Unbound, &bindings, now)
}

fn bindings_changed(
    conn: &mut Conn,
    project: ProjectId,
    kind: EventKind,
    bindings: &[(&str, &Binding)],
    now: NaiveDateTime,
) -> QueryResult<usize> {
    if bindings.is_empty() {
        return Ok(0);
    }
    let subscribers = Subscribers::of(conn)?;
    if !subscribers.wants_in(project, kind) {
        return Ok(0);
    }
    let ids = bindings.iter().filter_map(|(_, one)| one.identity_id);
    let facts = webhook::identities(conn, &ids.collect::<Vec<_>>())?;
    let facts: HashMap<IdentityId, &IdentityFact> =
        facts.iter().map(|fact| (fact.identity_id, fact)).collect();
    let mut events = Vec::new();
    for (staff_id, binding) in bindings {
        let fact = binding.identity_id.and_then(|id| facts.get(&id));
        let unionid = fact.and_then(|fact| fact.unionid.as_deref());
        let app_id = fact.map(|fact| fact.app_id.as_str());
        let data = BindingData {
            staff_id,
            binding_id: binding.id,
            identity_id: binding.identity_id,
            app_id,
            openid: fact.map(|fact| fact.openid.as_str()),
            unionid: unionid.or(binding.unionid.as_deref()),
        };
        let mut one = Event::new(project, kind, now, &data)?
            .of_account(app_id)
            .of_identity(binding.identity_id);
        if one.person.is_none() {
            one.person = binding
                .unionid
                .as_ref()
                .map(|unionid| format!("u{unionid}"));
        }
        events.push(one);
    }
    subscribers.publish(conn, &events, now)
}
