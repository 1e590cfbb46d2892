//! `queqiao staff import` and `export`: staff as a file, CSV or XLSX.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::Filters;
use super::columns::StaffColumn;
use crate::bridge::Bridge;
use crate::bridge::limits::STAFF_SHEET_ROWS_MAX;
use crate::bridge::people::staff_list::StaffFilter;
use crate::bridge::people::staff_table::export::{self, Page, Sheet};
use crate::bridge::people::staff_table::{Numbered, Outcome};
use crate::bridge::people::table::Counts;
use crate::cli::context;
use crate::cli::table::{self, Others};
use crate::cli::terminal::say;
use crate::files;
use crate::ids::{ProjectId, StaffRowId};

#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// A CSV file in UTF-8, or an XLSX file.
    file: PathBuf,
    /// The sheet of an XLSX file; its first one without it.
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
    /// Say what would come of each row, and store nothing.
    #[arg(long)]
    dry_run: bool,
    /// Pass over columns that are not known; without it they are refused, as a name may be mistyped.
    #[arg(long)]
    ignore_other_columns: bool,
    /// Print every row, not only those that are refused.
    #[arg(long)]
    every_row: bool,
    /// Whose; not needed while there is one project.
    #[arg(long)]
    project: Option<String>,
}

pub(super) async fn import(bridge: &Bridge, args: Import) -> Result<()> {
    let others = match args.ignore_other_columns {
        true => Others::Ignored,
        false => Others::Refused,
    };
    let rows = table::read::<StaffColumn>(&args.file, args.sheet.as_deref(), others)
        .with_context(|| format!("reading {}", args.file.display()))?
        .into_iter();
    let rows: Vec<Numbered> = rows.map(|(at, raw)| Numbered::new(at, raw)).collect();
    let project = context::find_project(bridge, args.project.as_deref()).await?;
    let bar = table::bar(rows.len())?;
    let imported = bridge.import_staff(project.id, rows, args.dry_run, |done| {
        bar.set_position(done as u64);
    });
    let imported = imported.await;
    bar.finish_and_clear();
    let outcomes = imported?;
    for outcome in &outcomes {
        if args.every_row || outcome.result.is_err() {
            say!("{}", line(outcome));
        }
    }
    let counts = Counts::of(outcomes.iter().map(|outcome| &outcome.result));
    say!("{}", table::summary(&counts, outcomes.len(), args.dry_run));
    let bound = outcomes.iter().filter(|outcome| outcome.bound).count();
    match bound {
        0 => {}
        bound => say!("{bound} of them bind a staff member to a person."),
    }
    table::check_refused(&counts, outcomes.len())
}

/// A row of the file in one line; what the file says is escaped.
fn line(outcome: &Outcome) -> String {
    let staff_id = outcome.staff_id.as_deref().unwrap_or("-");
    let (word, why) = match &outcome.result {
        Ok(taken) => (taken.as_str(), String::new()),
        Err(fault) => ("refused", format!("  {}: {fault}", fault.code)),
    };
    let bound = if outcome.bound { "  bound" } else { "" };
    format!("row {:<6} {word:9}  {staff_id}{bound}{why}", outcome.number)
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
    /// The file to write, which must end in .csv or .xlsx.
    file: PathBuf,
    #[command(flatten)]
    filters: Filters,
}

/// What a file is written as.
enum Writer {
    Csv(File),
    Xlsx(Box<Sheet>),
}

pub(super) async fn export(bridge: &Bridge, args: Export) -> Result<()> {
    let Export { file, filters } = args;
    let (project, filter) = filters.resolve(bridge).await?;
    // Beside the file until it is complete: one that is there stays as it is if this fails.
    let draft = file.with_added_extension("part");
    let mut writer = Writer::open(&file, &draft)?;
    let (mut count, mut before) = (0, None);
    loop {
        let page = page(bridge, project.id, &filter, before).await?;
        count += page.rows.len();
        writer.add(&page)?;
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    writer.finish(&draft)?;
    std::fs::rename(&draft, &file).with_context(|| format!("writing {}", file.display()))?;
    say!("{count} rows written to {}.", file.display());
    Ok(())
}

async fn page(
    bridge: &Bridge,
    project: ProjectId,
    filter: &StaffFilter,
    before: Option<StaffRowId>,
) -> Result<Page> {
    let filter = filter.clone();
    let page = bridge
        .db
        .snapshot(move |conn| export::page(conn, project, &filter, before));
    Ok(page.await?)
}

impl Writer {
    fn open(file: &Path, draft: &Path) -> Result<Self> {
        let ending = file.extension().and_then(|ending| ending.to_str());
        let ending = ending.map(str::to_ascii_lowercase);
        match ending.as_deref() {
            Some("csv") => {
                let mut draft = create(draft)?;
                draft.write_all(&export::csv_head()?)?;
                Ok(Self::Csv(draft))
            }
            Some("xlsx") => Ok(Self::Xlsx(Box::new(Sheet::new()?))),
            _ => bail!("{}: the name must end in .csv or .xlsx", file.display()),
        }
    }

    fn add(&mut self, page: &Page) -> Result<()> {
        match self {
            Self::Csv(file) => file.write_all(&export::csv_lines(&page.rows)?)?,
            Self::Xlsx(sheet) => {
                if !sheet.add(&page.rows)? {
                    bail!(
                        "the table has more than {STAFF_SHEET_ROWS_MAX} rows, too many for one XLSX file: \
                         export it as .csv, or with filters"
                    );
                }
            }
        }
        Ok(())
    }

    fn finish(self, draft: &Path) -> Result<()> {
        match self {
            Self::Csv(file) => file.sync_all()?,
            Self::Xlsx(sheet) => create(draft)?.write_all(&sheet.finish()?)?,
        }
        Ok(())
    }
}

/// An empty file for people's data: nobody else may read it.
fn create(path: &Path) -> Result<File> {
    let created = files::private_file(path).and_then(|()| File::create(path));
    created.with_context(|| format!("writing {}", path.display()))
}
