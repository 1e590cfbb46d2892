//! Texts that are filled in: what WeChat would refuse is an error, what it would silently drop or
//! cut is a warning.

use super::keyword::{self, Keyword};
use super::{Broken, Channel, FieldError, OnTooLong};
use crate::bridge::limits::{FIELD_TEXT_MAX, FREE_TEXT_MAX, PAGE_PATH_MAX};

/// Characters of a field that readers see in a template of the old library (WeChat's announcement
/// of 2023-05-04).
const SHOWN: usize = 20;

/// The rules of one key.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    key: String,
    /// None for the free names of the old template library.
    keyword: Option<Keyword>,
    channel: Channel,
    on_too_long: OnTooLong,
}

impl Judge {
    pub(super) fn new(key: &str, channel: Channel, on_too_long: OnTooLong) -> Self {
        Self {
            key: key.to_owned(),
            keyword: Keyword::of_key(key).filter(|_| channel.traits().has_template),
            channel,
            on_too_long,
        }
    }

    /// Whether a text that is too long is cut.
    pub(super) fn truncates(&self) -> bool {
        self.on_too_long == OnTooLong::Truncate
    }

    /// What the text has to be whomever it is for.
    pub(super) fn check_line(&self, path: &str, text: &str) -> Result<(), FieldError> {
        match self.channel.traits().has_template {
            true => check_line(path, text),
            false => Ok(()),
        }
    }

    /// The text to send, or why WeChat would not take it.
    pub(super) fn judge(&self, path: &str, text: String) -> Result<String, FieldError> {
        if !self.channel.traits().has_template {
            return self.judge_free(path, text);
        }
        check_line(path, &text)?;
        let truncates = self.truncates();
        let Some(keyword) = self.keyword else {
            let text = match truncates {
                true => self.cut_plain(path, &text)?,
                false => text,
            };
            return check_length(path, &text).map(|()| text);
        };
        let judged = match truncates {
            true => keyword::truncate(keyword, &text),
            false => keyword.check(&text, None).map(|()| text),
        };
        let text = judged.map_err(|refusal| self.explain(path, refusal))?;
        check_length(path, &text).map(|()| text)
    }

    /// What does not go to WeChat is bounded, and nothing else.
    fn judge_free(&self, path: &str, text: String) -> Result<String, FieldError> {
        let length = text.chars().count();
        if length <= FREE_TEXT_MAX {
            return Ok(text);
        }
        if self.on_too_long == OnTooLong::Truncate
            && let Some(cut) = keyword::truncate_plain(&text, FREE_TEXT_MAX)
        {
            return Ok(cut);
        }
        let problem = format!("comes out {length} characters long: at most {FREE_TEXT_MAX}");
        Err(FieldError::new(path, problem).with(Broken {
            rule: "text",
            length: Some(length),
            limit: Some(FREE_TEXT_MAX),
        }))
    }

    fn cut_plain(&self, path: &str, text: &str) -> Result<String, FieldError> {
        keyword::truncate_plain(text, SHOWN).ok_or_else(|| {
            FieldError::new(
                path,
                "begins with a character that cannot be cut: shorten it",
            )
        })
    }

    fn explain(&self, path: &str, refusal: keyword::Refusal) -> FieldError {
        let mut broken = Broken {
            rule: refusal.keyword().word(),
            length: None,
            limit: None,
        };
        let keyword::Refusal::TooLong { length, limit, .. } = refusal else {
            return FieldError::new(path, refusal.to_string()).with(broken);
        };
        (broken.length, broken.limit) = (Some(length), Some(limit));
        let advice = match (self.on_too_long, refusal.keyword().can_be_cut()) {
            (OnTooLong::Truncate, _) => {
                "it cannot be truncated so that WeChat takes it: shorten it"
            }
            (_, true) => "shorten it, or choose \"on_too_long\": \"truncate\" for the field",
            (_, false) => "shorten it",
        };
        FieldError::new(path, format!("{refusal}: {advice}")).with(broken)
    }

