//! Cutting a text so that the reader sees that it was cut.

use unicode_segmentation::UnicodeSegmentation as _;

use super::{Keyword, Refusal};

/// Stands for what was cut off; one character in every unit.
const ELLIPSIS: char = '…';
/// UTF-16 units of the longest text of any type.
const LONGEST: usize = 32;

/// The longest beginning of a text that WeChat takes with `…` after it. What people see as one
/// character stays whole: no emoji and no accented letter is cut in two.
///
/// # Errors
/// If the text is not of its type's form, or cannot be once it is cut: a `number` or a `phrase`,
/// for example, takes no `…`.
pub fn truncate(keyword: Keyword, text: &str) -> Result<String, Refusal> {
    match keyword.check(text, None) {
        Ok(()) => Ok(text.to_owned()),
        Err(refusal @ Refusal::Form(_)) => Err(refusal),
        Err(refusal) => cut(text, LONGEST, |shorter| {
            match keyword.check(shorter, None) {
                Ok(()) => Fit::Fits,
                Err(Refusal::TooLong { .. }) => Fit::TooLong,
                Err(Refusal::Form(_)) => Fit::Never,
            }
        })
        .ok_or(refusal),
    }
}

/// [`truncate`] for a text without a type: to so many UTF-16 units. None if not even its first
/// character fits.
pub fn truncate_plain(text: &str, limit: usize) -> Option<String> {
    if units(text) <= limit {
        return Some(text.to_owned());
    }
    cut(text, limit, |shorter| {
        if units(shorter) <= limit {
            Fit::Fits
        } else {
            Fit::TooLong
        }
    })
}

enum Fit {
    Fits,
    TooLong,
    Never,
}

/// Tries ever shorter beginnings of at most so many units, as long as their length is what is
/// wrong with them.
fn cut(text: &str, limit: usize, fit: impl Fn(&str) -> Fit) -> Option<String> {
    let mut length = 0;
    let mut kept: Vec<&str> = text
        .graphemes(true)
        .take_while(|character| {
            length += units(character);
            length <= limit
        })
        .collect();
    loop {
        while kept.pop_if(|last| last.trim().is_empty()).is_some() {}
        if kept.is_empty() {
            return None;
        }
        let mut shorter = kept.concat();
        shorter.push(ELLIPSIS);
        match fit(&shorter) {
            Fit::Fits => return Some(shorter),
            Fit::Never => return None,
            Fit::TooLong => kept.pop(),
        };
    }
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}
