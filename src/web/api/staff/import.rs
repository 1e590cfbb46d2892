//! A table of staff that an app sends.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::super::table::{self, CountsView, FromRow, Given, ROW_VIEW_BYTES};
use super::super::{Caller, State, large};
use crate::bridge::people::staff_table::{Numbered, Outcome, Raw};
use crate::bridge::people::table::{Counts, Fault};
use crate::web::body::Body;
use crate::web::error::Problem;

/// What a row may have.
const MEMBERS: &str = "staff_id, name, tags, phone, app_id, openid and unionid";

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = StaffTableBody)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct TableBody {
    /// Each an object; one that cannot be read is refused alone.
    #[schema(value_type = Vec<Raw>, min_items = 1, max_items = 10_000)]
    rows: Vec<Given<Raw>>,
    /// Say what would come of it, and store nothing.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StaffTableView)]
struct TableView {
    dry_run: bool,
    counts: CountsView,
    rows: Vec<RowView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StaffRowView)]
struct RowView {
    /// Which of the request's rows, from 0.
    row: usize,
    staff_id: Option<String>,
    /// `created`, `updated`, `unchanged` or `refused`.
    outcome: &'static str,
    /// Whether the row bound the staff member.
    bound: bool,
    /// A stable word for why it was refused.
    code: Option<&'static str>,
    field: Option<String>,
    /// The same in a sentence, with what to do.
    detail: Option<String>,
}

/// `POST /staff/import`: 200 with what came of each row.
#[utoipa::path(
    post,
    path = "/staff/import",
    tag = "staff",
    request_body = TableBody,
    responses((status = 200, description = "The outcome of each row", body = TableView)),
)]
pub(in super::super) async fn create(
    state: Data<State>,
    caller: Caller,
    body: Body<TableBody>,
) -> Result<HttpResponse, Problem> {
    let TableBody { rows, dry_run } = body.into_inner();
    table::check_length(rows.len())?;
    let rows = rows.into_iter().enumerate();
    let rows: Vec<Numbered> = rows.map(|(at, row)| Numbered::new(at, row.0)).collect();
    let imported = state
        .bridge
        .import_staff(caller.project_id, rows, dry_run, |_| {});
    let outcomes = imported.await?;
    let size = (outcomes.len(), ROW_VIEW_BYTES);
    let counts = Counts::of(outcomes.iter().map(|outcome| &outcome.result));
    let view = TableView {
        dry_run,
        counts: counts.into(),
        rows: outcomes.into_iter().map(RowView::from).collect(),
    };
    large::answer(StatusCode::OK, &view, size)
}

impl FromRow for Raw {
    fn from_row(row: Value) -> Result<Self, Fault> {
        let Value::Object(members) = row else {
            return Err(table::shapeless(format!(
                "A row must be an object with {MEMBERS}."
            )));
        };
        let mut raw = Self::default();
        for (name, value) in members {
            let place = match name.as_str() {
                "staff_id" => &mut raw.staff_id,
                "name" => &mut raw.name,
                "phone" => &mut raw.phone,
                "app_id" => &mut raw.app_id,
                "openid" => &mut raw.openid,
                "unionid" => &mut raw.unionid,
                "tags" => {
                    raw.tags = tags(value)?;
                    continue;
                }
                _ => return Err(table::unknown(&name, MEMBERS)),
            };
            *place = table::text(&name, value)?;
        }
        Ok(raw)
    }
}

fn tags(value: Value) -> Result<Option<Vec<String>>, Fault> {
    let refuse = || Fault::new(table::INVALID, "tags", "tags must be a list of texts.");
    let list = match value {
        Value::Null => return Ok(None),
        Value::Array(list) => list,
        _ => return Err(refuse()),
    };
    let tags = list.into_iter().map(|tag| match tag {
        Value::String(tag) => Ok(tag),
        _ => Err(refuse()),
    });
    tags.collect::<Result<_, _>>().map(Some)
}

impl From<Outcome> for RowView {
    fn from(outcome: Outcome) -> Self {
        let (word, fault) = match outcome.result {
            Ok(taken) => (taken.as_str(), None),
            Err(fault) => ("refused", Some(fault)),
        };
        let (code, field, detail) = match fault {
            Some(fault) => (Some(fault.code), fault.field, Some(fault.detail)),
            None => (None, None, None),
        };
        Self {
            row: outcome.number,
            staff_id: outcome.staff_id,
            outcome: word,
            bound: outcome.bound,
            code,
            field,
            detail,
        }
    }
}
