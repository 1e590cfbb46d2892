//! What a route has to be before anything is filled in.

use url::Url;

use super::{FieldError, Route};
use crate::bridge::limits::{ROUTE_FIELDS_MAX, ROUTE_WORD_MAX, SOURCE_MAX, URL_MAX};

pub(super) fn check_route(path: &str, route: &Route) -> Result<(), FieldError> {
    route.channel.traits().check(path, route)?;
    if let Some(account) = &route.account {
        check_word(&format!("{path}.account"), account)?;
    }
    if let Some(template_id) = &route.template_id {
        check_word(&format!("{path}.template_id"), template_id)?;
    }
    let count = route.fields.len();
    if count > ROUTE_FIELDS_MAX {
        let problem = format!("has {count} entries: give 1 to {ROUTE_FIELDS_MAX}");
        return Err(FieldError::new(format!("{path}.fields"), problem));
    }
    for (key, filling) in &route.fields {
        if !is_key(key) {
            let problem = format!(
                "has the key {key:?}: a key is a letter or _, then letters, digits and _, at most \
                 {ROUTE_WORD_MAX} in all, as in {{{{thing1.DATA}}}} of the template"
            );
            return Err(FieldError::new(format!("{path}.fields"), problem));
        }
        check_source(&format!("{path}.fields.{key}"), filling.text())?;
    }
    if let Some(text) = &route.text {
        check_source(&format!("{path}.text"), text.text())?;
    }
    if let Some(words) = &route.link_text {
        check_source(&format!("{path}.link_text"), words)?;
        if route.url.is_none() && route.mini_program.is_none() {
            let problem = "leads nowhere: give a url or a mini_program too, or leave it out";
            return Err(FieldError::new(format!("{path}.link_text"), problem));
        }
    }
    if let Some(url) = &route.url {
        check_source(&format!("{path}.url"), url)?;
        // What is filled in later is checked when it is.
        if !url.contains("{{") && !url.contains("{%") {
            check_url(&format!("{path}.url"), url)?;
        }
    }
    if let Some(mini_program) = &route.mini_program {
        check_word(&format!("{path}.mini_program.app_id"), &mini_program.app_id)?;
        if let Some(page) = &mini_program.path {
            check_source(&format!("{path}.mini_program.path"), page)?;
        }
    }
    if let Some(page) = &route.page {
        check_source(&format!("{path}.page"), page)?;
    }
    Ok(())
}

fn check_word(field: &str, word: &str) -> Result<(), FieldError> {
    let sound =
        (1..=ROUTE_WORD_MAX).contains(&word.len()) && word.chars().all(|c| c.is_ascii_graphic());
    if sound {
        return Ok(());
    }
    let problem = format!(
        "must be 1 to {ROUTE_WORD_MAX} ASCII characters without spaces: copy it from WeChat's console"
    );
    Err(FieldError::new(field, problem))
}

fn is_key(key: &str) -> bool {
    key.len() <= ROUTE_WORD_MAX
        && key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

pub(super) fn check_source(field: &str, source: &str) -> Result<(), FieldError> {
    let length = source.len();
    if !(1..=SOURCE_MAX).contains(&length) {
        let problem = format!("has {length} bytes: give 1 to {SOURCE_MAX}");
        return Err(FieldError::new(field, problem));
    }
    match forbidden_statement(source) {
        None => Ok(()),
        Some(word) => {
            let problem = format!(
                "has the statement `{word}`: of statements only `if`, `elif`, `else` and `endif` \
                 are allowed"
            );
            Err(FieldError::new(field, problem))
        }
    }
}

/// The first statement that a one-line text has no need of. With loops and assignments a short
/// template can make a text that fills the memory: fuel counts instructions, not bytes.
fn forbidden_statement(source: &str) -> Option<&str> {
    source.split("{%").skip(1).find_map(|rest| {
        let word = rest
            .trim_start_matches(['-', '+'])
            .split_whitespace()
            .next()
            .unwrap_or_default();
        let word = word.trim_end_matches("%}").trim_end_matches('-');
        (!matches!(word, "if" | "elif" | "else" | "endif")).then_some(word)
    })
}

pub(super) fn check_url(field: &str, url: &str) -> Result<(), FieldError> {
    let sound = Url::parse(url)
        .is_ok_and(|parsed| matches!(parsed.scheme(), "http" | "https") && parsed.has_host())
        && !url.contains(char::is_whitespace);
    if sound && url.len() <= URL_MAX {
        return Ok(());
    }
    let problem = format!(
        "must be an http:// or https:// address of at most {URL_MAX} bytes, without spaces"
    );
    Err(FieldError::new(field, problem))
}
