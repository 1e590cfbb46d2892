//! People who are erased: events that tell of it, and events that come from before.
//!
//! What WeChat pushes of an erased openid brings the person back, as somebody new, if it is something
//! that they did after the erasure. Anything else (a push from before, the result of an old message,
//! an unfollow) has no effect on people, is not told, and is emptied.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDateTime;

use crate::bridge::people::erase::{Asked, ask, hashed, is_remembered, subject_of};
use crate::db::{Conn, QueryResult};
use crate::ids::{AccountId, EventId, ProjectId};
use crate::models::account::{self, Scope};
use crate::models::actor::Actor;
use crate::models::erasure::{self, Cause, Hashed, Remembered, Subject};
use crate::models::event::{self, Waiting};
use crate::models::storable;
use crate::vault::Vault;
use crate::wechat::message::{self, CANCELLATION, Content};

/// Events that nobody causes who comes back.
const NOT_DONE_BY_THEM: [&str; 7] = [
    "event.unsubscribe",
    "event.templatesendjobfinish",
    "event.subscribe_msg_sent_event",
    "event.subscribe_msg_change_event",
    "event.user_info_modified",
    "event.user_authorization_revoke",
    CANCELLATION,
];

/// Somebody deleted their WeChat account.
#[derive(Debug)]
struct Cancelled {
    account_id: AccountId,
    openid: Option<String>,
    unionid: Option<String>,
    /// The app that the openid belongs to, where the event says so.
    app_id: Option<String>,
    time: i64,
}

/// What a batch of events has to do with people who are erased.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    /// Events of people who are erased, and those that tell of it: endpoints are told in another way.
    pub(super) silent: HashSet<EventId>,
    /// Events that are to be emptied once they are processed.
    emptied: Vec<EventId>,
    cancelled: Vec<Cancelled>,
}

impl Sifted {
    /// Looks for such events, and takes the openids out of them.
    pub(super) fn of(
        conn: &mut Conn,
        vault: &Vault,
        waiting: &mut [Waiting],
        accounts: &HashMap<AccountId, Scope>,
    ) -> QueryResult<Self> {
        let mut sifted = Self::default();
        let known = remembered(conn, vault, waiting)?;
        let back = back(waiting, &known);
        for event in waiting.iter_mut() {
            if event.kind == CANCELLATION {
                if accounts.contains_key(&event.account_id) {
                    sifted.cancel(event);
                }
                continue;
            }
            let Some(openid) = event.openid.clone() else {
                continue;
            };
            let key = (event.account_id, openid);
            let Some(remembered) = known.get(&key) else {
                continue;
            };
            let is_old = event.create_time <= remembered.erased_time;
            if is_old || !back.contains(&key) {
                event.openid = None;
                sifted.silent.insert(event.id);
                sifted.emptied.push(event.id);
            }
        }
        Ok(sifted)
    }

    fn cancel(&mut self, event: &mut Waiting) {
        if event.body.is_empty() {
            // It was carried out, and is processed once more.
            return;
        }
        let push = message::parse(&event.body).ok();
        let told = push.and_then(|push| match push.content {
            Content::UserAuthorizationCancellation(told) => Some(told),
            _ => None,
        });
        let (unionid, app_id) = told
            .map(|told| (told.unionid, told.app_id))
            .unwrap_or_default();
        // Whoever is told to be gone is not seen by it.
        let openid = event.openid.take();
        if openid.is_none() && unionid.is_none() {
            tracing::warn!(
                event.id = %event.id,
                account.id = event.account_id.0,
                "an event tells that somebody deleted their account, and does not say who"
            );
            return;
        }
        self.silent.insert(event.id);
        self.emptied.push(event.id);
        self.cancelled.push(Cancelled {
            account_id: event.account_id,
            openid,
            unionid: unionid.map(|unionid| storable(&unionid).into_owned()),
            app_id,
            time: event.create_time,
        });
    }

