//! Who asks, and whether they may: before a handler runs, and before the body is read.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest as _, HttpMessage as _, ResponseError as _, web};
use secrecy::SecretString;
use url::form_urlencoded;

use super::State;
use super::error::{Code, Problem};
use super::headers;
use crate::bridge::accounts::keys::{self, Scope};
use crate::metrics;

/// Characters of a text in a path or a query string: no id or cursor has as many.
const TEXT_MAX: usize = 512;
/// Characters of a parameter's name that is repeated in an answer.
const NAME_SHOWN_MAX: usize = 64;

/// The key that a request came with, once [`check`] has let it through, and what its handler made.
#[derive(Debug)]
pub(super) struct Call {
    key: Arc<keys::Caller>,
    made: OnceLock<String>,
}

pub(super) type Caller = web::ReqData<Arc<Call>>;

impl Call {
    /// Says which object the request made, for the line of the log: its path does not name it yet.
    pub(super) fn made(&self, id: impl fmt::Display) {
        // A handler makes one object.
        let _ = self.made.set(id.to_string());
    }
}

impl Deref for Call {
    type Target = keys::Caller;

    fn deref(&self) -> &keys::Caller {
        &self.key
    }
}

/// What a route demands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// The scope that the key must cover.
    pub(super) scope: Scope,
    /// Another one that will do.
    pub(super) or: Option<Scope>,
    /// Whether the route reads a query string; where it does not, one is refused.
    pub(super) query: bool,
}

/// Lets a request through to its handler if its key may do that. What changes something is logged with what
/// came of it, and what is refused is counted.
pub(super) async fn check(
    demand: Demand,
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let key = match identify(&request).await {
        Ok(key) => key,
        Err(problem) => return Ok(refuse(request, &problem)),
    };
    let call = Arc::new(Call {
        key,
        made: OnceLock::new(),
    });
    let mut response = match admit(demand, &call, &mut request).await {
        Ok(()) => {
            request.extensions_mut().insert(Arc::clone(&call));
            next.call(request).await?
        }
        Err(problem) => refuse(request, &problem),
    };
    headers::seal(response.headers_mut());
    if !response.request().method().is_safe() && demand.scope != Scope::Read {
        log_change(&call, &response);
    }
    Ok(response)
}

fn refuse(request: ServiceRequest, problem: &Problem) -> ServiceResponse<BoxBody> {
    if let Some(state) = request.app_data::<web::Data<State>>() {
        let refusals = request.app_data::<web::Data<Refusals>>();
        let second = state.bridge.clock.unix_seconds();
        refusals.inspect(|refusals| refusals.note(problem.code(), second));
    }
    request.into_response(problem.error_response())
}

fn log_change(call: &Call, response: &ServiceResponse<BoxBody>) {
    let request = response.request();
    let parts = request.match_info().iter();
    let mut object: Vec<String> = parts
        .map(|(name, value)| format!("{name}={}", value.escape_debug()))
        .collect();
    object.extend(call.made.get().map(|id| format!("made={id}")));
    tracing::info!(
        key.id = %call.key_id,
        method = %request.method(),
        route = request.match_pattern().unwrap_or_default(),
        object = object.join(" "),
        status = response.status().as_u16(),
        "change through the API"
    );
}

/// Counts what is refused for its key, and logs it: one line per cause and second.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<&'static str, (i64, u64)>>);

impl Refusals {
    fn note(&self, code: Code, second: i64) {
        if !matches!(code, Code::Unauthorized | Code::MissingScope) {
            return;
        }
        metrics::api_refused(code.word());
        if let Some(count) = self.due(code.word(), second) {
            tracing::warn!(cause = code.word(), count, "requests to the API refused");
        }
    }

    /// How many there were since the last line, if another one may be written.
    fn due(&self, cause: &'static str, second: i64) -> Option<u64> {
        let mut causes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, unlogged) = causes.entry(cause).or_insert((i64::MIN, 0));
        *unlogged += 1;
        (*last != second).then(|| {
            *last = second;
            std::mem::take(unlogged)
        })
    }
}

async fn admit(demand: Demand, caller: &Call, request: &mut ServiceRequest) -> Result<(), Problem> {
    let sufficient = [Some(demand.scope), demand.or].into_iter().flatten();
    if !sufficient.clone().any(|scope| caller.may(scope)) {
        let words: Vec<String> = sufficient.map(|scope| scope.to_string()).collect();
        let scopes = words.join(", ");
        let detail = format!("This route needs a key with the scope {scopes} or admin.");
        return Err(Problem::new(Code::MissingScope, detail));
    }
    if !demand.query && !request.query_string().is_empty() {
        let detail = "This route has no query parameters.";
        return Err(Problem::new(Code::InvalidQuery, detail));
    }
    check_bytes(request)?;
    check_path(request).await?;
    check_query(request.query_string())
}

/// What is percent-encoded is text: decoded in another way, different bytes would be one and the same.
fn check_bytes(request: &ServiceRequest) -> Result<(), Problem> {
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
async fn check_path(request: &mut ServiceRequest) -> Result<(), Problem> {
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
fn check_query(query: &str) -> Result<(), Problem> {
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        for text in [&name, &value] {
            if text.chars().count() > TEXT_MAX {
                let detail =
                    format!("The query string has a text of more than {TEXT_MAX} characters.");
                let problem = Problem::new(Code::InvalidQuery, detail).limit(TEXT_MAX);
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

async fn identify(request: &ServiceRequest) -> Result<Arc<keys::Caller>, Problem> {
    let given = bearer(request).ok_or_else(|| {
        unauthorized(
            "Send an API key in the header Authorization: Bearer qq_….",
            "",
        )
    })?;
    let state = web::Data::<State>::extract(request.request())
        .await
        .map_err(|error| Problem::internal(&error))?;
    state.bridge.keys.verify(&given).await?.ok_or_else(|| {
        unauthorized(
            "The API key is unknown or revoked.",
            ", error=\"invalid_token\"",
        )
    })
}

/// The token of `Authorization: Bearer TOKEN`; the scheme's case does not matter (RFC 9110, 11.1).
fn bearer(request: &ServiceRequest) -> Option<SecretString> {
    let value = request
        .headers()
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| SecretString::from(token.trim()))
}

fn unauthorized(detail: &str, error: &str) -> Problem {
    Problem::new(Code::Unauthorized, detail).header(
        header::WWW_AUTHENTICATE,
        &format!("Bearer realm=\"queqiao\"{error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_logged_once_a_second_with_how_many_there_were() {
        let refusals = Refusals::default();
        assert_eq!(refusals.due("a", 1), Some(1));
        assert_eq!((refusals.due("a", 1), refusals.due("a", 1)), (None, None));
        assert_eq!(refusals.due("b", 1), Some(1));
        assert_eq!(refusals.due("a", 2), Some(3));
    }
}
