//! Staff given out as a table: CSV piece by piece, XLSX as a whole. A row is a staff member and one of their
//! bindings, so that nothing of it is lost when it is taken in again; who is bound to nobody has one row.

use std::collections::HashMap;

use rust_xlsxwriter::{Format, Workbook, Worksheet, XlsxError};

use super::cells::{self, COLUMNS};
use crate::bridge::limits::{STAFF_LOOKED_AT, STAFF_SHEET_ROWS_MAX};
use crate::bridge::people::staff_list::{self, ListedStaff, StaffFilter};
use crate::db::{Conn, QueryResult};
use crate::ids::{ProjectId, StaffRowId};
use crate::models::staff::binding::{self, BoundTo};

/// By this a spreadsheet knows that a CSV file is in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";
/// The name of the sheet.
const SHEET: &str = "staff";
/// How wide a column is, in characters.
const WIDTH: f64 = 20.0;

/// A row of the table, in the order of [`COLUMNS`].
pub type Row = [String; COLUMNS.len()];

/// Some rows of the table.
#[derive(Clone, Debug)]
pub struct Page {
    /// The rows, those of the newest staff member first.
    pub rows: Vec<Row>,
    /// The next page has the staff below this one; none if this is the last.
    pub next: Option<StaffRowId>,
}

/// The next rows of those whom a filter means, with row ids below `before`.
///
/// # Errors
/// If the database fails.
pub fn page(
    conn: &mut Conn,
    project: ProjectId,
    filter: &StaffFilter,
    before: Option<StaffRowId>,
) -> QueryResult<Page> {
    let found = staff_list::page(conn, project, filter, before, STAFF_LOOKED_AT)?;
    let ids: Vec<StaffRowId> = found.found.iter().map(|member| member.staff.id).collect();
    let mut bound: HashMap<StaffRowId, Vec<BoundTo>> = HashMap::new();
    for one in binding::of_many(conn, &ids)? {
        bound.entry(one.staff_row_id).or_default().push(one);
    }
    let mut rows = Vec::with_capacity(found.found.len());
    for member in found.found {
        let bound = bound.remove(&member.staff.id).unwrap_or_default();
        if bound.is_empty() {
            rows.push(row(&member, None));
        }
        rows.extend(bound.iter().map(|one| row(&member, Some(one))));
    }
    Ok(Page {
        rows,
        next: found.next.map(StaffRowId),
    })
}

fn row(member: &ListedStaff, bound: Option<&BoundTo>) -> Row {
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    [
        member.staff.staff_id.clone(),
        text(member.staff.name.as_ref()),
        cells::join_tags(&member.tags),
        text(member.staff.phone.as_ref()),
        text(bound.and_then(|bound| bound.app_id.as_ref())),
        text(bound.and_then(|bound| bound.openid.as_ref())),
        text(bound.and_then(|bound| bound.unionid.as_ref())),
    ]
}

/// What a CSV file begins with: the mark of UTF-8 and the names of the columns.
///
/// # Errors
/// Never, as far as is known.
pub fn csv_head() -> Result<Vec<u8>, csv::Error> {
    let mut head = MARK.to_vec();
    head.extend(csv_lines(&[COLUMNS.map(str::to_owned)])?);
    Ok(head)
}

/// Rows as lines of a CSV file. What a spreadsheet would take for a formula has an apostrophe in front.
///
/// # Errors
/// Never, as far as is known.
pub fn csv_lines(rows: &[Row]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    for row in rows {
        writer.write_record(row.iter().map(|cell| cells::guarded(cell)))?;
    }
    writer
        .into_inner()
        .map_err(|error| error.into_error().into())
}

/// An XLSX file that grows row by row, in memory. Every cell is a text, which no spreadsheet reads as a number
/// or a formula.
pub struct Sheet {
    workbook: Workbook,
    text: Format,
    formula: Format,
    next: u32,
}

impl Sheet {
    /// A file with the names of the columns.
    ///
    /// # Errors
    /// Never, as far as is known.
    pub fn new() -> Result<Self, XlsxError> {
        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet();
        sheet.set_name(SHEET)?.set_freeze_panes(1, 0)?;
        for (at, name) in (0_u16..).zip(COLUMNS) {
            sheet
                .set_column_width(at, WIDTH)?
                .write_string(0, at, name)?;
        }
        let text = Format::new().set_num_format("@");
        Ok(Self {
            workbook,
            formula: text.clone().set_quote_prefix(),
            text,
            next: 1,
        })
    }

    /// Adds rows. Returns false, and adds none, if the file would have more than it may.
    ///
    /// # Errors
    /// If a text is longer than a cell may be.
    pub fn add(&mut self, rows: &[Row]) -> Result<bool, XlsxError> {
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        // The first row has the names.
        if self.next.saturating_add(count) > STAFF_SHEET_ROWS_MAX + 1 {
            return Ok(false);
        }
        let sheet: &mut Worksheet = self.workbook.worksheet_from_index(0)?;
        for (number, row) in (self.next..).zip(rows) {
            for (at, cell) in (0_u16..).zip(row) {
                if cell.is_empty() {
                    continue;
                }
                let format = match cells::is_formula(cell) {
                    true => &self.formula,
                    false => &self.text,
                };
                sheet.write_string_with_format(number, at, cell, format)?;
            }
        }
        self.next += count;
        Ok(true)
    }

    /// The file. It takes a while: not on a thread that others wait for.
    ///
    /// # Errors
    /// Never, as far as is known.
    pub fn finish(mut self) -> Result<Vec<u8>, XlsxError> {
        self.workbook.save_to_buffer()
    }
}
