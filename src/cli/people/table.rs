//! A table of people in a file: CSV or XLSX, with the names of its columns in the first row.

mod sheet;
mod unpacked;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::bridge::people::adopt::{Fault, Numbered, Raw};

/// Bytes of a file.
const FILE_MAX: u64 = 64 << 20;
/// Rows of a file.
const ROWS_MAX: usize = 200_000;
/// Cells of a file.
const CELLS_MAX: usize = 5_000_000;
/// Columns of a file.
const COLUMNS_MAX: usize = 64;
/// Before the template id of a column of consents.
const CONSENTS: &str = "consents.";

/// What a cell says, or why that cannot be known.
type Cell = Result<String, String>;

/// The rows of a file, by their numbers in it.
type Lines = Vec<(usize, Vec<Cell>)>;

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Column {
    Openid,
    Unionid,
    StaffId,
    Consents(String),
}

/// Reads a file.
pub(super) fn read(file: &Path, sheet: Option<&str>) -> Result<Vec<Numbered>> {
    let mut bytes = Vec::new();
    // What is no plain file does not say how long it is.
    File::open(file)?
        .take(FILE_MAX + 1)
        .read_to_end(&mut bytes)?;
    ensure!(
        bytes.len() as u64 <= FILE_MAX,
        "the file has more than {FILE_MAX} bytes; give the rest in further files"
    );
    rows(lines(bytes, sheet)?)
}

fn lines(bytes: Vec<u8>, sheet: Option<&str>) -> Result<Lines> {
    if bytes.starts_with(b"PK\x03\x04") {
        return sheet::read(bytes, sheet);
    }
    ensure!(
        !bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]),
        "it is an old Excel file (.xls), or one with a password: save it as .xlsx without a password"
    );
    ensure!(
        sheet.is_none(),
        "--sheet is for XLSX files, and this is none"
    );
    csv_lines(&bytes)
}

fn csv_lines(bytes: &[u8]) -> Result<Lines> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(text)
        .ok()
        .filter(|text| !text.contains('\0'));
    let text = text.context(
        "it is neither XLSX nor text in UTF-8: save it in Excel as \"CSV UTF-8\", or as .xlsx",
    )?;
    // Lines are counted by one sign, whatever the file ends them with.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter(&text))
        .from_reader(text.as_bytes());
    let mut lines = Lines::new();
    let mut count = 0;
    for record in reader.records() {
        let record = record?;
        let line = record.position().map_or(0, csv::Position::line);
        count += record.len();
        ensure!(count <= CELLS_MAX, too_many_cells());
        let cells = record.iter().map(|cell| Ok(cell.to_owned()));
        lines.push((usize::try_from(line)?, cells.collect()));
        ensure!(lines.len() <= ROWS_MAX + 1, too_many());
    }
    Ok(lines)
}

/// Spreadsheets write what their country uses: it is the sign that the first line has most of.
fn delimiter(text: &str) -> u8 {
    let first = text.lines().next().unwrap_or_default();
    let count = |sign: u8| first.bytes().filter(|byte| *byte == sign).count();
    let most = [b',', b';', b'\t'].into_iter().rev();
    most.max_by_key(|sign| count(*sign)).unwrap_or(b',')
}

fn too_many() -> String {
    format!("the file has more than {ROWS_MAX} rows; give the rest in further files")
}

fn too_many_cells() -> String {
    format!(
        "the file has more than {CELLS_MAX} cells, empty ones among them; remove columns that are not \
         needed, or give the rest in further files"
    )
}

fn rows(lines: Lines) -> Result<Vec<Numbered>> {
    let mut lines = lines.into_iter().filter(|(_, cells)| !is_empty(cells));
    let (_, names) = lines.next().context("the file is empty")?;
    let columns = columns(&names)?;
    let rows: Vec<Numbered> = lines
        .map(|(number, cells)| Numbered::new(number, row(&columns, cells)))
        .collect();
    ensure!(
        !rows.is_empty(),
        "the file has no rows below the names of its columns"
    );
    Ok(rows)
}

fn is_empty(cells: &[Cell]) -> bool {
    let mut cells = cells.iter();
    cells.all(|cell| cell.as_ref().is_ok_and(String::is_empty))
}

fn columns(names: &[Cell]) -> Result<Vec<Column>> {
    ensure!(
        names.len() <= COLUMNS_MAX,
        "the file has {} columns; give at most {COLUMNS_MAX}",
        names.len()
    );
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let name = name.as_deref().unwrap_or_default().trim();
        let column = column(name)?;
        ensure!(!columns.contains(&column), "there are two columns {name:?}");
        columns.push(column);
    }
    ensure!(
        columns.contains(&Column::Openid),
        "there is no column openid: the first row must name the columns"
    );
    Ok(columns)
}

fn column(name: &str) -> Result<Column> {
    if let Some((head, template_id)) = name.split_once('.')
        && format!("{}.", head.to_ascii_lowercase()) == CONSENTS
        && !template_id.is_empty()
    {
        return Ok(Column::Consents(template_id.to_owned()));
    }
    let plain: String = name
        .chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .collect();
    match plain.to_ascii_lowercase().as_str() {
        "openid" => Ok(Column::Openid),
        "unionid" => Ok(Column::Unionid),
        "staffid" => Ok(Column::StaffId),
        _ => bail!(
            "the column {name:.60?} is not known: the first row may name openid, unionid, staff_id \
             and {CONSENTS}TEMPLATE_ID; remove other columns"
        ),
    }
}

fn row(columns: &[Column], cells: Vec<Cell>) -> Result<Raw, Fault> {
    let mut raw = Raw::default();
    for (at, cell) in cells.into_iter().enumerate() {
        let Some(column) = columns.get(at) else {
            if cell.as_ref().is_ok_and(String::is_empty) {
                continue;
            }
            return Err(Fault {
                code: "invalid_field",
                field: None,
                detail: format!(
                    "The row has more cells than the {} columns that the first row names.",
                    columns.len()
                ),
            });
        };
        let name = column.name();
        let text = cell
            .map_err(|problem| Fault::new("invalid_field", &name, format!("{name} {problem}.")))?;
        match column {
            Column::Openid => raw.openid = Some(text),
            Column::Unionid => raw.unionid = Some(text),
            Column::StaffId => raw.staff_id = Some(text),
            Column::Consents(template_id) => {
                raw.consents.insert(template_id.clone(), text);
            }
        }
    }
    Ok(raw)
}

impl Column {
    fn name(&self) -> String {
        match self {
            Self::Openid => "openid".to_owned(),
            Self::Unionid => "unionid".to_owned(),
            Self::StaffId => "staff_id".to_owned(),
            Self::Consents(template_id) => format!("{CONSENTS}{template_id}"),
        }
    }
}

#[cfg(test)]
mod tests;
