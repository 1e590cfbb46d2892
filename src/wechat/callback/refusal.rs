//! Why a push is not let in.

use thiserror::Error;

use crate::wechat::crypto::DecryptError;

/// The cause of a refusal, told without any secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A query parameter that has to be there is not.
    #[error("the query parameter `{0}` is missing")]
    Missing(&'static str),
    /// `timestamp` is no number.
    #[error("the query parameter `timestamp` is no number of seconds")]
    NoTime,
    /// Signed, but so many seconds ago.
    #[error(
        "the request was signed {0} s ago: the clock of this machine is wrong, or somebody sends an old request again \
         (see intake.max_age_seconds)"
    )]
    TooOld(u64),
    /// Signed, but for a time that is so many seconds ahead.
    #[error(
        "the request is dated {0} s ahead: the clock of this machine is wrong, or that of the sender, which is not \
         WeChat then (see intake.max_age_seconds)"
    )]
    TooNew(u64),
    /// `signature` was not made with this account's token.
    #[error(
        "wrong signature: the token here and in WeChat's console differ, or the request is not WeChat's"
    )]
    WrongSignature,
    /// `msg_signature` was not made with this account's token, or not for this body.
    #[error(
        "wrong msg_signature: the token here and in WeChat's console differ, or the request is not WeChat's"
    )]
    WrongMsgSignature,
    /// An encrypted `echostr`, signed with `msg_signature`.
    #[error(
        "the check of the URL has an encrypted echostr, as WeCom (企业微信) sends it: this URL is for an official \
         account or a mini-program, not for a WeCom application"
    )]
    WecomEcho,
    /// A body in clear on an account in secure mode.
    #[error("the body is not encrypted, and the account is in secure mode")]
    Unencrypted,
    /// `encrypt_type=aes` without an `Encrypt` in the body.
    #[error("the query says encrypt_type=aes, but the body has no Encrypt")]
    NothingEncrypted,
    /// Encrypted, but the account has no key here.
    #[error("the push is encrypted, but the account has no AES key configured")]
    NoAesKey,
    /// The message does not open.
    #[error("decryption failed: {0}")]
    Decrypt(#[from] DecryptError),
}

impl Refusal {
    /// Whether another token, key or mode of the account might have let it in.
    pub fn may_pass_with_other_settings(&self) -> bool {
        !matches!(
            self,
            Refusal::Missing(_)
                | Refusal::NoTime
                | Refusal::TooOld(_)
                | Refusal::TooNew(_)
                | Refusal::WecomEcho
        )
    }

    /// A stable name for metrics: one of a small fixed set.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Missing("signature" | "msg_signature") => "missing_signature",
            Refusal::Missing(_) | Refusal::NoTime => "missing_parameter",
            Refusal::TooOld(_) => "too_old",
            Refusal::TooNew(_) => "too_new",
            Refusal::WrongSignature | Refusal::WrongMsgSignature => "wrong_signature",
            Refusal::WecomEcho => "wecom_echo",
            Refusal::Unencrypted => "unencrypted",
            Refusal::NothingEncrypted => "nothing_encrypted",
            Refusal::NoAesKey => "no_aes_key",
            Refusal::Decrypt(DecryptError::AppId) => "app_id_mismatch",
            Refusal::Decrypt(_) => "decryption_failed",
        }
    }
}
