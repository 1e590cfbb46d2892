//! The types of a template's keywords, and what WeChat takes of each: the parameter table in its
//! documentation of subscribeMessage.send. Service accounts whose templates come from categories
//! (类目模板) are held to the same table. A text that breaks it is refused with 47003.
//!
//! The simulator has a check of its own, written apart from this one, and a test holds the two
//! against each other.

mod forms;
mod truncate;

use std::fmt;

pub use truncate::{truncate, truncate_plain};

/// Chinese letters of a name that has any; WeChat counts a mixed name as a Chinese one.
const CHINESE_NAME: usize = 10;
/// Letters and marks of any other name.
const LATIN_NAME: usize = 20;

/// The type of a keyword, which stands in its key: `thing` in `thing1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// Words of any kind.
    Thing,
    /// Like a thing; its own limit is not documented, and cannot be above a thing's.
    ShortThing,
    /// Digits, with decimals perhaps.
    Number,
    /// Letters of the Latin alphabet.
    Letter,
    /// Marks.
    Symbol,
    /// Anything but Chinese.
    CharacterString,
    /// A time of day, perhaps after a date.
    Time,
    /// A date, perhaps with a time of day.
    Date,
    /// An amount of money.
    Amount,
    /// A telephone number.
    PhoneNumber,
    /// A number plate.
    CarNumber,
    /// A person's name.
    Name,
    /// Up to five Chinese characters.
    Phrase,
    /// One of the values that the template lists (`enum_string`).
    Enum,
    /// The same in templates of service accounts.
    Const,
}

/// Why WeChat would refuse a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is too long.
    TooLong {
        /// Its type.
        keyword: Keyword,
        /// How long it is.
        length: usize,
        /// How long it may be.
        limit: usize,
    },
    /// It is not of the form that the type asks for.
    Form(Keyword),
}

impl Keyword {
    /// The type of a key. None for the free names of the old template library, such as `first` or
    /// `keyword1`, whose values WeChat does not check. A type is always followed by a number.
    pub fn of_key(key: &str) -> Option<Self> {
        let word = key.trim_end_matches(|c: char| c.is_ascii_digit());
        if word.len() == key.len() {
            return None;
        }
        Some(match word {
            "thing" => Self::Thing,
            "short_thing" => Self::ShortThing,
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
            "enum" | "enum_string" => Self::Enum,
            "const" => Self::Const,
            _ => return None,
        })
    }

    /// WeChat's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Thing => "thing",
            Self::ShortThing => "short_thing",
            Self::Number => "number",
            Self::Letter => "letter",
            Self::Symbol => "symbol",
            Self::CharacterString => "character_string",
            Self::Time => "time",
            Self::Date => "date",
            Self::Amount => "amount",
            Self::PhoneNumber => "phone_number",
            Self::CarNumber => "car_number",
            Self::Name => "name",
            Self::Phrase => "phrase",
            Self::Enum => "enum",
            Self::Const => "const",
        }
    }

    /// Whether a text is one of the values that the template lists.
    pub const fn is_listed(self) -> bool {
        matches!(self, Self::Enum | Self::Const)
    }

    /// Whether a text that is cut, with `…` at its end, can still be of this type.
    pub const fn can_be_cut(self) -> bool {
        matches!(
            self,
            Self::Thing
                | Self::ShortThing
                | Self::Symbol
                | Self::CharacterString
                | Self::PhoneNumber
                | Self::Name
        )
    }

    /// Checks a text that is one line and not empty. `listed` are the values that the template
    /// lists for this key; where they are not known, any text passes as one of them.
    ///
    /// # Errors
    /// If WeChat would refuse it.
    pub fn check(self, text: &str, listed: Option<&[String]>) -> Result<(), Refusal> {
        if let Some((length, limit)) = self.measure(text)
            && length > limit
        {
            return Err(Refusal::TooLong {
                keyword: self,
                length,
                limit,
            });
        }
        let is_of_form = match self {
            Self::Enum | Self::Const => listed.is_none_or(|all| all.iter().any(|one| one == text)),
            _ => forms::fits(self, text),
        };
        is_of_form.then_some(()).ok_or(Refusal::Form(self))
    }

    /// How long a text is and may be, in the unit of the type. Characters are UTF-16 units, in
    /// which an emoji counts two: what WeChat counts there is not documented, and this is the
    /// count that is never too small.
    fn measure(self, text: &str) -> Option<(usize, usize)> {
        let units = text.encode_utf16().count();
        match self {
            Self::Thing | Self::ShortThing => Some((units, 20)),
            Self::Letter | Self::CharacterString => Some((units, 32)),
            Self::Symbol | Self::Phrase => Some((units, 5)),
            Self::PhoneNumber => Some((units, 17)),
            Self::CarNumber => Some((units, 8)),
            Self::Name if text.contains(forms::is_chinese) => Some((units, CHINESE_NAME)),
            Self::Name => Some((units, LATIN_NAME)),
            Self::Number => forms::number(text).map(|digits| (digits, 32)),
            Self::Amount => forms::amount(text).map(|digits| (digits, 10)),
            Self::Time | Self::Date | Self::Enum | Self::Const => None,
        }
    }

    /// What the length is counted in.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Number | Self::Amount => "digits",
            _ => "characters",
        }
    }

    /// What it looks like, for people.
    const fn form(self) -> &'static str {
        match self {
            Self::Thing | Self::ShortThing => "at most 20 characters",
            Self::Number => "at most 32 digits, with a decimal point among them at most",
            Self::Letter => "at most 32 letters A to Z",
            Self::Symbol => "at most 5 marks: no letters, digits or Chinese",
            Self::CharacterString => "at most 32 letters, digits and marks: no Chinese",
            Self::Time => {
                "a 24-hour time such as 15:01 or 15:01:30, perhaps after a date (2026-01-05 15:01), \
                 or two with ~ between them"
            }
            Self::Date => {
                "a date such as 2026年1月5日, 2026-01-05 or 2026-01, perhaps with a time (15:01), \
                 or two with ~ between them"
            }
            Self::Amount => {
                "at most 10 digits with decimals, perhaps one currency sign before and 元 after them"
            }
            Self::PhoneNumber => "at most 17 digits and marks",
            Self::CarNumber => {
                "at most 8 letters and digits, of which the first and the last may be Chinese"
            }
            Self::Name => {
                "at most 10 characters if one of them is Chinese, else at most 20 letters and \
                 marks, without digits"
            }
            Self::Phrase => "at most 5 Chinese characters and nothing else",
            Self::Enum | Self::Const => "one of the values that the template lists, exactly",
        }
    }
}

impl Refusal {
    /// The type whose rule it is.
    pub const fn keyword(self) -> Keyword {
        match self {
            Self::TooLong { keyword, .. } | Self::Form(keyword) => keyword,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keyword = self.keyword();
        let (word, form, unit) = (keyword.word(), keyword.form(), keyword.unit());
        match self {
            Self::TooLong { length, limit, .. } => write!(
                f,
                "comes out {length} {unit} long, and {limit} is the limit ({word}: {form})"
            ),
            Self::Form(_) => write!(f, "does not come out as a {word}: WeChat takes {form}"),
        }
    }
}

#[cfg(test)]
mod tests;
