//! What WeChat pushed: follows and unfollows, messages, and anything raw.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Event, EventKind, Subscribers, Who, follow};
use crate::clock::wechat_time;
use crate::db::{Conn, QueryResult};
use crate::ids::{AccountId, EventId, IdentityId, ProjectId};
use crate::models::account::{self, Scope};
use crate::models::event::Waiting;
use crate::models::identity::{Sighting, Spot};
use crate::models::webhook::{self, IdentityFact};
use crate::wechat::message::{self, Push};

/// When somebody came and went, seconds since 1970; 0: never.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    followed: i64,
    unfollowed: i64,
    /// The newest follow that an event has told of; `followed` may come from a profile.
    by_event: i64,
}

/// A batch of events, before and after its effects.
pub(crate) struct Pushes {
    subscribers: Subscribers,
    /// What was known of each openid.
    known: HashMap<(AccountId, String), Times>,
}

/// What is known of the batch once its effects are in the database.
pub(crate) struct Batch<'a> {
    pub(crate) waiting: &'a [Waiting],
    pub(crate) sightings: &'a [Sighting],
    pub(crate) ids: &'a HashMap<(AccountId, &'a str), IdentityId>,
    pub(crate) accounts: &'a HashMap<AccountId, Scope>,
    /// Events that are not told, because their people are erased.
    pub(crate) silent: &'a HashSet<EventId>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MessageEvent)]
pub(super) struct Received<'a> {
    #[serde(flatten)]
    who: Who<'a>,
    event_id: EventId,
    event_time: Option<DateTime<Utc>>,
    /// The message, taken apart.
    #[schema(value_type = Object)]
    message: &'a Push,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RawEvent)]
pub(super) struct Raw<'a> {
    event_id: EventId,
    app_id: &'a str,
    openid: Option<&'a str>,
    event_time: Option<DateTime<Utc>>,
    /// The decrypted body.
    raw: String,
    /// `text` or `base64`.
    raw_encoding: &'static str,
}

impl Pushes {
    /// To be called before the effects are applied.
    pub(crate) fn before(conn: &mut Conn, sightings: &[Sighting]) -> QueryResult<Self> {
        let subscribers = Subscribers::of(conn)?;
        let mut known = HashMap::new();
        if subscribers.wants(&[EventKind::Followed, EventKind::Unfollowed]) {
            let moved = sightings.iter().filter(|sighting| has_moved(sighting));
            let spots: Vec<Spot<'_>> = moved
                .map(|sighting| Spot {
                    account_id: sighting.account_id,
                    openid: &sighting.openid,
                })
                .collect();
            for found in webhook::known(conn, &spots)? {
                let times = Times {
                    followed: found.followed_time,
                    unfollowed: found.unfollowed_time,
                    by_event: found.followed_event,
                };
                known.insert((found.account_id, found.openid), times);
            }
        }
        Ok(Self { subscribers, known })
    }

    /// To be called after.
    pub(crate) fn after(
        self,
        conn: &mut Conn,
        batch: &Batch<'_>,
        now: NaiveDateTime,
    ) -> QueryResult<usize> {
        let kinds = [
            EventKind::Followed,
            EventKind::Unfollowed,
            EventKind::Message,
            EventKind::Raw,
        ];
        if !self.subscribers.wants(&kinds) {
            return Ok(0);
        }
        let moves = self.moves(batch);
        let written = self.messages(batch);
        let mut wanted: Vec<IdentityId> = moves.iter().map(|(id, ..)| *id).collect();
        wanted.extend(written.iter().map(|(id, ..)| *id));
        wanted.sort_unstable();
        wanted.dedup();
        let facts: HashMap<IdentityId, IdentityFact> = webhook::identities(conn, &wanted)?
            .into_iter()
            .map(|fact| (fact.identity_id, fact))
            .collect();
        let mut events = Vec::new();
        for (id, followed, event_time) in moves {
            if let Some(fact) = facts.get(&id) {
                events.push(follow(fact, followed, event_time, now)?);
            }
        }
        for (id, event, push) in &written {
            if let Some(fact) = facts.get(id) {
                events.push(received(fact, event, push, now)?);
            }
        }
        self.raw(conn, batch, &mut events, now)?;
        self.subscribers.publish(conn, &events, now)
    }

