//! WeChat's error codes: what each means, whether a repeat can help, and what the owner can do about it.
//!
//! Codes and meanings: WeChat guide, global return codes and the page of each call. What a code is about ([`Fault`]), and
//! what follows from that, is our judgement.

mod table;

use super::fault::Fault;
use table::{ON_CALL, ROWS};

/// What a failure allows the caller to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Nothing failed.
    Success,
    /// The same request again, with backoff, a few times.
    Retry,
    /// A new access_token, once, then the same request once more.
    RefreshToken,
    /// Stop for this recipient.
    Recipient,
    /// A fault in the request: never repeat it unchanged.
    Request,
    /// A fault in the account's setup or standing: stop the account and tell its owner.
    Account,
    /// A limit is used up: stop until it is renewed.
    Quota,
}

/// An errcode in plain words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What happened.
    pub meaning: &'static str,
    /// What to do about it.
    pub what_to_do: &'static str,
}

/// The name under which token refreshes are counted; their errors read differently (40001).
pub const TOKEN_CALL: &str = "token";
/// The name under which mini-program logins are counted.
pub const LOGIN_CALL: &str = "jscode2session";

/// Stands for calls that are for nobody in particular.
pub const FOR_NOBODY: &str = "account";

/// Calls that are for one person or several; of an unnamed one it is not known.
const FOR_PEOPLE: [&str; 9] = [
    "",
    "template/send",
    "subscribe/send",
    "subscribe/bizsend",
    "custom/send",
    "user/info",
    "user/info/batchget",
    "changeopenid",
    LOGIN_CALL,
];

/// One code, or a range of neighbours that mean the same.
struct Row {
    first: i64,
    last: i64,
    fault: Fault,
    advice: Advice,
}

/// What a code means on some calls, where that differs.
struct OnCall {
    /// The calls; none stands for those that are for nobody in particular.
    calls: Option<&'static [&'static str]>,
    code: i64,
    fault: Fault,
    advice: Advice,
}

impl OnCall {
    fn is_of(&self, call: &str) -> bool {
        match self.calls {
            Some(calls) => calls.contains(&call),
            None => !FOR_PEOPLE.contains(&call),
        }
    }
}

/// What a code is about on any call; one we do not know is [`Fault::Request`], as repeating it
/// unchanged is pointless.
pub fn fault(errcode: i64) -> Fault {
    find(errcode).map_or(Fault::Request, |row| row.fault)
}

/// What a code is about on this call, named as in `queqiao_wechat_calls_total`. On token calls
/// 40001 means a wrong secret, and a refresh is no remedy for anything, since it is what just failed.
pub fn fault_on(call: &str, errcode: i64) -> Fault {
    match find_on(call, errcode).map_or_else(|| fault(errcode), |on| on.fault) {
        Fault::Token if call == TOKEN_CALL => Fault::Account,
        fault => fault,
    }
}

/// The class of an errcode; a code we do not know is [`Class::Request`].
pub fn class(errcode: i64) -> Class {
    fault(errcode).class()
}

/// The class of an errcode on `stable_token` and `token`.
pub fn token_call_class(errcode: i64) -> Class {
    fault_on(TOKEN_CALL, errcode).class()
}

/// An errcode in plain words, with a general answer for a code we do not know.
pub fn advice(errcode: i64) -> Advice {
    find(errcode).map_or(UNKNOWN, |row| row.advice)
}

/// As [`advice`], as the code is meant on this call.
pub fn advice_on(call: &str, errcode: i64) -> Advice {
    let errcode = match errcode {
        40001 if call == TOKEN_CALL => 40125,
        other => other,
    };
    find_on(call, errcode).map_or_else(|| advice(errcode), |on| on.advice)
}

const UNKNOWN: Advice = Advice {
    meaning: "WeChat refused the request with a code that Queqiao does not know.",
    what_to_do: "Read WeChat's own words, and look the code up in WeChat's list of return codes.",
};

fn find_on(call: &str, errcode: i64) -> Option<&'static OnCall> {
    let mut rows = ON_CALL.iter();
    rows.find(|row| row.code == errcode && row.is_of(call))
}

