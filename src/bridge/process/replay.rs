//! Events once more: one of any kind, or failed ones in bulk.

use crate::bridge::Bridge;
use crate::bridge::intake::indexed;
use crate::bridge::limits::REPLAYED_MAX;
use crate::db::{Conn, DbError, QueryResult};
use crate::ids::{AccountId, EventId};
use crate::models::account;
use crate::models::event::{self, Event, FAILED, Filter, Reread};
use crate::models::stats::{Changes, Key, Metric};
use crate::models::storable;
use crate::wechat::message;

/// What became of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// How many wait to be processed again.
    pub taken: usize,
    /// Where to go on, if there may be more.
    pub next: Option<i64>,
}

impl Bridge {
    /// Lets one event of these accounts be processed once more, whatever came of it. A push that was kept
    /// raw is parsed again first: this version may be able to. Returns whether there is such an event.
    ///
    /// # Errors
    /// If the database fails; then nothing changes.
    pub async fn replay_event(
        &self,
        accounts: Vec<AccountId>,
        id: EventId,
    ) -> Result<bool, DbError> {
        let replayed = self.db.write(move |conn| -> QueryResult<_> {
            let Some(found) = event::by_id(conn, &accounts, id)? else {
                return Ok(false);
            };
            let reread = read_again(&found);
            count_again(conn, &found, reread.as_ref())?;
            let is_there = event::requeue(conn, found.account_id, id, reread.as_ref())?;
            Ok(is_there)
        });
        let is_there = replayed.await?;
        if is_there {
            self.signals.events.notify_one();
        }
        Ok(is_there)
    }

    /// Lets failed events of these accounts that match be processed once more, `limit` at the most.
    ///
    /// # Errors
    /// If the database fails; then none is.
    pub async fn replay_events(
        &self,
        accounts: Vec<AccountId>,
        filter: Filter,
        limit: i64,
    ) -> Result<Replayed, DbError> {
        let filter = Filter {
            failed: true,
            ..filter
        };
        let limit = limit.clamp(1, REPLAYED_MAX);
        let replayed = self
            .db
            .write(move |conn| -> QueryResult<_> {
                let page = event::list(conn, &accounts, &filter, limit)?;
                let (mut as_they_are, mut taken) = (Vec::new(), 0);
                for event in &page.found {
                    match read_again(event).filter(|reread| !is_read_as(event, reread)) {
                        Some(reread) => {
                            let account = event.account_id;
                            count_again(conn, event, Some(&reread))?;
                            let is_there = event::requeue(conn, account, event.id, Some(&reread))?;
                            taken += usize::from(is_there);
                        }
                        None => as_they_are.push(event.id),
                    }
                }
                taken += event::requeue_failed(conn, &as_they_are)?;
                let next = page.next;
                Ok(Replayed { taken, next })
            })
            .await?;
        if replayed.taken > 0 {
            self.signals.events.notify_one();
        }
        Ok(replayed)
    }
}

/// Counts an event as what it is read as now, if it is counted as something else.
fn count_again(conn: &mut Conn, event: &Event, reread: Option<&Reread>) -> QueryResult<()> {
    let Some(reread) = reread.filter(|reread| reread.kind != event.kind) else {
        return Ok(());
    };
    let (from, to) = (event.kind.as_str(), reread.kind.as_str());
    let Some(day) = event::change_kind(conn, event.id, event.account_id, (from, to))? else {
        return Ok(());
    };
    let scopes = account::scopes(conn)?;
    let Some(scope) = scopes.get(&event.account_id) else {
        return Ok(());
    };
    let key = Key::new(scope.project_id, day, Metric::Events).of_account(event.account_id);
    let mut changes = Changes::default();
    changes.add(key.clone().named(from), -1);
    changes.add(key.named(to), 1);
    changes.write(conn)
}

/// What a push is read as now that had a problem. One that failed is parsed too: it may have been raw
/// before.
fn read_again(event: &Event) -> Option<Reread> {
    let problem = event.problem.as_ref()?;
    match message::parse(&event.body) {
        Ok(push) => {
            let (openid, problem) = indexed(push.openid());
            Some(Reread {
                kind: push.kind().into_owned(),
                openid,
                // What was read of it before tells it from other pushes.
                create_time: match event.create_time {
                    0 => push.create_time,
                    known => known,
                },
                problem,
            })
        }
        Err(error) => Some(Reread {
            kind: event.kind.clone(),
            openid: event.openid.clone(),
            create_time: event.create_time,
            problem: Some(match event.state {
                FAILED => storable(&error.to_string()).into_owned(),
                _ => problem.clone(),
            }),
        }),
    }
}

/// Whether a failed event is parsed as it was: then it failed for another reason.
fn is_read_as(event: &Event, reread: &Reread) -> bool {
    reread.problem.is_none()
        && (&reread.kind, &reread.openid, reread.create_time)
            == (&event.kind, &event.openid, event.create_time)
}
