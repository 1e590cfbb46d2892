//! What the world cannot do.

/// Why the simulated world cannot do what it is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// No account with this app_id.
    #[error("there is no account with the app_id {0:?}: add it first")]
    UnknownAccount(String),
    /// The account's kind does not have this.
    #[error("{0:?} is not of the kind that can do this")]
    WrongKind(String),
    /// The person has not been added.
    #[error("there is no person {person}: only {people} people were added")]
    UnknownPerson {
        /// The number asked for.
        person: u32,
        /// How many there are.
        people: u32,
    },
    /// A test account is to have what it cannot.
    #[error(
        "{0:?} is a test account (接口测试号): it has plain mode only, and no EncodingAESKey; leave mode and \
         encoding_aes_key out"
    )]
    TestAccount(String),
    /// No template with this template_id.
    #[error("the account has no template {0:?}: add it first")]
    UnknownTemplate(String),
    /// The pop-up does not appear.
    #[error("the pop-up does not appear ({errcode}): {reason}")]
    Popup {
        /// The errCode of wx.requestSubscribeMessage.
        errcode: i64,
        /// What is wrong.
        reason: String,
    },
    /// Not a path of the simulated API.
    #[error("{0:?} is not a path of the simulated API")]
    UnknownPath(String),
    /// The account has no callback_url.
    #[error("{0:?} has no callback_url: set one first")]
    NoCallbackUrl(String),
    /// The account's EncodingAESKey cannot be used.
    #[error("the encoding_aes_key of {app_id:?} is wrong: {reason}")]
    AesKey {
        /// The account.
        app_id: String,
        /// What is wrong.
        reason: String,
    },
}
