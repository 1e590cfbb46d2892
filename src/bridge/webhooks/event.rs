//! Events out: their types, who wants which, and how they are recorded.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Serialize;

use crate::db::{Conn, DbError, QueryResult, text_enum};
use crate::ids::{IdentityId, ProjectId, WebhookId};
use crate::models::webhook::{self, Listener, NewMessage};

/// Bytes of bodies that one statement records, if it has several.
const STATEMENT: usize = 4 << 20;

text_enum! {
    /// The type of an event.
    pub enum EventKind {
        /// Somebody follows an official account.
        Followed = "identity.followed",
        /// Somebody has unfollowed it.
        Unfollowed = "identity.unfollowed",
        /// The unionid of an identity is known now.
        Linked = "person.linked",
        /// A person was erased.
        Erased = "person.erased",
        /// A staff member was bound to a person.
        Bound = "staff.bound",
        /// A binding was removed.
        Unbound = "staff.unbound",
        /// WeChat accepted a message.
        Sent = "delivery.sent",
        /// It arrived.
        Delivered = "delivery.delivered",
        /// It did not, or nobody knows.
        Failed = "delivery.failed",
        /// A person wrote to an account.
        Message = "message.received",
        /// WeChat refuses an account.
        Alert = "account.alert",
        /// Another endpoint was disabled.
        Disabled = "webhook.disabled",
        /// Anything that WeChat pushed, decrypted.
        Raw = "push.raw",
    }
}

/// Stands for every type.
pub const EVERYTHING: &str = "*";
/// The type of a test.
pub const PING: &str = "ping";

/// An event to record.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) project_id: ProjectId,
    pub(super) kind: EventKind,
    /// The account it belongs to, if one.
    pub(super) app_id: Option<String>,
    /// Whose events are kept in order.
    pub(super) person: Option<String>,
    /// Where a repetition of the same thing shall have the same webhook-id.
    pub(super) uid: Option<String>,
    /// When it happened.
    pub(super) at: DateTime<Utc>,
    pub(super) data: serde_json::Value,
}

impl Event {
    pub(super) fn new(
        project_id: ProjectId,
        kind: EventKind,
        at: NaiveDateTime,
        data: &impl Serialize,
    ) -> QueryResult<Self> {
        let data = serde_json::to_value(data);
        Ok(Self {
            project_id,
            kind,
            app_id: None,
            person: None,
            uid: None,
            at: at.and_utc(),
            data: data.map_err(DbError::not_json)?,
        })
    }

    pub(super) fn of_account(mut self, app_id: Option<&str>) -> Self {
        self.app_id = app_id.map(str::to_owned);
        self
    }

    /// Kept in order with the other events of that identity.
    pub(super) fn of_identity(mut self, id: Option<IdentityId>) -> Self {
        self.person = id.map(|id| format!("i{id}"));
        self
    }
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: DateTime<Utc>,
    data: &'a serde_json::Value,
}

/// The body of an event, word for word as it is signed and posted.
pub(super) fn body(kind: &str, at: DateTime<Utc>, data: &serde_json::Value) -> QueryResult<String> {
    let body = Body {
        kind,
        timestamp: at,
        data,
    };
    serde_json::to_string(&body).map_err(DbError::not_json)
}

/// A webhook-id that no other event has.
pub(super) fn new_uid() -> String {
    let random: u128 = rand::random();
    format!("msg_{random:032x}")
}

/// Who listens, as of the transaction at hand.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    subscribers: Vec<Subscriber>,
}

#[derive(Debug)]
struct Subscriber {
    id: WebhookId,
    project_id: ProjectId,
    kinds: HashSet<EventKind>,
    app_ids: Option<Vec<String>>,
}

impl Subscribers {
    /// Reads it: one small query.
    pub(crate) fn of(conn: &mut Conn) -> QueryResult<Self> {
        let subscribers = webhook::listeners(conn)?.iter().map(subscriber).collect();
        Ok(Self { subscribers })
    }

    /// Whether anybody in any project wants one of these.
    pub(super) fn wants(&self, kinds: &[EventKind]) -> bool {
        let mut wanted = kinds.iter();
        wanted.any(|kind| {
            self.subscribers
                .iter()
                .any(|subscriber| subscriber.kinds.contains(kind))
        })
    }

