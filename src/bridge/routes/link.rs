//! `url`, `page` and `mini_program.path`: what is filled in stays one value.
//!
//! A template with a place for a value in a query, such as `pages/order?id={{ params.id }}`, means one parameter. What
//! is filled in is percent-encoded so that it is one, by where it stands: in a query all but letters, digits and
//! `-._~`; in a path what would end it. The formatter writes each value between two marks, and [`assemble`] then
//! sees which characters are the template's own, however the template came to write them.

use std::fmt::Write as _;

/// Before a value that is filled in, and behind it. Noncharacters: no text has them.
const OPENING: char = '\u{fdd0}';
const CLOSING: char = '\u{fdd1}';

/// An address as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assembled {
    pub(super) text: String,
    /// Whether a value had characters that had to be encoded.
    pub(super) is_encoded: bool,
}

/// Where in an address a character stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Path,
    Query,
    /// Behind `#`; many web pages keep a path of their own there.
    Fragment,
    FragmentQuery,
}

/// Whether the template under this path is an address.
pub(super) fn is_link(path: &str) -> bool {
    [".url", ".page", ".mini_program.path"]
        .iter()
        .any(|end| path.ends_with(end))
}

/// A value between its marks.
pub(super) fn mark(value: &str) -> String {
    format!("{OPENING}{}{CLOSING}", encode(value, is_unreserved))
}

/// Whether a text has a mark in it by itself.
pub(super) fn is_marked(text: &str) -> bool {
    text.contains([OPENING, CLOSING])
}

/// Encodes the values between marks. A value that is the whole address, or all of it up to a `&` or `#`, stays as it is
/// if `may_be_whole`.
pub(super) fn assemble(rendered: &str, may_be_whole: bool) -> Assembled {
    let mut pieces = rendered.split(OPENING);
    let mut text = pieces.next().unwrap_or_default().to_owned();
    let mut part = Part::Path.after(&text);
    let mut is_encoded = false;
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        let (value, literal) = piece.split_once(CLOSING).unwrap_or((piece, ""));
        let value = decode(value);
        let is_first = text.is_empty();
        let ends =
            literal.starts_with(['&', '#']) || (literal.is_empty() && pieces.peek().is_none());
        if is_first && ends && may_be_whole {
            part = part.after(&value);
            text.push_str(&value);
        } else {
            let encoded = match part {
                Part::Query | Part::FragmentQuery => encode(&value, is_unreserved),
                // A base such as https://example.com/a%20b is an address already.
                Part::Path if is_first => encode(&value, |c| c == '%' || is_of_path(c)),
                Part::Path | Part::Fragment => encode(&value, is_of_path),
            };
            is_encoded |= encoded != value;
            text.push_str(&encoded);
        }
        part = part.after(literal);
        text.push_str(literal);
    }
    Assembled { text, is_encoded }
}

impl Part {
    fn after(self, text: &str) -> Self {
        text.chars().fold(self, |part, c| match (part, c) {
            (Self::Path | Self::Query, '#') => Self::Fragment,
            (Self::Path, '?') => Self::Query,
            (Self::Fragment, '?') => Self::FragmentQuery,
            (part, _) => part,
        })
    }
}

fn is_unreserved(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~')
}

fn is_of_path(c: char) -> bool {
    let ends = matches!(
        c,
        '?' | '#' | '%' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' | '\u{feff}'
    );
    !(ends || c.is_whitespace() || c.is_control())
}

/// Percent-encodes all but the characters of which `stays` is true.
pub(super) fn encode(value: &str, stays: impl Fn(char) -> bool) -> String {
    let mut encoded = String::with_capacity(value.len());
    for c in value.chars() {
        if stays(c) {
            encoded.push(c);
            continue;
        }
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// As [`encode`] for one value of a query.
pub(super) fn encode_component(value: &str) -> String {
    encode(value, is_unreserved)
}

fn decode(encoded: &str) -> String {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut parts = encoded.split('%');
    bytes.extend(parts.next().unwrap_or_default().bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        bytes.extend(u8::from_str_radix(digits, 16));
        bytes.extend(rest.bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    fn filled(template: &str, value: &str) -> String {
        assemble(&template.replace("{}", &mark(value)), true).text
    }

    #[test]
    fn a_value_is_encoded_by_where_it_stands() {
        for (template, value, expected) in [
            (
                "p/a?t={}&r=1",
                "伞&role=admin#x",
                "p/a?t=%E4%BC%9E%26role%3Dadmin%23x&r=1",
            ),
            ("p/a?t={}", "%E4%BC%9E", "p/a?t=%25E4%25BC%259E"),
            ("p/a?{}=1", "a=b", "p/a?a%3Db=1"),
            ("p/a?t={}", "a b+c", "p/a?t=a%20b%2Bc"),
            ("p/{}/b", "x/y", "p/x/y/b"),
            ("p/{}/b", "x?y#z 1%", "p/x%3Fy%23z%201%25/b"),
            ("p/{}?a=1", "伞", "p/伞?a=1"),
            (
                "https://e.com/#/order?id={}",
                "a&b",
                "https://e.com/#/order?id=a%26b",
            ),
            (
                "https://e.com/#/order/{}",
                "a?b",
                "https://e.com/#/order/a%3Fb",
            ),
            ("https://e.com/a#{}?x", "a#b", "https://e.com/a#a%23b?x"),
            (
                "{}",
                "https://e.com/a?b=1&c=%20#d",
                "https://e.com/a?b=1&c=%20#d",
            ),
            (
                "{}&from=wx",
                "https://e.com/a?b=1",
                "https://e.com/a?b=1&from=wx",
            ),
            ("{}#top", "https://e.com/a?b=1", "https://e.com/a?b=1#top"),
            (
                "{}/a?b=1",
                "https://e.com/x%20y",
                "https://e.com/x%20y/a?b=1",
            ),
            (
                "{}/a?b=1",
                "https://e.com/?admin=1#",
                "https://e.com/%3Fadmin=1%23/a?b=1",
            ),
            ("", "", ""),
        ] {
            assert_eq!(filled(template, value), expected, "{template} {value}");
        }
        let two = format!("{}&x={}", mark("https://e.com/?a=b"), mark("c&d"));
        assert_eq!(assemble(&two, true).text, "https://e.com/?a=b&x=c%26d");
        assert_eq!(assemble(&mark("a?b"), false).text, "a%3Fb");
        assert!(assemble(&format!("?{}", mark("伞")), true).is_encoded);
        assert!(!assemble(&format!("?{}", mark("a-1")), true).is_encoded);
    }

    proptest! {
        #[test]
        fn a_value_in_a_query_comes_out_as_it_was_and_brings_nothing_else(value in any::<String>(), other in any::<String>()) {
            let page = format!("pages/a?t={}&u={}&role=staff", mark(&value), mark(&other));
            let page = assemble(&page, true).text;
            let url = Url::parse("https://example.com/").unwrap().join(&page).unwrap();
            let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            let expected = [("t", value.as_str()), ("u", other.as_str()), ("role", "staff")];
            let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
            prop_assert_eq!(pairs, expected);
            prop_assert_eq!(url.fragment(), None);
            prop_assert_eq!(url.path(), "/pages/a");
        }

        #[test]
        fn a_value_in_a_path_does_not_end_it(value in any::<String>()) {
            let page = assemble(&format!("pages/{}?role=staff", mark(&value)), true).text;
            let (_, query) = page.split_once('?').unwrap();
            prop_assert_eq!(query, "role=staff");
            prop_assert!(!page.contains('#'));
        }
    }
}
