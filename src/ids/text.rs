//! Ids that are texts, as people and programs outside give them: openid, unionid and staff_id.
//!
//! Queqiao cannot know which openids exist, but some texts are never one: what a program writes
//! where it has no value, an id of another kind, a piece of a pasted example. One of these, taken
//! in, would count as a person and be notified for ever.

use thiserror::Error;

/// Characters of an openid, unionid or staff id.
pub const TEXT_ID_MAX: usize = 128;

/// What languages, drivers and spreadsheets write where there is no value; compared without case.
const NO_VALUE: [&str; 11] = [
    "undefined",
    "null",
    "(null)",
    "<null>",
    "nan",
    "none",
    "nil",
    "<nil>",
    "n/a",
    "#n/a",
    "[object object]",
];

/// What stands in the API's paths where a staff id stands.
const ROUTES: [&str; 2] = ["import", "export"];

/// Which id a text is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextId {
    /// WeChat's id of a person in one account.
    Openid,
    /// WeChat's id of a person in all accounts of one Open Platform account.
    Unionid,
    /// The business's own id of a staff member.
    StaffId,
}

/// Why a text is no id. It reads as the rest of a sentence that begins with the field's name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TextIdError {
    /// Nothing at all.
    #[error("is empty: give 1 to {TEXT_ID_MAX} characters")]
    Empty,
    /// Longer than [`TEXT_ID_MAX`].
    #[error("has {0} characters: give at most {TEXT_ID_MAX}")]
    TooLong(usize),
    /// A line break, a zero byte, or the like.
    #[error("contains a control character: leave it out")]
    Control,
    /// Something that is no id of this kind.
    #[error("{0}")]
    Misused(String),
}

impl TextId {
    /// Whether a text can be an id of this kind.
    ///
    /// # Errors
    /// Says what is wrong with it, and what to do.
    pub fn check(self, text: &str) -> Result<(), TextIdError> {
        if text.is_empty() {
            return Err(TextIdError::Empty);
        }
        if text.contains(char::is_control) {
            return Err(TextIdError::Control);
        }
        let length = text.chars().count();
        if length > TEXT_ID_MAX {
            return Err(TextIdError::TooLong(length));
        }
        match self.misuse(text) {
            Some(problem) => Err(TextIdError::Misused(problem)),
            None => Ok(()),
        }
    }

    fn misuse(self, text: &str) -> Option<String> {
        if text.trim_matches(is_blank).is_empty() {
            return Some("is blank: give an id".to_owned());
        }
        if text.starts_with(is_blank) || text.ends_with(is_blank) {
            let problem = "has blanks before or behind it: send the id without them";
            return Some(problem.to_owned());
        }
        if NO_VALUE.iter().any(|word| text.eq_ignore_ascii_case(word)) {
            return Some(format!(
                "is {text:?}, which programs write where a value is missing: look why the caller \
                 has no id, and send the id itself"
            ));
        }
        if let Some(problem) = self.original_id(text) {
            return Some(problem.to_owned());
        }
        if self == Self::StaffId {
            return ROUTES.contains(&text).then(|| {
                format!("is the name of a call of the API (/staff/{text}): give another id")
            });
        }
        Self::not_of_wechat(text).map(str::to_owned)
    }

