//! Looks for elements outside users' texts, without asking whether the document is well-formed.

use super::{MAX_VALUE_LENGTH, Scan};

/// A value with its CDATA marks and some layout around it.
const WINDOW: usize = MAX_VALUE_LENGTH + 64;

/// The elements in which WeChat repeats what a user, a web page or a code wrote.
const USER_TEXTS: [&str; 12] = [
    "Content",
    "Title",
    "Description",
    "Label",
    "Recognition",
    "Url",
    "PagePath",
    "EventKey",
    "ScanCodeInfo",
    "SendLocationInfo",
    "SessionFrom",
    "debug_str",
];

/// What stands before the first and behind the last of the users' texts.
pub(super) struct Outside<'a> {
    before: &'a str,
    behind: &'a str,
}

impl<'a> Outside<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let openings = USER_TEXTS
            .iter()
            .filter_map(|name| text.find(&format!("<{name}>")));
        let Some(start) = openings.min() else {
            return Self {
                before: text,
                behind: text,
            };
        };
        let closings = USER_TEXTS.iter().filter_map(|name| {
            let tag = format!("</{name}>");
            text.rfind(&tag).map(|at| at + tag.len())
        });
        let end = closings
            .max()
            .filter(|end| *end > start)
            .unwrap_or(text.len());
        Self {
            before: text.get(..start).unwrap_or_default(),
            behind: text.get(end..).unwrap_or_default(),
        }
    }
}

impl Scan for Outside<'_> {
    fn head(&self, name: &str) -> Option<String> {
        elements(self.before, name).next().map(str::to_owned)
    }

    fn tail(&self, name: &str) -> Option<String> {
        let last = elements(self.behind, name).last();
        last.or_else(|| elements(self.before, name).last())
            .map(str::to_owned)
    }
}

/// The texts of all elements of that name, in any case, in order.
fn elements<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    text.split('<')
        .scan(0_usize, move |position, piece| {
            let start = *position;
            *position += piece.len() + 1;
            Some((start, piece))
        })
        .filter_map(move |(start, piece)| {
            let (tag, _) = piece.split_once('>')?;
            if !tag.trim().eq_ignore_ascii_case(name) {
                return None;
            }
            value(text.get(start + tag.len() + 1..)?)
        })
}

/// The value at the start of `text`. Only as much is looked at as an id can take, so that a body full of unended
/// elements costs no more than any other of its length.
fn value(text: &str) -> Option<&str> {
    let text = text
        .get(..text.floor_char_boundary(WINDOW))?
        .trim_ascii_start();
    match text.strip_prefix("<![CDATA[") {
        Some(text) => text.split_once("]]>").map(|(value, _)| value),
        None => text
            .split_once('<')
            .map(|(value, _)| value.trim_ascii_end()),
    }
}