    /// Who has come or gone, and when, each person's in the order of time.
    fn moves(&self, batch: &Batch<'_>) -> Vec<(IdentityId, bool, i64)> {
        let mut moves = Vec::new();
        for sighting in batch
            .sightings
            .iter()
            .filter(|sighting| has_moved(sighting))
        {
            let key = (sighting.account_id, sighting.openid.as_str());
            let Some(&id) = batch.ids.get(&key) else {
                continue;
            };
            let key = (sighting.account_id, sighting.openid.clone());
            let known = self.known.get(&key).copied().unwrap_or_default();
            let wants = |kind| self.subscribers.wants_in(sighting.project_id, kind);
            let turns = turns(known, (sighting.followed_time, sighting.unfollowed_time));
            let turns = turns.into_iter().filter(|(followed, _)| match followed {
                true => wants(EventKind::Followed),
                false => wants(EventKind::Unfollowed),
            });
            moves.extend(turns.map(|(followed, time)| (id, followed, time)));
        }
        moves
    }

    /// What people wrote, where somebody wants it.
    fn messages<'a>(&self, batch: &Batch<'a>) -> Vec<(IdentityId, &'a Waiting, Push)> {
        let mut written = Vec::new();
        for event in batch.waiting {
            let wanted = project(batch, event)
                .is_some_and(|project| self.subscribers.wants_in(project, EventKind::Message));
            let openid = event.openid.as_deref().filter(|_| wanted);
            let id = openid.and_then(|openid| batch.ids.get(&(event.account_id, openid)));
            let (Some(&id), None) = (id, &event.problem) else {
                continue;
            };
            let push = message::parse(&event.body).ok();
            let push = push.filter(|push| push.event.is_none());
            written.extend(push.map(|push| (id, event, push)));
        }
        written
    }

    fn raw(
        &self,
        conn: &mut Conn,
        batch: &Batch<'_>,
        events: &mut Vec<Event>,
        now: NaiveDateTime,
    ) -> QueryResult<()> {
        if !self.subscribers.wants(&[EventKind::Raw]) {
            return Ok(());
        }
        let app_ids = account::app_ids(conn)?;
        for event in batch.waiting {
            let app_id = app_ids.get(&event.account_id);
            let (Some(project), Some(app_id)) = (project(batch, event), app_id) else {
                continue;
            };
            let wanted = self.subscribers.wants_in(project, EventKind::Raw);
            if !wanted || batch.silent.contains(&event.id) {
                continue;
            }
            let openid = event.openid.as_deref();
            let id = openid.and_then(|openid| batch.ids.get(&(event.account_id, openid)));
            let mut one = Event::new(project, EventKind::Raw, now, &raw(event, app_id))?
                .of_account(Some(app_id))
                .of_identity(id.copied());
            one.uid = Some(format!("msg_raw_{}", event.id));
            events.push(one);
        }
        Ok(())
    }
}

fn project(batch: &Batch<'_>, event: &Waiting) -> Option<ProjectId> {
    let scope = batch.accounts.get(&event.account_id);
    scope.map(|scope| scope.project_id)
}

fn has_moved(sighting: &Sighting) -> bool {
    sighting.followed_time > 0 || sighting.unfollowed_time > 0
}

/// What is new of somebody's newest follow and unfollow so far and those of a batch: (followed or
/// not, when), in the order of time. What is older than what is known is not, nor an unfollow of
/// somebody who is known not to follow. Where a profile was there before the event of the follow, that
/// event is still news, unless the profile said so of somebody who had gone: then it was told.
fn turns(known: Times, heard: (i64, i64)) -> Vec<(bool, i64)> {
    let (followed, unfollowed) = heard;
    let Times {
        followed: known_follow,
        unfollowed: known_unfollow,
        by_event,
    } = known;
    let told_by_profile =
        known_unfollow > 0 && known_follow > known_unfollow && by_event <= known_unfollow;
    // The profile's time and the event's differ by a second now and then.
    let is_the_same = told_by_profile && followed <= known_follow.saturating_add(1);
    let came = followed > by_event.max(known_unfollow) && !is_the_same;
    let gone_already = known_unfollow > 0 && known_unfollow >= known_follow;
    // In the second of the follow nobody can tell; until the profile tells, they do not follow.
    let went = unfollowed > known_unfollow && unfollowed >= known_follow && (came || !gone_already);
    let mut turns = Vec::new();
    if came {
        turns.push((true, followed));
    }
    if went {
        turns.push((false, unfollowed));
    }
    turns.sort_by_key(|(came, time)| (*time, !came));
    turns
}

