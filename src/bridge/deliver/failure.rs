//! What a failed try means: by whom it can be mended, and in which words that is told.

use crate::bridge::plan::Unreachable;
use crate::bridge::problem;
use crate::bridge::route::{Channel, FieldError};
use crate::bridge::token::TokenError;
use crate::bridge::webhook::post::{Answer, PostError};
use crate::bridge::window;
use crate::models::account::AccountKind;
use crate::models::identity::window::Closed;
use crate::wechat::error::{ApiError, CallError, Class, token_call_class};

/// The stable word for a person who allows no message more.
const NO_CREDIT: &str = "no_credit";

/// Why a try did not bring a message to WeChat.
#[derive(Debug)]
pub(super) enum SendError {
    /// The call, or the token for it, failed.
    Token(TokenError),
    /// The account is gone, or does not open.
    NoAccount,
    /// The person allows no message more of the template.
    NoCredit,
    /// The person has done nothing in an account of that kind that allows a message more.
    Closed(AccountKind, Closed),
    /// The endpoint of the business is gone, or disabled.
    NoEndpoint(&'static str, String),
    /// The endpoint did not take it.
    Answered(Answer),
    /// The endpoint did not answer.
    Post(PostError),
    /// The message cannot be filled in any more.
    NotRenderable(FieldError),
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing: the message will not arrive.
    Never,
    /// Try again with backoff.
    Retry,
    /// Try again with backoff, but not within a minute.
    Minute,
    /// Try again after midnight in Beijing, when WeChat renews the day's quota.
    Midnight,
    /// Try again soon, while WeChat still knows the message's id: it may have been taken.
    Ambiguous,
}

/// A failure, in a stable word and in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// As in `attempts.outcome`.
    pub(super) outcome: &'static str,
    pub(super) errcode: Option<i64>,
    pub(super) remedy: Remedy,
    pub(super) reason: &'static str,
    pub(super) detail: String,
    /// Whether the account's other messages would fail too.
    pub(super) whole_account: bool,
    /// Whether another route may lead to the person.
    pub(super) moves_on: bool,
}

impl Failure {
    /// What a failure of a send on this channel means.
    pub(super) fn of(error: &SendError, channel: Channel) -> Self {
        match error {
            SendError::Token(TokenError::Call(CallError::Api(api))) => Self::refused(api, channel),
            SendError::Token(TokenError::Call(call)) => Self::unanswered(call),
            SendError::Token(token) => Self::no_token(token),
            SendError::NoAccount => Self {
                reason: "account_problem",
                remedy: Remedy::Minute,
                ..Self::not_sent(
                    "The account cannot be used: it was removed, or its secrets do not open with \
                     this master key."
                        .to_owned(),
                )
            },
            SendError::NoCredit => Self {
                reason: NO_CREDIT,
                remedy: Remedy::Never,
                whole_account: false,
                moves_on: true,
                ..Self::not_sent(
                    "The person's permissions for this template are used up. Ask for their consent \
                     again."
                        .to_owned(),
                )
            },
            SendError::Closed(kind, closed) => Self {
                reason: Unreachable::from(*closed).as_str(),
                remedy: Remedy::Never,
                whole_account: false,
                moves_on: true,
                ..Self::not_sent(window::detail(*kind, *closed).to_owned())
            },
            SendError::NoEndpoint(reason, detail) => Self {
                reason,
                remedy: Remedy::Never,
                whole_account: false,
                moves_on: true,
                ..Self::not_sent(detail.clone())
            },
            SendError::Answered(answer) => Self::answered(answer),
            SendError::Post(error) => Self::not_posted(error),
            SendError::NotRenderable(field) => Self {
                reason: "not_renderable",
                remedy: Remedy::Never,
                whole_account: false,
                ..Self::not_sent(format!("The message cannot be filled in: {field}."))
            },
        }
    }

    fn refused(api: &ApiError, channel: Channel) -> Self {
        let (remedy, reason) = match api.class() {
            Class::Recipient => (Remedy::Never, recipient_reason(api.errcode)),
            Class::Request | Class::Success => (Remedy::Never, request_reason(api.errcode)),
            Class::Retry if api.errcode == 45066 => (Remedy::Minute, "retrying"),
            // A token refused twice: another system keeps replacing it.
            Class::Retry | Class::RefreshToken => (Remedy::Retry, "retrying"),
            Class::Quota if matches!(api.errcode, 45011 | 43117) => {
                (Remedy::Minute, "too_frequent")
            }
            Class::Quota => (Remedy::Midnight, "quota_used_up"),
            Class::Account => (Remedy::Minute, "account_problem"),
        };
        Self {
            outcome: "refused",
            errcode: Some(api.errcode),
            remedy,
            reason,
            detail: words(channel.traits().call, api),
            whole_account: concerns_all(api),
            moves_on: concerns_route(api),
        }
    }

