//! Makes XML well-formed that WeChat has written around a user's text.
//!
//! WeChat puts texts into CDATA as they are. A `]]>` in one ends the section for every parser, and what follows can
//! look like elements of WeChat's. The text of an element stands between its `<![CDATA[` and the last `]]>` before its
//! closing tag: read so, nothing that a user writes gets out of it. `]]>` is then split over two sections.

use memchr::memmem;

use super::{Fields, Value};

/// The elements in which WeChat repeats what a user, a web page or a code says. Each stands once in its place.
const USER_TEXTS: [&str; 12] = [
    "Content",
    "Title",
    "Description",
    "Label",
    "Recognition",
    "Url",
    "PagePath",
    "EventKey",
    "ScanResult",
    "Poiname",
    "SessionFrom",
    "debug_str",
];

const OPENING: &str = "<![CDATA[";
const CLOSING: &str = "]]>";

/// How a writer that escapes `]]>` splits it over two sections.
const SPLIT: &str = "]]]]><![CDATA[>";

/// Whether a section of CDATA begins elsewhere than behind an opening tag, and not because `]]>` is split there: then
/// somebody has written it.
pub(super) fn has_false_section(text: &str) -> bool {
    memmem::find_iter(text.as_bytes(), OPENING).any(|at| {
        let head = text.get(..at).unwrap_or_default();
        let behind = text.get(at + OPENING.len()..).unwrap_or_default();
        let is_split = head.ends_with("]]]]>") && behind.starts_with('>');
        !is_split && opened(head).is_none()
    })
}

/// Whether one of the users' texts stands twice in its place: then somebody has written its closing tag in it.
pub(super) fn is_suspect(fields: &Fields<'_>) -> bool {
    let nested = |value: &Value<'_>| value.as_fields().is_some_and(is_suspect);
    fields.iter().any(|(name, value)| {
        nested(value) || (USER_TEXTS.contains(&name) && fields.all(name).nth(1).is_some())
    })
}

/// Which end of a user's text counts, where there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The last one: nothing that is written in the text ends it.
    Last,
    /// The first one: for a document of several texts of which one has another one's closing tag in it.
    First,
}

/// The document with every text inside its CDATA; nothing if an end cannot be found.
pub(super) fn repair(text: &str, end: End) -> Option<String> {
    let mut repaired = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some((head, body)) = rest.split_once(OPENING) {
        let name = opened(head)?;
        let (inner, behind) = match end {
            End::Last if USER_TEXTS.contains(&name) => last_end(body, name)?,
            _ => first_end(body, name)?,
        };
        push_outside(&mut repaired, head);
        repaired.push_str(OPENING);
        push_split(&mut repaired, inner);
        repaired.push_str(CLOSING);
        rest = behind;
    }
    push_outside(&mut repaired, rest);
    Some(repaired)
}

/// The element whose opening tag ends `head`.
///
/// Only what WeChat's names are made of is a name: the ends of sections, comments and instructions (`]]>`, `-->`, `?>`)
/// are no tags, although a `<` may stand somewhere before them.
fn opened(head: &str) -> Option<&str> {
    let tag = head.trim_ascii_end().strip_suffix('>')?;
    let (_, name) = tag.rsplit_once('<')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_name.then_some(name)
}

/// Splits at the last `]]>` that stands before the element's closing tag.
fn last_end<'a>(body: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let tag = format!("</{name}>");
    let mut searched = body;
    loop {
        let at = searched.rfind(&tag)?;
        let before = searched.get(..at)?;
        if let Some(inner) = before.trim_ascii_end().strip_suffix(CLOSING) {
            return body
                .split_at_checked(inner.len() + CLOSING.len())
                .map(|(_, behind)| (inner, behind));
        }
        searched = before;
    }
}

/// Splits at the first `]]>` that stands before the element's closing tag.
fn first_end<'a>(body: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    body.match_indices(CLOSING).find_map(|(at, closing)| {
        let behind = body.get(at + closing.len()..)?;
        let tag = behind.trim_ascii_start().strip_prefix("</")?;
        tag.strip_prefix(name)?
            .starts_with('>')
            .then_some((body.get(..at)?, behind))
    })
}

/// Appends what stands outside CDATA, where a bare `]]>` is not allowed either.
fn push_outside(repaired: &mut String, text: &str) {
    push_joined(repaired, text, "]]&gt;");
}

/// Appends what stands inside CDATA, unless that is split already.
fn push_split(repaired: &mut String, text: &str) {
    if text.split(SPLIT).any(|part| part.contains(CLOSING)) {
        push_joined(repaired, text, SPLIT);
    } else {
        repaired.push_str(text);
    }
}

fn push_joined(repaired: &mut String, text: &str, joint: &str) {
    let mut parts = text.split(CLOSING);
    repaired.push_str(parts.next().unwrap_or_default());
    for part in parts {
        repaired.push_str(joint);
        repaired.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_document_comes_to_an_end() {
        for text in [
            "",
            "<",
            "<![CDATA[",
            "<a><![CDATA[",
            "<a><![CDATA[]]>",
            "<Content><![CDATA[</Content>",
            "<a ><![CDATA[]]></a >",
            "</a><![CDATA[]]></a>",
        ] {
            for end in [End::Last, End::First] {
                assert!(repair(text, end).is_none_or(|same| same == text), "{text}");
            }
        }
    }

    #[test]
    fn a_text_ends_before_its_own_closing_tag() {
        for (text, last) in [
            ("<a><![CDATA[b]]></a>", "<a><![CDATA[b]]></a>"),
            ("<a> <![CDATA[b]]> </a>]]>", "<a> <![CDATA[b]]> </a>]]&gt;"),
            (
                "<a><![CDATA[b]]>c]]></a>",
                "<a><![CDATA[b]]]]><![CDATA[>c]]></a>",
            ),
            // What no user writes may stand several times.
            (
                "<a><![CDATA[b]]></a><a><![CDATA[c]]></a>",
                "<a><![CDATA[b]]></a><a><![CDATA[c]]></a>",
            ),
            (
                "<Url><![CDATA[b]]></Url><Url><![CDATA[c]]></Url>",
                "<Url><![CDATA[b]]]]><![CDATA[></Url><Url><![CDATA[c]]></Url>",
            ),
        ] {
            assert_eq!(repair(text, End::Last).as_deref(), Some(last), "{text}");
        }
    }
}