fn received(
    fact: &IdentityFact,
    event: &Waiting,
    push: &Push,
    now: NaiveDateTime,
) -> QueryResult<Event> {
    let data = Received {
        who: fact.into(),
        event_id: event.id,
        event_time: wechat_time(event.create_time),
        message: push,
    };
    let mut message = Event::new(fact.project_id, EventKind::Message, now, &data)?
        .of_account(Some(&fact.app_id))
        .of_identity(Some(fact.identity_id));
    message.uid = Some(format!("msg_event_{}", event.id));
    Ok(message)
}

fn raw<'a>(event: &'a Waiting, app_id: &'a str) -> Raw<'a> {
    let (raw, raw_encoding) = match std::str::from_utf8(&event.body) {
        Ok(text) => (text.to_owned(), "text"),
        Err(_) => (STANDARD.encode(&event.body), "base64"),
    };
    Raw {
        event_id: event.id,
        app_id,
        openid: event.openid.as_deref(),
        event_time: wechat_time(event.create_time),
        raw,
        raw_encoding,
    }
}

#[cfg(test)]
mod tests {
    use super::{Times, turns};

    fn known(followed: i64, unfollowed: i64, by_event: i64) -> Times {
        Times {
            followed,
            unfollowed,
            by_event,
        }
    }

    #[test]
    fn the_event_of_a_follow_is_news_where_a_profile_was_first_and_told_nobody() {
        for (times, heard, expected) in [
            // A tap came first, then the profile.
            (known(5, 0, 0), (5, 0), vec![(true, 5)]),
            // WeChat's two clocks differ by a second.
            (known(6, 0, 0), (5, 0), vec![(true, 5)]),
            (known(5, 0, 5), (5, 0), vec![]),
            // They had gone, and the profile told that they are back.
            (known(9, 6, 5), (9, 0), vec![]),
            (known(9, 6, 5), (8, 0), vec![]),
            (known(9, 6, 5), (10, 0), vec![]),
            (known(9, 6, 5), (11, 0), vec![(true, 11)]),
            (known(9, 6, 0), (5, 0), vec![]),
            // In a list before anything was heard.
            (known(1, 0, 1), (7, 0), vec![(true, 7)]),
            (known(7, 0, 1), (7, 8), vec![(true, 7), (false, 8)]),
        ] {
            assert_eq!(turns(times, heard), expected, "{times:?} {heard:?}");
        }
    }

    #[test]
    fn only_what_is_newer_than_all_that_is_known_is_news() {
        for (so_far, heard, expected) in [
            ((0, 0), (5, 0), vec![(true, 5)]),
            ((0, 0), (0, 5), vec![(false, 5)]),
            ((0, 0), (5, 6), vec![(true, 5), (false, 6)]),
            ((0, 0), (6, 5), vec![(false, 5), (true, 6)]),
            ((0, 0), (5, 5), vec![(true, 5), (false, 5)]),
            ((5, 0), (5, 0), vec![]),
            ((5, 0), (0, 6), vec![(false, 6)]),
            ((5, 0), (0, 5), vec![(false, 5)]),
            ((5, 0), (0, 4), vec![]),
            ((5, 6), (5, 0), vec![]),
            ((5, 6), (0, 7), vec![]),
            ((5, 6), (7, 0), vec![(true, 7)]),
            ((5, 6), (7, 8), vec![(true, 7), (false, 8)]),
            ((5, 6), (4, 3), vec![]),
            ((1, 0), (7, 0), vec![(true, 7)]),
        ] {
            let times = known(so_far.0, so_far.1, so_far.0);
            assert_eq!(turns(times, heard), expected, "{times:?} {heard:?}");
        }
    }
}
