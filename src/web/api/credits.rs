//! Permissions for subscription messages: what a staff member allows, and who runs out.

use std::collections::HashMap;

use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::check;
use super::cursor::{List, Page, Paging};
use super::people::unknown_app_id;
use super::person::Accounts;
use super::{Caller, State};
use crate::bridge::limits::{BELOW_MAX, TEMPLATE_ID_MAX};
use crate::clock::wechat_time;
use crate::db::{Conn, QueryResult};
use crate::ids::{CreditId, IdentityId, ProjectId};
use crate::models::credit::{self, Credit, LowFilter};
use crate::models::people;
use crate::models::staff;
use crate::models::staff::binding;
use crate::web::error::{Code, Problem};

/// What one person allows one template.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CreditView {
    template_id: String,
    /// Whether the template is a long-term one.
    long_term: bool,
    /// Whether a message may be sent now.
    allowed: bool,
    /// One-time permissions not used yet.
    one_time_left: i32,
    /// The newest consent, by WeChat's clock or the report's.
    last_consent_at: Option<DateTime<Utc>>,
    /// Where it is known from: `event`, `api` or both.
    sources: Vec<&'static str>,
    /// The newest refusal by the person, if there was no consent since.
    rejected_at: Option<DateTime<Utc>>,
    /// When WeChat was last reported to have banned the template.
    banned_at: Option<DateTime<Utc>>,
    /// When WeChat last refused a message with 43101.
    refused_at: Option<DateTime<Utc>>,
}

/// The same, of somebody.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OwnedCredit {
    identity_id: IdentityId,
    app_id: String,
    #[serde(flatten)]
    credit: CreditView,
}

/// The same, of somebody who has to be found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LowCredit {
    #[serde(flatten)]
    owned: OwnedCredit,
    openid: String,
    unionid: Option<String>,
    staff_ids: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StaffCredits {
    staff_id: String,
    items: Vec<OwnedCredit>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// The template, which must be given.
    #[param(required, max_length = 64, example = "TPL")]
    template_id: Option<String>,
    /// People with fewer permissions than this.
    #[param(value_type = Option<i32>, minimum = 1, maximum = 1_000, default = 1)]
    below: Option<String>,
    app_id: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

impl From<Credit> for CreditView {
    fn from(credit: Credit) -> Self {
        let (accepted, declined) = (credit.accepted_time(), credit.declined_time());
        let sources = [("event", credit.event_time), ("api", credit.api_time)];
        let sources = sources.into_iter().filter(|(_, time)| *time > 0);
        Self {
            allowed: credit.allows(),
            long_term: credit.long_term,
            one_time_left: credit.one_time_left,
            last_consent_at: wechat_time(accepted),
            sources: sources.map(|(source, _)| source).collect(),
            rejected_at: wechat_time(declined).filter(|_| declined >= accepted),
            banned_at: wechat_time(credit.banned_time),
            refused_at: wechat_time(credit.refused_time),
            template_id: credit.template_id,
        }
    }
}

fn with_owner(accounts: &Accounts, credit: Credit) -> Option<OwnedCredit> {
    Some(OwnedCredit {
        identity_id: credit.identity_id,
        app_id: accounts.app_id(credit.account_id)?,
        credit: credit.into(),
    })
}

/// `GET /staff/{staff_id}/credits`: what a staff member allows, in every account, by template.
#[utoipa::path(
    get,
    path = "/staff/{staff_id}/credits",
    tag = "credits",
    responses((status = 200, description = "The permissions left, by template", body = StaffCredits)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn of_staff(
    state: Data<State>,
    caller: Caller,
    staff_id: Path<String>,
) -> Result<Json<StaffCredits>, Problem> {
    let (staff_id, project) = (staff_id.into_inner(), caller.project_id);
    let found = state.bridge.db.snapshot(move |conn| {
        let rows = staff::reach(conn, project, &[staff_id.as_str()])?;
        if rows.is_empty() {
            return Err(Problem::not_found("staff member"));
        }
        let mut ids: Vec<IdentityId> = rows.iter().filter_map(|row| row.identity_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let accounts = Accounts::of(conn, project)?;
        let credits = credit::of_identities(conn, &ids)?;
        let items = credits.into_iter();
        Ok(StaffCredits {
            staff_id,
            items: items
                .filter_map(|found| with_owner(&accounts, found))
                .collect(),
        })
    });
    Ok(Json(found.await?))
}

/// `GET /credits/low`: who has fewer permissions for a template left than `below`, newest first.
#[utoipa::path(
    get,
    path = "/credits/low",
    tag = "credits",
    params(ListQuery),
    responses((status = 200, description = "A page of people with few permissions", body = Page<LowCredit>)),
    extensions(("x-codes" = json!(["invalid_field", "too_long"]))),
)]
pub(super) async fn low(
    state: Data<State>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<Json<Page<LowCredit>>, Problem> {
    let query = query.into_inner();
    let paging = Paging::read(List::Credits, &query.limit, &query.cursor)?;
    let filter = filter(&query, &paging)?;
    let project = caller.project_id;
    let page = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        let accounts = Accounts::of(conn, project)?;
        let ids = match &query.app_id {
            None => accounts.ids(),
            Some(app_id) => {
                let found = accounts.with_app_id(app_id);
                vec![found.ok_or_else(|| unknown_app_id(app_id))?]
            }
        };
        let found = credit::low(conn, project, &ids, &filter, paging.limit())?;
        let next = paging.cursor(found.next);
        let shown = show(conn, project, &accounts, found.found)?;
        Ok(Page::new(shown, next))
    });
    Ok(Json(page.await?))
}

