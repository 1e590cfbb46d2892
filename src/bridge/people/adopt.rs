//! Moving in: an app that has openids already brings them along, with the consents that people gave
//! it, so that nobody has to log in again.
//!
//! Of a mini-program's openid nobody can ask WeChat, so the table is the business's word alone; where
//! WeChat has spoken, WeChat's word stands. Each row is taken whole or not at all, and the same table
//! again changes nothing.

mod judge;
mod row;
mod store;

use std::collections::HashMap;
use std::convert::Infallible;
use std::iter::Peekable;

use thiserror::Error;

use super::table::{Counts, Fault, Taken};
use crate::bridge::Bridge;
use crate::bridge::accounts::AccountError;
use crate::db::{Conn, DbError};
use crate::ids::text::TEXT_ID_MAX;
use crate::ids::{AccountId, IdentityId, ProjectId};
use crate::models::account::AccountKind;

pub use row::{Raw, Row};

/// Rows and consents in one transaction: it holds up whoever binds in the project meanwhile, and on SQLite
/// all who write.
const CHUNK: usize = 1_000;

/// How a table is taken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Add the staff members that there are not.
    pub create_staff: bool,
    /// Say what would come of each row, and store nothing.
    pub dry_run: bool,
}

/// A row of a table, where it stands there.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// The number by which the table's owner finds it.
    pub number: usize,
    /// The openid as it is given, if there is one.
    pub openid: Option<String>,
    /// What the row says, or why it cannot be read.
    pub row: Result<Row, Fault>,
}

impl Numbered {
    /// Reads a row.
    pub fn new(number: usize, raw: Result<Raw, Fault>) -> Self {
        let openid = raw.as_ref().ok().and_then(|raw| raw.openid.clone());
        Self {
            number,
            openid: openid.map(|openid| openid.chars().take(TEXT_ID_MAX).collect()),
            row: raw.and_then(Row::read),
        }
    }
}

/// What came of a row.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// As in the table.
    pub number: usize,
    /// The openid, if one is given.
    pub openid: Option<String>,
    /// The identity; none where there is none, also after a dry run that would make one.
    pub identity_id: Option<IdentityId>,
    /// What was done, or why nothing was.
    pub result: Result<Taken, Fault>,
    /// What of the row did not count all the same.
    pub note: Option<String>,
}

/// Why a table is not taken in.
#[derive(Debug, Error)]
pub enum AdoptError {
    /// The project has no such account.
    #[error("no account has this app id")]
    UnknownAccount,
    /// WeChat tells the followers of an official account itself.
    #[error(
        "this app id is an official account's, and only the openids of a mini-program are brought \
         in: WeChat lists an official account's followers itself (`queqiao followers import`, or \
         POST /accounts/{{app_id}}/imports), and any openid of it can be bound or notified as it is"
    )]
    NotMiniProgram,
    /// The database did not do it. What was stored before stays.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The account cannot be read.
    #[error(transparent)]
    Account(#[from] AccountError),
}

/// Where a table belongs.
#[derive(Clone, Copy, Debug)]
struct Place {
    project_id: ProjectId,
    account_id: AccountId,
}

