//! The texts of a path and a query string, before a handler reads them.

use actix_web::dev::ServiceRequest;
use actix_web::web;
use url::form_urlencoded;

use super::Need;
use crate::web::error::{Code, Problem};

/// Characters of a text in a path or a query string: no id or cursor has as many.
const TEXT_MAX: usize = 512;
/// The same where an identity provider sends somebody back: its codes may be long.
const PROVIDERS_TEXT_MAX: usize = 4_096;
/// Characters of a parameter's name that is repeated in an answer.
const NAME_SHOWN_MAX: usize = 64;

/// What is percent-encoded is text: decoded in another way, different bytes would be one and the same.
pub(super) fn check_bytes(request: &ServiceRequest) -> Result<(), Problem> {
    let pattern = request.match_pattern().unwrap_or_default();
    let parts = request.uri().path().split('/').zip(pattern.split('/'));
    for (part, name) in parts {
        if !is_text(part) {
            let name = name.trim_matches(['{', '}']);
            let detail = format!("{name} in the path is not UTF-8 once it is percent-decoded.");
            return Err(with_parameter(
                Problem::new(Code::InvalidPath, detail),
                name,
            ));
        }
    }
    for pair in request.query_string().split('&') {
        let name = pair.split('=').next().unwrap_or_default();
        if !is_text(pair) {
            let detail = "The query string is not UTF-8 once it is percent-decoded.";
            return Err(with_parameter(
                Problem::new(Code::InvalidQuery, detail),
                name,
            ));
        }
    }
    Ok(())
}

/// Whether the bytes that a text stands for are UTF-8.
fn is_text(encoded: &str) -> bool {
    let mut parts = encoded.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2);
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(part.bytes().skip(2));
            }
            None => {
                bytes.push(b'%');
                bytes.extend(part.bytes());
            }
        }
    }
    std::str::from_utf8(&bytes).is_ok()
}

/// Every part of the path is a text that the database can be asked for.
pub(super) async fn check_path(request: &mut ServiceRequest) -> Result<(), Problem> {
    let parts = request.extract::<web::Path<Vec<String>>>().await;
    let parts = parts.map_err(|_| Problem::new(Code::InvalidPath, "The path cannot be read."))?;
    let names = request.match_info().iter().map(|(name, _)| name);
    for (name, part) in names.zip(parts.iter()) {
        if part.chars().count() > TEXT_MAX {
            let detail = format!("{name} in the path may have at most {TEXT_MAX} characters.");
            let problem = Problem::new(Code::InvalidPath, detail).field(name);
            return Err(problem.limit(TEXT_MAX));
        }
        if part.chars().any(char::is_control) {
            let detail = format!("{name} in the path contains a control character.");
            return Err(Problem::new(Code::ControlCharacter, detail).field(name));
        }
    }
    Ok(())
}

/// So is every part of the query string, whatever the route makes of it.
pub(super) fn check_query(need: Need, query: &str) -> Result<(), Problem> {
    let most = match need {
        Need::Nobody => PROVIDERS_TEXT_MAX,
        _ => TEXT_MAX,
    };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        for text in [&name, &value] {
            if text.chars().count() > most {
                let detail = format!("The query string has a text of more than {most} characters.");
                let problem = Problem::new(Code::InvalidQuery, detail).limit(most);
                return Err(with_parameter(problem, &name));
            }
            if text.chars().any(char::is_control) {
                let detail = "The query string contains a control character; send it without.";
                return Err(with_parameter(
                    Problem::new(Code::ControlCharacter, detail),
                    &name,
                ));
            }
        }
    }
    Ok(())
}

/// With the name of the parameter, if it can be one.
fn with_parameter(problem: Problem, name: &str) -> Problem {
    let is_name = (1..=NAME_SHOWN_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    match is_name {
        true => problem.field(name),
        false => problem,
    }
}
