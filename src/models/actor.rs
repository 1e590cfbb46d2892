//! Who does something: the one type that log lines, the audit trail, and what remembers its maker have.

use crate::db::text_enum;
use crate::ids::{ApiKeyId, UserId};

text_enum! {
    /// What kind of an actor it was, as it is stored.
    pub enum ActorKind {
        /// The holder of an API key.
        ApiKey = "api_key",
        /// Somebody who had signed in.
        User = "user",
        /// WeChat, in an event.
        Wechat = "wechat",
        /// An operator.
        CommandLine = "command_line",
    }
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The holder of an API key: its number, and its name now.
    Key(ApiKeyId, String),
    /// Somebody who has signed in: their number, and their name now.
    User(UserId, String),
    /// WeChat, in an event.
    Wechat,
    /// An operator.
    CommandLine,
}

impl Actor {
    /// What kind of an actor it is.
    pub fn kind(&self) -> ActorKind {
        match self {
            Self::Key(..) => ActorKind::ApiKey,
            Self::User(..) => ActorKind::User,
            Self::Wechat => ActorKind::Wechat,
            Self::CommandLine => ActorKind::CommandLine,
        }
    }

    /// The key, if it is its holder.
    pub fn key(&self) -> Option<(ApiKeyId, &str)> {
        match self {
            Self::Key(id, name) => Some((*id, name)),
            _ => None,
        }
    }

    /// The user, if it is one.
    pub fn user(&self) -> Option<(UserId, &str)> {
        match self {
            Self::User(id, name) => Some((*id, name)),
            _ => None,
        }
    }

    /// The number of the key, for a line of the log.
    pub fn key_number(&self) -> Option<i64> {
        self.key().map(|(id, _)| id.0)
    }

    /// The number of the user, for a line of the log.
    pub fn user_number(&self) -> Option<i64> {
        self.user().map(|(id, _)| id.0)
    }

    /// The name of the key, for a line of the log.
    pub fn key_name(&self) -> Option<&str> {
        self.key().map(|(_, name)| name)
    }

    /// The name of the user, for a line of the log.
    pub fn user_name(&self) -> Option<&str> {
        self.user().map(|(_, name)| name)
    }
}
