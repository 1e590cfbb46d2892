//! Staff as a file: CSV, or XLSX for Excel.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{Bytes, Data, Query};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use utoipa::IntoParams;

use super::super::{Caller, State};
use super::filter;
use crate::bridge::limits::STAFF_SHEET_ROWS_MAX;
use crate::bridge::people::staff_list::StaffFilter;
use crate::bridge::people::staff_table::export::{self, Page, Sheet};
use crate::db::DbError;
use crate::ids::{ProjectId, StaffRowId};
use crate::web::error::{Code, Problem};

/// When to ask again for an XLSX file, seconds.
const RETRY_AFTER_SECONDS: u64 = 2;
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct ExportQuery {
    /// `csv` or `xlsx`.
    #[param(default = "csv", example = "csv")]
    format: Option<String>,
    tag: Option<String>,
    reachable: Option<String>,
    /// A stable word for why a staff member is not reached.
    #[param(value_type = Option<crate::bridge::planning::reach::ReachReason>)]
    reason: Option<String>,
}

/// `GET /staff/export`: all staff that the filters mean, as a file that `POST /staff/import` and the command
/// line take.
#[utoipa::path(
    get,
    path = "/staff/export",
    tag = "staff",
    params(ExportQuery),
    responses((status = 200, description = "The table", content(
        (String = "text/csv"),
        (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ))),
    extensions(("x-codes" = json!(["busy"]))),
)]
pub(in super::super) async fn find(
    state: Data<State>,
    caller: Caller,
    query: Query<ExportQuery>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let asked = Asked {
        state,
        project: caller.project_id,
        filter: filter(query.tag, query.reachable.as_deref(), query.reason.as_ref())?,
    };
    match query.format.as_deref() {
        None | Some("csv") => asked.csv().await,
        Some("xlsx") => asked.xlsx().await,
        Some(_) => {
            let detail = "format must be csv or xlsx.";
            Err(Problem::new(Code::InvalidQuery, detail).field("format"))
        }
    }
}

struct Asked {
    state: Data<State>,
    project: ProjectId,
    filter: StaffFilter,
}

impl Asked {
    async fn page(&self, before: Option<StaffRowId>) -> Result<Page, DbError> {
        let (project, filter) = (self.project, self.filter.clone());
        let db = &self.state.bridge.db;
        db.snapshot(move |conn| export::page(conn, project, &filter, before))
            .await
    }

    /// Piece by piece, so that it takes as much memory as one piece. If the database fails in the middle, the
    /// answer breaks off.
    async fn csv(self) -> Result<HttpResponse, Problem> {
        let internal = |error: csv::Error| Problem::internal(&error);
        let first = self.page(None).await?;
        let mut piece = export::csv_head().map_err(internal)?;
        piece.extend(export::csv_lines(&first.rows).map_err(internal)?);
        let begun = (Some(piece), first.next);
        let pieces = stream::try_unfold((self, begun), |(asked, (piece, next))| async move {
            if let Some(piece) = piece {
                return Ok(Some((Bytes::from(piece), (asked, (None, next)))));
            }
            let Some(before) = next else { return Ok(None) };
            let page = asked.page(Some(before)).await?;
            let piece = export::csv_lines(&page.rows)?;
            Ok::<_, Box<dyn Error>>(Some((Bytes::from(piece), (asked, (None, page.next)))))
        });
        Ok(HttpResponse::Ok()
            .content_type("text/csv; charset=utf-8")
            .insert_header(attachment("csv"))
            .streaming(pieces))
    }

    /// A turn to make an XLSX file, which is in memory as a whole.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let patience = Duration::from_millis(self.state.bridge.config.database.api_timeout_ms);
        let turn = Arc::clone(&self.state.bridge.sheets).acquire_owned();
        match timeout(patience, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => {
                let detail = "Another XLSX file is being made: ask again, or ask for format=csv.";
                Err(Problem::new(Code::Busy, detail).retry_after(RETRY_AFTER_SECONDS))
            }
        }
    }

    async fn xlsx(self) -> Result<HttpResponse, Problem> {
        let _turn = self.turn().await?;
        let mut sheet = Sheet::new().map_err(|error| Problem::internal(&error))?;
        let mut before = None;
        loop {
            let page = self.page(before).await?;
            let is_added = sheet.add(&page.rows);
            if !is_added.map_err(|error| Problem::internal(&error))? {
                let detail = format!(
                    "The table has more than {STAFF_SHEET_ROWS_MAX} rows: ask for format=csv, or filter by \
                     tag, reachable or reason."
                );
                let problem = Problem::new(Code::InvalidQuery, detail).field("format");
                return Err(
                    problem.limit(usize::try_from(STAFF_SHEET_ROWS_MAX).unwrap_or_default())
                );
            }
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        let file = tokio::task::spawn_blocking(move || sheet.finish());
        let file = file.await.map_err(|error| Problem::internal(&error))?;
        let file = file.map_err(|error| Problem::internal(&error))?;
        Ok(HttpResponse::Ok()
            .content_type(XLSX)
            .insert_header(attachment("xlsx"))
            .body(file))
    }
}

fn attachment(ending: &str) -> (header::HeaderName, String) {
    let disposition = format!("attachment; filename=\"staff.{ending}\"");
    (header::CONTENT_DISPOSITION, disposition)
}
