//! Errors of WeChat that only an account's owner can mend: kept on the account, with what happened
//! and what to do, until a call works again.

use super::accounts::OpenAccount;
use super::webhook::tell;
use crate::clock::Clock;
use crate::db::{Db, DbError};
use crate::metrics;
use crate::models::account;
use crate::wechat::error::{ApiError, CallError, Class, token_call_advice, token_call_class};

/// The name under which token refreshes are counted; their errors read differently (40001).
pub(super) const TOKEN_CALL: &str = "token";

/// Counts a call, and keeps on the account what only its owner can mend.
pub(super) async fn note(
    db: &Db,
    clock: &Clock,
    account: &OpenAccount,
    call: &'static str,
    error: Option<&CallError>,
) {
    metrics::wechat_call(call, outcome(error));
    let (id, now) = (account.id, clock.now());
    let noted = match error {
        Some(CallError::Api(error)) if class(call, error) == Class::Account => {
            let text = describe(call, error);
            let code = error.errcode;
            let (project, app_id) = (account.project_id, account.app_id.clone());
            let told = text.clone();
            let noted = db.write(move |conn| {
                let whose = (project, id, app_id.as_str());
                tell::alert(conn, whose, call, (code, &text), now)?;
                Ok::<_, DbError>(account::set_problem(conn, id, code, &text, now)?)
            });
            noted.await.map(|is_new| {
                if is_new {
                    tracing::error!(
                        account.app_id = %account.app_id,
                        wechat.call = call,
                        wechat.errcode = code,
                        problem = %told,
                        "WeChat refuses the account"
                    );
                }
            })
        }
        None if call == TOKEN_CALL => {
            db.write(move |conn| Ok::<_, DbError>(account::clear_problem(conn, id)?))
                .await
        }
        _ => Ok(()),
    };
    if let Err(error) = noted {
        tracing::warn!(account.app_id = %account.app_id, %error, "account problem not stored");
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

fn class(call: &str, error: &ApiError) -> Class {
    match call {
        TOKEN_CALL => token_call_class(error.errcode),
        _ => error.class(),
    }
}

/// What happened and what to do, with the address that WeChat saw when that is the trouble.
pub(super) fn describe(call: &str, error: &ApiError) -> String {
    let advice = match call {
        TOKEN_CALL => token_call_advice(error.errcode),
        _ => error.advice(),
    };
    let seen = error
        .whitelist_ip()
        .map(|ip| format!(" WeChat saw the address {ip}."))
        .unwrap_or_default();
    let (code, meaning, what_to_do) = (error.errcode, advice.meaning, advice.what_to_do);
    format!("{code}: {meaning}{seen} {what_to_do}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whitelist_refusal_names_the_address_that_wechat_saw() {
        let error = ApiError::new(
            40164,
            "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 69560000-0a0b0c0d-01020304",
        );
        assert_eq!(class(TOKEN_CALL, &error), Class::Account);
        let text = describe(TOKEN_CALL, &error);
        assert!(
            text.contains("WeChat saw the address 203.0.113.7."),
            "{text}"
        );
    }
}