    /// Whether anybody in the project wants it.
    pub(super) fn wants_in(&self, project: ProjectId, kind: EventKind) -> bool {
        let mut subscribers = self.subscribers.iter();
        subscribers
            .any(|subscriber| subscriber.project_id == project && subscriber.kinds.contains(&kind))
    }

    /// Records events for everybody who wants them, in one statement, or several where they are long.
    /// Returns for how many.
    pub(super) fn publish(
        &self,
        conn: &mut Conn,
        events: &[Event],
        now: NaiveDateTime,
    ) -> QueryResult<usize> {
        let mut bodies = Vec::with_capacity(events.len());
        for event in events {
            let uid = event.uid.clone().unwrap_or_else(new_uid);
            bodies.push((uid, body(event.kind.as_str(), event.at, &event.data)?));
        }
        let mut rows = Vec::new();
        for (event, (uid, body)) in events.iter().zip(&bodies) {
            let subscribers = self
                .subscribers
                .iter()
                .filter(|subscriber| subscriber.takes(event));
            rows.extend(subscribers.map(|subscriber| NewMessage {
                webhook_id: subscriber.id,
                uid,
                kind: event.kind.as_str(),
                person: event.person.as_deref(),
                body,
                now,
            }));
        }
        let mut published = 0;
        for rows in rows.chunk_by(in_one_statement()) {
            published += webhook::insert_many(conn, rows)?;
        }
        Ok(published)
    }

    /// Without one endpoint: it is not told of itself.
    pub(super) fn without(mut self, id: WebhookId) -> Self {
        self.subscribers.retain(|subscriber| subscriber.id != id);
        self
    }
}

/// Whether the next row goes into the same statement as the one before it.
fn in_one_statement() -> impl FnMut(&NewMessage<'_>, &NewMessage<'_>) -> bool {
    let mut bytes = 0;
    move |before, next| {
        bytes += before.body.len();
        let fits = bytes + next.body.len() <= STATEMENT;
        if !fits {
            bytes = 0;
        }
        fits
    }
}

impl Subscriber {
    fn takes(&self, event: &Event) -> bool {
        let app_ids = self.app_ids.as_ref().zip(event.app_id.as_ref());
        self.project_id == event.project_id
            && self.kinds.contains(&event.kind)
            && app_ids.is_none_or(|(wanted, app_id)| wanted.contains(app_id))
    }
}

fn subscriber(listener: &Listener) -> Subscriber {
    // What a newer version wrote is what this one has no event for.
    let words: Vec<String> = serde_json::from_str(&listener.events).unwrap_or_default();
    let kinds = if words.iter().any(|word| word == EVERYTHING) {
        EventKind::ALL.iter().copied().collect()
    } else {
        words.iter().filter_map(|word| word.parse().ok()).collect()
    };
    let app_ids = listener.app_ids.as_deref();
    Subscriber {
        id: listener.id,
        project_id: listener.project_id,
        kinds,
        app_ids: app_ids.map(|list| serde_json::from_str(list).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_rows_are_taken_down_in_several_statements() {
        let counts = |bytes: &[usize]| -> Vec<usize> {
            let bodies: Vec<String> = bytes.iter().map(|bytes| "x".repeat(*bytes)).collect();
            let rows: Vec<NewMessage<'_>> = bodies
                .iter()
                .map(|body| NewMessage {
                    webhook_id: WebhookId(1),
                    uid: "msg_1",
                    kind: "push.raw",
                    person: None,
                    body,
                    now: NaiveDateTime::default(),
                })
                .collect();
            let statements = rows.chunk_by(in_one_statement());
            statements.map(<[NewMessage<'_>]>::len).collect()
        };
        assert_eq!(counts(&[100; 9]), [9]);
        assert_eq!(counts(&[STATEMENT / 2; 5]), [2, 2, 1]);
        assert_eq!(counts(&[10, 2 * STATEMENT, 10, 10]), [1, 1, 2]);
        assert_eq!(counts(&[]), [0; 0]);
    }
}
