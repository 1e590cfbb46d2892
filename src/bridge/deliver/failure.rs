//! What a failed try means: what to do about it, and in which words that is told.

use std::sync::Arc;

use crate::bridge::routes::{Channel, FieldError};
use crate::bridge::token::TokenError;
use crate::bridge::webhooks::post::{Answer, PostError};
use crate::bridge::windows;
use crate::models::account::AccountKind;
use crate::models::delivery::Reason;
use crate::models::delivery::attempt::AttemptOutcome;
use crate::models::identity::windows::Closed;
use crate::wechat::error::{ApiError, CallError, Class, Concerns, FOR_NOBODY, Fault, TOKEN_CALL};

/// Why a try did not bring a message to WeChat.
#[derive(Debug)]
pub(super) enum SendError {
    /// The call, or the token for it, failed.
    Token(TokenError),
    /// There was no token for the call, which was found before the try began.
    NoToken(Arc<TokenError>),
    /// The account is gone, or does not open.
    NoAccount,
    /// The person allows no message more of the template.
    NoCredit,
    /// The person has done nothing in an account of that kind that allows a message more.
    Closed(AccountKind, Closed),
    /// The endpoint of the business is gone, or disabled.
    NoEndpoint(Reason, String),
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

/// WeChat's refusal of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// The call, as it is counted.
    pub(super) call: &'static str,
    pub(super) fault: Fault,
    pub(super) error: ApiError,
}

impl Said {
    fn on(call: &'static str, error: &ApiError) -> Self {
        Self {
            call,
            fault: error.fault_on(call),
            error: error.clone(),
        }
    }
}

/// A failure, in a stable word and in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// As in `attempts.outcome`.
    pub(super) outcome: AttemptOutcome,
    /// What WeChat said, if it said anything.
    pub(super) said: Option<Said>,
    pub(super) remedy: Remedy,
    pub(super) reason: Reason,
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
            SendError::NoToken(token) => Self::no_token(token),
            SendError::NoAccount => Self {
                reason: Reason::AccountProblem,
                remedy: Remedy::Minute,
                ..Self::not_sent(
                    "The account cannot be used: it was removed, or its secrets do not open with \
                     this master key."
                        .to_owned(),
                )
            },
            SendError::NoCredit => Self {
                reason: Reason::NoCredit,
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
                reason: closed_reason(*closed),
                remedy: Remedy::Never,
                whole_account: false,
                moves_on: true,
                ..Self::not_sent(windows::detail(*kind, *closed).to_owned())
            },
            SendError::NoEndpoint(reason, detail) => Self {
                reason: *reason,
                remedy: Remedy::Never,
                whole_account: false,
                moves_on: true,
                ..Self::not_sent(detail.clone())
            },
            SendError::Answered(answer) => Self::answered(answer),
            SendError::Post(error) => Self::not_posted(error),
            SendError::NotRenderable(field) => Self {
                reason: Reason::NotRenderable,
                remedy: Remedy::Never,
                whole_account: false,
                ..Self::not_sent(format!("The message cannot be filled in: {field}."))
            },
        }
    }

    fn refused(api: &ApiError, channel: Channel) -> Self {
        let said = Said::on(channel.traits().call, api);
        let flags = said.fault.flags();
        let (remedy, reason) = verdict(said.fault);
        Self {
            outcome: AttemptOutcome::Refused,
            remedy,
            reason,
            detail: api.explain_on(said.call),
            // A token that another system keeps replacing is no message's own fault.
            whole_account: is_of_account(flags.class, flags.concerns) || said.fault == Fault::Token,
            moves_on: flags.next_route,
            said: Some(said),
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
            outcome: AttemptOutcome::Ambiguous,
            said: None,
            remedy: Remedy::Ambiguous,
            reason: Reason::Unsettled,
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
            (429, _) => (Remedy::Minute, Reason::Retrying),
            (_, true) => (Remedy::Retry, Reason::Retrying),
            _ => (Remedy::Never, Reason::EndpointRefused),
        };
        let said = match (status, answer.excerpt.as_str()) {
            (300..400, _) => {
                " A redirect is not followed: give the endpoint its final URL.".to_owned()
            }
            (_, "") => String::new(),
            (_, excerpt) => format!(" It said: {excerpt}"),
        };
        Self {
            outcome: AttemptOutcome::Refused,
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
                outcome: AttemptOutcome::Ambiguous,
                remedy: Remedy::Ambiguous,
                reason: Reason::Unsettled,
                ..not_sent
            },
            PostError::Refused(_) | PostError::NotReached(_) | PostError::Unable(_) => not_sent,
        }
    }

    fn no_token(error: &TokenError) -> Self {
        let TokenError::Refresh(CallError::Api(api)) = error else {
            let passes_by_itself = !matches!(error, TokenError::NoSecret(_) | TokenError::Vault(_));
            return match passes_by_itself {
                true => Self::not_sent(sentence(error)),
                false => Self {
                    reason: Reason::AccountProblem,
                    remedy: Remedy::Minute,
                    ..Self::not_sent(sentence(error))
                },
            };
        };
        let said = Said::on(TOKEN_CALL, api);
        // Whatever is wrong with the account itself is for its owner to correct.
        let (remedy, reason) = match said.fault.class() {
            Class::Account | Class::Request | Class::Recipient => {
                (Remedy::Minute, Reason::AccountProblem)
            }
            Class::Success | Class::Retry | Class::RefreshToken => {
                (Remedy::Retry, Reason::Retrying)
            }
            Class::Quota => verdict(said.fault),
        };
        Self {
            remedy,
            reason,
            said: Some(said),
            ..Self::not_sent(api.explain_on(TOKEN_CALL))
        }
    }

    fn not_sent(detail: String) -> Self {
        Self {
            outcome: AttemptOutcome::NotSent,
            said: None,
            remedy: Remedy::Retry,
            reason: Reason::Retrying,
            detail,
            whole_account: true,
            moves_on: false,
        }
    }

    /// The same refusal, where it has turned out to concern the account and not the person.
    pub(super) fn of_the_account(&self) -> Self {
        let Some(said) = &self.said else {
            return self.clone();
        };
        let (remedy, reason) = verdict(Fault::Account);
        Self {
            remedy,
            reason,
            detail: said.error.explain_on(FOR_NOBODY),
            whole_account: true,
            moves_on: false,
            said: Some(Said {
                fault: Fault::Account,
                ..said.clone()
            }),
            ..self.clone()
        }
    }

    /// Whether WeChat may have taken the message.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.remedy == Remedy::Ambiguous
    }

    /// Whether WeChat says that the person does not follow.
    pub(super) fn is_unfollowed(&self) -> bool {
        self.fault() == Some(Fault::NotFollowing)
    }

    /// What WeChat's refusal of the send itself is about.
    pub(super) fn fault(&self) -> Option<Fault> {
        let said = self
            .said
            .as_ref()
            .filter(|_| self.outcome == AttemptOutcome::Refused)?;
        Some(said.fault)
    }

    /// What else would fail for the same cause, if WeChat refused the send itself.
    pub(super) fn concerns(&self) -> Option<Concerns> {
        Some(self.fault()?.flags().concerns)
    }
}

