//! How SQL is written: values are bound and never become a part of a text, and what is long stands in a file
//! of its own.

use crate::support::files_below;

/// Lines of a statement within Rust.
const LINES: usize = 12;

/// What a statement begins with.
const BEGINNINGS: [&str; 5] = ["SELECT", "INSERT INTO", "UPDATE", "DELETE FROM", "WITH"];

/// What only a statement, or a piece of one, says.
const WORDS: [&str; 9] = [
    "SELECT",
    "INSERT INTO",
    "UPDATE",
    "DELETE FROM",
    "WITH",
    "WHERE",
    "VALUES",
    "ORDER BY",
    "LIMIT",
];

/// What may stand in the braces of a `format!` with such words: the columns of a batch, the number of its value,
/// and its short name (`src/db/batch.rs`).
const PIECES: [&str; 3] = ["columns", "bind", "alias"];

/// A string literal, and what stands before it.
struct Literal<'a> {
    before: &'a str,
    text: &'a str,
}

/// The string literals of a Rust file.
fn literals(source: &str) -> Vec<Literal<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = source[at..].find(['"', '\'', '/']) {
        at += next;
        let rest = &source[at..];
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if let Some(inner) = rest.strip_prefix('"') {
            let hashes = source[..at].chars().rev().take_while(|c| *c == '#').count();
            let is_raw = source[..at - hashes].ends_with('r');
            let end = match is_raw {
                true => inner.find(&format!("\"{}", "#".repeat(hashes))),
                false => end_of_plain(inner),
            };
            let end = end.unwrap_or(rest.len() - 1);
            found.push(Literal {
                before: &source[..at],
                text: &rest[1..=end],
            });
            at += end + 2;
        } else if rest.starts_with("'\\") {
            // A character, which may be a quotation mark; what else begins so is a lifetime.
            at += 3 + rest[3..].find('\'').unwrap_or_default() + 1;
        } else if rest.starts_with('\'') && rest.chars().nth(2) == Some('\'') {
            at += rest.char_indices().nth(3).map_or(rest.len(), |(at, _)| at);
        } else {
            at += 1;
        }
    }
    found
}

fn end_of_plain(rest: &str) -> Option<usize> {
    let mut is_escaped = false;
    rest.char_indices().find_map(|(at, character)| {
        let is_end = character == '"' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        is_end.then_some(at)
    })
}

/// Whether a word stands by itself in a text.
fn says(text: &str, word: &str) -> bool {
    let mut parts = text.split(word).peekable();
    while let Some(before) = parts.next() {
        let Some(behind) = parts.peek() else { break };
        let is_letter = |character: char| character.is_alphanumeric() || character == '_';
        if !before.ends_with(is_letter) && !behind.starts_with(is_letter) {
            return true;
        }
    }
    false
}

/// What a `format!` puts into its text.
fn put_in(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once('{') {
        rest = match (behind.strip_prefix('{'), behind.split_once('}')) {
            (Some(escaped), _) => escaped,
            (None, Some((name, behind))) => {
                names.push(name.split(':').next().unwrap_or_default());
                behind
            }
            (None, None) => "",
        };
    }
    names
}

/// Whether a literal is the text of a macro that puts values into it.
fn is_formatted(before: &str) -> bool {
    let before = before.trim_end();
    let is_second = |name: &str| {
        let first = before.rsplit_once(name).map(|(_, behind)| behind);
        first.is_some_and(|first| first.ends_with(',') && !first.contains([')', ';', '"']))
    };
    ["format!(", "format_args!("]
        .iter()
        .any(|name| before.ends_with(name))
        || is_second("write!(")
        || is_second("writeln!(")
}

/// What is wrong with the SQL of a Rust file.
fn faults(source: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for Literal { before, text } in literals(source) {
        let line = before.lines().count();
        let lines = text.lines().count();
        let text = text.replace("\\\n", " ");
        let begins = |word: &str| text.trim_start().starts_with(word) && says(&text, word);
        if lines > LINES && BEGINNINGS.iter().any(|word| begins(word)) {
            faults.push(format!("line {line}: {lines} lines of SQL"));
        }
        if is_formatted(before) && WORDS.iter().any(|word| says(&text, word)) {
            let values = put_in(&text);
            let values = values.iter().filter(|name| !PIECES.contains(name));
            faults.extend(values.map(|name| format!("line {line}: {{{name}}} is put into SQL")));
        }
    }
    faults
}

