//! What is wrong with a body, in words: serde's, without those of Rust.

use serde_json::error::Category;

use super::limits;
use super::strict::StrictError;
use crate::web::error::{Code, Problem};

/// The problem that an error is.
pub(super) fn problem(failed: &StrictError) -> Problem {
    let text: String = failed
        .error
        .to_string()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if failed.error.classify() != Category::Data {
        return Problem::new(Code::InvalidJson, format!("The body is not JSON: {text}."));
    }
    let text = without_place(&text);
    let path: String = failed
        .path
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if let Some(problem) = limits::problem(text, &path) {
        return problem;
    }
    let with_field = |code, field: String| Problem::new(code, format!("{text}.")).field(field);
    if text.starts_with("unknown field ") {
        return with_field(Code::UnknownField, path);
    }
    if text.starts_with("duplicate field ") {
        return with_field(Code::InvalidBody, path);
    }
    if let Some(missing) = text
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'))
    {
        let field = match path.as_str() {
            "" => missing.to_owned(),
            path => format!("{path}.{missing}"),
        };
        return with_field(Code::MissingField, field);
    }
    let what = match path.as_str() {
        "" => "The body",
        path => path,
    };
    let problem = Problem::new(Code::InvalidBody, format!("{what} {}.", sentence(text)));
    match path.as_str() {
        "" => problem,
        _ => problem.field(path),
    }
}

/// Without serde_json's " at line 1 column 2", which helps nobody who has built the body with a program.
fn without_place(text: &str) -> &str {
    match text.rsplit_once(" at line ") {
        Some((text, place)) if place.contains(" column ") => text,
        _ => text,
    }
}

/// The rest of a sentence that begins with the field.
fn sentence(text: &str) -> String {
    let wrong = text
        .strip_prefix("invalid type: ")
        .or_else(|| text.strip_prefix("invalid value: "));
    if let Some((found, expected)) = wrong.and_then(|wrong| wrong.rsplit_once(", expected ")) {
        return format!(
            "must be {}, and is {}",
            expected_in_words(expected),
            found_in_words(found)
        );
    }
    if let Some((found, expected)) = text
        .strip_prefix("unknown variant ")
        .and_then(|rest| rest.split_once(", expected "))
    {
        return format!(
            "cannot be {found}: give {}",
            expected.trim_start_matches("one of ")
        );
    }
    if let Some((found, expected)) = text
        .strip_prefix("invalid length ")
        .and_then(|rest| rest.split_once(", expected "))
    {
        return format!(
            "has {found} entries, and must be {}",
            expected_in_words(expected)
        );
    }
    format!("is not valid: {text}")
}

fn expected_in_words(expected: &str) -> &str {
    match expected {
        "a string" | "a borrowed string" | "str" | "a character" => "a text",
        "a sequence" => "a list",
        "a map" => "an object",
        "a boolean" => "true or false",
        "f32" | "f64" => "a number",
        "unit" => "null",
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "string or map" | "variant identifier" => "a text",
        _ if expected.starts_with("struct ") || expected.starts_with("internally tagged ") => {
            "an object"
        }
        _ if expected.starts_with("tuple ") || expected.starts_with("a tuple ") => "a list",
        _ if expected.starts_with("enum ") => "one of its words",
        _ => expected,
    }
}

