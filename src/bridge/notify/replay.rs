//! The answer to a request to notify, as it was first given.

use super::request::ValidRequest;
use super::{Accepted, NotifyError, RecipientResult};
use crate::db::Conn;
use crate::ids::{DeliveryId, NotificationId, ProjectId};
use crate::models::delivery;
use crate::models::notification;

/// Verdicts read at a time.
const PAGE: i64 = 2_000;

/// The first answer to a request that was accepted already.
pub(super) fn replay(
    conn: &mut Conn,
    project: ProjectId,
    request: &ValidRequest,
) -> Result<Option<Accepted>, NotifyError> {
    let Some(key) = &request.idempotency_key else {
        return Ok(None);
    };
    let Some(known) = notification::by_idempotency_key(conn, project, key)? else {
        return Ok(None);
    };
    if known.request_hash.as_deref() != Some(request.hash.as_slice()) {
        return Err(NotifyError::IdempotencyMismatch);
    }
    Ok(Some(Accepted {
        notification_id: known.id,
        replayed: true,
        results: results(conn, known.id)?,
    }))
}

/// The results as they were given: what became of a delivery since then does not change them.
pub(super) fn results(
    conn: &mut Conn,
    id: NotificationId,
) -> Result<Vec<RecipientResult>, NotifyError> {
    let verdict = |row: delivery::Decided| {
        let first = row.answered();
        RecipientResult {
            staff_id: row.staff_id.map(Into::into),
            recipient: row.recipient.map(Into::into),
            delivery_id: row.id,
            state: first.state,
            reason: first.reason.map(Into::into),
            detail: first.detail.map(Into::into),
        }
    };
    let mut results: Vec<RecipientResult> = Vec::new();
    let mut after = DeliveryId(0);
    loop {
        // A page at a time, as the client of the database holds a whole answer.
        let page = delivery::verdicts(conn, id, after, PAGE)?;
        let Some(last) = page.last() else {
            return Ok(results);
        };
        after = last.id;
        results.extend(page.into_iter().map(verdict));
    }
}
