//! What WeChat says of the verification of an account, where somebody has to act upon it.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Event, EventKind, Subscribers};
use crate::clock::wechat_time;
use crate::db::{Conn, QueryResult};
use crate::ids::{AccountId, EventId};
use crate::models::account::{self, Scope};
use crate::wechat::message::{Verification, VerificationEvent};

/// News of an account's verification, from an event.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) account_id: AccountId,
    pub(crate) event_id: EventId,
    pub(crate) verification: Verification,
}

/// The data of `account.alert`, with what only such events have.
#[derive(Serialize, ToSchema)]
#[schema(as = VerificationAlert)]
pub(super) struct Alert<'a> {
    app_id: &'a str,
    /// No call was refused.
    call: Option<&'a str>,
    errcode: Option<i64>,
    /// What it means and what to do.
    problem: String,
    /// WeChat's event.
    event: VerificationEvent,
    expires_at: Option<DateTime<Utc>>,
    failed_at: Option<DateTime<Utc>>,
    /// Why it failed, in WeChat's words.
    fail_reason: Option<&'a str>,
}

/// Tells of what is not as it should be. The same event, processed once more, is told under the same
/// webhook-id.
pub(crate) fn verification(
    conn: &mut Conn,
    verified: &[Verified],
    accounts: &HashMap<AccountId, Scope>,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    if verified.is_empty() {
        return Ok(0);
    }
    let subscribers = Subscribers::of(conn)?;
    let app_ids = account::app_ids(conn)?;
    let mut events = Vec::new();
    for one in verified {
        let (app_id, scope) = (app_ids.get(&one.account_id), accounts.get(&one.account_id));
        let advice = one.verification.news.advice();
        let (Some(app_id), Some(scope), Some(advice)) = (app_id, scope, advice) else {
            continue;
        };
        tracing::warn!(
            account.app_id = %app_id,
            event.id = %one.event_id,
            event.kind = one.verification.news.as_str(),
            reason = ?one.verification.fail_reason,
            advice,
            "verification of the account"
        );
        if !subscribers.wants_in(scope.project_id, EventKind::Alert) {
            continue;
        }
        let data = alert(app_id, &one.verification, advice);
        let mut alert =
            Event::new(scope.project_id, EventKind::Alert, now, &data)?.of_account(Some(app_id));
        alert.uid = Some(format!("msg_alert_{}", one.event_id));
        events.push(alert);
    }
    subscribers.publish(conn, &events, now)
}

fn alert<'a>(app_id: &'a str, verification: &'a Verification, advice: &str) -> Alert<'a> {
    let reason = verification.fail_reason.as_deref();
    let time = |seconds: Option<i64>| seconds.and_then(wechat_time);
    Alert {
        app_id,
        call: None,
        errcode: None,
        problem: match reason {
            Some(reason) => format!("{advice} WeChat says: {reason}"),
            None => advice.to_owned(),
        },
        event: verification.news,
        expires_at: time(verification.expired_time),
        failed_at: time(verification.fail_time),
        fail_reason: reason,
    }
}
