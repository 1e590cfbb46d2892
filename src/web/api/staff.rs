//! Staff: members of the business, and whether they can be reached.

pub(super) mod bindings;
pub(super) mod export;
pub(super) mod import;
pub(super) mod invitations;

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::check;
use super::cursor::{List, Page, Paging};
use super::person::{Accounts, IdentityExtras, IdentityView, WindowRules};
use super::{Caller, State};
use crate::bridge::limits::{NAME_MAX, TAG_MAX, TAGS_MAX};
use crate::bridge::people::staff::{StaffDetails, StaffError, Stranded, phone};
use crate::bridge::people::staff_list::{self, ListedStaff, StaffFilter};
use crate::bridge::planning::reach::{self, Reach};
use crate::ids::text::TextId;
use crate::ids::{IdentityId, StaffRowId};
use crate::models::account;
use crate::models::identity;
use crate::models::staff::binding;
use crate::models::staff::{self, Staff};
use crate::web::body::Body;
use crate::web::error::{Code, Problem};
use bindings::BindingView;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StaffBody {
    /// A name for people.
    #[serde(default)]
    name: Option<String>,
    /// Replaces the phone number; left out, it stays.
    #[serde(default)]
    phone: Option<String>,
    /// Replaces the tags; left out, they stay.
    #[serde(default)]
    tags: Option<BTreeSet<String>>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    tag: Option<String>,
    reachable: Option<String>,
    /// A stable word for why a staff member is not reached.
    #[param(value_type = Option<crate::bridge::planning::reach::ReachReason>)]
    reason: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StaffView {
    staff_id: String,
    name: Option<String>,
    phone: Option<String>,
    tags: Vec<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// A staff member in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StaffSummary {
    #[serde(flatten)]
    staff: StaffView,
    #[serde(flatten)]
    reach: Reach,
}

/// Everything about one staff member.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StaffDetailsView {
    #[serde(flatten)]
    summary: StaffSummary,
    bindings: Vec<BindingView>,
    /// Every identity of the person, bound or linked.
    identities: Vec<IdentityView>,
}

impl StaffView {
    fn new(staff: Staff, tags: Option<Vec<String>>) -> Self {
        Self {
            staff_id: staff.staff_id,
            name: staff.name,
            phone: staff.phone,
            tags: tags.unwrap_or_default(),
            created_at: staff.created_at.and_utc(),
            updated_at: staff.updated_at.and_utc(),
        }
    }
}

/// `PUT /staff/{staff_id}`: adds a staff member, or replaces the name; bindings stay.
#[utoipa::path(
    put,
    path = "/staff/{staff_id}",
    tag = "staff",
    request_body = StaffBody,
    responses((status = 200, description = "The staff member was changed", body = StaffView), (status = 201, description = "The staff member was added", body = StaffView)),
)]
pub(super) async fn put(
    state: Data<State>,
    caller: Caller,
    staff_id: Path<String>,
    body: Body<StaffBody>,
) -> Result<(Json<StaffView>, StatusCode), Problem> {
    check::id("staff_id", TextId::StaffId, &staff_id)?;
    check::maybe_text("name", body.name.as_ref(), NAME_MAX)?;
    check_tags(body.tags.as_ref())?;
    let (staff_id, StaffBody { name, phone, tags }) = (staff_id.into_inner(), body.into_inner());
    let phone = phone.as_deref().map(check_phone).transpose()?;
    let details = StaffDetails { name, phone, tags };
    let put = state.bridge.put_staff(caller.project_id, staff_id, details);
    let stored = put.await?;
    let status = if stored.is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((Json(StaffView::new(stored.staff, stored.tags)), status))
}

/// The form in which it is stored; an empty text takes the stored one away.
fn check_phone(text: &str) -> Result<String, Problem> {
    if text.is_empty() {
        return Ok(String::new());
    }
    phone(text)
        .map_err(|rule| Problem::new(Code::InvalidField, format!("phone {rule}.")).field("phone"))
}

fn check_tags(tags: Option<&BTreeSet<String>>) -> Result<(), Problem> {
    let Some(tags) = tags else { return Ok(()) };
    if tags.len() > TAGS_MAX {
        let detail = format!(
            "tags may have at most {TAGS_MAX} entries, and has {}.",
            tags.len()
        );
        return Err(Problem::new(Code::TooLong, detail)
            .field("tags")
            .limit(TAGS_MAX));
    }
    tags.iter()
        .try_for_each(|tag| check::text("tags", tag, TAG_MAX))
}

