//! The signature WeChat puts on every push: SHA-1 over the sorted parts (WeChat guide, message push).

use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

/// A SHA-1 digest in hexadecimal.
const HEX_LENGTH: usize = 40;

/// More parts than any signature of WeChat has (four), so that sorting needs no allocation.
const USUAL_PARTS: usize = 8;

/// Signs `parts`: sorted by byte value, joined without separator, SHA-1, lower-case hexadecimal.
///
/// `signature` covers token, timestamp and nonce; `msg_signature` covers the `Encrypt` text as well.
pub fn sign(parts: &[&str]) -> String {
    hex::encode(digest(parts))
}

/// Whether `given` is the signature of `parts`, in time that does not depend on where they differ.
pub fn verify(given: &str, parts: &[&str]) -> bool {
    let mut expected = [0_u8; HEX_LENGTH];
    hex::encode_to_slice(digest(parts), &mut expected).is_ok()
        && bool::from(expected.ct_eq(given.as_bytes()))
}

fn digest(parts: &[&str]) -> [u8; 20] {
    let mut few = [""; USUAL_PARTS];
    let mut many;
    let sorted = match few.get_mut(..parts.len()) {
        Some(slots) => {
            slots.copy_from_slice(parts);
            slots
        }
        None => {
            many = parts.to_vec();
            many.as_mut_slice()
        }
    };
    sorted.sort_unstable();
    let mut hasher = Sha1::new();
    for part in sorted {
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_example_of_url_verification() {
        let parts = ["harbour7", "1767225600", "88412"];
        assert_eq!(sign(&parts), "5943bc50fe9e79a68ef8ad99cf94387971133a29");
        assert!(verify("5943bc50fe9e79a68ef8ad99cf94387971133a29", &parts));
    }

    #[test]
    fn parts_are_sorted_by_byte_value_not_as_numbers() {
        assert_eq!(sign(&["b", "9", "10", "+", "/"]), sign(&["+/109b"]));
    }

    #[test]
    fn any_other_text_is_refused() {
        let parts = ["harbour7", "1767225600", "88412"];
        for wrong in [
            "",
            "5943bc50fe9e79a68ef8ad99cf94387971133a2",
            "5943bc50fe9e79a68ef8ad99cf94387971133a28",
            "5943BC50FE9E79A68EF8AD99CF94387971133A29",
            "5943bc50fe9e79a68ef8ad99cf94387971133a290",
        ] {
            assert!(!verify(wrong, &parts), "{wrong}");
        }
    }

    #[test]
    fn more_parts_than_usual_sign_the_same_way() {
        let parts = ["9", "8", "7", "6", "5", "4", "3", "2", "1"];
        assert_eq!(sign(&parts), sign(&["123456789"]));
    }
}
