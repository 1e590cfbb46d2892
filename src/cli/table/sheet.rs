//! A sheet of an XLSX file, cell by cell, so that a cell far away costs no memory.

use std::io::Cursor;

use anyhow::{Context as _, Result, ensure};
use calamine::{DataRef, Reader as _, Xlsx};

use super::{CELLS_MAX, COLUMNS_MAX, Cell, Lines, ROWS_MAX, too_many, too_many_cells, unpacked};

/// Bytes of text in all cells together.
const TEXT_MAX: usize = 64 << 20;
/// Excel keeps this many digits of a number.
const EXACT_BELOW: f64 = 1e15;

pub(super) fn read(bytes: Vec<u8>, sheet: Option<&str>) -> Result<Lines> {
    unpacked::check(&bytes)?;
    let mut workbook: Xlsx<_> =
        Xlsx::new(Cursor::new(bytes)).context("it is no sound XLSX file")?;
    let names = workbook.sheet_names();
    let name = match sheet {
        Some(title) => names.iter().find(|name| *name == title).with_context(|| {
            format!(
                "there is no sheet {title:?}; there are: {}",
                names.join(", ")
            )
        })?,
        None => names.first().context("the file has no sheet")?,
    };
    let mut cells = workbook.worksheet_cells_reader(name)?;
    let mut lines = Lines::new();
    let (mut count, mut length) = (0, 0);
    while let Some(cell) = cells.next_cell()? {
        let value = cell_text(cell.get_value());
        if value.as_ref().is_ok_and(String::is_empty) {
            continue;
        }
        let (row, column) = cell.get_position();
        let (row, column) = (row as usize + 1, column as usize);
        ensure!(
            column < COLUMNS_MAX,
            "row {row} has something in column {}; give at most {COLUMNS_MAX} columns",
            column + 1
        );
        if lines.last().is_none_or(|(last, _)| *last != row) {
            ensure!(lines.len() <= ROWS_MAX, too_many());
            lines.push((row, Vec::new()));
        }
        if let Some((_, line)) = lines.last_mut() {
            count += (column + 1).saturating_sub(line.len());
            ensure!(count <= CELLS_MAX, too_many_cells());
            // Cells may share one text.
            length += value.as_ref().map_or(0, String::len);
            ensure!(
                length <= TEXT_MAX,
                "the cells of the sheet have more than {TEXT_MAX} bytes of text together; give the rest \
                 in further files"
            );
            line.resize(line.len().max(column + 1), Ok(String::new()));
            if let Some(place) = line.get_mut(column) {
                *place = value;
            }
        }
    }
    Ok(lines)
}

fn cell_text(value: &DataRef<'_>) -> Cell {
    match value {
        DataRef::Empty => Ok(String::new()),
        DataRef::String(text) => Ok(text.clone()),
        DataRef::SharedString(text) => Ok((*text).to_owned()),
        DataRef::Int(number) => Ok(number.to_string()),
        DataRef::Float(number) if number.abs() < EXACT_BELOW => Ok(number.to_string()),
        DataRef::Float(_) => Err(
            "is a number of more than 15 digits, of which Excel has lost the last ones: make the \
             column a text, and enter it again"
                .to_owned(),
        ),
        DataRef::Bool(_) => Err("is TRUE or FALSE: enter a text or a number".to_owned()),
        DataRef::DateTime(_) | DataRef::DateTimeIso(_) | DataRef::DurationIso(_) => {
            Err("is a date: make the column a text, and enter it again".to_owned())
        }
        DataRef::Error(error) => Err(format!("is the error {error}: correct the formula")),
    }
}
