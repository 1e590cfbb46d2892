//! People: who is known, in which accounts, and how far their openids are linked.

use actix_web::web::{Data, Json, Path, Query};
use serde::Deserialize;
use utoipa::IntoParams;

use super::check;
use super::cursor::{self, List, Page, Paging};
use super::person::{Accounts, PersonView, WindowRules, persons};
use super::{Caller, State};
use crate::ids::IdentityId;
use crate::ids::text::TextId;
use crate::models::identity;
use crate::models::people;
use crate::models::people::{PeopleFilter, Place};
use crate::web::error::{Code, Problem};

/// The end of the year 9999, microseconds since 1970.
const LATEST: i64 = 253_402_300_800_000_000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    staff_id: Option<String>,
    unionid: Option<String>,
    openid: Option<String>,
    app_id: Option<String>,
    /// Whether they follow.
    #[param(value_type = Option<crate::models::identity::FollowState>)]
    follow_state: Option<String>,
    /// Whether their unionid is known.
    #[param(value_type = Option<crate::models::people::LinkState>)]
    link_state: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// `GET /people`: those with an identity to which every given word applies, newest first.
#[utoipa::path(
    get,
    path = "/people",
    tag = "people",
    params(ListQuery),
    responses((status = 200, description = "A page of people, newest first", body = Page<PersonView>)),
    extensions(("x-codes" = json!(["invalid_field", "too_long"]))),
)]
pub(super) async fn list(
    state: Data<State>,
    caller: Caller,
    query: Query<ListQuery>,
) -> Result<Json<Page<PersonView>>, Problem> {
    let query = query.into_inner();
    let paging = Paging::first(List::People, &query.limit)?;
    let mut filter = filter(&query)?;
    filter.place = match cursor::read_all(List::People, query.cursor.as_deref())? {
        Some(numbers) => Some(place(numbers).ok_or_else(cursor::invalid)?),
        None => None,
    };
    let (project, rules) = (caller.project_id, WindowRules::of(&state));
    let now = state.bridge.clock.now();
    let page = state.bridge.db.snapshot(move |conn| -> Result<_, Problem> {
        if let Some(app_id) = &query.app_id {
            let account = Accounts::of(conn, project)?.with_app_id(app_id);
            filter.account_id = Some(account.ok_or_else(|| unknown_app_id(app_id))?);
        }
        let found = people::page(conn, project, &filter, paging.limit(), now)?;
        let next = found.next.map(|place| {
            let numbers = [place.before.0, place.newest.0, place.began];
            cursor::encode_all(List::People, &numbers)
        });
        let people = persons(conn, project, found.found, &rules)?;
        Ok(Page::new(people, next))
    });
    Ok(Json(page.await?))
}

/// The place that a cursor holds, if its numbers can be those of one.
fn place([before, newest, began]: [i64; 3]) -> Option<Place> {
    let is_one = before > 0 && newest > 0 && (0..LATEST).contains(&began);
    is_one.then_some(Place {
        before: IdentityId(before),
        newest: IdentityId(newest),
        began,
    })
}

fn filter(query: &ListQuery) -> Result<PeopleFilter, Problem> {
    check::maybe_id("staff_id", TextId::StaffId, query.staff_id.as_ref())?;
    check::maybe_id("unionid", TextId::Unionid, query.unionid.as_ref())?;
    check::maybe_id("openid", TextId::Openid, query.openid.as_ref())?;
    Ok(PeopleFilter {
        unionid: query.unionid.clone(),
        openid: query.openid.clone(),
        account_id: None,
        follow_state: check::word("follow_state", query.follow_state.as_ref())?,
        link_state: check::word("link_state", query.link_state.as_ref())?,
        staff_id: query.staff_id.clone(),
        place: None,
    })
}

/// A filter names an account that the project does not have.
pub(super) fn unknown_app_id(app_id: &str) -> Problem {
    let detail = format!(
        "The project has no account with the app id {}.",
        app_id.escape_debug()
    );
    Problem::new(Code::InvalidQuery, detail).field("app_id")
}

/// `GET /people/{identity_id}`: the person whom an identity belongs to.
#[utoipa::path(
    get,
    path = "/people/{identity_id}",
    tag = "people",
    responses((status = 200, description = "The person", body = PersonView)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(super) async fn find(
    state: Data<State>,
    caller: Caller,
    id: Path<IdentityId>,
) -> Result<Json<PersonView>, Problem> {
    let (id, project) = (id.into_inner(), caller.project_id);
    let rules = WindowRules::of(&state);
    let person = state.bridge.db.snapshot(move |conn| {
        let identity = identity::by_id(conn, project, id)?;
        let identity = identity.ok_or_else(|| Problem::not_found("identity"))?;
        let person = persons(conn, project, vec![identity], &rules)?
            .into_iter()
            .next();
        person.ok_or_else(|| Problem::not_found("identity"))
    });
    Ok(Json(person.await?))
}