fn found_in_words(found: &str) -> String {
    if let Some(number) = found
        .strip_prefix("integer `")
        .or_else(|| found.strip_prefix("floating point `"))
    {
        return format!("the number {}", number.trim_end_matches('`'));
    }
    if let Some(text) = found.strip_prefix("string ") {
        return format!("the text {text}");
    }
    if let Some(truth) = found.strip_prefix("boolean `") {
        return truth.trim_end_matches('`').to_owned();
    }
    match found {
        "sequence" => "a list",
        "map" => "an object",
        "unit value" => "null",
        other => other,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::super::strict::from_slice;
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "read into, not out of")]
    struct Outer {
        name: Option<String>,
        #[serde(default)]
        count: u32,
        #[serde(default)]
        big: bool,
        #[serde(default)]
        ids: Vec<String>,
        #[serde(default)]
        parts: Vec<Part>,
        #[serde(default)]
        by_key: BTreeMap<String, Part>,
        #[serde(default)]
        any: serde_json::Map<String, serde_json::Value>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "read into, not out of")]
    struct Part {
        id: i64,
        #[serde(default)]
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        One,
        Two,
    }

    fn shown(body: &str) -> String {
        match from_slice::<Outer>(body.as_bytes(), 3) {
            Ok(outer) => format!("{outer:?}"),
            Err(error) => {
                let problem = problem(&error);
                format!("{problem} @{}", error.path)
            }
        }
    }

    #[test]
    #[allow(clippy::too_many_lines, reason = "a table of cases")]
    fn a_place_and_plain_words_are_given() {
        for (body, expected) in [
            (
                "[1]",
                "invalid_body: The body must be an object, and is a list. @",
            ),
            (
                "7",
                "invalid_body: The body must be an object, and is the number 7. @",
            ),
            (
                r#"{"name": 1}"#,
                "invalid_body: name must be a text, and is the number 1. @name",
            ),
            (
                r#"{"name": ["a"]}"#,
                "invalid_body: name must be a text, and is a list. @name",
            ),
            (
                r#"{"count": "1"}"#,
                "invalid_body: count must be a whole number from 0, and is the text \"1\". @count",
            ),
            (
                r#"{"count": -1}"#,
                "invalid_body: count must be a whole number from 0, and is the number -1. @count",
            ),
            (
                r#"{"count": 1.5}"#,
                "invalid_body: count must be a whole number from 0, and is the number 1.5. @count",
            ),
            (
                r#"{"big": 1}"#,
                "invalid_body: big must be true or false, and is the number 1. @big",
            ),
            (
                r#"{"ids": "a,b"}"#,
                "invalid_body: ids must be a list, and is the text \"a,b\". @ids",
            ),
            (
                r#"{"ids": ["a", null]}"#,
                "invalid_body: ids[1] must be a text, and is null. @ids[1]",
            ),
            (
                r#"{"parts": [{"id": 1}, [2]]}"#,
                "invalid_body: parts[1] must be an object, and is a list. @parts[1]",
            ),
            (
                r#"{"parts": {"id": 1}}"#,
                "invalid_body: parts must be a list, and is an object. @parts",
            ),
            (
                r#"{"by_key": {"x": {"id": true}}}"#,
                "invalid_body: by_key.x.id must be a whole number, and is true. @by_key.x.id",
            ),
            (
                r#"{"by_key": []}"#,
                "invalid_body: by_key must be an object, and is a list. @by_key",
            ),
            (
                r#"{"parts": [{"id": 1, "kind": "three"}]}"#,
                "invalid_body: parts[0].kind cannot be `three`: give `one` or `two`. @parts[0].kind",
            ),
            (
                r#"{"any": []}"#,
                "invalid_body: any must be an object, and is a list. @any",
            ),
        ] {
            assert_eq!(shown(body), expected, "{body}");
        }
        let long = format!(r#"{{"name": "{}"}}"#, "x".repeat(65_537));
        let expected = "invalid_field: name has a text of 65537 bytes: give at most 65536. @name";
        assert_eq!(shown(&long), expected);
        let long = format!(r#"{{"{}": 1}}"#, "x".repeat(1_025));
        let expected =
            "invalid_field: The body has the name of a member of 1025 bytes: give at most 1024. @";
        assert_eq!(shown(&long), expected);
        let many = r#"{"ids": ["a", "b", "c", "d", 7"#;
        let expected = "invalid_field: ids has more than 3 entries: give at most 3, and more in further requests. @ids";
        assert_eq!(shown(many), expected);
        for (body, code) in [
            (r#"{"parts": [{"id": 1, "x": 1}]}"#, "unknown_field"),
            (r#"{"parts": [{}]}"#, "missing_field"),
            (r#"{"count": 1, "count": 2}"#, "invalid_body"),
            (r#"{"count": 1} x"#, "invalid_json"),
            ("", "invalid_json"),
        ] {
            assert!(shown(body).starts_with(code), "{}", shown(body));
        }
        let whole = r#"{"name": null, "any": {"a": [1, {"b": [true]}]}, "parts": [{"id": -3, "kind": "two"}]}"#;
        assert!(shown(whole).contains("id: -3"), "{}", shown(whole));
    }
}
