//! Signatures by the Standard Webhooks specification 1.0: HMAC-SHA256 over
//! `{webhook-id}.{webhook-timestamp}.{body}`, in the header `webhook-signature: v1,BASE64`, several
//! with a space between them while a secret is being replaced.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// What a secret begins with, so that it is known for one wherever it turns up.
const MARK: &str = "whsec_";
/// The specification asks for 24 to 64.
const SECRET_BYTES: usize = 32;

/// A new secret: `whsec_` and 32 random bytes in base64.
pub fn new_secret() -> SecretString {
    let random: [u8; SECRET_BYTES] = rand::random();
    SecretString::from(format!("{MARK}{}", STANDARD.encode(random)))
}

/// The value of `webhook-signature`: one signature for each secret, in their order. None if a
/// secret is not one, or there is none.
pub fn signatures(
    secrets: &[SecretString],
    id: &str,
    timestamp: i64,
    body: &str,
) -> Option<String> {
    let signed: Option<Vec<String>> = secrets
        .iter()
        .map(|secret| signature(secret, id, timestamp, body))
        .collect();
    signed
        .filter(|all| !all.is_empty())
        .map(|all| all.join(" "))
}

fn signature(secret: &SecretString, id: &str, timestamp: i64, body: &str) -> Option<String> {
    let secret = secret.expose_secret();
    let key = STANDARD.decode(secret.strip_prefix(MARK)?).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body.as_bytes());
    let digest = mac.finalize().into_bytes();
    Some(format!("v1,{}", STANDARD.encode(digest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &str = r#"{"test": 2432232314}"#;

    /// The vector of the specification's own libraries.
    #[test]
    fn signs_as_the_specification_says() {
        let secret = SecretString::from(SECRET);
        assert_eq!(
            signatures(&[secret], ID, 1_614_265_330, BODY).as_deref(),
            Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        );
    }

    #[test]
    fn every_part_of_a_message_is_signed_and_every_secret_signs() {
        let sign = |secret: &str, id: &str, timestamp, body: &str| {
            signatures(&[SecretString::from(secret)], id, timestamp, body).unwrap()
        };
        let one = sign(SECRET, ID, 1_614_265_330, BODY);
        assert_ne!(one, sign(SECRET, "msg_x", 1_614_265_330, BODY));
        assert_ne!(one, sign(SECRET, ID, 1_614_265_331, BODY));
        assert_ne!(one, sign(SECRET, ID, 1_614_265_330, "{}"));
        let fresh = new_secret();
        assert_ne!(one, sign(fresh.expose_secret(), ID, 1_614_265_330, BODY));
        let both = [fresh.clone(), SecretString::from(SECRET)];
        let both = signatures(&both, ID, 1_614_265_330, BODY).unwrap();
        let (new, old) = both.split_once(' ').unwrap();
        assert_eq!(old, one);
        assert_eq!(new, sign(fresh.expose_secret(), ID, 1_614_265_330, BODY));
    }

    #[test]
    fn what_is_not_a_secret_signs_nothing() {
        for bad in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_not base64"] {
            let secret = SecretString::from(bad);
            assert_eq!(signatures(&[secret], ID, 1, BODY), None, "{bad}");
        }
        assert_eq!(signatures(&[], ID, 1, BODY), None);
    }

    #[test]
    fn secrets_are_long_enough_and_differ() {
        let (one, other) = (new_secret(), new_secret());
        assert_ne!(one.expose_secret(), other.expose_secret());
        let encoded = one.expose_secret().strip_prefix(MARK).unwrap();
        assert_eq!(STANDARD.decode(encoded).unwrap().len(), SECRET_BYTES);
    }
}