fn filter(query: &ListQuery, paging: &Paging) -> Result<LowFilter, Problem> {
    let Some(template_id) = query.template_id.clone() else {
        let detail = "Say for which template: ?template_id=….";
        return Err(Problem::new(Code::InvalidQuery, detail).field("template_id"));
    };
    check::text("template_id", &template_id, TEMPLATE_ID_MAX)?;
    let below = match &query.below {
        None => 1,
        Some(text) => text
            .parse()
            .ok()
            .filter(|below| (1..=BELOW_MAX).contains(below))
            .ok_or_else(|| {
                let detail = format!("below must be a whole number from 1 to {BELOW_MAX}.");
                Problem::new(Code::InvalidQuery, detail).field("below")
            })?,
    };
    Ok(LowFilter {
        template_id,
        below,
        before: paging.after.map(CreditId),
    })
}

/// With the staff ids of each, by one query for all.
fn show(
    conn: &mut Conn,
    project: ProjectId,
    accounts: &Accounts,
    found: Vec<(Credit, String, Option<String>)>,
) -> QueryResult<Vec<LowCredit>> {
    let ids: Vec<IdentityId> = found
        .iter()
        .map(|(credit, ..)| credit.identity_id)
        .collect();
    let unionids: Vec<String> = found
        .iter()
        .filter_map(|(.., unionid)| unionid.clone())
        .collect();
    // A binding to another identity of the same person shows through the unionid.
    let members = people::with_unionids(conn, project, &unionids)?;
    let all: Vec<IdentityId> = ids
        .iter()
        .copied()
        .chain(members.iter().map(|m| m.id))
        .collect();
    let unionid_of: HashMap<IdentityId, &str> = members
        .iter()
        .filter_map(|member| Some((member.id, member.unionid.as_deref()?)))
        .collect();
    let links = binding::staff_of_people(conn, project, &all, &unionids)?;
    let staff_ids = |identity: IdentityId, unionid: Option<&str>| {
        let theirs = links.iter().filter(|(_, bound, bound_unionid)| {
            let linked = bound.and_then(|bound| unionid_of.get(&bound).copied());
            *bound == Some(identity)
                || (unionid.is_some() && (linked == unionid || bound_unionid.as_deref() == unionid))
        });
        let mut ids: Vec<String> = theirs.map(|(staff_id, ..)| staff_id.clone()).collect();
        ids.dedup();
        ids
    };
    Ok(found
        .into_iter()
        .filter_map(|(credit, openid, unionid)| {
            Some(LowCredit {
                staff_ids: staff_ids(credit.identity_id, unionid.as_deref()),
                owned: with_owner(accounts, credit)?,
                openid,
                unionid,
            })
        })
        .collect())
}
