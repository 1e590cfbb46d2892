//! `queqiao migrate`: for those who want the database ready before the service starts.

use anyhow::Result;

use super::context;
use crate::cli::terminal::say;
use crate::config::Config;

pub(super) fn run(config: &Config) -> Result<()> {
    let db = context::open_database(config)?;
    say!("the {:?} database is up to date", db.engine());
    Ok(())
}
