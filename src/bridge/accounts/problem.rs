//! Errors of WeChat that only an account's owner can correct: kept on the account, with what
//! happened, what to do and WeChat's own words, until the call that they came from works again.

use super::OpenAccount;
use crate::bridge::webhooks::outbox;
use crate::clock::Clock;
use crate::db::Db;
use crate::metrics;
use crate::models::account::{self, Problem};
use crate::wechat::error::{ApiError, CallError, TOKEN_CALL};

/// Counts a call, and keeps on the account what only its owner can correct.
pub(in crate::bridge) async fn note(
    db: &Db,
    clock: &Clock,
    account: &OpenAccount,
    call: &'static str,
    error: Option<&CallError>,
) {
    metrics::wechat_call(call, outcome(error));
    let made = (account.project_id, account.id, call);
    account.calls.count(made, clock.now());
    match error {
        Some(CallError::Api(error)) if error.fault_on(call).is_of_account() => {
            keep(db, clock, account, call, (error, error.explain_on(call))).await;
        }
        // A token is fetched seldom enough to look each time, also for what other processes noted.
        None if call == TOKEN_CALL || account.trouble.ends_with(call) => {
            let id = account.id;
            let cleared = db.write(move |conn| account::clear_problem_of(conn, id, &[call]));
            if let Err(error) = cleared.await {
                account.trouble.began(call);
                tracing::warn!(account.app_id = %account.app_id, %error, "account problem not cleared");
            }
        }
        _ => {}
    }
}

/// Keeps a refusal on the account, and tells of it once.
pub(in crate::bridge) async fn keep(
    db: &Db,
    clock: &Clock,
    account: &OpenAccount,
    call: &'static str,
    (error, text): (&ApiError, String),
) {
    account.trouble.began(call);
    let (id, now, code) = (account.id, clock.now(), error.errcode);
    let (project, app_id) = (account.project_id, account.app_id.clone());
    let (said, problem) = (error.clone(), text.clone());
    let noted = db.write(move |conn| {
        let problem = Problem {
            code,
            text: &text,
            call,
            errmsg: &said.errmsg,
            rid: said.rid.as_deref(),
            at: now,
        };
        outbox::alert(conn, (project, id, app_id.as_str()), &problem)?;
        account::set_problem(conn, id, &problem)
    });
    match noted.await {
        Ok(true) => tracing::error!(
            account.app_id = %account.app_id,
            wechat.call = call,
            wechat.errcode = code,
            wechat.errmsg = %error.errmsg,
            wechat.rid = error.rid,
            problem = %problem,
            "WeChat refuses the account"
        ),
        Ok(false) => {}
        Err(error) => {
            tracing::warn!(account.app_id = %account.app_id, %error, "account problem not stored");
        }
    }
}

fn outcome(error: Option<&CallError>) -> &'static str {
    match error {
        None => "ok",
        Some(CallError::Api(_)) => "refused",
        Some(CallError::NotSent { .. }) => "not_sent",
        Some(_) => "ambiguous",
    }
}
