//! What becomes of the permissions that a batch has taken.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use diesel::QueryResult;

use super::permits::Permit;
use super::send::Done;
use crate::db::Conn;
use crate::ids::{CreditEntryId, IdentityId};
use crate::models::credit::{self, Refusal};
use crate::models::delivery::Due;

/// WeChat's code for a person who allows no message of the template.
const REFUSED: i64 = 43101;

/// Permissions to settle, to give back and to correct.
#[derive(Debug, Default)]
pub(super) struct Credits {
    sent: Vec<(CreditEntryId, i64)>,
    unused: Vec<CreditEntryId>,
    /// Whom WeChat says to allow nothing, for which template, as of which second.
    refused: Vec<(IdentityId, String, i64)>,
}

impl Credits {
    /// Enters what came of a delivery that was sent, or was to be, under a permit.
    pub(super) fn enter(
        &mut self,
        due: &Due,
        claimed_at: NaiveDateTime,
        template_id: Option<&str>,
        permit: Permit,
        done: &Done,
    ) {
        let Permit::Granted(entry) = permit else {
            return;
        };
        let (msgid, failure) = match done {
            Done::Tried { msgid, failure, .. } => (*msgid, failure.as_ref()),
            _ => return self.unused.extend(entry),
        };
        match (failure, template_id) {
            (None, _) => self.sent.extend(entry.zip(msgid)),
            // It may be used.
            (Some(failure), _) if failure.is_ambiguous() => {}
            (Some(failure), Some(template_id)) if failure.errcode == Some(REFUSED) => {
                let at = claimed_at.and_utc().timestamp();
                let refused = (due.identity_id, template_id.to_owned(), at);
                self.refused.push(refused);
            }
            _ => self.unused.extend(entry),
        }
    }

    /// Writes it all down, with one statement for each kind.
    pub(super) fn write(&self, conn: &mut Conn) -> QueryResult<()> {
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
        credit::refuse(conn, &refused.collect::<Vec<_>>())?;
        credit::give_back(conn, &self.unused)?;
        credit::settle(conn, &self.sent)
    }
}
