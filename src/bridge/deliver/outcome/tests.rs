//! Each class of error, and the times around it.

mod refused;
mod stopped;

use chrono::NaiveDate;

use super::super::failure::SendError;
use super::*;
use crate::bridge::availability::renewal::next_midnight;
use crate::bridge::routes::{Channel, FieldError};
use crate::bridge::token::TokenError;
use crate::models::delivery::attempt::AttemptOutcome;
use crate::wechat::error::{ApiError, CallError};
use crate::wechat::template::CLIENT_MSG_ID_MAX;

fn at(hour: u32, minute: u32) -> NaiveDateTime {
    let day = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
    day.and_hms_opt(hour, minute, 0).unwrap()
}

fn limits() -> Limits {
    Limits {
        backoff: Backoff::seconds(2, 600),
        max_attempts: 12,
        max_age: TimeDelta::days(1),
        lease: TimeDelta::minutes(2),
        consent_wait: TimeDelta::seconds(30),
    }
}

fn first_try() -> Try {
    Try {
        number: 1,
        of_all: 1,
        begun_at: at(0, 0),
        started_at: at(0, 0),
        finished_at: at(0, 0),
        unsettled_since: at(0, 0),
        repeat: Repeat::Remembered,
    }
}

fn failed(error: &SendError) -> Failure {
    Failure::of(error, Channel::Template)
}

fn refused(errcode: i64) -> Failure {
    let api = ApiError::new(errcode, "refused rid: 69560000-0a0b0c0d-01020304");
    failed(&SendError::Token(TokenError::Call(CallError::Api(api))))
}

fn no_token(error: CallError) -> Failure {
    failed(&SendError::Token(TokenError::Refresh(error)))
}

fn after(failure: &Failure) -> Next {
    first_try().after(failure, &limits(), 1.0)
}

