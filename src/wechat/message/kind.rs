//! Stable names for kinds of pushes, and the key by which two deliveries of one push are recognised.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// The longest kind that is stored.
const MAX_KIND_LENGTH: usize = 64;

/// The `MsgType` of everything that is not written by a user.
pub(in crate::wechat) const EVENT: &str = "event";

/// The kind of the event that tells that somebody deleted their WeChat account.
pub const CANCELLATION: &str = "event.user_authorization_cancellation";

/// Events about an account or about its own work. Their `FromUserName` is a system account, also where it looks like
/// an openid (WeChat guide, verification events; mass messages; publishing; audits of mini-programs).
const OF_THE_SYSTEM: [&str; 16] = [
    "qualification_verify_success",
    "qualification_verify_fail",
    "naming_verify_success",
    "naming_verify_fail",
    "annual_renew",
    "verify_expired",
    "masssendjobfinish",
    "publishjobfinish",
    "weapp_audit_success",
    "weapp_audit_fail",
    "weapp_audit_delay",
    "wxa_nickname_audit",
    "wxa_category_audit",
    "wxa_illegal_record",
    "wxa_appeal_record",
    "wxa_privacy_apply",
];
/// The sender of events about mass messages.
const MASS_SENDER: &str = "mphelper";
/// What the original id of an account begins with.
const ORIGINAL_ID: &str = "gh_";

/// The kinds with a typed content, so that naming them allocates nothing.
const KNOWN: [&str; 38] = [
    "text",
    "image",
    "voice",
    "video",
    "shortvideo",
    "location",
    "link",
    "file",
    "miniprogrampage",
    "event.subscribe",
    "event.unsubscribe",
    "event.scan",
    "event.location",
    "event.click",
    "event.view",
    "event.view_miniprogram",
    "event.scancode_push",
    "event.scancode_waitmsg",
    "event.pic_sysphoto",
    "event.pic_photo_or_album",
    "event.pic_weixin",
    "event.location_select",
    "event.templatesendjobfinish",
    "event.masssendjobfinish",
    "event.user_enter_tempsession",
    "event.subscribe_msg_popup_event",
    "event.subscribe_msg_change_event",
    "event.subscribe_msg_sent_event",
    "event.user_info_modified",
    "event.user_authorization_revoke",
    CANCELLATION,
    "event.qualification_verify_success",
    "event.qualification_verify_fail",
    "event.naming_verify_success",
    "event.naming_verify_fail",
    "event.annual_renew",
    "event.verify_expired",
    "event.debug_demo",
];

/// `text` for a message, `event.subscribe` for an event: lower case, at most 64 characters, only letters, digits,
/// `_` and `-` behind the prefix, everything else turned into `_`.
pub(in crate::wechat) fn name(msg_type: &str, event: Option<&str>) -> Cow<'static, str> {
    let event = event.filter(|_| is_event(msg_type));
    let known = KNOWN.into_iter().find(|kind| match event {
        None => !kind.contains('.') && kind.eq_ignore_ascii_case(msg_type),
        Some(event) => kind
            .strip_prefix("event.")
            .is_some_and(|name| name.eq_ignore_ascii_case(event)),
    });
    known.map_or_else(|| Cow::Owned(unknown(msg_type, event)), Cow::Borrowed)
}

fn unknown(msg_type: &str, event: Option<&str>) -> String {
    let safe = |c: char| match c {
        'a'..='z' | '0'..='9' | '_' | '-' => c,
        'A'..='Z' => c.to_ascii_lowercase(),
        _ => '_',
    };
    let prefix = if event.is_some() { "event." } else { "" };
    let own = event.unwrap_or(msg_type);
    let own = if own.is_empty() { "unknown" } else { own };
    let characters = prefix.chars().chain(own.chars().map(safe));
    characters.take(MAX_KIND_LENGTH).collect()
}

/// Whether a `MsgType` says that the push is an event.
pub(in crate::wechat) fn is_event(msg_type: &str) -> bool {
    msg_type.eq_ignore_ascii_case(EVENT)
}

/// Whether an event tells of a user's authorizations. There `FromUserName` is a platform account.
pub(in crate::wechat) fn is_authorization(event: &str) -> bool {
    [
        "user_info_modified",
        "user_authorization_revoke",
        "user_authorization_cancellation",
    ]
    .iter()
    .any(|name| name.eq_ignore_ascii_case(event))
}

/// Whether the sender of a push is a system account and not a user.
pub(in crate::wechat) fn is_of_the_system(sender: &str, event: Option<&str>) -> bool {
    let sender = sender.trim();
    let about = |event: &str| {
        let mut names = OF_THE_SYSTEM.iter();
        names.any(|name| name.eq_ignore_ascii_case(event))
    };
    event.is_some_and(about)
        || sender.eq_ignore_ascii_case(MASS_SENDER)
        || sender
            .get(..ORIGINAL_ID.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(ORIGINAL_ID))
}

/// The key of a push within its account: the same for every delivery of it, another one for any other push.
///
/// `MsgId` alone is not enough, since different senders have been seen with the same one; sender and second are not
/// enough either, since two genuine events can share them. A retry repeats the plaintext exactly.
///
/// It only has to differ from the keys of the same second: 64 bits of a hash, with a thousand pushes in every second,
/// mistake one push for another once in a million years.
pub(in crate::wechat) fn dedup_key(
    sender: &str,
    msg_id: Option<&str>,
    event: Option<&str>,
    plaintext: &[u8],
) -> i64 {
    let mut hasher = Sha256::new();
    match msg_id {
        Some(msg_id) => {
            hasher.update(b"id");
            for part in [sender, msg_id, event.unwrap_or_default()] {
                hasher.update(part.len().to_be_bytes());
                hasher.update(part);
            }
        }
        None => {
            hasher.update(b"plaintext");
            hasher.update(plaintext);
        }
    }
    let digest: [u8; 32] = hasher.finalize().into();
    i64::from_be_bytes(digest.first_chunk().copied().unwrap_or_default())
}
