//! What is to be done about an account that cannot send.

use super::steps::Steps;
use crate::bridge::availability::account_problems::{AccountProblem, AccountProblemCode};
use crate::models::account::Account;

/// Adds what each trouble of the account asks for.
pub(super) fn fix(account: &Account, troubles: &[&AccountProblem], steps: &mut Steps) {
    let app_id = &account.app_id;
    let is_told = troubles
        .iter()
        .any(|one| one.code == AccountProblemCode::AccountProblem);
    for trouble in troubles {
        let detail = &trouble.detail;
        let calls = match &trouble.call {
            Some(call) => format!("nothing by {call}"),
            None => "nothing".to_owned(),
        };
        let until = trouble.until.unwrap_or_default().format("%F %H:%M:%S UTC");
        match trouble.code {
            AccountProblemCode::NoAppSecret => steps.add(format!(
                "Give account {app_id} its AppSecret, without which nothing can be sent through \
                 it: queqiao accounts set {app_id} --secret @FILE."
            )),
            AccountProblemCode::AccountProblem => {
                steps.add(format!(
                    "Fix account {app_id}, which WeChat refuses. {detail}"
                ));
            }
            AccountProblemCode::AccountStopped => {
                if !is_told {
                    steps.add(format!(
                        "Fix account {app_id}, which WeChat refuses, and which sends {calls}. \
                         {detail}"
                    ));
                }
                steps.add(format!(
                    "When account {app_id} is fixed, let it send at once: queqiao accounts resume \
                     {app_id}, or POST /accounts/{app_id}/resume. It sends {calls} now, and tries \
                     one message by itself at {until}."
                ));
            }
            AccountProblemCode::AccountBackingOff => steps.add(format!(
                "Wait: account {app_id} sends {calls} until {until}, and is tried again then. \
                 {detail}"
            )),
            AccountProblemCode::AccountUsedUp => {
                let meanwhile = match trouble.is_tried() {
                    true => ", and tries one message now and then before that",
                    false => "",
                };
                steps.add(format!(
                    "Wait: account {app_id} sends {calls} until {until}{meanwhile}. {detail}"
                ));
            }
        }
    }
}
