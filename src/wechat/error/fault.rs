//! What an error code is about: the one place from which every reaction to a code follows. Code
//! elsewhere asks for a fault or for one of its flags, and never for a number.

use super::Class;

/// What is at fault. Whoever reacts to it matches all of it, so that a new one is decided upon
/// everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Nothing: the call worked, or had worked before.
    Nothing,
    /// WeChat's systems are busy.
    Busy,
    /// A call for the same person, or with the same list, is under way.
    AtOnce,
    /// The same message is being sent.
    InFlight,
    /// The access_token is not accepted.
    Token,
    /// The person does not follow the account.
    NotFollowing,
    /// The account has the person on its blacklist.
    Blocked,
    /// The openid is not one of the account's.
    WrongOpenid,
    /// The person allows no message of the template: refused, or all permissions used.
    NotAllowed,
    /// The person has switched messages off inside WeChat.
    SwitchedOff,
    /// WeChat restricts the person, or, when it says so of several people, the account.
    Restricted,
    /// The person cannot be served, for another reason.
    Unavailable,
    /// The person has not acted recently enough for a customer message.
    WindowClosed,
    /// The customer messages after the person's last action are used up.
    AllowanceUsed,
    /// The person got too many messages in a short time.
    PersonTooOften,
    /// The account has no such template, or it is disabled.
    TemplateGone,
    /// WeChat limits or bans the template.
    TemplateBanned,
    /// The page is in no released version of the mini-program.
    PageNotReleased,
    /// The mini-program that a message opens does not exist, or is not linked with the account.
    MiniProgram,
    /// The account may send no message of this kind.
    ChannelBanned,
    /// The content of the message.
    Content,
    /// The login code is invalid or has expired.
    CodeInvalid,
    /// The login code was used.
    CodeUsed,
    /// The request, in another way: a fault of Queqiao or of its settings.
    Request,
    /// The account may not make this call.
    Call,
    /// The account's setup or standing.
    Account,
    /// The account's limit of the day for one call.
    DailyQuota,
    /// The account's limit of the minute.
    TooFast,
}

/// What a fault concerns: what else would fail for the same cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Concerns {
    /// Nothing else.
    Nothing,
    /// WeChat's systems, or the way to them.
    Line,
    /// Everything that the account does.
    Account,
    /// What the account does by this call.
    Call,
    /// What goes to this person.
    Person,
    /// What takes the same template, page, mini-program or kind of message.
    Route,
    /// The same content on any route.
    Message,
}

/// The flags of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    /// The class: what the caller may do next.
    pub class: Class,
    /// What else would fail.
    pub concerns: Concerns,
    /// Whether another route may lead to the person. What is wrong with the message itself is for
    /// its sender to correct, not to be hidden by another route.
    pub next_route: bool,
    /// Whether the same may work later without anybody changing anything.
    pub may_pass: bool,
}

impl Fault {
    /// The flags of this fault.
    #[rustfmt::skip]
    pub const fn flags(self) -> Flags {
        match self {
            Self::Nothing => flags(Class::Success, Concerns::Nothing, false, false),
            Self::Busy => flags(Class::Retry, Concerns::Line, false, true),
            Self::AtOnce | Self::InFlight => flags(Class::Retry, Concerns::Nothing, false, true),
            Self::Token => flags(Class::RefreshToken, Concerns::Line, false, true),
            Self::NotFollowing | Self::Blocked | Self::WrongOpenid | Self::NotAllowed | Self::SwitchedOff
            | Self::Restricted | Self::Unavailable | Self::WindowClosed | Self::AllowanceUsed => {
                flags(Class::Recipient, Concerns::Person, true, false)
            }
            Self::PersonTooOften => flags(Class::Quota, Concerns::Person, true, true),
            Self::TemplateGone | Self::PageNotReleased => flags(Class::Request, Concerns::Route, true, false),
            Self::TemplateBanned | Self::ChannelBanned => flags(Class::Account, Concerns::Route, true, true),
            // Its owner links it, and then what waits is sent as it was meant.
            Self::MiniProgram => flags(Class::Account, Concerns::Route, false, true),
            Self::Content => flags(Class::Request, Concerns::Message, false, false),
            Self::CodeInvalid | Self::CodeUsed | Self::Request => {
                flags(Class::Request, Concerns::Nothing, false, false)
            }
            Self::Call => flags(Class::Account, Concerns::Call, false, true),
            Self::Account => flags(Class::Account, Concerns::Account, false, true),
            Self::DailyQuota => flags(Class::Quota, Concerns::Call, false, true),
            Self::TooFast => flags(Class::Quota, Concerns::Account, false, true),
        }
    }

    /// The class of this fault.
    pub const fn class(self) -> Class {
        self.flags().class
    }

    /// Whether the account itself, or a whole call of it, is refused until its owner acts, rather than
    /// one template or one page.
    pub const fn is_of_account(self) -> bool {
        matches!(self, Self::Account | Self::Call | Self::ChannelBanned)
    }

    /// Whether a template is at fault.
    pub const fn is_of_template(self) -> bool {
        matches!(self, Self::TemplateGone | Self::TemplateBanned)
    }
}

const fn flags(class: Class, concerns: Concerns, next_route: bool, may_pass: bool) -> Flags {
    Flags {
        class,
        concerns,
        next_route,
        may_pass,
    }
}
