//! What stands in the cells of a table of staff: several tags in one, and texts that a spreadsheet would take
//! for a formula.

use std::collections::BTreeSet;

/// The columns of a table that is given out, by the names under which it is taken in.
pub const COLUMNS: [&str; 7] = [
    "staff_id", "name", "tags", "phone", "app_id", "openid", "unionid",
];

/// Between the tags of a cell that is given out.
const SEPARATOR: char = ';';

/// What people write between the tags of a cell.
fn separates(letter: char) -> bool {
    matches!(letter, ';' | '；' | ',' | '，' | '、' | '|' | '\n' | '\r')
}

/// The tags of a cell. A tag that has a sign in it that separates tags stands in double quotes, and a double
/// quote in it twice.
pub fn split_tags(cell: &str) -> Vec<String> {
    let (mut tags, mut tag) = (Vec::new(), String::new());
    let mut letters = cell.chars().peekable();
    let (mut is_quoted, mut was_quoted) = (false, false);
    while let Some(letter) = letters.next() {
        match letter {
            '"' if is_quoted && letters.next_if_eq(&'"').is_some() => tag.push('"'),
            '"' if is_quoted => is_quoted = false,
            '"' if tag.trim().is_empty() && !was_quoted => {
                tag.clear();
                (is_quoted, was_quoted) = (true, true);
            }
            letter if separates(letter) && !is_quoted => {
                finish(&mut tags, &mut tag, was_quoted);
                was_quoted = false;
            }
            // Behind the quotes there are but blanks.
            letter if was_quoted && !is_quoted && letter.is_whitespace() => {}
            letter => tag.push(letter),
        }
    }
    finish(&mut tags, &mut tag, was_quoted);
    tags
}

fn finish(tags: &mut Vec<String>, tag: &mut String, was_quoted: bool) {
    let tag = std::mem::take(tag);
    match was_quoted {
        true => tags.push(tag),
        false if tag.trim().is_empty() => {}
        false => tags.push(tag.trim().to_owned()),
    }
}

/// One cell of these tags, from which [`split_tags`] makes the same ones.
pub fn join_tags<'a>(tags: impl IntoIterator<Item = &'a String>) -> String {
    let mut cell = String::new();
    for tag in tags {
        if !cell.is_empty() {
            cell.push(SEPARATOR);
        }
        let is_plain = !tag.contains(|letter| separates(letter) || letter == '"')
            && tag.trim() == tag
            && !tag.is_empty();
        match is_plain {
            true => cell += tag,
            false => {
                cell.push('"');
                cell += &tag.replace('"', "\"\"");
                cell.push('"');
            }
        }
    }
    cell
}

/// The tags as they are stored: each once, in their order.
pub(super) fn unique(tags: Vec<String>) -> BTreeSet<String> {
    tags.into_iter().collect()
}

/// Whether a spreadsheet could take a text for a formula. Some also read the wide signs so.
pub(super) fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

/// An apostrophe keeps a spreadsheet from it. What begins with apostrophes already gets one more, so that
/// [`unguarded`] finds out what it was.
pub(super) fn guarded(text: &str) -> String {
    match is_formula(text.trim_start_matches('\'')) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

/// The text of a cell of a CSV file, without the apostrophe by which it was kept from being a formula.
pub fn unguarded(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if is_formula(text.trim_start_matches('\'')) => text,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tags_are_read_as_people_write_them() {
        for (cell, tags) in [
            ("", vec![]),
            (" ; ,", vec![]),
            ("仓库", vec!["仓库"]),
            (
                "仓库、夜班，night; day|x",
                vec!["仓库", "夜班", "night", "day", "x"],
            ),
            ("a\nb", vec!["a", "b"]),
            (" a b ;c", vec!["a b", "c"]),
            ("\"a;b\" ; c", vec!["a;b", "c"]),
            ("\"say \"\"a\"\"\"", vec!["say \"a\""]),
            ("5\" screen", vec!["5\" screen"]),
            ("\"open", vec!["open"]),
        ] {
            assert_eq!(split_tags(cell), tags, "{cell}");
        }
    }

    #[test]
    fn a_formula_is_kept_from_being_one() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("+86138", "'+86138"),
            ("-1", "'-1"),
            ("@x", "'@x"),
            ("＝1", "'＝1"),
            ("'=1", "''=1"),
            ("'x", "'x"),
            ("张三", "张三"),
        ] {
            assert_eq!(guarded(text), cell);
            assert_eq!(unguarded(cell), text);
        }
        assert_eq!(unguarded("=1"), "=1");
    }

    proptest! {
        #[test]
        fn what_is_given_out_is_taken_in_as_it_was(
            text in "['=+@-]{0,3}[a-z\u{4e00}-\u{4e10}]{0,3}",
            tags in proptest::collection::btree_set("[a-b;\"、 |]{1,4}", 0..4),
        ) {
            let cell = guarded(&text);
            prop_assert_eq!(unguarded(&cell), &text);
            prop_assert!(!is_formula(&cell));
            prop_assert_eq!(unique(split_tags(&join_tags(&tags))), tags);
        }
    }
}
