//! Why a push is not let in.

use thiserror::Error;

use crate::wechat::crypto::DecryptError;

/// The cause of a refusal, told without any secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A query parameter that has to be there is not.
    #[error("the query parameter `{0}` is missing")]
    Missing(&'static str),
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
    /// A stable name for metrics: one of a small fixed set.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Missing("signature" | "msg_signature") => "missing_signature",
            Refusal::Missing(_) => "missing_parameter",
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