impl From<ListedStaff> for StaffSummary {
    fn from(member: ListedStaff) -> Self {
        Self {
            staff: StaffView::new(member.staff, Some(member.tags)),
            reach: member.reach,
        }
    }
}

/// The filters of a query string.
fn filter(
    tag: Option<String>,
    reachable: Option<&str>,
    reason: Option<&String>,
) -> Result<StaffFilter, Problem> {
    let reachable = match reachable {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => {
            let detail = "reachable must be true or false.";
            return Err(Problem::new(Code::InvalidQuery, detail).field("reachable"));
        }
    };
    Ok(StaffFilter {
        tag,
        reachable,
        reason: check::word("reason", reason)?,
    })
}

/// `GET /staff`: all staff, newest first, with whether they can be reached.
#[utoipa::path(
    get,
    path = "/staff",
    tag = "staff",
    params(ListQuery),
    responses((status = 200, description = "A page of staff, newest first", body = Page<StaffSummary>)),
)]
pub(super) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<Json<Page<StaffSummary>>, Problem> {
    let query = query.into_inner();
    let paging = Paging::read(List::Staff, &query.limit, &query.cursor)?;
    let filter = filter(query.tag, query.reachable.as_deref(), query.reason.as_ref())?;
    let project = caller.project_id;
    let page = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let before = paging.after.map(StaffRowId);
        let found = staff_list::page(conn, project, &filter, before, paging.limit())?;
        Ok(paging.page(found, StaffSummary::from))
    });
    Ok(Json(page.await?))
}

/// `GET /staff/{staff_id}`: one staff member with bindings, the person and their reach.
#[utoipa::path(
    get,
    path = "/staff/{staff_id}",
    tag = "staff",
    responses((status = 200, description = "The staff member", body = StaffDetailsView)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn find(
    state: Data<State>,
    caller: Caller,
    staff_id: Path<String>,
) -> Result<Json<StaffDetailsView>, Problem> {
    let (staff_id, project) = (staff_id.into_inner(), caller.project_id);
    let rules = WindowRules::of(&state);
    let whole = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let found = staff::find(conn, project, &staff_id)?;
        let found = found.ok_or_else(|| Problem::not_found("staff member"))?;
        let accounts = Accounts::of(conn, project)?;
        let labels = account::labels(conn, project)?;
        let rows = staff::reach(conn, project, &[staff_id.as_str()])?;
        let mut reached = reach::of_each(&[staff_id.as_str()], &rows, &labels);
        let reach = reached
            .pop()
            .ok_or_else(|| Problem::not_found("staff member"))?;
        let ids: Vec<IdentityId> = rows.iter().filter_map(|row| row.identity_id).collect();
        let bindings = binding::of_staff(conn, found.id)?;
        let mut extras = IdentityExtras::of(conn, &ids)?;
        let tags = staff::tags_of(conn, &[found.id])?.remove(&found.id);
        Ok(StaffDetailsView {
            summary: StaffSummary {
                staff: StaffView::new(found, tags),
                reach,
            },
            bindings: bindings.into_iter().map(BindingView::from).collect(),
            identities: accounts.show(identity::by_ids(conn, project, &ids)?, &mut extras, &rules),
        })
    });
    Ok(Json(whole.await?))
}

/// The answer to taking a staff member or a binding away.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RemovedView {
    /// How many deliveries wait for the staff member and will not go where they were to go: each is
    /// planned again when its turn comes, or ends as `not_bound`.
    deliveries_waiting: i64,
    /// Whether there are more than that.
    more: bool,
}

impl From<Stranded> for RemovedView {
    fn from(stranded: Stranded) -> Self {
        Self {
            deliveries_waiting: stranded.count,
            more: stranded.more,
        }
    }
}

/// `DELETE /staff/{staff_id}`: removes a staff member and the bindings, not the person.
#[utoipa::path(
    delete,
    path = "/staff/{staff_id}",
    tag = "staff",
    responses((status = 200, description = "It is removed", body = RemovedView)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn delete(
    state: Data<State>,
    caller: Caller,
    staff_id: Path<String>,
) -> Result<Json<RemovedView>, Problem> {
    let removed = state
        .bridge
        .remove_staff(caller.project_id, staff_id.into_inner());
    Ok(Json(removed.await?.into()))
}

impl From<StaffError> for Problem {
    fn from(error: StaffError) -> Self {
        match error {
            StaffError::UnknownStaff => Self::not_found("staff member"),
            StaffError::UnknownBinding => Self::not_found("binding of this staff member"),
            StaffError::Db(error) => error.into(),
        }
    }
}
