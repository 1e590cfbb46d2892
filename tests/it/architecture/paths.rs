//! Finds, in the text of a source file, which of the crate's top-level modules it names.

/// A top-level module, and the line where it is named.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mention {
    /// What follows `crate::`.
    pub(super) module: String,
    /// Counted from 1.
    pub(super) line: usize,
    /// Whether it was named through `super`, where an inline module may not have climbed so far.
    pub(super) climbed: bool,
}

/// Every path that begins at the crate's root: `crate::a::b`, `crate::{a::b, c}`, and `super::…`
/// that climbs as far from a file whose module is `depth` levels below the root.
pub(super) fn mentions(source: &str, depth: usize) -> Vec<Mention> {
    let code: Vec<char> = without_comments_and_literals(source).chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let (word, end) = word_at(&code, at);
        let root = match word.as_str() {
            "crate" => after_colons(&code, end),
            "super" => climbed_to_root(&code, end, depth),
            _ => None,
        };
        let next = end.max(at + 1);
        if let Some(start) = root {
            let line = 1 + code[..at].iter().filter(|c| **c == '\n').count();
            let climbed = word == "super";
            for module in heads(&code, start) {
                found.push(Mention {
                    module,
                    line,
                    climbed,
                });
            }
            at = start;
        } else {
            at = next;
        }
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The word that begins at `at`, empty if none does, and where it ends.
fn word_at(code: &[char], at: usize) -> (String, usize) {
    let word: String = code[at..].iter().take_while(|c| is_word(**c)).collect();
    let end = at + word.chars().count();
    (word, end)
}

fn skip_space(code: &[char], at: usize) -> usize {
    at + code[at..].iter().take_while(|c| c.is_whitespace()).count()
}

/// Where the path goes on, if `::` is next.
fn after_colons(code: &[char], at: usize) -> Option<usize> {
    let at = skip_space(code, at);
    code[at..]
        .starts_with(&[':', ':'])
        .then(|| skip_space(code, at + 2))
}

/// Follows a chain of `super::` whose first word ends at `at`.
fn climbed_to_root(code: &[char], at: usize, depth: usize) -> Option<usize> {
    let mut climbed = 1;
    let mut at = after_colons(code, at)?;
    loop {
        let (word, end) = word_at(code, at);
        if word != "super" {
            return (climbed >= depth).then_some(at);
        }
        climbed += 1;
        at = after_colons(code, end)?;
    }
}

/// The first word of a path, or of each path of a group.
fn heads(code: &[char], start: usize) -> Vec<String> {
    if code.get(start) != Some(&'{') {
        return vec![word_at(code, start).0];
    }
    let (mut heads, mut level, mut expected) = (Vec::new(), 0, false);
    let mut at = start;
    while at < code.len() {
        match code[at] {
            '{' => level += 1,
            '}' => level -= 1,
            _ => {}
        }
        if level == 0 {
            break;
        }
        if level == 1 && matches!(code[at], '{' | ',') {
            expected = true;
        } else if expected && is_word(code[at]) {
            heads.push(word_at(code, at).0);
            expected = false;
        }
        at += 1;
    }
    heads
}

/// The source with comments, strings and character literals blanked out, line by line the same.
pub(super) fn without_comments_and_literals(source: &str) -> String {
    let text: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < text.len() {
        let in_word = at > 0 && is_word(text[at - 1]);
        let end = end_of_comment(&text, at)
            .or_else(|| (!in_word).then(|| end_of_raw_string(&text, at)).flatten())
            .or_else(|| end_of_quoted(&text, at));
        match end {
            Some(end) => {
                code.push(' ');
                code.extend(text[at..end].iter().filter(|c| **c == '\n'));
                at = end;
            }
            None => {
                code.push(text[at]);
                at += 1;
            }
        }
    }
    code
}

fn end_of_comment(text: &[char], at: usize) -> Option<usize> {
    if text[at..].starts_with(&['/', '/']) {
        let length = text[at..].iter().take_while(|c| **c != '\n').count();
        return Some(at + length);
    }
    if !text[at..].starts_with(&['/', '*']) {
        return None;
    }
    let (mut level, mut end) = (0_usize, at);
    while end < text.len() {
        if text[end..].starts_with(&['/', '*']) {
            (level, end) = (level + 1, end + 2);
        } else if text[end..].starts_with(&['*', '/']) {
            (level, end) = (level - 1, end + 2);
        } else {
            end += 1;
        }
        if level == 0 {
            break;
        }
    }
    Some(end)
}

fn end_of_raw_string(text: &[char], at: usize) -> Option<usize> {
    let prefix = text[at..].iter().take_while(|c| "br".contains(**c)).count();
    if !text[at..at + prefix].contains(&'r') {
        return None;
    }
    let hashes = text[at + prefix..]
        .iter()
        .take_while(|c| **c == '#')
        .count();
    let open = at + prefix + hashes;
    if text.get(open) != Some(&'"') {
        return None;
    }
    let close: Vec<char> = std::iter::once('"')
        .chain(std::iter::repeat_n('#', hashes))
        .collect();
    (open + 1..text.len())
        .find(|start| text[*start..].starts_with(&close))
        .map(|start| start + close.len())
}

/// A string, or a character; a lifetime is neither.
fn end_of_quoted(text: &[char], at: usize) -> Option<usize> {
    let quote = text[at];
    let character =
        quote == '\'' && (text.get(at + 1) == Some(&'\\') || text.get(at + 2) == Some(&'\''));
    if quote != '"' && !character {
        return None;
    }
    let mut end = at + 1;
    while end < text.len() && text[end] != quote {
        end += if text[end] == '\\' { 2 } else { 1 };
    }
    Some((end + 1).min(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(source: &str, depth: usize) -> Vec<(String, usize)> {
        let mentions = mentions(source, depth).into_iter();
        mentions
            .map(|mention| (mention.module, mention.line))
            .collect()
    }

    #[test]
    fn finds_every_way_to_name_a_module() {
        for (source, depth, expected) in [
            ("use crate::db::Db;", 1, vec![("db", 1)]),
            ("\n\npub(crate) use crate :: db;", 1, vec![("db", 3)]),
            ("let x: &'a crate::web::X = 'c';", 1, vec![("web", 1)]),
            (
                "use crate::{\n a::{self, x::y},\n b, c as d};",
                1,
                vec![("a", 1), ("b", 1), ("c", 1)],
            ),
            ("$crate::db::Conn", 3, vec![("db", 1)]),
            ("use super::cli;", 1, vec![("cli", 1)]),
            ("use super::{cli, web::x};", 1, vec![("cli", 1), ("web", 1)]),
            ("use super::super::cli;", 2, vec![("cli", 1)]),
        ] {
            let expected: Vec<(String, usize)> = expected
                .into_iter()
                .map(|(name, line)| (name.to_owned(), line))
                .collect();
            assert_eq!(modules(source, depth), expected, "{source}");
        }
    }

    #[test]
    fn reads_no_comment_no_literal_and_no_nearer_module() {
        for source in [
            "// crate::web",
            "/* /* */ crate::web */",
            r#"let x = "\" crate::web";"#,
            r##"let x = br#"" crate::web"#;"##,
            "let x = '\"'; // \" crate::web",
            "pub(crate) mod x;",
            "use super::web;",
            "my_crate::web",
        ] {
            assert_eq!(modules(source, 2), Vec::new(), "{source}");
        }
    }
}