/// What is wrong outside of `src/db` with what is given to Diesel as SQL.
fn strange_texts(source: &str) -> Vec<String> {
    let given = |call: &'static str| {
        let places = source.split(call).skip(1);
        places.map(move |behind| (call, behind.trim_start()))
    };
    let made = given("sql_query(").filter(|(_, behind)| !behind.starts_with('"'));
    let pieces = given("sql::<").filter(|(_, behind)| {
        let text = behind.split_once(">(").map(|(_, text)| text.trim_start());
        text.is_some_and(|text| text.starts_with('&') || text.starts_with("format!"))
    });
    made.chain(pieces)
        .map(|(call, behind)| format!("{call}{}", behind.lines().next().unwrap_or_default()))
        .collect()
}

#[test]
fn long_statements_have_files_and_values_are_bound() {
    let files = files_below("src", "rs");
    let mut found = Vec::new();
    let mut statements = 0;
    for file in &files {
        let source = std::fs::read_to_string(file).unwrap();
        let begin =
            |literal: &&Literal<'_>| BEGINNINGS.iter().any(|word| literal.text.starts_with(word));
        statements += literals(&source).iter().filter(begin).count();
        let mut faults = faults(&source);
        if !file.starts_with("src/db") {
            faults.extend(strange_texts(&source));
        }
        found.extend(
            faults
                .iter()
                .map(|fault| format!("{}: {fault}", file.display())),
        );
    }
    assert!(statements > 100, "only {statements} statements found");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_long_statement_is_found() {
    let lines = |count: usize| vec!["a = 1"; count].join(" AND \\\n");
    let long = format!("const A: &str = \"SELECT 1 WHERE {}\";", lines(13));
    assert_eq!(faults(&long), ["line 1: 13 lines of SQL"]);
    let raw = format!(
        "let quote = '\"';\nlet a = r#\"\nUPDATE t SET {}\"#;",
        lines(12)
    );
    assert_eq!(faults(&raw), ["line 2: 13 lines of SQL"]);
    for text in [
        format!("const A: &str = \"SELECT 1 WHERE {}\";", lines(12)),
        format!("// \"SELECT 1 WHERE {}\"", lines(1)),
        format!("const A: &str = \"SELECTED {}\";", lines(13)),
        format!("const A: &str = \"in words {}\";", lines(13)),
    ] {
        assert!(faults(&text).is_empty(), "{text}");
    }
}

#[test]
fn a_value_in_a_text_is_found() {
    for (text, name) in [
        (
            "sql_query(format!(\"SELECT 1 FROM t WHERE id = {id}\"))",
            "{id}",
        ),
        (
            "format!(\n    \"{words} DELETE FROM t LIMIT 1\"\n)",
            "{words}",
        ),
        ("all.push(format!(\"SELECT {}\", rank))", "{}"),
        (
            "format!(\"UPDATE t SET a = '{time:?}' WHERE {{}}\")",
            "{time}",
        ),
        ("write!(text, \" ORDER BY {column}\")", "{column}"),
        ("let c = '\\''; format!(\" LIMIT {limit}\")", "{limit}"),
    ] {
        let found = faults(text);
        assert!(
            matches!(found.as_slice(), [fault] if fault.ends_with(&format!(": {name} is put into SQL"))),
            "{text}: {found:?}"
        );
    }
    for text in [
        "format!(\"(SELECT {columns} FROM json_each(?{bind})) AS {alias}\")",
        "Sql::new(\"SELECT {columns} FROM {table}\")",
        "format!(\"{name} has no LIMITS\")",
        "format!(\"params = '{{}}' WHERE TRUE\")",
        "format!(\"{count} rows\"); \"SELECT 1\"",
    ] {
        assert!(faults(text).is_empty(), "{text}: {:?}", faults(text));
    }
}

#[test]
fn a_text_that_is_made_for_diesel_is_found() {
    for text in [
        "sql_query(text).execute(conn)",
        "sql_query(\n    format!(\"SELECT 1\"))",
        "filter(sql::<Bool>(&newest(filter)))",
        "sql::<Bool>(format!(\"TRUE\").as_str())",
    ] {
        assert_eq!(strange_texts(text).len(), 1, "{text}");
    }
    for text in [
        "sql_query(\"SELECT 1\").execute(conn)",
        "sql_query(\n    \"SELECT 1\")",
        "sql::<Integer>(size)",
        "sql::<Bool>(\n    \"state <> 0\")",
    ] {
        assert!(strange_texts(text).is_empty(), "{text}");
    }
}
