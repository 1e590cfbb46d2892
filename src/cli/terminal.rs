//! All that is printed. Names, ids and messages come from strangers: whatever could move a terminal's
//! cursor, begin a line of its own or turn the order of letters round is shown escaped.

use std::fmt::{self, Write as _};

use serde::Serialize;

/// Prints one line to standard output, whatever is in it.
macro_rules! say {
    ($($arguments:tt)*) => {
        $crate::cli::terminal::line(format_args!($($arguments)*))
    };
}

/// Prints one line to standard error, whatever is in it.
macro_rules! note {
    ($($arguments:tt)*) => {
        $crate::cli::terminal::error_line(format_args!($($arguments)*))
    };
}

pub(crate) use {note, say};

/// For [`say!`].
pub(crate) fn line(arguments: fmt::Arguments<'_>) {
    println!("{}", one_line(&arguments.to_string()));
}

/// For [`note!`].
pub(crate) fn error_line(arguments: fmt::Arguments<'_>) {
    eprintln!("{}", one_line(&arguments.to_string()));
}

/// Prints a text whose line breaks are our own.
pub(crate) fn page(text: &str) {
    text.lines().for_each(|text| line(format_args!("{text}")));
}

/// Prints an answer as JSON, over several lines.
pub(crate) fn json(answer: &impl Serialize) -> serde_json::Result<()> {
    println!("{}", json_text(answer)?);
    Ok(())
}

/// A text as one line.
pub(crate) fn one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_dangerous(letter) {
            true => shown.extend(letter.escape_debug()),
            false => shown.push(letter),
        }
    }
    shown
}

/// JSON in which nothing can be dangerous.
pub(crate) fn json_text(answer: &impl Serialize) -> serde_json::Result<String> {
    let mut shown = String::new();
    for letter in serde_json::to_string_pretty(answer)?.chars() {
        match letter {
            '\n' => shown.push('\n'),
            // All of them are in strings, and have four hexadecimal digits.
            letter if is_dangerous(letter) => {
                let _ = write!(shown, "\\u{:04x}", u32::from(letter));
            }
            letter => shown.push(letter),
        }
    }
    Ok(shown)
}

/// Whether a letter commands a terminal, or turns the letters after it round.
pub(crate) fn is_dangerous(letter: char) -> bool {
    let turns = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}'];
    let ranges = ['\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
    letter.is_control()
        || turns.contains(&letter)
        || ranges.iter().any(|range| range.contains(&letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_cannot_command_the_terminal() {
        for (text, shown) in [
            ("王芳 ✓ é", "王芳 ✓ é"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\nb\r\u{7}\u{9b}", "a\\nb\\r\\u{7}\\u{9b}"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
            ("a\u{2028}\u{200f}\u{61c}", "a\\u{2028}\\u{200f}\\u{61c}"),
        ] {
            assert_eq!(one_line(text), shown);
        }
        let json = json_text(&["\u{1b}\u{202e}\u{9b}a"]).unwrap();
        assert_eq!(json, "[\n  \"\\u001b\\u202e\\u009ba\"\n]");
    }
}
