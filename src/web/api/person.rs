//! How identities and persons are shown.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::State;
use crate::bridge::windows::{self, CustomerWindow};
use crate::clock::wechat_time;
use crate::db::{Conn, QueryResult};
use crate::ids::{AccountId, IdentityId, ProjectId};
use crate::models::account::{self, AccountKind, Label};
use crate::models::identity::openid_move::{self, OpenidMove};
use crate::models::identity::windows::{Rules, WindowFacts};
use crate::models::identity::{self, Details, FollowState, Identity, ProfileState};
use crate::models::people;
use crate::models::people::LinkState;
use crate::models::staff::binding::{self, StaffLink};

/// One openid in one account.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IdentityView {
    id: IdentityId,
    app_id: String,
    kind: AccountKind,
    openid: String,
    unionid: Option<String>,
    follow_state: FollowState,
    /// The newest follow and unfollow, by WeChat's clock.
    followed_at: Option<DateTime<Utc>>,
    unfollowed_at: Option<DateTime<Utc>>,
    subscribe_scene: Option<String>,
    qr_scene: Option<String>,
    language: Option<String>,
    remark: Option<String>,
    #[schema(value_type = Option<Vec<i64>>)]
    tag_ids: Option<Box<RawValue>>,
    /// What WeChat says of the person, under its own names; null where it does not.
    nickname: Option<String>,
    headimgurl: Option<String>,
    sex: Option<i32>,
    country: Option<String>,
    province: Option<String>,
    city: Option<String>,
    /// If there is no unionid, why.
    profile_state: ProfileState,
    /// What went wrong when it was last fetched.
    profile_error: Option<String>,
    profile_fetched_at: Option<DateTime<Utc>>,
    profile_due_at: Option<DateTime<Utc>>,
    /// What became of the openid when its account was migrated to another one, if it was.
    moved_to: Option<MovedTo>,
    /// What customer messages are allowed now; none if there may be none.
    customer_window: Option<OpenWindow>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// What became of an openid of a migrated account.
#[derive(Debug, Serialize, ToSchema)]
struct MovedTo {
    app_id: Option<String>,
    /// The identity that goes on for it; null where WeChat did not translate the openid.
    identity_id: Option<IdentityId>,
    /// Why not, or what was not moved with it.
    reason: Option<String>,
    at: DateTime<Utc>,
}

/// Customer messages that may be sent now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OpenWindow {
    open_until: DateTime<Utc>,
    left: i32,
}

/// By which rules windows are shown, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowRules {
    rules: Rules,
    now: i64,
}

impl WindowRules {
    /// The settings' rules, now.
    pub(super) fn of(state: &State) -> Self {
        Self {
            rules: windows::rules(&state.bridge.config.customer),
            now: state.bridge.clock.unix_seconds(),
        }
    }

    fn window(&self, kind: AccountKind, identity: &Identity) -> Option<OpenWindow> {
        match windows::look(&self.rules, kind, &WindowFacts::from(identity), self.now) {
            CustomerWindow::Open { until, left } => Some(OpenWindow {
                open_until: until,
                left,
            }),
            CustomerWindow::Closed { .. } => None,
        }
    }
}

/// A person: the identities that share a unionid, and the staff ids bound to them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PersonView {
    /// The identity that represents the person in this list.
    identity_id: IdentityId,
    unionid: Option<String>,
    link_state: LinkState,
    staff_ids: Vec<String>,
    identities: Vec<IdentityView>,
}

/// The accounts of a project, to name them.
pub(super) struct Accounts(HashMap<AccountId, Label>);

impl Accounts {
    pub(super) fn of(conn: &mut Conn, project: ProjectId) -> QueryResult<Self> {
        let labels = account::labels(conn, project)?;
        let by_id = labels.into_iter().map(|label| (label.id, label)).collect();
        Ok(Self(by_id))
    }

    pub(super) fn app_id(&self, id: AccountId) -> Option<String> {
        self.0.get(&id).map(|label| label.app_id.clone())
    }

    pub(super) fn with_app_id(&self, app_id: &str) -> Option<AccountId> {
        self.labelled(app_id).map(|label| label.id)
    }

    pub(super) fn labelled(&self, app_id: &str) -> Option<&Label> {
        self.0.values().find(|label| label.app_id == app_id)
    }