    fn unanswered(call: &CallError) -> Self {
        if !call.is_ambiguous() {
            return Self {
                whole_account: false,
                ..Self::not_sent(sentence(call))
            };
        }
        Self {
            outcome: "ambiguous",
            errcode: None,
            remedy: Remedy::Ambiguous,
            reason: "unsettled",
            detail: format!("{} WeChat may have taken the message.", sentence(call)),
            whole_account: false,
            moves_on: false,
        }
    }

    /// What is not a 2xx says that the endpoint has not taken it.
    fn answered(answer: &Answer) -> Self {
        let status = answer.status;
        let may_pass = matches!(status, 408 | 425 | 429 | 500..);
        let (remedy, reason) = match (status, may_pass) {
            (429, _) => (Remedy::Minute, "retrying"),
            (_, true) => (Remedy::Retry, "retrying"),
            _ => (Remedy::Never, "endpoint_refused"),
        };
        let said = match (status, answer.excerpt.as_str()) {
            (300..400, _) => {
                " A redirect is not followed: give the endpoint its final URL.".to_owned()
            }
            (_, "") => String::new(),
            (_, excerpt) => format!(" It said: {excerpt}"),
        };
        Self {
            outcome: "refused",
            remedy,
            reason,
            whole_account: false,
            moves_on: !may_pass,
            ..Self::not_sent(format!("The endpoint answered {status}.{said}"))
        }
    }

    fn not_posted(error: &PostError) -> Self {
        let detail = format!("The endpoint: {}", sentence(error));
        let not_sent = Self {
            whole_account: false,
            ..Self::not_sent(detail)
        };
        match error {
            PostError::TimeOut | PostError::Broken(_) => Self {
                outcome: "ambiguous",
                remedy: Remedy::Ambiguous,
                reason: "unsettled",
                ..not_sent
            },
            PostError::Refused(_) | PostError::NotReached(_) | PostError::Unable(_) => not_sent,
        }
    }

    fn no_token(error: &TokenError) -> Self {
        let TokenError::Refresh(CallError::Api(api)) = error else {
            let mends_itself = !matches!(error, TokenError::NoSecret(_) | TokenError::Vault(_));
            return match mends_itself {
                true => Self::not_sent(sentence(error)),
                false => Self {
                    reason: "account_problem",
                    remedy: Remedy::Minute,
                    ..Self::not_sent(sentence(error))
                },
            };
        };
        let (remedy, reason) = match token_call_class(api.errcode) {
            Class::Quota if api.errcode == 45011 => (Remedy::Minute, "too_frequent"),
            Class::Quota => (Remedy::Midnight, "quota_used_up"),
            Class::Account | Class::Request | Class::Recipient => {
                (Remedy::Minute, "account_problem")
            }
            Class::Success | Class::Retry | Class::RefreshToken => (Remedy::Retry, "retrying"),
        };
        Self {
            errcode: Some(api.errcode),
            remedy,
            reason,
            ..Self::not_sent(words(problem::TOKEN_CALL, api))
        }
    }

    fn not_sent(detail: String) -> Self {
        Self {
            outcome: "not_sent",
            errcode: None,
            remedy: Remedy::Retry,
            reason: "retrying",
            detail,
            whole_account: true,
            moves_on: false,
        }
    }

    /// Whether WeChat may have taken the message.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.remedy == Remedy::Ambiguous
    }

    /// Whether WeChat says that the person does not follow.
    pub(super) fn is_unfollowed(&self) -> bool {
        self.outcome == "refused" && self.reason == "not_following"
    }
}

fn recipient_reason(errcode: i64) -> &'static str {
    match errcode {
        43004 | 43005 | 50005 => "not_following",
        43019 => "blocked",
        40003 | 46004 | 49003 => "wrong_openid",
        43101 | 48002 => "refused_by_person",
        45015 => "window_closed",
        45047 => "allowance_used",
        _ => "recipient_refused",
    }
}

fn request_reason(errcode: i64) -> &'static str {
    match errcode {
        40036 | 40037 | 40247 | 48011 => "template_unknown",
        40033 | 40039 | 40246 | 40249 | 40250 | 40252 | 45002 | 45168 | 47001 | 47003 | 87014 => {
            "refused_content"
        }
        _ => "refused_request",
    }
}

/// Some refusals of an account concern one template or one linked mini-program only.
fn concerns_all(api: &ApiError) -> bool {
    match api.class() {
        Class::Account => !matches!(api.errcode, 40013 | 40166 | 43104 | 43107 | 43116),
        Class::Quota => api.errcode != 43117,
        _ => false,
    }
}

/// Whether the refusal holds for this person on this route, or for the template or the channel as
/// a whole, so that another route may lead to the person. What is wrong with the message itself is
/// for its sender to mend, not to be hidden by another route.
fn concerns_route(api: &ApiError) -> bool {
    api.class() == Class::Recipient || matches!(api.errcode, 43107 | 43116 | 48011)
}

fn words(call: &str, api: &ApiError) -> String {
    let mut text = problem::describe(call, api);
    if let Some(field) = api.refused_field() {
        text.push_str(&format!(" The field is {field}."));
    }
    if let Some(rid) = &api.rid {
        text.push_str(&format!(" (rid {rid})"));
    }
    text
}

fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => text,
    }
}
