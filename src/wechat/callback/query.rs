//! The query string of a callback.

use serde::Deserialize;
use url::form_urlencoded;

/// The shortest text that AES-CBC and base64 make: one block of 32 bytes. WeChat's own `echostr` is a number of up to
/// 20 digits.
const SHORTEST_ENCRYPTED: usize = 44;

/// The query string WeChat appends to the callback URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Query {
    /// Signature over token, timestamp and nonce. Says nothing about the body.
    pub signature: Option<String>,
    /// Signature over token, timestamp, nonce and the encrypted text.
    pub msg_signature: Option<String>,
    /// Seconds since 1970.
    pub timestamp: Option<String>,
    /// A number drawn by WeChat.
    pub nonce: Option<String>,
    /// The text to send back when the URL is verified.
    pub echostr: Option<String>,
    /// `aes` where the body is encrypted; absent or `raw` otherwise.
    pub encrypt_type: Option<String>,
    /// The user. No signature covers it: the body counts.
    pub openid: Option<String>,
}

impl Query {
    /// Reads a query string as it came. Of a parameter that stands twice the first counts, since proxies repeat
    /// them behind WeChat's; what is not known is left alone. Nothing in it is an error: what does not fit does not
    /// match the signature.
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let place = match name.as_ref() {
                "signature" => &mut query.signature,
                "msg_signature" => &mut query.msg_signature,
                "timestamp" => &mut query.timestamp,
                "nonce" => &mut query.nonce,
                "echostr" => &mut query.echostr,
                "encrypt_type" => &mut query.encrypt_type,
                "openid" => &mut query.openid,
                _ => continue,
            };
            if place.is_none() {
                *place = Some(value.into_owned());
            }
        }
        query
    }

    /// Whether it has what WeChat puts on every request, right or not.
    pub fn is_like_wechats(&self) -> bool {
        (self.signature.is_some() || self.msg_signature.is_some())
            && self.timestamp.is_some()
            && self.nonce.is_some()
    }

    /// Whether nothing says that it is WeChat's.
    pub fn is_unsigned(&self) -> bool {
        self.signature.is_none() && self.msg_signature.is_none()
    }

    /// Whether the `echostr` is an encrypted text, as base64. A `+` in it may have become a blank.
    pub(super) fn has_encrypted_echo(&self) -> bool {
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/= ".contains(&byte);
        self.echostr
            .as_deref()
            .is_some_and(|text| text.len() >= SHORTEST_ENCRYPTED && text.bytes().all(is_base64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_repeated_parameter_counts_and_nothing_is_an_error() {
        let query = Query::parse(
            "timestamp=1&x=9&nonce=a%20b&timestamp=2&nonce=c&signature=&signature=s&&=&echostr=%ff%E4%BC%9E+",
        );
        assert_eq!(query.timestamp.as_deref(), Some("1"));
        assert_eq!(query.nonce.as_deref(), Some("a b"));
        assert_eq!(query.signature.as_deref(), Some(""));
        assert_eq!(query.echostr.as_deref(), Some("\u{fffd}伞 "));
        assert_eq!(query.openid, None);
        assert_eq!(Query::parse(""), Query::default());
    }

    #[test]
    fn wechats_requests_are_known_by_their_parameters() {
        for (text, expected) in [
            ("signature=s&timestamp=1&nonce=2", true),
            ("msg_signature=s&timestamp=1&nonce=2&echostr=x", true),
            ("timestamp=1&nonce=2", false),
            ("signature=s&nonce=2", false),
            ("signature=s&timestamp=1", false),
            ("", false),
        ] {
            assert_eq!(Query::parse(text).is_like_wechats(), expected, "{text}");
        }
    }
}