    /// Their row ids, oldest first.
    pub(super) fn ids(&self) -> Vec<AccountId> {
        let mut ids: Vec<AccountId> = self.0.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Identities as they are shown; all are of this project.
    pub(super) fn show(
        &self,
        identities: Vec<Identity>,
        extras: &mut IdentityExtras,
        rules: &WindowRules,
    ) -> Vec<IdentityView> {
        let views = identities.into_iter().filter_map(|identity| {
            let details = extras.details.remove(&identity.id).unwrap_or_default();
            let moved = extras.moves.remove(&identity.id);
            let account = self.0.get(&identity.account_id)?;
            let mut view = view(account, identity, details, rules);
            view.moved_to = moved.map(|moved| MovedTo {
                app_id: self.app_id(moved.to_account_id),
                identity_id: moved.new_identity_id,
                reason: moved.reason,
                at: moved.moved_at.and_utc(),
            });
            Some(view)
        });
        views.collect()
    }
}

/// What other tables have about identities.
pub(super) struct IdentityExtras {
    details: HashMap<IdentityId, Details>,
    moves: HashMap<IdentityId, OpenidMove>,
}

impl IdentityExtras {
    pub(super) fn of(conn: &mut Conn, ids: &[IdentityId]) -> QueryResult<Self> {
        Ok(Self {
            details: identity::details_of(conn, ids)?,
            moves: openid_move::of_identities(conn, ids)?
                .into_iter()
                .map(|moved| (moved.identity_id, moved))
                .collect(),
        })
    }
}

fn view(
    account: &Label,
    identity: Identity,
    details: Details,
    rules: &WindowRules,
) -> IdentityView {
    IdentityView {
        customer_window: rules.window(account.kind, &identity),
        id: identity.id,
        app_id: account.app_id.clone(),
        kind: account.kind,
        openid: identity.openid,
        unionid: identity.unionid,
        follow_state: identity.follow_state,
        followed_at: wechat_time(identity.followed_time),
        unfollowed_at: wechat_time(identity.unfollowed_time),
        subscribe_scene: identity.subscribe_scene,
        qr_scene: identity.qr_scene,
        language: identity.language,
        remark: identity.remark,
        tag_ids: identity
            .tag_ids
            .and_then(|json| RawValue::from_string(json).ok()),
        nickname: details.nickname,
        headimgurl: details.headimgurl,
        sex: details.sex,
        country: details.country,
        province: details.province,
        city: details.city,
        moved_to: None,
        profile_state: identity.profile_state,
        profile_error: identity.profile_error,
        profile_fetched_at: identity.profile_fetched_at.map(|time| time.and_utc()),
        profile_due_at: identity.profile_due_at.map(|time| time.and_utc()),
        created_at: identity.created_at.and_utc(),
        updated_at: identity.updated_at.and_utc(),
    }
}

/// The persons behind identities of one project, in their order, with a fixed number of queries.
pub(super) fn persons(
    conn: &mut Conn,
    project: ProjectId,
    found: Vec<Identity>,
    rules: &WindowRules,
) -> QueryResult<Vec<PersonView>> {
    let accounts = Accounts::of(conn, project)?;
    let unionids: Vec<String> = found
        .iter()
        .filter_map(|identity| identity.unionid.clone())
        .collect();
    let linked = people::with_unionids(conn, project, &unionids)?;
    let ids: Vec<IdentityId> = found
        .iter()
        .chain(&linked)
        .map(|member| member.id)
        .collect();
    let links = binding::staff_of_people(conn, project, &ids, &unionids)?;
    let mut extras = IdentityExtras::of(conn, &ids)?;
    let mut by_unionid: HashMap<String, Vec<Identity>> = HashMap::new();
    for member in linked {
        if let Some(unionid) = member.unionid.clone() {
            by_unionid.entry(unionid).or_default().push(member);
        }
    }
    Ok(found
        .into_iter()
        .map(|identity| {
            let identity_id = identity.id;
            let unionid = identity.unionid.clone();
            let members = match &unionid {
                Some(unionid) => by_unionid.remove(unionid).unwrap_or_default(),
                None => vec![identity],
            };
            PersonView {
                identity_id,
                link_state: link_state(unionid.as_deref(), &members),
                staff_ids: staff_ids(&links, unionid.as_deref(), &members),
                unionid,
                identities: accounts.show(members, &mut extras, rules),
            }
        })
        .collect())
}

fn link_state(unionid: Option<&str>, members: &[Identity]) -> LinkState {
    let mut accounts = members.iter().map(|member| member.account_id);
    let first = accounts.next();
    match unionid {
        None => LinkState::NoUnionid,
        Some(_) if accounts.any(|account| Some(account) != first) => LinkState::Linked,
        Some(_) => LinkState::Single,
    }
}

fn staff_ids(links: &[StaffLink], unionid: Option<&str>, members: &[Identity]) -> Vec<String> {
    let mut ids: Vec<String> = links
        .iter()
        .filter(
            |(_, identity, bound_unionid)| match (identity, bound_unionid) {
                (Some(id), _) => members.iter().any(|member| member.id == *id),
                (None, Some(bound)) => Some(bound.as_str()) == unionid,
                (None, None) => false,
            },
        )
        .map(|(staff_id, ..)| staff_id.clone())
        .collect();
    ids.dedup();
    ids
}
