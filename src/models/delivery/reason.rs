//! Why a delivery is in its state, as the stable word that is stored, shown, filtered by and counted.

use crate::db::text_enum;
use crate::models::account::pause::PauseReason;

text_enum! {
    /// A stable word for why a delivery is in its state.
    pub enum Reason {
        /// It is tried again after a failure that may pass.
        Retrying = "retrying",
        /// A try may have reached WeChat, and it is not known whether it did.
        Unsettled = "unsettled",
        /// It was tried for as long, or as often, as it may be.
        GaveUp = "gave_up",
        /// Its account cannot send until the owner acts.
        AccountProblem = "account_problem",
        /// A quota of WeChat's is used up for the day.
        QuotaUsedUp = "quota_used_up",
        /// WeChat asks for fewer messages a minute.
        TooFrequent = "too_frequent",
        /// The person does not follow the account.
        NotFollowing = "not_following",
        /// The account has the person on its blacklist.
        Blocked = "blocked",
        /// The openid is not one of the account's.
        WrongOpenid = "wrong_openid",
        /// The person refuses the messages.
        RefusedByPerson = "refused_by_person",
        /// WeChat serves the person no messages, for another reason.
        RecipientRefused = "recipient_refused",
        /// The person has not acted recently enough for a customer message.
        WindowClosed = "window_closed",
        /// The customer messages after the person's last action are used up.
        AllowanceUsed = "allowance_used",
        /// The person allows no message of the template.
        NoCredit = "no_credit",
        /// The account has no such template, or it is disabled.
        TemplateUnknown = "template_unknown",
        /// The page of the mini-program is in no released version.
        PageNotReleased = "page_not_released",
        /// WeChat refuses the content.
        RefusedContent = "refused_content",
        /// WeChat refuses the request, in another way.
        RefusedRequest = "refused_request",
        /// The message cannot be filled in.
        NotRenderable = "not_renderable",
        /// A route of its message type cannot be used any more.
        RouteUnusable = "route_unusable",
        /// WeChat took the message and says that it did not arrive.
        ReceiptFailed = "receipt_failed",
        /// WeChat took the message and did not tell what became of it.
        NoReceipt = "no_receipt",
        /// The endpoint refused it.
        EndpointRefused = "endpoint_refused",
        /// The endpoint was removed.
        EndpointGone = "endpoint_gone",
        /// The endpoint is disabled.
        EndpointDisabled = "endpoint_disabled",
        /// It was not sent before it expired.
        Expired = "expired",
        /// Its notification was cancelled.
        Cancelled = "cancelled",
        /// The person was erased before it was sent.
        Erased = "erased",
        /// There is no such staff member.
        UnknownStaff = "unknown_staff",
        /// There is no such person.
        UnknownPerson = "unknown_person",
        /// The staff member is bound to nobody.
        NotBound = "not_bound",
        /// WeChat, or Queqiao, does not know the openid.
        UnknownOpenid = "unknown_openid",
        /// The person is not known in the account.
        NoIdentityInAccount = "no_identity_in_account",
        /// It waits for the person's consent: nothing but a permission for a subscription message is
        /// missing, and they have not refused it.
        WaitingForConsent = "waiting_for_consent",
        /// The configured budget of its call is used up for the day.
        BudgetUsedUp = "budget_used_up",
        /// WeChat is busy, or is not reached.
        Busy = "busy",
        /// WeChat does not answer.
        NoAnswer = "no_answer",
        /// Its endpoint did not take the last post, and is left alone for a moment.
        EndpointResting = "endpoint_resting",
        /// The messages before it took so long that it was put back into the queue.
        BatchTooSlow = "batch_too_slow",
        /// Another message is being sent to the same openid, and WeChat takes one at a time.
        OneAtATime = "one_at_a_time",
    }
}

impl From<PauseReason> for Reason {
    /// Of a delivery that waits for the pause.
    fn from(reason: PauseReason) -> Self {
        match reason {
            PauseReason::QuotaUsedUp => Self::QuotaUsedUp,
            PauseReason::BudgetUsedUp => Self::BudgetUsedUp,
            PauseReason::TooFrequent => Self::TooFrequent,
            PauseReason::AccountProblem => Self::AccountProblem,
            PauseReason::Busy => Self::Busy,
            PauseReason::NoAnswer => Self::NoAnswer,
        }
    }
}

/// What has to be fixed before the same can arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtFault {
    /// The message, as it was asked for.
    Message,
    /// A route of its message type: a template, a page or an account.
    Route,
}

impl Reason {
    /// What lies with the message or its route, so that the same again would fail again.
    pub const fn at_fault(self) -> Option<AtFault> {
        match self {
            Self::RefusedContent | Self::RefusedRequest | Self::NotRenderable => {
                Some(AtFault::Message)
            }
            Self::TemplateUnknown | Self::PageNotReleased | Self::RouteUnusable => {
                Some(AtFault::Route)
            }
            Self::Retrying
            | Self::Unsettled
            | Self::GaveUp
            | Self::AccountProblem
            | Self::QuotaUsedUp
            | Self::TooFrequent
            | Self::NotFollowing
            | Self::Blocked
            | Self::WrongOpenid
            | Self::RefusedByPerson
            | Self::RecipientRefused
            | Self::WindowClosed
            | Self::AllowanceUsed
            | Self::NoCredit
            | Self::ReceiptFailed
            | Self::NoReceipt
            | Self::EndpointRefused
            | Self::EndpointGone
            | Self::EndpointDisabled
            | Self::Expired
            | Self::Cancelled
            | Self::Erased
            | Self::UnknownStaff
            | Self::UnknownPerson
            | Self::NotBound
            | Self::UnknownOpenid
            | Self::NoIdentityInAccount
            | Self::WaitingForConsent
            | Self::BudgetUsedUp
            | Self::Busy
            | Self::NoAnswer
            | Self::EndpointResting
            | Self::BatchTooSlow
            | Self::OneAtATime => None,
        }
    }
}

text_enum! {
    /// Why a delivery is not retried by hand, whoever its person is.
    pub enum RetryRefusal {
        /// The person may have seen it, and that was not allowed for.
        MayHaveBeenSent = "may_have_been_sent",
        /// It is tried again by itself.
        StillQueued = "still_queued",
        /// Its receipt may still come.
        WaitsForReceipt = "waits_for_receipt",
        /// It arrived.
        Delivered = "delivered",
        /// Its notification was cancelled.
        Cancelled = "cancelled",
        /// Its notification has expired.
        Expired = "expired",
        /// There is no such message type any more.
        MessageTypeGone = "message_type_gone",
        /// The routes of its message type cannot be used today.
        RouteUnusable = "route_unusable",
        /// Somebody else changed it at the same moment.
        ChangedMeanwhile = "changed_meanwhile",
    }
}
