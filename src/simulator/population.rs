//! Who the people are: openids and unionids as pure functions of a person's number.
//!
//! A load generator in another process computes the same ids, and the simulator needs no table to know whose openid
//! it was given: the number is in the openid, scrambled by a permutation that is different for each account.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A stand-in for an app_id in the computation of unionids; no app_id has spaces.
const OPEN_PLATFORM: &str = "the open platform";

/// The openid of a person in an account: 28 characters of `[A-Za-z0-9_-]`, beginning with `o`, as WeChat's are. As
/// there, the openids of one account share their first characters.
pub fn openid(app_id: &str, person: u32) -> String {
    encode(app_id, person)
}

/// The unionid of a person: the same shape, the same in all accounts of one Open Platform account.
pub fn unionid(person: u32) -> String {
    encode(OPEN_PLATFORM, person)
}

/// The unionid of a person for the accounts under the named Open Platform account, after they were given another one
/// so often. Under the first one, which has no name, it is [`unionid`] until then.
pub fn unionid_under(open_platform: &str, changes: u32, person: u32) -> String {
    match (open_platform, changes) {
        ("", 0) => unionid(person),
        _ => encode(
            &format!("{OPEN_PLATFORM} {open_platform} {changes}"),
            person,
        ),
    }
}

/// The person behind an openid of this account; `None` for another account's openid or an invented one.
pub fn person(app_id: &str, openid: &str) -> Option<u32> {
    let mut bytes = [0; 20];
    let text = openid.strip_prefix('o')?;
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    let (_, rest) = bytes.split_at(4);
    let scrambled = rest.first_chunk::<8>().copied().map(u64::from_be_bytes)?;
    let person = u32::try_from(unmix(scrambled) ^ hash(app_id)).ok()?;
    (length == bytes.len() && bytes == id_bytes(app_id, person)).then_some(person)
}

fn encode(scope: &str, person: u32) -> String {
    let mut id = String::with_capacity(28);
    id.push('o');
    URL_SAFE_NO_PAD.encode_string(id_bytes(scope, person), &mut id);
    id
}

/// 4 bytes of the scope, 8 of the scrambled number, 8 of check: 27 characters of base64.
fn id_bytes(scope: &str, person: u32) -> [u8; 20] {
    let scope = hash(scope);
    let scrambled = mix(u64::from(person) ^ scope);
    let check = mix(scrambled.wrapping_add(scope));
    let parts = [scope.to_le_bytes().first_chunk::<4>().copied()];
    let mut bytes = [0; 20];
    let source = parts
        .into_iter()
        .flatten()
        .flatten()
        .chain(scrambled.to_be_bytes())
        .chain(check.to_be_bytes());
    bytes
        .iter_mut()
        .zip(source)
        .for_each(|(to, from)| *to = from);
    bytes
}

/// FNV-1a, finished by [`mix`].
fn hash(text: &str) -> u64 {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    mix(text.bytes().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// The finisher of SplitMix64: a permutation of the 64-bit numbers.
pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn unmix(mut z: u64) -> u64 {
    z = (z ^ (z >> 31) ^ (z >> 62)).wrapping_mul(0x3196_42b2_d24d_8ec3);
    z = (z ^ (z >> 27) ^ (z >> 54)).wrapping_mul(0x96de_1b17_3f11_9089);
    z ^ (z >> 30) ^ (z >> 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_look_like_wechats_and_are_all_different() {
        let mut seen = HashSet::new();
        for index in 0..2_000 {
            for id in [openid("wx01", index), openid("wx02", index), unionid(index)] {
                assert_eq!(id.len(), 28, "{id}");
                assert!(id.starts_with('o'), "{id}");
                let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                assert!(id.chars().all(fits), "{id}");
                assert!(seen.insert(id));
            }
        }
    }

    #[test]
    fn the_person_behind_an_openid_is_found_in_its_own_account_only() {
        for index in [0, 1, 299_999, u32::MAX] {
            let id = openid("wx01", index);
            assert_eq!(person("wx01", &id), Some(index));
            assert_eq!(person("wx02", &id), None);
            assert_eq!(person("wx01", &unionid(index)), None);
        }
        for invented in ["", "o", "oABCdefGHIjklMNOpqrSTUvwxYZ0", "孙", "o孙"] {
            assert_eq!(person("wx01", invented), None, "{invented}");
        }
        let last_changed = openid("wx01", 7).replace(|c: char| c.is_ascii_digit(), "_");
        assert_eq!(person("wx01", &last_changed), None);
    }
}
