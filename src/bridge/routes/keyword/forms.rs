//! What texts of each type are made of, apart from their length.

use super::Keyword;

/// Whether every part of a text is what its type allows there.
pub(super) fn fits(keyword: Keyword, text: &str) -> bool {
    let only = |allowed: fn(char) -> bool| text.chars().all(allowed);
    match keyword {
        Keyword::Thing | Keyword::ShortThing | Keyword::Enum | Keyword::Const => true,
        Keyword::Number => number(text).is_some(),
        Keyword::Amount => amount(text).is_some(),
        Keyword::Letter => only(|c| c.is_ascii_alphabetic()),
        Keyword::Symbol => only(is_mark),
        Keyword::CharacterString => !text.contains(is_chinese),
        Keyword::PhoneNumber => only(|c| c.is_ascii_digit() || is_mark(c)),
        Keyword::CarNumber => plate(text),
        Keyword::Name => !text.contains(|c: char| c.is_ascii_digit()),
        Keyword::Phrase => only(is_chinese),
        Keyword::Time => span(text, |(date, time)| time && date != Some(false)),
        Keyword::Date => span(text, |(date, _)| date == Some(true)),
    }
}

/// Chinese characters: the blocks of the unified and the compatibility ideographs, and zero (〇).
pub(super) fn is_chinese(c: char) -> bool {
    let blocks = [
        '\u{3007}'..='\u{3007}',
        '\u{3400}'..='\u{4dbf}',
        '\u{4e00}'..='\u{9fff}',
        '\u{f900}'..='\u{faff}',
        '\u{20000}'..='\u{3ffff}',
    ];
    blocks.iter().any(|block| block.contains(&c))
}

/// "Common marks other than Chinese, letters and digits".
fn is_mark(c: char) -> bool {
    !c.is_alphanumeric()
}

/// The digits of `12` or `3.50`; none for anything else.
pub(super) fn number(text: &str) -> Option<usize> {
    let mut digits = 0;
    for part in text.splitn(2, '.') {
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits += part.len();
    }
    Some(digits)
}

/// The digits of `￥100.21` or `100元`; none for anything else.
pub(super) fn amount(text: &str) -> Option<usize> {
    let without_sign = text.strip_prefix(is_currency_sign).unwrap_or(text);
    number(without_sign.strip_suffix('元').unwrap_or(without_sign))
}

fn is_currency_sign(c: char) -> bool {
    "$¢£¤¥฿＄￠￡￥￦".contains(c) || ('\u{20a0}'..='\u{20cf}').contains(&c)
}

fn plate(text: &str) -> bool {
    let inner = text.strip_prefix(is_chinese).unwrap_or(text);
    let inner = inner.strip_suffix(is_chinese).unwrap_or(inner);
    inner.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// One moment or two, each of which has to suit. A moment is whether it has a date that is one
/// (none: no date at all), and whether it has a time of day.
fn span(text: &str, suits: impl Fn((Option<bool>, bool)) -> bool) -> bool {
    let mut ends = text.splitn(2, '~');
    let first = ends.next().unwrap_or_default();
    match ends.next() {
        None => suits(moment(first)),
        Some(second) => {
            let (first, second) = (first.trim_end_matches(' '), second.trim_start_matches(' '));
            suits(moment(first)) && suits(moment(second))
        }
    }
}

fn moment(text: &str) -> (Option<bool>, bool) {
    match text.split_once(' ') {
        Some((date, time)) if is_time(time.trim_start_matches(' ')) => (Some(is_date(date)), true),
        Some(_) => (Some(false), false),
        None if is_time(text) => (None, true),
        None => (Some(is_date(text)), false),
    }
}

/// `15:01`, `9:01` or `15:01:30`.
fn is_time(text: &str) -> bool {
    let (shape, numbers) = shape(text);
    let below = |limits: &[u32]| {
        let fits = |(number, limit): (&Number, &u32)| number.value < *limit;
        numbers.iter().zip(limits).all(fits)
            && numbers.first().is_some_and(|hour| hour.digits <= 2)
            && numbers.iter().skip(1).all(|number| number.digits == 2)
    };
    matches!(shape.as_str(), "0:0" | "0:0:0") && below(&[24, 60, 60])
}

/// `2026年1月5日`, `2026年1月`, `1月5日`, or the same with `-`, `/` or `.` between the numbers.
fn is_date(text: &str) -> bool {
    let (shape, numbers) = shape(text);
    let year = |n: &Number| n.digits == 4 && n.value >= 1_000;
    let month = |n: &Number| n.digits <= 2 && (1..=12).contains(&n.value);
    let day = |n: &Number| n.digits <= 2 && (1..=31).contains(&n.value);
    match (shape.as_str(), numbers.as_slice()) {
        ("0年0月0日" | "0-0-0" | "0/0/0" | "0.0.0", [y, m, d]) => year(y) && month(m) && day(d),
        ("0年0月", [y, m]) => year(y) && month(m),
        ("0月0日", [m, d]) => month(m) && day(d),
        ("0-0" | "0/0" | "0.0", [a, b]) => (year(a) && month(b)) || (month(a) && day(b)),
        _ => false,
    }
}

/// A run of digits.
#[derive(Default)]
struct Number {
    value: u32,
    digits: usize,
}

/// The text with a 0 for each run of digits, and the runs.
fn shape(text: &str) -> (String, Vec<Number>) {
    let (mut shape, mut numbers) = (String::new(), Vec::<Number>::new());
    let mut in_run = false;
    for c in text.chars() {
        let Some(digit) = c.to_digit(10) else {
            shape.push(c);
            in_run = false;
            continue;
        };
        if !in_run {
            shape.push('0');
            numbers.push(Number::default());
        }
        in_run = true;
        if let Some(number) = numbers.last_mut() {
            number.value = number.value.saturating_mul(10).saturating_add(digit);
            number.digits += 1;
        }
    }
    (shape, numbers)
}
