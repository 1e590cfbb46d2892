//! What is recorded for endpoints, in the transaction of the effect it tells of. Each function
//! costs one small query where nobody listens, and returns how many rows it wrote.

mod deliveries;
pub(crate) mod described;
mod erased;
mod people;
mod pushes;
mod trouble;
mod verification;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::event::{Event, EventKind, Subscribers};
use crate::clock::wechat_time;
use crate::db::QueryResult;
use crate::ids::IdentityId;
use crate::models::identity::Details;
use crate::models::webhook::IdentityFact;

pub(crate) use deliveries::{ended, sends};
pub(crate) use erased::{erased, without_names};
pub(crate) use people::{People, bound, bound_many, unbound};
pub(crate) use pushes::{Batch, Pushes};
pub(crate) use trouble::{RouteAlert, UndoneAlert, alert, disabled, moved, route, undone};
pub(crate) use verification::{Verified, verification};

/// Who somebody is, in every event about a person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PersonOfEvent)]
struct Who<'a> {
    identity_id: IdentityId,
    app_id: &'a str,
    openid: &'a str,
    unionid: Option<&'a str>,
    staff_id: Option<&'a str>,
    /// Name, picture and the like; left out where WeChat does not tell them.
    #[serde(flatten)]
    details: &'a Details,
}

impl<'a> From<&'a IdentityFact> for Who<'a> {
    fn from(fact: &'a IdentityFact) -> Self {
        Self {
            identity_id: fact.identity_id,
            app_id: &fact.app_id,
            openid: &fact.openid,
            unionid: fact.unionid.as_deref(),
            staff_id: fact.staff_id.as_deref(),
            details: &fact.details,
        }
    }
}

/// Data of `identity.followed` and `identity.unfollowed`.
#[derive(Serialize, ToSchema)]
#[schema(as = FollowEvent)]
struct Follow<'a> {
    #[serde(flatten)]
    who: Who<'a>,
    /// WeChat's time of it; none where it was learnt in another way than from its event.
    event_time: Option<DateTime<Utc>>,
    /// Of a follow, null where there was none; an unfollow has no such field.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    qr_scene: Option<Option<&'a str>>,
}

fn follow(
    fact: &IdentityFact,
    followed: bool,
    event_time: i64,
    now: chrono::NaiveDateTime,
) -> QueryResult<Event> {
    let data = Follow {
        who: fact.into(),
        event_time: wechat_time(event_time),
        qr_scene: followed.then_some(fact.qr_scene.as_deref()),
    };
    let kind = match followed {
        true => EventKind::Followed,
        false => EventKind::Unfollowed,
    };
    let event = Event::new(fact.project_id, kind, now, &data)?;
    Ok(event
        .of_account(Some(&fact.app_id))
        .of_identity(Some(fact.identity_id)))
}
