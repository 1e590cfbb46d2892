//! Openids that an app brings in, with what people gave it before Queqiao.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::table::{self, CountsView, FromRow, Given, ROW_VIEW_BYTES};
use super::{Caller, State, large};
use crate::bridge::limits::ROW_CONSENTS_MAX;
use crate::bridge::people::adopt::{AdoptError, Numbered, Options, Outcome, Raw};
use crate::bridge::people::table::{Counts, Fault};
use crate::ids::IdentityId;
use crate::web::body::Body;
use crate::web::error::{Code, Problem};

/// What a row may have.
const MEMBERS: &str = "openid, unionid, staff_id and consents";

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = IdentityTableBody)]
#[serde(deny_unknown_fields)]
pub(super) struct TableBody {
    /// Each an object; one that cannot be read is refused alone.
    #[schema(value_type = Vec<Raw>, min_items = 1, max_items = 10_000)]
    rows: Vec<Given<Raw>>,
    /// Say what would come of it, and store nothing.
    #[serde(default)]
    dry_run: bool,
    /// Add the staff members that there are not.
    #[serde(default)]
    create_staff: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IdentityTableView)]
struct TableView {
    dry_run: bool,
    counts: CountsView,
    rows: Vec<RowView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IdentityRowView)]
struct RowView {
    /// Which of the request's rows, from 0.
    row: usize,
    openid: Option<String>,
    /// `created`, `updated`, `unchanged` or `refused`.
    outcome: &'static str,
    identity_id: Option<IdentityId>,
    /// A stable word for why it was refused.
    code: Option<&'static str>,
    field: Option<String>,
    /// The same in a sentence, with what to do; or what of the row does not count.
    detail: Option<String>,
}

/// `POST /miniprogram/{app_id}/identities`: 200 with what came of each row.
#[utoipa::path(
    post,
    path = "/miniprogram/{app_id}/identities",
    tag = "identities",
    request_body = TableBody,
    responses((status = 200, description = "The outcome of each row", body = TableView)),
    extensions(("x-codes" = json!(["not_found", "wrong_account_kind"]))),
)]
pub(super) async fn create(
    state: Data<State>,
    caller: Caller,
    app_id: Path<String>,
    body: Body<TableBody>,
) -> Result<HttpResponse, Problem> {
    let TableBody {
        rows,
        dry_run,
        create_staff,
    } = body.into_inner();
    table::check_length(rows.len())?;
    let rows = rows.into_iter().enumerate();
    let rows: Vec<Numbered> = rows.map(|(at, row)| Numbered::new(at, row.0)).collect();
    let options = Options {
        create_staff,
        dry_run,
    };
    let adopted = state
        .bridge
        .adopt(caller.project_id, &app_id, rows, options, |_| {});
    let outcomes = adopted.await?;
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
            match name.as_str() {
                "openid" => raw.openid = table::text(&name, value)?,
                "unionid" => raw.unionid = table::text(&name, value)?,
                "staff_id" => raw.staff_id = table::text(&name, value)?,
                "consents" => raw.consents = consents(value)?,
                _ => return Err(table::unknown(&name, MEMBERS)),
            }
        }
        Ok(raw)
    }
}

fn consents(value: Value) -> Result<BTreeMap<String, String>, Fault> {
    let members = match value {
        Value::Null => Map::new(),
        Value::Object(members) => members,
        _ => {
            let detail = "consents must be an object: by template id, how many one-time \
                          permissions are left, or \"long_term\".";
            return Err(Fault::new(table::INVALID, "consents", detail));
        }
    };
    let consents = members.into_iter().filter_map(|(template_id, value)| {
        let left = match value {
            Value::Null => return None,
            Value::String(text) => text,
            other => other.to_string(),
        };
        Some((template_id, left))
    });
    // One more than there may be is enough to be refused.
    Ok(consents.take(ROW_CONSENTS_MAX + 1).collect())
}

impl From<Outcome> for RowView {
    fn from(outcome: Outcome) -> Self {
        let (word, fault) = match outcome.result {
            Ok(taken) => (taken.as_str(), None),
            Err(fault) => ("refused", Some(fault)),
        };
        let (code, field, why) = match fault {
            Some(fault) => (Some(fault.code), fault.field, Some(fault.detail)),
            None => (None, None, None),
        };
        Self {
            row: outcome.number,
            openid: outcome.openid,
            outcome: word,
            identity_id: outcome.identity_id,
            code,
            field,
            detail: why.or(outcome.note),
        }
    }
}

impl From<AdoptError> for Problem {
    fn from(error: AdoptError) -> Self {
        match error {
            AdoptError::UnknownAccount => Self::not_found("account"),
            AdoptError::NotMiniProgram => {
                Self::new(Code::WrongAccountKind, format!("{error}.")).field("app_id")
            }
            AdoptError::Db(error) => error.into(),
            AdoptError::Account(error) => error.into(),
        }
    }
}
