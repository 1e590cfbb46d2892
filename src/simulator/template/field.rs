//! WeChat's rules for the values of a template, by keyword type (WeChat guide, parameter table of message fields).
//!
//! Written for the simulator alone, so that a mistake in Queqiao's own checks meets a second opinion.

use std::iter::Peekable;
use std::str::Chars;

/// The type of a keyword: its key without the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Thing,
    Number,
    Letter,
    Symbol,
    CharacterString,
    Time,
    Date,
    Amount,
    PhoneNumber,
    CarNumber,
    Name,
    Phrase,
    Listed,
    /// A free name of the old library (`first`, `keyword1`): not checked.
    OldLibrary,
}

impl Type {
    pub(super) fn of_key(key: &str) -> Self {
        if !key.ends_with(|c: char| c.is_ascii_digit()) {
            // `name` and `date` without a number were names that somebody chose.
            return Self::OldLibrary;
        }
        match key.trim_end_matches(|c: char| c.is_ascii_digit()) {
            "thing" | "short_thing" => Self::Thing,
            "number" => Self::Number,
            "letter" => Self::Letter,
            "symbol" => Self::Symbol,
            "character_string" => Self::CharacterString,
            "time" => Self::Time,
            "date" => Self::Date,
            "amount" => Self::Amount,
            "phone_number" => Self::PhoneNumber,
            "car_number" => Self::CarNumber,
            "name" => Self::Name,
            "phrase" => Self::Phrase,
            "enum_string" | "enum" | "const" => Self::Listed,
            _ => Self::OldLibrary,
        }
    }

    /// Whether WeChat takes a value that is not empty. `listed` are the values of an enumeration.
    pub(super) fn accepts(self, value: &str, listed: &[String]) -> bool {
        if value.chars().any(char::is_control) {
            return self == Self::OldLibrary;
        }
        let length = value.encode_utf16().count();
        let all = |fits: fn(char) -> bool| value.chars().all(fits);
        match self {
            Self::OldLibrary => true,
            Self::Thing => length <= 20,
            Self::Number => number(value).is_some_and(|digits| digits <= 32),
            Self::Letter => length <= 32 && all(|c| c.is_ascii_alphabetic()),
            Self::Symbol => length <= 5 && all(|c| !c.is_alphanumeric()),
            Self::CharacterString => length <= 32 && all(|c| !is_chinese(c)),
            Self::Time => range(value, |moment| is_moment(moment, true)),
            Self::Date => range(value, |moment| is_moment(moment, false)),
            Self::Amount => is_amount(value),
            Self::PhoneNumber => {
                length <= 17 && all(|c| c.is_ascii_digit() || !c.is_alphanumeric())
            }
            Self::CarNumber => length <= 8 && is_car_number(value),
            Self::Name if value.chars().any(|c| c.is_ascii_digit()) => false,
            Self::Name if value.chars().any(is_chinese) => length <= 10,
            Self::Name => length <= 20,
            Self::Phrase => length <= 5 && all(is_chinese),
            Self::Listed => listed.iter().any(|allowed| allowed == value),
        }
    }
}

fn is_chinese(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' | '〇')
}

/// How many digits a decimal number has.
fn number(value: &str) -> Option<usize> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let fits = digits(whole) && digits(fraction);
    fits.then(|| value.bytes().filter(u8::is_ascii_digit).count())
}

/// One currency sign and up to ten digits, decimals allowed, perhaps 元 at the end.
fn is_amount(value: &str) -> bool {
    let value = value.strip_suffix('元').unwrap_or(value);
    let sign = |c: char| matches!(c, '$' | '¢'..='¥' | '฿' | '₠'..='\u{20cf}' | '＄' | '￠' | '￡' | '￥' | '￦');
    let value = value.strip_prefix(sign).unwrap_or(value);
    number(value).is_some_and(|digits| digits <= 10)
}

fn is_car_number(value: &str) -> bool {
    let last = value.chars().count().saturating_sub(1);
    let fits = |(at, c): (usize, char)| {
        c.is_ascii_alphanumeric() || ((at == 0 || at == last) && is_chinese(c))
    };
    value.chars().enumerate().all(fits)
}

/// One moment, or two with `~` between them.
fn range(value: &str, fits: impl Fn(&str) -> bool) -> bool {
    match value.split_once('~') {
        Some((from, to)) => fits(from.trim_end_matches(' ')) && fits(to.trim_start_matches(' ')),
        None => fits(value),
    }
}

/// A date, a time of day, or both: `time` needs the time of day, `date` the date.
fn is_moment(value: &str, needs_time: bool) -> bool {
    let time_at = value.split_once(' ');
    match time_at {
        Some((date, time)) => is_date(date) && is_time_of_day(time.trim_start_matches(' ')),
        None if needs_time => is_time_of_day(value),
        None => is_date(value),
    }
}

/// `15:01` or `15:01:02`, in 24 hours; the hour may do without its zero.
fn is_time_of_day(value: &str) -> bool {
    let mut parts = value.split(':');
    let two_digits = |part: Option<&str>, below: u32, shortest: usize| {
        part.is_some_and(|part| {
            (shortest..=2).contains(&part.len()) && parse(part).is_some_and(|number| number < below)
        })
    };
    let hours_and_minutes = two_digits(parts.next(), 24, 1) && two_digits(parts.next(), 60, 2);
    let seconds = parts.next();
    hours_and_minutes && (seconds.is_none() || two_digits(seconds, 60, 2)) && parts.next().is_none()
}

/// `2026年1月5日`, `2026年1月`, `1月5日`, or the same with `-`, `/` or `.` between them (the table's own examples have
/// `2018-01` and `01-01`).
fn is_date(value: &str) -> bool {
    let mut rest = value.chars().peekable();
    let mut parts = Vec::new();
    while rest.peek().is_some() {
        match (digits(&mut rest), rest.next()) {
            (Some(number), unit) => parts.push((number, unit)),
            (None, _) => return false,
        }
    }
    match parts.as_slice() {
        [(year, Some('年')), (month, Some('月')), (day, Some('日'))] => {
            is_year(*year) && is_month(*month) && is_day(*day)
        }
        [(year, Some('年')), (month, Some('月'))] => is_year(*year) && is_month(*month),
        [(month, Some('月')), (day, Some('日'))] => is_month(*month) && is_day(*day),
        [
            (year, Some(first @ ('-' | '/' | '.'))),
            (month, Some(second)),
            (day, None),
        ] => first == second && is_year(*year) && is_month(*month) && is_day(*day),
        [(one, Some('-' | '/' | '.')), (other, None)] => {
            (is_year(*one) && is_month(*other)) || (is_month(*one) && is_day(*other))
        }
        _ => false,
    }
}

fn digits(chars: &mut Peekable<Chars<'_>>) -> Option<u32> {
    let mut text = String::new();
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        text.push(digit);
    }
    // Neither 001 nor 02026.
    let is_padded = text.starts_with('0') && text.len() > 2;
    if is_padded { None } else { parse(&text) }
}

fn parse(digits: &str) -> Option<u32> {
    digits.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    digits.parse().ok()
}

fn is_year(number: u32) -> bool {
    (1000..=9999).contains(&number)
}

fn is_month(number: u32) -> bool {
    (1..=12).contains(&number)
}

fn is_day(number: u32) -> bool {
    (1..=31).contains(&number)
}

#[cfg(test)]
#[path = "field_tests.rs"]
mod tests;
