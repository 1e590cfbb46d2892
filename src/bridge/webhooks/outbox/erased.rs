//! Somebody was erased: the last time that their ids are told, so that others can erase them too.

use chrono::NaiveDateTime;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Event, EventKind, Subscribers};
use crate::db::{Conn, QueryResult};
use crate::ids::{ErasureId, IdentityId};
use crate::models::account;
use crate::models::erasure::{Cause, Erasure, Subject};

#[derive(Serialize, ToSchema)]
#[schema(as = ErasedEvent)]
pub(super) struct Erased<'a> {
    erasure_id: ErasureId,
    cause: Cause,
    /// The staff members whom the person was.
    staff_ids: &'a [String],
    identities: Vec<Gone<'a>>,
    unionid: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ErasedIdentity)]
struct Gone<'a> {
    /// Null for an openid that was not known here.
    identity_id: Option<IdentityId>,
    app_id: &'a str,
    openid: &'a str,
}

/// To be called before the identities are gone.
pub(crate) fn erased(
    conn: &mut Conn,
    erasure: &Erasure,
    subject: &Subject,
    staff_ids: &[String],
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let subscribers = Subscribers::of(conn)?;
    if !subscribers.wants_in(erasure.project_id, EventKind::Erased) {
        return Ok(0);
    }
    let nobody = subject.identity_ids().is_empty() && staff_ids.is_empty();
    if nobody && erasure.cause == Cause::Request {
        return Ok(0);
    }
    let app_ids = account::app_ids(conn)?;
    let gone = subject.openids.iter().filter_map(|one| {
        Some(Gone {
            identity_id: one.identity_id,
            app_id: app_ids.get(&one.account_id)?,
            openid: &one.openid,
        })
    });
    let data = Erased {
        erasure_id: erasure.id,
        cause: erasure.cause,
        staff_ids,
        identities: gone.collect(),
        unionid: subject.unionids.first().map(String::as_str),
    };
    let first = subject.identity_ids().into_iter().next();
    let mut event =
        Event::new(erasure.project_id, EventKind::Erased, now, &data)?.of_identity(first);
    event.uid = Some(format!("msg_erasure_{}", erasure.id));
    subscribers.publish(conn, &[event], now)
}

/// The body of such an event without what names the person, once the endpoint has taken it; none for
/// any other event.
pub(crate) fn without_names(body: &str) -> Option<String> {
    let mark = format!("{{\"type\":\"{}\"", EventKind::Erased.as_str());
    if !body.starts_with(&mark) {
        return None;
    }
    let mut told: Value = serde_json::from_str(body).ok()?;
    let data = told.get_mut("data")?.as_object_mut()?;
    data.insert("unionid".to_owned(), Value::Null);
    for identity in data.get_mut("identities")?.as_array_mut()? {
        let identity = identity.as_object_mut()?;
        identity.insert("openid".to_owned(), Value::Null);
    }
    serde_json::to_string(&told).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_names_nobody_any_more() {
        let body = r#"{"type":"person.erased","timestamp":"t","data":{"erasure_id":1,"identities":[{"identity_id":7,"app_id":"wx1","openid":"oA"}],"unionid":"oU"}}"#;
        let left = without_names(body).unwrap();
        assert!(!left.contains("oA") && !left.contains("oU"), "{left}");
        assert!(left.contains("\"identity_id\":7") && left.contains("\"erasure_id\":1"));
        let other =
            r#"{"type":"message.received","data":{"content":"{\"type\":\"person.erased\""}}"#;
        assert_eq!(without_names(other), None);
    }
}