impl Bridge {
    /// Takes a table of a mini-program's openids in. Returns what came of each row, in order.
    /// `progress` is told after each part how many rows are done.
    ///
    /// # Errors
    /// If there is no such mini-program, or the database fails: parts that are done stay, and the
    /// same table can be given again.
    pub async fn adopt(
        &self,
        project: ProjectId,
        app_id: &str,
        rows: Vec<Numbered>,
        options: Options,
        progress: impl Fn(usize),
    ) -> Result<Vec<Outcome>, AdoptError> {
        let account = self.accounts.get(app_id).await?;
        let account = account
            .filter(|account| account.project_id == project)
            .ok_or(AdoptError::UnknownAccount)?;
        if account.kind != AccountKind::MiniProgram {
            return Err(AdoptError::NotMiniProgram);
        }
        let place = Place {
            project_id: project,
            account_id: account.id,
        };
        let mut outcomes = Vec::with_capacity(rows.len());
        let mut rows = each_once(rows).into_iter().peekable();
        while rows.peek().is_some() {
            let chunk = next_chunk(&mut rows);
            // However many tables come at once, nobody else waits for more than one part of them.
            let _turn = self.adoptions.acquire().await;
            let (now, vault) = (self.clock.now(), self.vault.clone());
            let work =
                move |conn: &mut Conn| store::take_in(conn, &vault, place, &chunk, options, now);
            let done = match options.dry_run {
                false => self.db.write(work).await?,
                true => self.imagine(work).await?,
            };
            outcomes.extend(done);
            progress(outcomes.len());
        }
        let counts = Counts::of(outcomes.iter().map(|outcome| &outcome.result));
        tracing::info!(
            account.app_id = app_id,
            adoption.dry_run = options.dry_run,
            adoption.created = counts.created,
            adoption.updated = counts.updated,
            adoption.unchanged = counts.unchanged,
            adoption.refused = counts.refused,
            "openids brought in"
        );
        if !options.dry_run {
            self.signals.webhooks.notify_one();
        }
        Ok(outcomes)
    }

    /// What work would do: it is done, and undone.
    async fn imagine<F>(&self, work: F) -> Result<Vec<Outcome>, AdoptError>
    where
        F: FnOnce(&mut Conn) -> Result<Vec<Outcome>, AdoptError> + Send + 'static,
    {
        let done = self.db.write_once(move |conn| match work(conn) {
            Ok(outcomes) => Err::<Infallible, _>(Undone::Imagined(outcomes)),
            Err(error) => Err(Undone::Failed(error)),
        });
        match done.await {
            Ok(never) => match never {},
            Err(Undone::Imagined(outcomes)) => Ok(outcomes),
            Err(Undone::Failed(error)) => Err(error),
        }
    }
}

/// How a transaction that is rolled back ends.
enum Undone {
    Imagined(Vec<Outcome>),
    Failed(AdoptError),
}

impl From<DbError> for Undone {
    fn from(error: DbError) -> Self {
        Self::Failed(error.into())
    }
}

/// The next rows that are taken in one transaction: one at least.
fn next_chunk(rows: &mut Peekable<impl Iterator<Item = Numbered>>) -> Vec<Numbered> {
    let weight = |numbered: &Numbered| match &numbered.row {
        Ok(row) => 1 + row.consents.len(),
        Err(_) => 1,
    };
    let mut chunk = Vec::new();
    let mut left = CHUNK;
    while let Some(next) = rows.next_if(|next| chunk.is_empty() || weight(next) <= left) {
        left = left.saturating_sub(weight(&next));
        chunk.push(next);
    }
    chunk
}

/// Refuses rows that name an openid or a unionid that a row before them has: one person has one
/// openid in an account, and nobody can tell which row is right.
fn each_once(mut rows: Vec<Numbered>) -> Vec<Numbered> {
    let (mut openids, mut unionids) = (HashMap::new(), HashMap::new());
    for numbered in &mut rows {
        let Ok(row) = &numbered.row else { continue };
        let number = numbered.number;
        let first = |seen: &mut HashMap<String, usize>, id: &str| match seen.get(id) {
            Some(first) => Some(*first),
            None => {
                seen.insert(id.to_owned(), number);
                None
            }
        };
        let twice = match first(&mut openids, &row.openid) {
            Some(before) => Some(("openid", before)),
            None => row.unionid.as_deref().and_then(|unionid| {
                let before = first(&mut unionids, unionid)?;
                Some(("unionid", before))
            }),
        };
        if let Some((field, before)) = twice {
            let detail = format!(
                "Row {before} has the same {field}, and only that one counts: keep the one that is right."
            );
            numbered.row = Err(Fault::new("duplicate", field, detail));
        }
    }
    rows
}

#[cfg(test)]
mod tests;
