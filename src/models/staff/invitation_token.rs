//! The token of an invitation: shown once, stored as its SHA-256, which is enough for 256 random
//! bits.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

/// What a token begins with.
pub(crate) const MARK: &str = "qqi_";
/// What stands in the place of a token in a stored event begins with.
pub(crate) const SHOWN_MARK: &str = "invitation:";
const RANDOM_BYTES: usize = 32;
/// Characters of them as they are written.
pub(crate) const RANDOM_CHARS: usize = 43;

/// SHA-256 of a token.
pub(crate) type Hash = [u8; 32];

/// A new token. It fits into the scene of a QR code, and needs no escaping in a query.
pub(crate) fn draw() -> (SecretString, Hash) {
    let random: [u8; RANDOM_BYTES] = rand::random();
    let token = format!("{MARK}{}", URL_SAFE_NO_PAD.encode(random));
    let hash = Sha256::digest(token.as_bytes()).into();
    (SecretString::from(token), hash)
}

/// The hash of a text that can be a token at all; none for any other scene.
pub(crate) fn hash(text: &str) -> Option<Hash> {
    let random = URL_SAFE_NO_PAD.decode(text.strip_prefix(MARK)?).ok()?;
    (random.len() == RANDOM_BYTES).then(|| Sha256::digest(text.as_bytes()).into())
}

/// Whether a byte may stand behind the mark.
pub(crate) fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// What is stored and shown in the place of a token: its hash, which finds the invitation and
/// binds nobody. Of such a hash it is another one.
pub(crate) fn shown_for(text: &str) -> Option<String> {
    let hash = match shown_hash(text) {
        Some(_) => Sha256::digest(text.as_bytes()).into(),
        None => hash(text)?,
    };
    Some(format!("{SHOWN_MARK}{}", URL_SAFE_NO_PAD.encode(hash)))
}

/// The hash of the token that a stored scene stands for. Events from before tokens were taken out
/// have the token itself.
pub(crate) fn presented(scene: &str) -> Option<Hash> {
    shown_hash(scene).or_else(|| hash(scene))
}

fn shown_hash(text: &str) -> Option<Hash> {
    let shown = text.strip_prefix(SHOWN_MARK)?;
    URL_SAFE_NO_PAD.decode(shown).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;
    use crate::wechat::qrcode::SCENE_MAX;

    #[test]
    fn a_token_is_known_by_its_hash_and_fits_into_a_scene() {
        let (token, drawn) = draw();
        let text = token.expose_secret();
        assert!(text.len() <= SCENE_MAX);
        assert_eq!(hash(text), Some(drawn));
        assert_ne!(draw().1, drawn);
    }

    #[test]
    fn only_the_mark_and_32_bytes_are_a_token() {
        let (token, _) = draw();
        let text = token.expose_secret();
        for other in [
            "",
            "shop_12",
            "qqi_",
            "qqi_short",
            text.trim_start_matches(MARK),
            &format!("{text}A"),
            &format!(" {text}"),
            &text.replace("qqi_", "QQI_"),
        ] {
            assert_eq!(hash(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_other_text_has_the_hash_of_a_token(
            text in prop_oneof![".*", "qqi_[A-Za-z0-9_-]{0,60}", "[A-Za-z0-9_-]{43}"],
        ) {
            let (token, drawn) = draw();
            prop_assume!(text != token.expose_secret());
            prop_assert_ne!(hash(&text), Some(drawn));
            prop_assert!(hash(&text).is_none() || text.len() == token.expose_secret().len());
        }
    }
}