/// What to do about each fault, and the word for it.
pub(super) fn verdict(fault: Fault) -> (Remedy, Reason) {
    match fault {
        Fault::Busy | Fault::AtOnce => (Remedy::Retry, Reason::Retrying),
        // A token refused twice: another system keeps replacing it.
        Fault::Token => (Remedy::Retry, Reason::Retrying),
        Fault::InFlight => (Remedy::Minute, Reason::Retrying),
        Fault::NotFollowing => (Remedy::Never, Reason::NotFollowing),
        Fault::Blocked => (Remedy::Never, Reason::Blocked),
        Fault::WrongOpenid => (Remedy::Never, Reason::WrongOpenid),
        Fault::NotAllowed | Fault::SwitchedOff => (Remedy::Never, Reason::RefusedByPerson),
        Fault::Restricted | Fault::Unavailable => (Remedy::Never, Reason::RecipientRefused),
        Fault::WindowClosed => (Remedy::Never, Reason::WindowClosed),
        Fault::AllowanceUsed => (Remedy::Never, Reason::AllowanceUsed),
        Fault::TemplateGone => (Remedy::Never, Reason::TemplateUnknown),
        Fault::PageNotReleased => (Remedy::Never, Reason::PageNotReleased),
        Fault::Content => (Remedy::Never, Reason::RefusedContent),
        Fault::Nothing | Fault::CodeInvalid | Fault::CodeUsed | Fault::Request => {
            (Remedy::Never, Reason::RefusedRequest)
        }
        Fault::TemplateBanned
        | Fault::ChannelBanned
        | Fault::MiniProgram
        | Fault::Call
        | Fault::Account => (Remedy::Minute, Reason::AccountProblem),
        Fault::DailyQuota => (Remedy::Midnight, Reason::QuotaUsedUp),
        Fault::TooFast | Fault::PersonTooOften => (Remedy::Minute, Reason::TooFrequent),
    }
}

/// Whether the account's other messages would fail too.
fn is_of_account(class: Class, concerns: Concerns) -> bool {
    matches!(class, Class::Account | Class::Quota)
        && matches!(concerns, Concerns::Account | Concerns::Call)
}

fn closed_reason(closed: Closed) -> Reason {
    match closed {
        Closed::NotFollowing => Reason::NotFollowing,
        Closed::WindowClosed | Closed::Refused => Reason::WindowClosed,
        Closed::AllowanceUsed => Reason::AllowanceUsed,
    }
}

fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => text,
    }
}