    /// Empties the events, and asks for the erasures. Returns how many of those.
    pub(super) fn settle(
        &self,
        conn: &mut Conn,
        vault: &Vault,
        accounts: &HashMap<AccountId, Scope>,
        now: NaiveDateTime,
    ) -> QueryResult<usize> {
        event::wipe(conn, &self.emptied)?;
        let mut asked = 0;
        for cancelled in &self.cancelled {
            if let Some(scope) = accounts.get(&cancelled.account_id) {
                asked += usize::from(cancelled.ask(conn, vault, scope.project_id, now)?);
            }
        }
        Ok(asked)
    }
}

impl Cancelled {
    /// Asks for the erasure, unless it was done. Returns whether it did.
    fn ask(
        &self,
        conn: &mut Conn,
        vault: &Vault,
        project: ProjectId,
        now: NaiveDateTime,
    ) -> QueryResult<bool> {
        let labels = account::labels(conn, project)?;
        let of_app = labels
            .iter()
            .find(|label| Some(&label.app_id) == self.app_id.as_ref());
        let account = of_app.map_or(self.account_id, |label| label.id);
        let told_by = labels.iter().find(|label| label.id == self.account_id);
        if let Some(openid) = &self.openid {
            let openid = hashed(vault, account, openid);
            let unknown = self.unionid.is_none() || !self.is_known(conn, project)?;
            if unknown && is_remembered(conn, &openid, self.time)? {
                return Ok(false);
            }
        }
        let asked = Asked {
            project_id: project,
            cause: Cause::Cancellation,
            by: &Actor::Wechat,
            identity_id: None,
            app_id: told_by.map(|label| label.app_id.as_str()),
            erased_time: self.time,
        };
        let seed: Subject = subject_of(account, self.openid.clone(), self.unionid.clone());
        ask(conn, vault, &asked, seed, now)?;
        Ok(true)
    }

    /// Whether somebody here has the unionid.
    fn is_known(&self, conn: &mut Conn, project: ProjectId) -> QueryResult<bool> {
        let unionids: Vec<String> = self.unionid.iter().cloned().collect();
        let found = crate::models::people::with_unionids(conn, project, &unionids)?;
        Ok(!found.is_empty())
    }
}

type Known = HashMap<(AccountId, String), Remembered>;

/// The openids of the batch that were erased.
fn remembered(conn: &mut Conn, vault: &Vault, waiting: &[Waiting]) -> QueryResult<Known> {
    if waiting.is_empty() || !erasure::any_remembered(conn)? {
        return Ok(Known::new());
    }
    let mut openids: Vec<(AccountId, &str)> = waiting
        .iter()
        .filter_map(|event| Some((event.account_id, event.openid.as_deref()?)))
        .collect();
    openids.sort_unstable();
    openids.dedup();
    let openids: Vec<Hashed<'_>> = openids
        .into_iter()
        .map(|(account, openid)| hashed(vault, account, openid))
        .collect();
    let found = erasure::remembered(conn, &openids)?;
    let by_spot = found
        .into_iter()
        .map(|one| ((one.account_id, one.openid.clone()), one));
    Ok(by_spot.collect())
}

/// Those of them who are back, or come back with this batch.
fn back(waiting: &[Waiting], known: &Known) -> HashSet<(AccountId, String)> {
    let mut back: HashSet<_> = known
        .iter()
        .filter(|(_, remembered)| remembered.is_back())
        .map(|(key, _)| key.clone())
        .collect();
    if known.is_empty() {
        return back;
    }
    for event in waiting {
        let Some(openid) = event.openid.clone() else {
            continue;
        };
        let key = (event.account_id, openid);
        let later = known
            .get(&key)
            .is_some_and(|remembered| event.create_time > remembered.erased_time);
        if later && !NOT_DONE_BY_THEM.contains(&event.kind.as_str()) {
            back.insert(key);
        }
    }
    back
}