/// Seconds until the next try of a message that was certainly not taken.
fn pause(failure: &Failure) -> i64 {
    match after(failure) {
        Next::Again {
            due_at,
            unsettled_since: None,
        } => (due_at - at(0, 0)).num_seconds(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refusal_of_the_person_or_the_message_is_final_with_a_stable_reason() {
    for (errcode, reason) in [
        (43004, Reason::NotFollowing),
        (-41000, Reason::WrongOpenid),
        (43100, Reason::TemplateUnknown),
        (40165, Reason::PageNotReleased),
        (41030, Reason::PageNotReleased),
        (50002, Reason::RecipientRefused),
        (50005, Reason::NotFollowing),
        (43019, Reason::Blocked),
        (40003, Reason::WrongOpenid),
        (49003, Reason::WrongOpenid),
        (43101, Reason::RefusedByPerson),
        (70000, Reason::RecipientRefused),
        (40037, Reason::TemplateUnknown),
        (48011, Reason::TemplateUnknown),
        (47003, Reason::RefusedContent),
        (40249, Reason::RefusedContent),
        (41009, Reason::RefusedRequest),
        (123_456, Reason::RefusedRequest),
    ] {
        let failure = refused(errcode);
        assert_eq!(after(&failure), Next::Failed { reason }, "{errcode}");
        assert_eq!(failure.is_unfollowed(), reason == Reason::NotFollowing);
        assert!(!failure.whole_account);
        assert!(
            failure.detail.starts_with(&format!("{errcode}: ")),
            "{}",
            failure.detail
        );
        assert!(
            failure
                .detail
                .contains("WeChat's words: refused (rid 69560000"),
            "{}",
            failure.detail
        );
    }
}

#[test]
fn what_concerns_the_person_or_the_route_moves_on_and_the_message_does_not() {
    for errcode in [
        43004, 43005, 50005, 43019, 43101, 43107, 43116, 48002, 48011, 40003, 45015, 45047, 46004,
        49003, 70000, -41000, 50002, 40036, 40037, 40165, 40247, 41030, 43100, 43117,
    ] {
        assert!(refused(errcode).moves_on, "{errcode}");
    }
    for errcode in [
        47003, 40249, 45168, -1, 43108, 45009, 45011, 40001, 40164, 48001, 1,
    ] {
        assert!(!refused(errcode).moves_on, "{errcode}");
    }
    assert!(failed(&SendError::NoCredit).moves_on);
    assert!(!failed(&SendError::NoAccount).moves_on);
    assert!(silent().iter().all(|failure| !failure.moves_on));
}

#[test]
fn what_may_pass_is_tried_again_after_its_pause() {
    for (errcode, seconds, whole_account) in [
        (-1, 2, false),
        (43108, 2, false),
        (40001, 2, true),
        (45066, 75, false),
        (45011, 75, true),
        (43117, 75, false),
        (48001, 75, true),
        (40164, 75, true),
        (43116, 75, false),
        // From 8:00 to midnight in Beijing, and five minutes of spread.
        (45009, 16 * 3600 + 300, true),
    ] {
        let failure = refused(errcode);
        assert_eq!(pause(&failure), seconds, "{errcode}");
        assert_eq!(failure.whole_account, whole_account, "{errcode}");
    }
}

#[test]
fn without_a_token_nothing_was_sent() {
    let api = |errcode| CallError::Api(ApiError::new(errcode, "x"));
    for (failure, seconds) in [
        (no_token(api(40001)), 75),
        (no_token(api(40164)), 75),
        (no_token(api(-1)), 2),
        (no_token(api(45009)), 16 * 3600 + 300),
        (no_token(CallError::Timeout), 2),
        (
            failed(&SendError::Token(TokenError::NoSecret("wx1".to_owned()))),
            75,
        ),
        (
            failed(&SendError::Token(TokenError::Busy("wx1".to_owned()))),
            2,
        ),
        (failed(&SendError::NoAccount), 75),
    ] {
        assert_eq!(failure.outcome, AttemptOutcome::NotSent);
        assert_eq!(pause(&failure), seconds, "{}", failure.detail);
        assert!(failure.whole_account, "{}", failure.detail);
    }
    let field = FieldError::new("params", "is broken");
    let failure = failed(&SendError::NotRenderable(field));
    let reason = Reason::NotRenderable;
    assert_eq!(after(&failure), Next::Failed { reason });
}

fn silent() -> [Failure; 4] {
    let malformed = CallError::Malformed {
        reason: "no JSON".to_owned(),
    };
    let broken = CallError::Broken {
        reason: "reset".to_owned(),
    };
    let gateway = CallError::Http { status: 502 };
    [CallError::Timeout, broken, gateway, malformed]
        .map(|call| failed(&SendError::Token(TokenError::Call(call))))
}

#[test]
fn silence_is_tried_again_only_while_wechat_knows_the_id() {
    for failure in silent() {
        assert_eq!(failure.outcome, AttemptOutcome::Ambiguous);
        let mut this = first_try();
        let mut tries = 0;
        loop {
            match this.after(&failure, &limits(), 1.0) {
                Next::Again {
                    due_at,
                    unsettled_since,
                } => {
                    assert_eq!(unsettled_since, Some(at(0, 0)));
                    assert!(due_at > this.finished_at && due_at <= at(0, 0) + LAST_PLANNED);
                    this = Try {
                        number: this.number + 1,
                        started_at: due_at,
                        finished_at: due_at,
                        ..this
                    };
                    assert!(!this.is_too_late());
                    tries += 1;
                }
                next => {
                    let reason = Reason::Unsettled;
                    assert_eq!(next, Next::Unknown { reason });
                    break;
                }
            }
        }
        assert!(tries >= 5, "only {tries} tries");
    }
    let mut late = first_try();
    late.started_at = at(0, 9);
    assert!(late.is_too_late());
}

#[test]
fn without_an_id_silence_is_the_end_and_an_interrupted_try_too() {
    let unsafe_try = Try {
        repeat: Repeat::Never,
        ..first_try()
    };
    assert!(!unsafe_try.is_too_late());
    for failure in silent() {
        let reason = Reason::Unsettled;
        let next = unsafe_try.after(&failure, &limits(), 1.0);
        assert_eq!(next, Next::Unknown { reason });
    }
    let not_sent = CallError::NotSent {
        reason: "refused".to_owned(),
    };
    let not_sent = failed(&SendError::Token(TokenError::Call(not_sent)));
    assert!(matches!(
        unsafe_try.after(&not_sent, &limits(), 1.0),
        Next::Again {
            unsettled_since: None,
            ..
        }
    ));
    let second = Try {
        started_at: at(0, 1),
        ..unsafe_try
    };
    assert!(second.is_too_late(), "the first may have been taken");
}

#[test]
fn an_answer_to_a_later_try_does_not_settle_the_first() {
    let later = Try {
        number: 2,
        started_at: at(0, 1),
        finished_at: at(0, 1),
        ..first_try()
    };
    match later.after(&refused(-1), &limits(), 1.0) {
        Next::Again {
            unsettled_since, ..
        } => assert_eq!(unsettled_since, Some(at(0, 0))),
        other => panic!("{other:?}"),
    }
    let reason = Reason::Unsettled;
    assert_eq!(
        later.after(&refused(45009), &limits(), 1.0),
        Next::Unknown { reason }
    );
    // Whichever WeChat looks at first, the message's id or the person.
    let reason = Reason::NotFollowing;
    assert_eq!(
        later.after(&refused(43004), &limits(), 1.0),
        Next::Unknown { reason }
    );
    assert_eq!(after(&refused(43004)), Next::Failed { reason });
}

#[test]
fn there_is_an_end_to_trying() {
    let reason = Reason::GaveUp;
    let many = Try {
        number: 12,
        ..first_try()
    };
    assert_eq!(
        many.after(&refused(-1), &limits(), 0.0),
        Next::Failed { reason }
    );
    // That WeChat refuses the account is not the message's fault: only its age ends it.
    assert!(matches!(
        many.after(&refused(40164), &limits(), 0.0),
        Next::Again { .. }
    ));
    // Nor is it afterwards: what failed before was the account.
    let first = Try {
        of_all: 40,
        ..first_try()
    };
    let soon = at(0, 0) + TimeDelta::seconds(2);
    assert!(matches!(
        first.after(&refused(-1), &limits(), 1.0),
        Next::Again { due_at, .. } if due_at == soon
    ));
    let late = at(0, 0) + TimeDelta::seconds(300);
    assert!(matches!(
        first.after(&refused(40164), &limits(), 1.0),
        Next::Again { due_at, .. } if due_at >= late
    ));
    let old = Try {
        started_at: at(0, 0) + TimeDelta::days(1),
        finished_at: at(0, 0) + TimeDelta::days(1),
        unsettled_since: at(0, 0) + TimeDelta::days(1),
        ..first_try()
    };
    for errcode in [-1, 40164] {
        assert_eq!(
            old.after(&refused(errcode), &limits(), 0.0),
            Next::Failed { reason }
        );
    }
    let [timeout, ..] = silent();
    let reason = Reason::Unsettled;
    assert_eq!(
        many.after(&timeout, &limits(), 0.0),
        Next::Unknown { reason }
    );
}

#[test]
fn the_quota_comes_back_at_midnight_in_beijing() {
    let day = |day, hour| {
        let day = NaiveDate::from_ymd_opt(2026, 1, day).unwrap();
        day.and_hms_opt(hour, 0, 0).unwrap()
    };
    for (now, midnight) in [
        (day(1, 0), day(1, 16)),
        (day(1, 15), day(1, 16)),
        (day(1, 16), day(2, 16)),
        (day(1, 23), day(2, 16)),
    ] {
        assert_eq!(next_midnight(now), midnight);
    }
}

#[test]
fn a_client_msg_id_is_short_and_unlike_any_other() {
    let longest = client_msg_id(i64::MAX, DeliveryId(i64::MAX), i32::MAX);
    assert!(longest.len() <= CLIENT_MSG_ID_MAX, "{longest}");
    assert_eq!(client_msg_id(0xabc, DeliveryId(0x1f), 0), "q00000abc1f");
    assert_eq!(client_msg_id(0xabc, DeliveryId(0x1f), 12), "q00000abc1frc");
    let ids: std::collections::BTreeSet<String> = [0, 1, -1, i64::from(u32::MAX) - 1]
        .iter()
        .flat_map(|nonce| (1..300).map(move |id| client_msg_id(*nonce, DeliveryId(id), 0)))
        .collect();
    assert_eq!(ids.len(), 4 * 299);
}
