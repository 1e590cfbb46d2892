//! The cookies of somebody who has signed in, or is about to. Scripts of a page cannot read them, other sites cannot send
//! them along with what changes something, and where the service is reached over HTTPS, nobody can set them over
//! anything else.

use actix_web::http::header::{self, HeaderMap};
use secrecy::{ExposeSecret as _, SecretString};

use crate::web::State;

/// A browser takes a cookie with this prefix only over HTTPS, for one host and all its paths.
const HOST_PREFIX: &str = "__Host-";

/// A cookie, by its name.
pub(in crate::web) struct Cookie(&'static str);

/// The secret of a session.
pub(in crate::web) const SESSION: Cookie = Cookie("queqiao-session");
/// What was begun at the identity provider, sealed.
pub(in crate::web) const OIDC: Cookie = Cookie("queqiao-oidc");

fn is_https(state: &State) -> bool {
    let url = &state.bridge.config.server.public_url;
    let scheme = url.get(..8).unwrap_or_default();
    scheme.eq_ignore_ascii_case("https://")
}

fn prefix(state: &State) -> &'static str {
    match is_https(state) {
        true => HOST_PREFIX,
        false => "",
    }
}

impl Cookie {
    /// Its name, where it has no prefix.
    pub(in crate::web) fn name(&self) -> &'static str {
        self.0
    }

    /// What a request has under this name.
    pub(in crate::web) fn of(&self, state: &State, headers: &HeaderMap) -> Option<SecretString> {
        let prefix = prefix(state);
        let cookies = headers.get_all(header::COOKIE);
        let mut pairs = cookies
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'));
        let value = pairs.find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name.strip_prefix(prefix)? == self.0).then_some(value)
        });
        value.map(SecretString::from)
    }

    /// The header that gives it to the browser for so many seconds. It is sent along when somebody follows a link from
    /// another page, such as that of the identity provider, but with nothing that changes something.
    pub(in crate::web) fn give(&self, state: &State, value: &SecretString, seconds: i64) -> String {
        self.written(state, value.expose_secret(), seconds)
    }

    /// The header that takes it away.
    pub(in crate::web) fn take_away(&self, state: &State) -> String {
        self.written(state, "", 0)
    }

    fn written(&self, state: &State, value: &str, seconds: i64) -> String {
        let (prefix, name) = (prefix(state), self.0);
        let secure = match is_https(state) {
            true => "; Secure",
            false => "",
        };
        format!("{prefix}{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
    }
}
