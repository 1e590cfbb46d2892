//! What can be read out of an errmsg: the rid, an address, a field name. Nothing else is ever matched on.

use std::net::IpAddr;

use super::TEXT_MAX;

/// The text as one line: control characters become spaces, and what is beyond the limit is cut.
pub(super) fn clean(text: &str) -> String {
    cut(&line(text))
}

/// An errmsg as one line within the limit, and its rid, which WeChat writes at the end.
pub(super) fn read(errmsg: &str) -> (String, Option<String>) {
    let (text, rid) = split_rid(&line(errmsg));
    (cut(&text), rid)
}

fn line(text: &str) -> String {
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.collect::<String>().trim().to_owned()
}

fn cut(line: &str) -> String {
    let within: String = line.chars().take(TEXT_MAX).collect();
    within.trim_end().to_owned()
}

/// Takes the rid out of an errmsg, in each form seen: `… rid: R`, `…, rid: R`, `…rid:R`, and the older
/// `hints: [ req_id: X ]` and `hint:[X]`.
fn split_rid(errmsg: &str) -> (String, Option<String>) {
    match rid_suffix(errmsg).or_else(|| hint_suffix(errmsg)) {
        Some((head, rid, tail)) => {
            let head = head.trim_end_matches([' ', ',']);
            (format!("{head}{tail}"), Some(rid.to_owned()))
        }
        None => (errmsg.to_owned(), None),
    }
}

fn rid_suffix(errmsg: &str) -> Option<(&str, &str, &str)> {
    let (head, tail) = errmsg.rsplit_once("rid:")?;
    let (rid, rest) = tail.trim_start().split_at_checked(26)?;
    let groups: Vec<&str> = rid.split('-').collect();
    let is_hex8 = |group: &&str| {
        group.len() == 8
            && group
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    (groups.len() == 3 && groups.iter().all(is_hex8)).then_some((head, rid, rest))
}

fn hint_suffix(errmsg: &str) -> Option<(&str, &str, &str)> {
    let (head, tail) = errmsg
        .rsplit_once("hints:")
        .or_else(|| errmsg.rsplit_once("hint:"))?;
    let (inner, rest) = tail.trim_start().strip_prefix('[')?.split_once(']')?;
    let inner = inner.trim();
    let id = inner.strip_prefix("req_id:").unwrap_or(inner).trim();
    let is_id = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    is_id.then_some((head, id, rest))
}

/// The first word that is an IP address, in its IPv4 form where it has one.
pub(super) fn first_ip(errmsg: &str) -> Option<IpAddr> {
    errmsg
        .split([' ', ','])
        .find_map(|word| word.parse::<IpAddr>().ok())
        .map(|ip| ip.to_canonical())
}

/// The KEY of the first `data.KEY.value`.
pub(super) fn data_key(errmsg: &str) -> Option<&str> {
    let (_, tail) = errmsg.split_once("data.")?;
    let (key, _) = tail.split_once(".value")?;
    let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_key.then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wechat::error::ApiError;

    const RID: &str = "69560000-0a0b0c0d-01020304";

    #[test]
    fn every_form_of_the_rid_is_taken_out_of_the_text() {
        for (raw, text, rid) in [
            (
                "invalid appid rid: 69560000-0a0b0c0d-01020304",
                "invalid appid",
                RID,
            ),
            (
                "invalid appsecret, rid: 69560000-0a0b0c0d-01020304",
                "invalid appsecret",
                RID,
            ),
            (
                "system errorrid:69560000-0a0b0c0d-01020304",
                "system error",
                RID,
            ),
            ("bad rid:\t69560000-0a0b0c0d-01020304 more", "bad more", RID),
            (
                "invalid code, hints: [ req_id: 1QoCla0699ns81 ]",
                "invalid code",
                "1QoCla0699ns81",
            ),
            (
                "invalid credential hint:[AHxsKOzRe-uQxY7a]",
                "invalid credential",
                "AHxsKOzRe-uQxY7a",
            ),
        ] {
            let error = ApiError::new(40013, raw);
            assert_eq!(
                (error.errmsg.as_str(), error.rid.as_deref()),
                (text, Some(rid)),
                "{raw}"
            );
        }
    }

    #[test]
    fn what_only_looks_like_a_rid_stays_in_the_text() {
        for raw in [
            "grid: none",
            "rid: 69560000-0a0b0c0d-0102030",
            "rid: 6956000g-0a0b0c0d-01020304",
            "rid: 三四五六七八九十三四五六七八九十",
            "hint: []",
            "hint:[two words]",
        ] {
            let error = ApiError::new(-1, raw);
            assert_eq!((error.errmsg.as_str(), error.rid), (raw, None));
        }
    }

    #[test]
    fn the_text_is_one_short_line() {
        let error = ApiError::new(-1, &format!("a\r\nb\u{1b}[31m{}", "很".repeat(1000)));
        assert!(error.errmsg.starts_with("a  b [31m很"));
        assert_eq!(error.errmsg.chars().count(), TEXT_MAX);
        let long = ApiError::new(-1, &format!("{} rid: {RID}", "很".repeat(1000)));
        assert_eq!(long.errmsg.chars().count(), TEXT_MAX);
        assert_eq!(long.rid.as_deref(), Some(RID));
    }

    #[test]
    fn a_40164_tells_the_address_that_wechat_saw() {
        let raw = "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 69560000-0a0b0c0d-01020304";
        let seen = |errcode| ApiError::new(errcode, raw).whitelist_ip();
        assert_eq!(seen(40164), Some("203.0.113.7".parse().unwrap()));
        assert_eq!(seen(40163), None);
        let six = ApiError::new(40164, "invalid ip 2001:db8::7, not in whitelist");
        assert_eq!(six.whitelist_ip(), Some("2001:db8::7".parse().unwrap()));
        assert_eq!(
            ApiError::new(40164, "not in whitelist").whitelist_ip(),
            None
        );
    }

    #[test]
    fn a_47003_tells_the_field() {
        let field = |errcode, raw| {
            ApiError::new(errcode, raw)
                .refused_field()
                .map(str::to_owned)
        };
        let raw = "argument invalid! data.thing1.value invalid rid: 69560000-0a0b0c0d-01020304";
        assert_eq!(field(47003, raw).as_deref(), Some("thing1"));
        assert_eq!(field(47001, raw), None);
        assert_eq!(field(47003, "argument invalid!"), None);
    }
}