    /// What the reader would not see of a text that WeChat takes.
    pub(super) fn warnings(&self, path: &str, text: &str) -> Vec<FieldError> {
        let mut found = Vec::new();
        let mut warn = |rule, length, limit, problem: String| {
            let broken = Broken {
                rule,
                length,
                limit,
            };
            found.push(FieldError::new(path, problem).with(broken));
        };
        if let Some(keyword) = self.keyword.filter(|keyword| keyword.is_listed()) {
            let problem = "must be one of the values that the template lists, which is not checked";
            warn(keyword.word(), None, None, problem.to_owned());
        }
        if !self.channel.traits().drops_silently {
            return found;
        }
        if matches!(self.key.as_str(), "first" | "remark") {
            let problem = "is not shown: since May 2023 WeChat leaves out the first and last line";
            warn("not_shown", None, None, problem.to_owned());
            return found;
        }
        if self.keyword.is_none() && text.chars().count() > SHOWN {
            let length = text.chars().count();
            let problem = format!(
                "comes out {length} characters long, of which WeChat shows {SHOWN} and silently \
                 cuts the rest"
            );
            warn("shown", Some(length), Some(SHOWN), problem);
        }
        if text.contains(is_emoji) {
            let problem = "has an emoji, which WeChat silently leaves out or shows as a box";
            warn("emoji", None, None, problem.to_owned());
        }
        found
    }
}

/// Pictures, and what turns a sign into one.
fn is_emoji(c: char) -> bool {
    let pictures = [
        '\u{1f000}'..='\u{1faff}',
        '\u{fe0f}'..='\u{fe0f}',
        '\u{20e3}'..='\u{20e3}',
        '\u{231a}'..='\u{231b}',
        '\u{23e9}'..='\u{23f3}',
        '\u{2614}'..='\u{2615}',
        '\u{26a1}'..='\u{26a1}',
        '\u{2705}'..='\u{2705}',
        '\u{2728}'..='\u{2728}',
        '\u{274c}'..='\u{274e}',
        '\u{2753}'..='\u{2757}',
        '\u{2b50}'..='\u{2b55}',
    ];
    pictures.iter().any(|some| some.contains(&c))
}

fn check_length(path: &str, text: &str) -> Result<(), FieldError> {
    let length = text.chars().count();
    if length <= FIELD_TEXT_MAX {
        return Ok(());
    }
    let problem = format!(
        "comes out {length} characters long: at most {FIELD_TEXT_MAX}, of which WeChat shows about {SHOWN}"
    );
    Err(FieldError::new(path, problem).with(Broken {
        rule: "text",
        length: Some(length),
        limit: Some(FIELD_TEXT_MAX),
    }))
}

pub(super) fn check_page(path: &str, page: &str) -> Result<(), FieldError> {
    check_one_line(path, page)?;
    if page.is_empty() || page.len() > PAGE_PATH_MAX {
        let length = page.len();
        let problem = format!("comes out {length} bytes long: give 1 to {PAGE_PATH_MAX}");
        return Err(FieldError::new(path, problem));
    }
    Ok(())
}

/// What every text has to be, whatever its key and whomever it is for.
pub(super) fn check_line(path: &str, text: &str) -> Result<(), FieldError> {
    check_filled(path, text)?;
    check_one_line(path, text)
}

/// That something came out.
pub(super) fn check_filled(path: &str, text: &str) -> Result<(), FieldError> {
    if text.trim().is_empty() {
        let problem = "comes out empty, which WeChat refuses: give it a text";
        return Err(FieldError::new(path, problem).with(Broken::of("not_empty")));
    }
    Ok(())
}

/// WeChat drops line breaks silently, and with them what the sender meant.
fn check_one_line(path: &str, text: &str) -> Result<(), FieldError> {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if text.contains(breaks) {
        let problem = "contains a line break or another control character, which WeChat does not \
                       show: leave it out";
        return Err(FieldError::new(path, problem).with(Broken::of("one_line")));
    }
    Ok(())
}
