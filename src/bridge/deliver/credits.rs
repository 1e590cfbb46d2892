//! What becomes of the permissions that a batch has taken, and of the messages counted in windows.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;

use super::attempt::AttemptResult;
use super::failure::Failure;
use super::permits::Permit;
use crate::db::{Conn, QueryResult};
use crate::ids::{CreditEntryId, IdentityId};
use crate::models::credit::{self, Refusal};
use crate::models::delivery::Due;
use crate::models::identity::windows::{self, Taken};
use crate::wechat::error::Fault;

/// Permissions to settle, to give back and to correct.
#[derive(Debug, Default)]
pub(super) struct Credits {
    sent: Vec<(CreditEntryId, i64)>,
    unused: Vec<CreditEntryId>,
    /// Whom WeChat says to allow nothing, for which template, as of which second.
    refused: Vec<(IdentityId, String, i64)>,
    /// Customer messages that were counted and not sent.
    uncounted: Vec<Taken>,
    /// Those that WeChat did not allow.
    closed: Vec<Taken>,
}

impl Credits {
    /// Enters what came of a delivery that was sent, or was to be, under a permit.
    pub(super) fn enter(
        &mut self,
        due: &Due,
        claimed_at: NaiveDateTime,
        template_id: Option<&str>,
        permit: Permit,
        done: &AttemptResult,
    ) {
        let entry = match permit {
            Permit::Granted(entry) => entry,
            Permit::Window(taken) => return self.enter_window(taken, done),
            Permit::NoCredit
            | Permit::NoToken
            | Permit::Closed(_)
            | Permit::Busy
            | Permit::InTurn
            | Permit::NotOurs => return,
        };
        let (msgid, failure) = match done {
            AttemptResult::Tried { msgid, failure, .. } => (*msgid, failure.as_ref()),
            _ => return self.unused.extend(entry),
        };
        match (failure, template_id) {
            (None, _) => self.sent.extend(entry.zip(msgid)),
            // It may be used.
            (Some(failure), _) if failure.is_ambiguous() => {}
            (Some(failure), Some(template_id)) if failure.fault() == Some(Fault::NotAllowed) => {
                let at = claimed_at.and_utc().timestamp();
                let refused = due.identity_id.map(|who| (who, template_id.to_owned(), at));
                self.refused.extend(refused);
            }
            _ => self.unused.extend(entry),
        }
    }

    fn enter_window(&mut self, taken: Taken, done: &AttemptResult) {
        let failure = match done {
            AttemptResult::Tried { failure: None, .. } => return,
            AttemptResult::Tried { failure, .. } => failure.as_ref(),
            _ => None,
        };
        match failure {
            // It may have been shown.
            Some(failure) if failure.is_ambiguous() => {}
            Some(failure) if is_closed(failure) => {
                self.closed.push(taken);
            }
            _ => self.uncounted.push(taken),
        }
    }

    /// Whose windows are written.
    pub(super) fn of_windows(&self) -> impl Iterator<Item = IdentityId> {
        let taken = self.uncounted.iter().chain(&self.closed);
        taken.map(|taken| taken.identity_id)
    }

    /// Gives back the permissions that were not used: as often as one likes, unlike the rest.
    pub(super) fn give_back(&self, conn: &mut Conn) -> QueryResult<()> {
        credit::give_back(conn, &self.unused)
    }

    /// Writes it all down, with one statement for each kind.
    pub(super) fn write(&self, conn: &mut Conn) -> QueryResult<()> {
        // As events do: people first, and then what they allow.
        windows::give_back(conn, &self.uncounted)?;
        windows::close(conn, &self.closed)?;
        // Each person and template once, as of the last time.
        let mut refused: BTreeMap<(IdentityId, &str), i64> = BTreeMap::new();
        for (identity_id, template_id, at) in &self.refused {
            let newest = refused.entry((*identity_id, template_id)).or_insert(*at);
            *newest = (*newest).max(*at);
        }
        let refused = refused
            .into_iter()
            .map(|((identity_id, template_id), at)| Refusal {
                identity_id,
                template_id,
                at,
            });
        let refused: Vec<Refusal<'_>> = refused.collect();
        let entries: Vec<CreditEntryId> = self.sent.iter().map(|(entry, _)| *entry).collect();
        let kinds = [
            refused.is_empty(),
            self.unused.is_empty(),
            entries.is_empty(),
        ];
        if kinds.iter().filter(|is_empty| !**is_empty).count() > 1 {
            // Each step below locks in order, but not after the one before.
            credit::hold(conn, &[entries, self.unused.clone()].concat(), &refused)?;
        }
        credit::refuse(conn, &refused)?;
        credit::give_back(conn, &self.unused)?;
        credit::settle(conn, &self.sent)
    }
}

/// Whether the person did nothing lately that allows a customer message more.
fn is_closed(failure: &Failure) -> bool {
    matches!(
        failure.fault(),
        Some(Fault::WindowClosed | Fault::AllowanceUsed)
    )
}