    /// Whether it is the id of an account, which stands beside a person's in every event.
    fn original_id(self, text: &str) -> Option<&'static str> {
        let head = text.get(..3)?;
        head.eq_ignore_ascii_case("gh_").then_some(match self {
            Self::Unionid => {
                "begins with gh_: that is the original id of an account, not a person's unionid; \
                 give the unionid"
            }
            Self::StaffId => {
                "begins with gh_: that is the original id of a WeChat account, not a staff member; \
                 give the id that your own systems have of them"
            }
            Self::Openid => {
                "begins with gh_: that is the original id of an account (ToUserName of an event), \
                 not a person's openid; give the openid (FromUserName)"
            }
        })
    }

    /// What an id that WeChat gives never is.
    fn not_of_wechat(text: &str) -> Option<&'static str> {
        if is_app_id(text) {
            return Some("is an AppID, the id of an account: give the id of the person");
        }
        if text.contains("...") || text.contains('…') {
            return Some("is shortened by an ellipsis: give the whole id");
        }
        if text.contains(is_blank) {
            return Some("contains a blank, which no id of WeChat has: give the id alone");
        }
        if text.contains(['"', '\'', '{', '}', '<', '>']) {
            return Some(
                "contains a quotation mark, a brace or an angle bracket, which no id of WeChat \
                 has: give the id alone",
            );
        }
        None
    }
}

/// White space, and what is as invisible as that.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{3164}'
        )
}

/// `wx` and 16 hexadecimal digits.
fn is_app_id(text: &str) -> bool {
    text.strip_prefix("wx")
        .is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [TextId; 3] = [TextId::Openid, TextId::Unionid, TextId::StaffId];

    fn refused(id: TextId, text: &str) -> String {
        match id.check(text) {
            Ok(()) => panic!("{id:?} takes {text:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_stands_for_no_value_is_no_id() {
        for id in ALL {
            for text in [
                "undefined",
                "Undefined",
                "null",
                "NULL",
                "NaN",
                "nan",
                "None",
                "nil",
                "#N/A",
                "[object Object]",
            ] {
                let error = refused(id, text);
                assert!(
                    error.contains(text) && error.contains("missing"),
                    "{id:?} {error}"
                );
            }
            for text in [
                " a",
                "a ",
                "\u{a0}a",
                "a\u{3000}",
                "\u{feff}a",
                " null ",
                " ",
                "\u{3000}",
                "\u{200b}",
            ] {
                assert!(refused(id, text).contains("blank"), "{id:?} {text:?}");
            }
            assert_eq!(id.check(""), Err(TextIdError::Empty));
            assert_eq!(id.check("a\n"), Err(TextIdError::Control));
            assert_eq!(id.check(&"x".repeat(129)), Err(TextIdError::TooLong(129)));
        }
    }

    #[test]
    fn an_id_of_wechat_is_no_account_and_no_piece_of_an_example() {
        for (text, word) in [
            ("wx0123456789abcdef", "AppID"),
            ("o…", "ellipsis"),
            ("oABC...", "ellipsis"),
            ("...xyz", "ellipsis"),
            ("oABC xyz", "blank"),
            ("\"oABC\"", "quotation mark"),
            ("{{openid}}", "brace"),
            ("<openid>", "angle bracket"),
        ] {
            for id in [TextId::Openid, TextId::Unionid] {
                let error = refused(id, text);
                assert!(error.contains(word), "{text}: {error}");
            }
            assert_eq!(TextId::StaffId.check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn the_original_id_of_an_account_is_nobodys() {
        for id in ALL {
            for text in ["gh_0a1b2c3d4e5f", "GH_0a1b2c3d4e5f"] {
                let error = refused(id, text);
                assert!(error.contains("original id"), "{text}: {error}");
            }
        }
    }

    #[test]
    fn what_may_be_an_id_is_taken() {
        for id in ALL {
            for text in [
                "oABCdefGHIjklMNOpqrSTUvwxYZ0",
                "o",
                "0",
                "nullo",
                "undefined1",
                "ogh_1",
                "-_",
                "王芳",
                &"x".repeat(128),
            ] {
                assert_eq!(id.check(text), Ok(()), "{text}");
            }
        }
        for text in ["e 1001", "ghost_1", "…", "\"a\"", "wx1"] {
            assert_eq!(TextId::StaffId.check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_staff_id_is_no_route_of_the_api() {
        for text in ROUTES {
            assert!(refused(TextId::StaffId, text).contains("/staff/"));
        }
        assert_eq!(TextId::StaffId.check("imports"), Ok(()));
    }
}
