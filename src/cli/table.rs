//! A table in a file: CSV or XLSX, with the names of its columns in the first row. What the columns are is
//! for the command to say.

mod sheet;
mod unpacked;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use crate::bridge::people::table::{Counts, Fault};

/// Bytes of a file.
const FILE_MAX: u64 = 64 << 20;
/// Rows of a file.
const ROWS_MAX: usize = 200_000;
/// Cells of a file.
const CELLS_MAX: usize = 5_000_000;
/// Columns of a file.
const COLUMNS_MAX: usize = 64;

/// What an XLSX file begins with.
const PACKED: &[u8] = b"PK\x03\x04";

/// What a cell says, or why that cannot be known.
type Cell = Result<String, String>;

/// The rows of a file, by their numbers in it.
type Lines = Vec<(usize, Vec<Cell>)>;

/// A kind of table, by what its columns hold.
pub(super) trait Column: Clone + PartialEq {
    /// What a row is read into.
    type Row: Default;
    /// All names of columns, for people.
    const KNOWN: &'static str;

    /// The column without which there is no row.
    fn key() -> Self;

    /// The column of that name, if it is one.
    fn named(name: &str) -> Option<Self>;

    /// The name by which it is spoken of.
    fn name(&self) -> String;

    /// Stores what a cell of the column says.
    fn put(&self, row: &mut Self::Row, text: String);

    /// What a cell of a CSV file says. One of an XLSX file says what it holds.
    fn of_csv(text: String) -> String {
        text
    }
}

/// Columns that are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    /// The file is refused: the name may be mistyped.
    Refused,
    /// They are passed over.
    Ignored,
}

/// A row and its number in the file.
pub(super) type Numbered<R> = (usize, Result<R, Fault>);

/// Reads a file.
pub(super) fn read<C: Column>(
    file: &Path,
    sheet: Option<&str>,
    others: Others,
) -> Result<Vec<Numbered<C::Row>>> {
    let mut bytes = Vec::new();
    // What is no plain file does not say how long it is.
    File::open(file)?
        .take(FILE_MAX + 1)
        .read_to_end(&mut bytes)?;
    ensure!(
        bytes.len() as u64 <= FILE_MAX,
        "the file has more than {FILE_MAX} bytes; give the rest in further files"
    );
    rows_of::<C>(bytes, sheet, others)
}

/// Reads what a file holds.
pub(super) fn rows_of<C: Column>(
    bytes: Vec<u8>,
    sheet: Option<&str>,
    others: Others,
) -> Result<Vec<Numbered<C::Row>>> {
    let is_csv = !bytes.starts_with(PACKED);
    rows::<C>(lines(bytes, sheet)?, others, is_csv)
}

fn lines(bytes: Vec<u8>, sheet: Option<&str>) -> Result<Lines> {
    if bytes.starts_with(PACKED) {
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

fn rows<C: Column>(lines: Lines, others: Others, is_csv: bool) -> Result<Vec<Numbered<C::Row>>> {
    let mut lines = lines.into_iter().filter(|(_, cells)| !is_empty(cells));
    let (_, names) = lines.next().context("the file is empty")?;
    let columns = columns::<C>(&names, others)?;
    let rows: Vec<Numbered<C::Row>> = lines
        .map(|(number, cells)| (number, row(&columns, cells, is_csv)))
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

/// What the first row names; none for a column that is passed over.
fn columns<C: Column>(names: &[Cell], others: Others) -> Result<Vec<Option<C>>> {
    ensure!(
        names.len() <= COLUMNS_MAX,
        "the file has {} columns; give at most {COLUMNS_MAX}",
        names.len()
    );
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let name = name.as_deref().unwrap_or_default().trim();
        let column = C::named(name);
        ensure!(
            column.is_some() || others == Others::Ignored,
            "the column {name:.60?} is not known: the first row may name {}; remove other columns",
            C::KNOWN
        );
        ensure!(
            column.is_none() || !columns.contains(&column),
            "there are two columns {name:?}"
        );
        columns.push(column);
    }
    ensure!(
        columns.contains(&Some(C::key())),
        "there is no column {}: the first row must name the columns",
        C::key().name()
    );
    Ok(columns)
}

/// The name of a column as it is compared: without case, and without what separates its words.
pub(super) fn plain(name: &str) -> String {
    let letters = name
        .chars()
        .filter(|c| !matches!(c, '_' | '-') && !c.is_whitespace());
    letters.collect::<String>().to_ascii_lowercase()
}

fn row<C: Column>(columns: &[Option<C>], cells: Vec<Cell>, is_csv: bool) -> Result<C::Row, Fault> {
    let mut row = C::Row::default();
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
        let Some(column) = column else { continue };
        let name = column.name();
        let text = cell
            .map_err(|problem| Fault::new("invalid_field", &name, format!("{name} {problem}.")))?;
        let text = if is_csv { C::of_csv(text) } else { text };
        column.put(&mut row, text);
    }
    Ok(row)
}

/// How far a table has come.
pub(super) fn bar(rows: usize) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} rows, {eta} left")?;
    Ok(ProgressBar::new(rows as u64).with_style(style))
}

/// What came of a table, in one line.
pub(super) fn summary(counts: &Counts, rows: usize, dry_run: bool) -> String {
    let Counts {
        created,
        updated,
        unchanged,
        refused,
    } = counts;
    let counted = format!(
        "{rows} rows: {created} created, {updated} updated, {unchanged} unchanged, {refused} refused"
    );
    match dry_run {
        true => format!("{counted}. This was a dry run: nothing is stored."),
        false => counted,
    }
}

/// Lets a command fail of which rows are refused.
pub(super) fn check_refused(counts: &Counts, rows: usize) -> Result<()> {
    match counts.refused {
        0 => Ok(()),
        refused => bail!(
            "{refused} of {rows} rows are refused: correct them and give the same file again, the \
             others stay as they are"
        ),
    }
}
