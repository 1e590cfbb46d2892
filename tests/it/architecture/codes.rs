//! WeChat's error codes have one home: elsewhere code asks what a code is about, and names no number.

use queqiao::wechat::error::advice;

use super::paths::without_comments_and_literals;
use crate::support::files_below;

/// Where numbers may stand: the table, and the WeChat that is simulated.
const HOMES: [&str; 3] = ["src/wechat/error", "src/simulator", "src/load"];

/// The numbers of a source, with the line that each stands on.
fn numbers(source: &str) -> Vec<(usize, i64)> {
    let code = without_comments_and_literals(source);
    let mut found = Vec::new();
    for (at, line) in code.lines().enumerate() {
        let words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let plain = words.map(|word| word.replace('_', ""));
        found.extend(
            plain.filter_map(|word| Some((at + 1, word.trim_end_matches("i64").parse().ok()?))),
        );
    }
    found
}

fn is_code(number: i64) -> bool {
    // The small ones are everywhere.
    number > 10_000 && advice(number) != advice(1)
}

#[test]
fn no_error_code_stands_outside_its_table() {
    let mut strays = Vec::new();
    let mut read = 0;
    for file in files_below("src", "rs") {
        let path = file.to_string_lossy().replace('\\', "/");
        let is_home = HOMES.iter().any(|home| path.contains(home));
        if is_home || path.ends_with("tests.rs") || path.contains("/tests/") {
            continue;
        }
        read += 1;
        let source = std::fs::read_to_string(&file).unwrap();
        // Tests of a file stand at its end.
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        let codes = numbers(source)
            .into_iter()
            .filter(|(_, number)| is_code(*number));
        strays.extend(codes.map(|(line, number)| format!("{path}:{line}: {number}")));
    }
    assert!(read > 100, "only {read} files were read");
    assert!(
        strays.is_empty(),
        "error codes outside src/wechat/error:\n{}",
        strays.join("\n")
    );
}

#[test]
fn a_stray_code_is_found_and_a_sentence_is_none() {
    let source = "let a = 43_101i64; // 40037\nlet b = \"45015 or 45047\"; f(-41000, 60000);";
    let found: Vec<i64> = numbers(source)
        .into_iter()
        .map(|(_, number)| number)
        .filter(|number| is_code(*number))
        .collect();
    assert_eq!(found, [43101]);
}
