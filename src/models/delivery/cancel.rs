//! Taking back what is not sent yet.

use chrono::NaiveDateTime;

use super::transitions::cancelled;
use super::{Answered, DeliveryState, FirstAnswer, Reason, keep_first_answers};
use crate::db::prelude::*;
use crate::db::{Conn, schema::deliveries};
use crate::ids::{AccountId, DeliveryId, NotificationId};

/// Cancels the deliveries of a notification that are certainly not sent. One that is being sent at
/// this moment, or may have been, is only marked: it ends where its next try would begin.
pub fn cancel(
    conn: &mut Conn,
    notification: NotificationId,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let queued = || {
        deliveries::table
            .filter(deliveries::notification_id.eq(notification))
            .filter(deliveries::state.eq(DeliveryState::Queued))
    };
    if let Conn::Postgres(conn) = conn {
        // In the order of all who write several.
        queued()
            .order(deliveries::id)
            .select(deliveries::id)
            .for_update()
            .load::<DeliveryId>(conn)?;
    }
    let waiting: Vec<(DeliveryId, Option<String>)> = queued()
        .filter(deliveries::reason.eq(Reason::WaitingForConsent))
        .filter(deliveries::first_answer.is_null())
        .select((deliveries::id, deliveries::detail))
        .load(conn)?;
    let waiting: Vec<FirstAnswer> = waiting.into_iter().map(first_answer).collect();
    keep_first_answers(conn, &waiting)?;
    let cancelled = cancelled(conn, notification, now)?;
    diesel::update(queued().filter(deliveries::cancelled_at.is_null()))
        .set(deliveries::cancelled_at.eq(now))
        .execute(conn)?;
    Ok(cancelled)
}

/// The accounts in which deliveries of a notification were to be sent.
pub fn accounts_of(conn: &mut Conn, notification: NotificationId) -> QueryResult<Vec<AccountId>> {
    let accounts: Vec<Option<AccountId>> = deliveries::table
        .filter(deliveries::notification_id.eq(notification))
        .select(deliveries::account_id)
        .distinct()
        .load(conn)?;
    Ok(accounts.into_iter().flatten().collect())
}

/// What the app was told of a delivery that waits for consent.
fn first_answer((id, detail): (DeliveryId, Option<String>)) -> FirstAnswer {
    let (reason, detail) = (Some(Reason::WaitingForConsent.as_str()), detail.as_deref());
    FirstAnswer {
        id,
        first_answer: Answered::of(DeliveryState::Queued, reason, detail).to_json(),
    }
}
