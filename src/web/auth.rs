//! Who asks, and whether they may: before a handler runs, and before the body is read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest as _, HttpMessage as _, ResponseError as _, web};
use secrecy::SecretString;
use url::form_urlencoded;

use super::State;
use super::error::{Code, Problem};
use crate::bridge::keys::{self, Scope};
use crate::metrics;

/// Characters of a text in a path or a query string: no id or cursor has as many.
const TEXT_MAX: usize = 512;
/// Characters of a parameter's name that is told back.
const NAME_SHOWN: usize = 64;

/// The key that a request came with, once [`check`] has let it through.
pub(super) type Caller = web::ReqData<Arc<keys::Caller>>;

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
    let caller = match admit(demand, &mut request).await {
        Ok(caller) => caller,
        Err(problem) => {
            if let Some(state) = request.app_data::<web::Data<State>>() {
                let refusals = request.app_data::<web::Data<Refusals>>();
                let second = state.bridge.clock.unix_seconds();
                refusals.inspect(|refusals| refusals.note(problem.code(), second));
            }
            return Ok(request.into_response(problem.error_response()));
        }
    };
    let key_id = caller.key_id;
    request.extensions_mut().insert(caller);
    let mut response = next.call(request).await?;
    sealed(response.headers_mut());
    let is_change = response.request().method() != Method::GET && demand.scope != Scope::Read;
    if is_change {
        let (status, request) = (response.status().as_u16(), response.request());
        let object: Vec<String> = request
            .match_info()
            .iter()
            .map(|(name, value)| format!("{name}={}", value.escape_debug()))
            .collect();
        tracing::info!(
            key.id = %key_id,
            method = %request.method(),
            route = request.match_pattern().unwrap_or_default(),
            object = object.join(" "),
            status,
            "change through the API"
        );
    }
    Ok(response)
}

/// An answer is what it says it is, and no cache's.
pub(super) fn sealed(headers: &mut HeaderMap) {
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
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
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, untold) = told.entry(cause).or_insert((i64::MIN, 0));
        *untold += 1;
        (*last != second).then(|| {
            *last = second;
            std::mem::take(untold)
        })
    }
}

async fn admit(demand: Demand, request: &mut ServiceRequest) -> Result<Arc<keys::Caller>, Problem> {
    let caller = identify(request).await?;
    let will_do = [Some(demand.scope), demand.or].into_iter().flatten();
    if !will_do.clone().any(|scope| caller.may(scope)) {
        let words: Vec<String> = will_do.map(|scope| scope.to_string()).collect();
        let scopes = words.join(", ");
        let detail = format!("This route needs a key with the scope {scopes} or admin.");
        return Err(Problem::new(Code::MissingScope, detail));
    }
    if !demand.query && !request.query_string().is_empty() {
        let detail = "This route has no query parameters.";
        return Err(Problem::new(Code::InvalidQuery, detail));
    }
    check_path(request).await?;
    check_query(request.query_string())?;
    Ok(caller)
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
                return Err(named(problem, &name));
            }
            if text.chars().any(char::is_control) {
                let detail = "The query string contains a control character; send it without.";
                return Err(named(Problem::new(Code::ControlCharacter, detail), &name));
            }
        }
    }
    Ok(())
}

/// With the name of the parameter, if it can be one.
fn named(problem: Problem, name: &str) -> Problem {
    let is_name = (1..=NAME_SHOWN).contains(&name.len())
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
    fn refusals_are_told_once_a_second_with_how_many_there_were() {
        let refusals = Refusals::default();
        assert_eq!(refusals.due("a", 1), Some(1));
        assert_eq!((refusals.due("a", 1), refusals.due("a", 1)), (None, None));
        assert_eq!(refusals.due("b", 1), Some(1));
        assert_eq!(refusals.due("a", 2), Some(3));
    }
}