fn find(errcode: i64) -> Option<&'static Row> {
    let at = ROWS.partition_point(|row| row.last < errcode);
    ROWS.get(at).filter(|row| row.first <= errcode)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::wechat::error::fault::Concerns;

    /// Every code of the guide that concerns us, by class.
    fn documented() -> Vec<(Class, Vec<i64>)> {
        let flat = |parts: &[&[i64]]| parts.concat();
        let buttons: Vec<i64> = (40016..=40027).collect();
        let rids: Vec<i64> = (76001..=76004).collect();
        vec![
            (Class::Success, vec![0, 45065]),
            (
                Class::Retry,
                vec![
                    -1, 43108, 45066, 45169, 45171, 61450, 268487001, 268487002, 9001002,
                ],
            ),
            (Class::RefreshToken, vec![40001, 40014, 42001]),
            (
                Class::Recipient,
                vec![
                    -41000, 40003, 40226, 42007, 43004, 43005, 43019, 43101, 45015, 45047, 46004,
                    48002, 49003, 50002, 50005, 70000,
                ],
            ),
            (
                Class::Request,
                flat(&[
                    &[
                        40002, 40004, 40007, 40008, 40009, 40029, 40032, 40033, 40035, 40036, 40037,
                    ],
                    &[
                        40038, 40039, 40062, 40066, 40097, 40132, 40163, 40202, 40203, 40246, 40247,
                    ],
                    &[
                        40249, 40250, 40252, 41001, 41002, 41004, 41008, 41009, 41018, 41028, 41029,
                    ],
                    &[
                        41030, 42002, 42003, 43001, 43002, 43003, 44002, 44004, 45002, 45008, 45067,
                    ],
                    &[
                        45072, 45080, 45081, 45103, 45168, 47001, 47003, 48011, 61451, 63178,
                        63182, 76021, 76022,
                    ],
                    &[
                        87014, 200012, 200013, 200014, 200016, 200017, 200018, 200019, 200020,
                    ],
                    &[200021, 200022, 40052, 40053, 40165, 43100],
                    &buttons,
                    &rids,
                ]),
            ),
            (
                Class::Account,
                vec![
                    40013, 40125, 40164, 40166, 40200, 40201, 40243, 40251, 43104, 43107, 43116,
                    48001, 48004, 48008, 48017, 50001, 50004, 50007, 61004, 61007, 61024, 65400,
                    86000, 89002, 89501, 89503, 89506, 89507, 200011,
                ],
            ),
            (Class::Quota, vec![43117, 45009, 45011, 45028, 48006]),
        ]
    }

    #[test]
    fn every_documented_code_has_its_class_and_no_other_code_is_listed() {
        let mut expected = BTreeSet::new();
        for (expected_class, codes) in documented() {
            for code in codes {
                assert_eq!(class(code), expected_class, "{code}");
                assert!(expected.insert(code), "{code} stands twice in this test");
            }
        }
        let listed: BTreeSet<i64> = ROWS.iter().flat_map(|row| row.first..=row.last).collect();
        assert_eq!(listed, expected);
    }

    #[test]
    fn the_rows_are_in_order_and_do_not_overlap() {
        for row in ROWS {
            assert!(row.first <= row.last, "{}", row.first);
        }
        for pair in ROWS.windows(2) {
            assert!(pair[0].last < pair[1].first, "{}", pair[1].first);
        }
    }

    #[test]
    fn every_row_says_what_happened_and_what_to_do_in_sentences() {
        for row in ROWS {
            let Advice {
                meaning,
                what_to_do,
            } = row.advice;
            for text in [meaning, what_to_do] {
                assert!(
                    text.len() > 10 && text.ends_with('.'),
                    "{}: {text}",
                    row.first
                );
            }
            assert_ne!(advice(row.first), UNKNOWN);
            assert_eq!(advice(row.last), row.advice);
        }
    }

    #[test]
    fn an_unknown_code_is_never_repeated_and_has_a_general_answer() {
        for code in [1, -2, 40028, 40167, 200015, i64::MAX, i64::MIN] {
            assert_eq!((class(code), advice(code)), (Class::Request, UNKNOWN));
        }
    }

    #[test]
    fn on_token_calls_40001_is_a_wrong_secret_and_nothing_asks_for_a_refresh() {
        assert_eq!(token_call_class(40001), Class::Account);
        assert_eq!(advice_on(TOKEN_CALL, 40001), advice(40125));
        for row in ROWS {
            assert_ne!(token_call_class(row.first), Class::RefreshToken);
        }
        let token_calls = [
            (-1, Class::Retry),
            (40002, Class::Request),
            (40013, Class::Account),
            (40125, Class::Account),
            (40164, Class::Account),
            (40243, Class::Account),
            (41002, Class::Request),
            (41004, Class::Request),
            (43002, Class::Request),
            (45009, Class::Quota),
            (45011, Class::Quota),
            (50002, Class::Account),
            (50004, Class::Account),
            (50007, Class::Account),
            (61024, Class::Account),
            (89501, Class::Account),
            (89503, Class::Account),
            (89506, Class::Account),
            (89507, Class::Account),
        ];
        for (code, expected) in token_calls {
            assert_eq!(token_call_class(code), expected, "{code}");
        }
    }

    #[test]
    fn a_code_that_means_something_else_on_one_call_says_so_there() {
        assert_eq!(fault_on("template/send", 43101), Fault::SwitchedOff);
        assert_eq!(fault_on("subscribe/send", 43101), Fault::NotAllowed);
        assert_ne!(advice_on("template/send", 43101), advice(43101));
        assert_eq!(advice_on("subscribe/bizsend", 43101), advice(43101));
        for call in FOR_PEOPLE {
            assert_eq!(fault_on(call, 50002), Fault::Restricted, "{call}");
        }
        assert_eq!(fault_on("user/get", 50002), Fault::Account);
        for on in ON_CALL {
            assert!(find(on.code).is_some(), "{}", on.code);
        }
    }

    #[test]
    fn flags_agree_with_one_another() {
        for row in ROWS {
            let (code, flags) = (row.first, row.fault.flags());
            let passes = matches!(
                flags.class,
                Class::Retry | Class::RefreshToken | Class::Account | Class::Quota
            );
            assert_eq!(flags.may_pass, passes, "{code}");
            if flags.class == Class::Recipient {
                assert!(
                    flags.concerns == Concerns::Person && flags.next_route,
                    "{code}"
                );
            }
            if flags.next_route {
                assert!(
                    matches!(flags.concerns, Concerns::Person | Concerns::Route),
                    "{code}"
                );
            }
        }
    }
}
