//! Openids that an app brings in, with what people gave it before Queqiao.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Caller, State, large};
use crate::bridge::limits::{ROW_CONSENTS_MAX, TABLE_ROWS_MAX};
use crate::bridge::people::adopt::{AdoptError, Counts, Fault, Numbered, Options, Outcome, Raw};
use crate::ids::IdentityId;
use crate::web::body::{Body, limits};
use crate::web::error::{Code, Problem};

/// Bytes of one row: some times what the longest ids and consents need.
const ROW_BYTES_MAX: usize = 32 << 10;
/// About how many bytes a row takes in the answer.
const ROW_VIEW_BYTES: usize = 128;
const INVALID: &str = "invalid_field";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableBody {
    /// Each an object; one that cannot be read is refused alone.
    rows: Vec<Row>,
    /// Say what would come of it, and store nothing.
    #[serde(default)]
    dry_run: bool,
    /// Add the staff members that there are not.
    #[serde(default)]
    create_staff: bool,
}

/// A row, or why it is none. It is taken apart as soon as it is read, so that no more is kept of it
/// than counts.
#[derive(Debug)]
struct Row(Result<Raw, Fault>);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let row = <&RawValue>::deserialize(from)?.get();
        if row.len() > ROW_BYTES_MAX {
            let detail = format!(
                "The row has {} bytes: give at most {ROW_BYTES_MAX}.",
                row.len()
            );
            let fault = Fault {
                code: INVALID,
                field: None,
                detail,
            };
            return Ok(Self(Err(fault)));
        }
        let row = serde_json::from_str(row).map_err(|error| limits::inner(&error))?;
        Ok(Self(raw(row)))
    }
}

#[derive(Debug, Serialize)]
struct TableView {
    dry_run: bool,
    counts: CountsView,
    rows: Vec<RowView>,
}

#[derive(Debug, Serialize)]
struct CountsView {
    created: usize,
    updated: usize,
    unchanged: usize,
    refused: usize,
}

#[derive(Debug, Serialize)]
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
    if !(1..=TABLE_ROWS_MAX).contains(&rows.len()) {
        let detail = format!(
            "rows has {} entries: give 1 to {TABLE_ROWS_MAX}, and more in further requests.",
            rows.len()
        );
        let problem = Problem::new(Code::InvalidField, detail).field("rows");
        return Err(problem.limit(TABLE_ROWS_MAX));
    }
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
    let counts = Counts::of(&outcomes);
    let view = TableView {
        dry_run,
        counts: CountsView {
            created: counts.created,
            updated: counts.updated,
            unchanged: counts.unchanged,
            refused: counts.refused,
        },
        rows: outcomes.into_iter().map(RowView::from).collect(),
    };
    large::answer(StatusCode::OK, &view, size)
}

/// A row of a table as it is sent.
fn raw(row: Value) -> Result<Raw, Fault> {
    let Value::Object(members) = row else {
        return Err(Fault {
            code: INVALID,
            field: None,
            detail: "A row must be an object with openid, unionid, staff_id and consents."
                .to_owned(),
        });
    };
    let mut raw = Raw::default();
    for (name, value) in members {
        match name.as_str() {
            "openid" => raw.openid = text(&name, value)?,
            "unionid" => raw.unionid = text(&name, value)?,
            "staff_id" => raw.staff_id = text(&name, value)?,
            "consents" => raw.consents = consents(value)?,
            _ => {
                let detail = format!(
                    "A row may have openid, unionid, staff_id and consents, not {name:.40?}."
                );
                let name: String = name.chars().take(40).collect();
                return Err(Fault::new("unknown_field", &name, detail));
            }
        }
    }
    Ok(raw)
}

fn text(name: &str, value: Value) -> Result<Option<String>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => {
            let detail = format!("{name} must be a text: write it with quotation marks.");
            Err(Fault::new(INVALID, name, detail))
        }
    }
}

fn consents(value: Value) -> Result<BTreeMap<String, String>, Fault> {
    let members = match value {
        Value::Null => Map::new(),
        Value::Object(members) => members,
        _ => {
            let detail = "consents must be an object: by template id, how many one-time \
                          permissions are left, or \"long_term\".";
            return Err(Fault::new(INVALID, "consents", detail));
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
