//! `queqiao people`: people who were there before Queqiao, and people to be erased.

mod columns;
mod erase;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Subcommand;

use super::context;
use super::table::{self, Others};
use crate::bridge::people::adopt::{Numbered, Options, Outcome};
use crate::bridge::people::table::Counts;
use crate::cli::terminal::say;
use crate::config::Config;
use columns::IdentityColumn;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Bring a mini-program's openids in, with what people allowed it before.
    ///
    /// The file's first row names its columns: openid, and if wanted unionid, staff_id, and one
    /// consents.TEMPLATE_ID for each template, with how many one-time permissions are left, or
    /// long_term. The same file again changes nothing.
    Import {
        /// The mini-program's AppID.
        #[arg(long, value_name = "APP_ID")]
        account: String,
        /// A CSV file in UTF-8, or an XLSX file.
        file: PathBuf,
        /// The sheet of an XLSX file; its first one without it.
        #[arg(long, value_name = "NAME")]
        sheet: Option<String>,
        /// Say what would come of each row, and store nothing.
        #[arg(long)]
        dry_run: bool,
        /// Add the staff members that there are not.
        #[arg(long)]
        create_staff: bool,
        /// Print every row, not only those that are refused.
        #[arg(long)]
        every_row: bool,
    },
    /// Delete what is kept of a person, or make it anonymous. It cannot be undone.
    Erase(erase::Args),
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    let (account, file, sheet, dry_run, create_staff, every_row) = match command {
        Command::Import {
            account,
            file,
            sheet,
            dry_run,
            create_staff,
            every_row,
        } => (account, file, sheet, dry_run, create_staff, every_row),
        Command::Erase(args) => return erase::run(config, args).await,
    };
    let rows = table::read::<IdentityColumn>(&file, sheet.as_deref(), Others::Refused)
        .with_context(|| format!("reading {}", file.display()))?
        .into_iter();
    let rows: Vec<Numbered> = rows.map(|(at, raw)| Numbered::new(at, raw)).collect();
    let bridge = context::open(config)?;
    let known = bridge.accounts.get(&account).await?;
    let project = known
        .with_context(|| format!("there is no account {account}; see: queqiao accounts list"))?
        .project_id;
    let bar = table::bar(rows.len())?;
    let options = Options {
        create_staff,
        dry_run,
    };
    let adopted = bridge
        .adopt(project, &account, rows, options, |done| {
            bar.set_position(done as u64);
        })
        .await;
    bar.finish_and_clear();
    let outcomes = adopted?;
    for outcome in &outcomes {
        if every_row || outcome.result.is_err() || outcome.note.is_some() {
            say!("{}", line(outcome));
        }
    }
    let counts = Counts::of(outcomes.iter().map(|outcome| &outcome.result));
    say!("{}", table::summary(&counts, outcomes.len(), dry_run));
    table::check_refused(&counts, outcomes.len())
}

/// A row of the file in one line; what the file says is escaped.
fn line(outcome: &Outcome) -> String {
    let openid = outcome.openid.as_deref().unwrap_or("-");
    let (word, why) = match &outcome.result {
        Ok(taken) => (taken.as_str(), outcome.note.clone()),
        Err(fault) => ("refused", Some(format!("{}: {fault}", fault.code))),
    };
    let why = why.map(|why| format!("  {why}")).unwrap_or_default();
    format!("row {:<6} {word:9}  {openid}{why}", outcome.number)
}
