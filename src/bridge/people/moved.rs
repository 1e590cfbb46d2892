//! Accounts that moved to another Open Platform account. WeChat then gives everybody another
//! unionid, at the first profile, login or event that brings one; all the others keep the old one
//! here until they are asked for again. So somebody has to be told, and staff who are bound by an
//! old unionid have to be bound by the new one.

mod rebind;

use std::collections::BTreeMap;

use chrono::{NaiveDateTime, TimeDelta};

use crate::bridge::webhooks::outbox;
use crate::db::{Conn, QueryResult};
use crate::ids::{AccountId, ProjectId};
use crate::models::account::unionid_move::{self, AccountMove, OVER_AFTER};
use crate::models::account::{self, AccountKind, Label};
use crate::models::identity::unionid_change::{self, Changed};

pub use rebind::{Kept, MovedStaff, Rebound, moved_staff};

/// Every person of the account comes with another unionid, and one alert does for all of them.
const TELL_AGAIN: TimeDelta = TimeDelta::hours(12);

/// An account of which somebody has just been told.
#[derive(Debug)]
pub(in crate::bridge) struct Moved {
    app_id: String,
    detail: String,
}

/// What noting changes entailed.
#[derive(Debug, Default)]
pub(in crate::bridge) struct Noted {
    /// Events that were recorded for endpoints.
    pub(in crate::bridge) published: usize,
    /// Accounts of which it is to be said in the log, once this is committed.
    pub(in crate::bridge) accounts: Vec<Moved>,
}

/// Notes, in the transaction that stores them, that openids came with other unionids.
pub(in crate::bridge) fn note(
    conn: &mut Conn,
    changed: &[Changed],
    now: NaiveDateTime,
) -> QueryResult<Noted> {
    let mut by_account: BTreeMap<(AccountId, ProjectId), i64> = BTreeMap::new();
    for one in changed {
        *by_account
            .entry((one.account_id, one.project_id))
            .or_default() += 1;
    }
    let mut noted = Noted::default();
    for ((id, project), changed) in by_account {
        unionid_move::count(conn, id, changed, now)?;
        if !unionid_move::take_turn_to_tell(conn, id, TELL_AGAIN, now)? {
            continue;
        }
        let labels = account::labels(conn, project)?;
        let label = labels.into_iter().find(|label| label.id == id);
        let (Some(label), Some(known)) = (label, unionid_move::of_account(conn, id)?) else {
            continue;
        };
        let detail = describe(&label.app_id, label.kind, &known);
        noted.published += outbox::moved(conn, project, &label.app_id, &known, &detail, now)?;
        noted.accounts.push(Moved {
            app_id: label.app_id,
            detail,
        });
    }
    Ok(noted)
}

/// Says it in the log.
pub(in crate::bridge) fn warn(moved: &[Moved]) {
    for one in moved {
        tracing::warn!(account.app_id = %one.app_id, "{}", one.detail);
    }
}

/// What happened and what to do.
fn describe(app_id: &str, kind: AccountKind, known: &AccountMove) -> String {
    let (changed, since) = (known.changed, known.since.format("%F %H:%M:%S"));
    let ask = match kind {
        AccountKind::OfficialAccount => {
            format!("Ask for all profiles again: queqiao followers import --account {app_id} --refresh.")
        }
        AccountKind::MiniProgram => "Its people tell the new one when they log in. If official accounts of the \
             project moved with it, ask for all their profiles again: queqiao followers import --account APPID \
             --refresh."
            .to_owned(),
    };
    format!(
        "WeChat gives people of {app_id} another unionid than before, {changed} of them since {since} UTC: \
         the account has moved to another Open Platform account. {ask} Then bind again whom an old unionid \
         binds: queqiao accounts moved {app_id}."
    )
}

/// The warning about an account that moved.
#[derive(Clone, Debug)]
pub struct Warning {
    /// Since when and how many.
    pub known: AccountMove,
    /// Staff members who are bound by an old unionid, among the first ten thousand bindings.
    pub staff: i64,
    /// In words, with what to do.
    pub detail: String,
}

/// The warnings about a project's accounts. One stands until nobody is bound by an old unionid and
/// none has changed for a month.
///
/// # Errors
/// If the database fails.
pub fn warnings(
    conn: &mut Conn,
    project: ProjectId,
    now: NaiveDateTime,
) -> QueryResult<BTreeMap<AccountId, Warning>> {
    let mut moves = unionid_move::of_project(conn, project)?;
    if moves.is_empty() {
        return Ok(BTreeMap::new());
    }
    let staff = unionid_change::staff_by_account(conn, project)?;
    let labels: Vec<Label> = account::labels(conn, project)?;
    let warnings = labels.into_iter().filter_map(|label| {
        let known = moves.remove(&label.id)?;
        let staff = staff.get(&label.id).copied().unwrap_or_default();
        let stands = staff > 0 || now - known.last_at < OVER_AFTER;
        stands.then(|| {
            let detail = describe(&label.app_id, label.kind, &known);
            let warning = Warning {
                known,
                staff,
                detail,
            };
            (label.id, warning)
        })
    });
    Ok(warnings.collect())
}
