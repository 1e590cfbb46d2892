//! A POST to an address that somebody else chose: on the internet only unless configured
//! otherwise, no redirects, bounded in time and in what is read of the answer.
//!
//! The address is looked at when the connection is made, in the resolver of the client itself, so
//! a name that changes its address between a check and the use gets nowhere. A proxy would resolve
//! names on its own, out of reach of that check, so none is used, whatever the environment says.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header;
use secrecy::SecretString;
use thiserror::Error;
use tokio::time::timeout;
use url::{Host, Url};

use super::address::{is_metadata, is_metadata_name, is_public};
use super::sign;
use crate::bridge::limits::ENDPOINT_URL_MAX;
use crate::{config, logging};

/// Bytes of an answer that are kept, to be shown.
const KEPT: usize = 500;
/// Bytes of an answer that are read, so that the connection can be used again.
const READ_MAX: usize = 16 << 10;

/// Posts signed bodies. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Poster {
    http: Result<reqwest::Client, String>,
    allow_private: bool,
}

/// What is posted.
#[derive(Debug)]
pub struct Parcel<'a> {
    /// `webhook-id`: the same in every try.
    pub id: &'a str,
    /// `webhook-timestamp`: of this try, seconds since 1970.
    pub timestamp: i64,
    /// Each signs.
    pub secrets: &'a [SecretString],
    /// JSON.
    pub body: &'a str,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The first 500 bytes of the body, as plain text in one line.
    pub excerpt: String,
    /// `Retry-After`, where it is given in seconds.
    pub retry_after: Option<u64>,
}

/// Why there is no answer. The endpoint may have taken the body where it says so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PostError {
    /// The URL, or the address that its name has now, is not allowed.
    #[error(transparent)]
    Refused(#[from] UrlError),
    /// No connection could be made.
    #[error("not reached: {0}")]
    NotReached(String),
    /// No whole answer in time.
    #[error("no answer in time; it may have arrived")]
    TimeOut,
    /// The connection broke.
    #[error("the connection broke; it may have arrived: {0}")]
    Broken(String),
    /// Nothing can be posted from here.
    #[error("cannot post: {0}")]
    Unable(String),
}

/// Why a URL is not posted to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UrlError {
    /// Not a URL at all, or of another kind.
    #[error(
        "must be an http:// or https:// URL with a host, of at most {ENDPOINT_URL_MAX} characters, those that are \
         not of ASCII as they are written in a URL (鹊 is %E9%B9%8A)"
    )]
    Malformed,
    /// A secret in a URL ends up in logs.
    #[error("must not contain a user name, a password or a fragment")]
    Credentials,
    /// The address is not of the internet.
    #[error(
        "is on an address that is not of the internet (private, loopback, link-local or \
         reserved), which `webhooks.allow_private_addresses` in the configuration does not allow"
    )]
    Private,
    /// The address tells the machine's own credentials.
    #[error(
        "is where a cloud keeps the metadata and credentials of its machines, or link-local: nothing is posted there, \
         whatever `webhooks.allow_private_addresses` in the configuration says"
    )]
    Metadata,
    /// The name leads nowhere, or where nothing is posted. Which of both is not said: by it, whoever may add an endpoint
    /// would learn the names of the network that this machine is in.
    #[error(
        "has a name that leads to no address that is posted to: nobody knows the name, or its addresses are not of \
         the internet (private, loopback, link-local or reserved; see `webhooks.allow_private_addresses` in the \
         configuration)"
    )]
    NoAddress,
}

impl Poster {
    /// Starts with no connection.
    pub fn new(settings: &config::Webhooks) -> Self {
        let (connect_timeout, timeout) = settings.timeouts();
        let allow_private = settings.allow_private_addresses;
        Self {
            http: client(connect_timeout, timeout, allow_private),
            allow_private,
        }
    }

    /// Reads a URL as an endpoint's owner gives it, and refuses what can be seen to be refused
    /// without asking for the address of its name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read_url(&self, text: &str) -> Result<Url, UrlError> {
        Self::check_url(text, self.allow_private)
    }

    /// The same, without anything to post with.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_url(text: &str, allow_private: bool) -> Result<Url, UrlError> {
        if text.chars().count() > ENDPOINT_URL_MAX || text.chars().any(char::is_control) {
            return Err(UrlError::Malformed);
        }
        let url: Url = text.parse().map_err(|_| UrlError::Malformed)?;
        // What is stored and posted to is longer than what was given, where that is not ASCII.
        let is_long = url.as_str().len() > ENDPOINT_URL_MAX;
        if is_long || !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(UrlError::Malformed);
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(UrlError::Credentials);
        }
        let (public, metadata) = match url.host() {
            // As browsers write it: `http://0x7f.1` and `http://2130706433` are 127.0.0.1 here.
            Some(Host::Ipv4(address)) => (is_public(address.into()), is_metadata(address.into())),
            Some(Host::Ipv6(address)) => (is_public(address.into()), is_metadata(address.into())),
            Some(Host::Domain(name)) => (!is_local_name(name), is_metadata_name(name)),
            None => return Err(UrlError::Malformed),
        };
        match (metadata, public || allow_private) {
            (true, _) => Err(UrlError::Metadata),
            (false, true) => Ok(url),
            (false, false) => Err(UrlError::Private),
        }
    }

    /// Posts once. Any status is an answer; a redirect is not followed.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn post(&self, url: &str, parcel: &Parcel<'_>) -> Result<Answer, PostError> {
        // A literal address does not go through the resolver.
        let url = self.read_url(url)?;
        let http = self.http.as_ref();
        let http = http.map_err(|error| PostError::Unable(error.clone()))?;
        let signatures = sign::signatures(parcel.secrets, parcel.id, parcel.timestamp, parcel.body)
            .ok_or_else(|| PostError::Unable("the endpoint has no secret".to_owned()))?;
        let request = http
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", parcel.id)
            .header("webhook-timestamp", parcel.timestamp)
            .header("webhook-signature", signatures)
            .body(parcel.body.to_owned());
        let response = request.send().await.map_err(|error| failure(&error))?;
        Ok(read(response).await)
    }
}

fn client(
    connect_timeout: Duration,
    timeout: Duration,
    allow_private: bool,
) -> Result<reqwest::Client, String> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("queqiao/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect_timeout)
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .no_proxy()
        .pool_idle_timeout(Duration::from_secs(20))
        .dns_resolver(Arc::new(Guarded {
            allow_private,
            // Before the time to connect is up, which would be told in other words.
            patience: connect_timeout / 10 * 9,
        }));
    builder.build().map_err(|error| chain(&error))
}

/// `localhost` and what is below it (RFC 6761), with or without the final dot.
fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// The system's resolver, of whose answers only addresses of the internet count.
struct Guarded {
    allow_private: bool,
    patience: Duration,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (allow_private, patience) = (self.allow_private, self.patience);
        Box::pin(async move {
            let found = timeout(patience, tokio::net::lookup_host((name.as_str(), 0))).await;
            let may = |address: &SocketAddr| {
                let address = address.ip();
                (allow_private || is_public(address)) && !is_metadata(address)
            };
            let (allowed, cause): (Vec<SocketAddr>, _) = match found {
                Ok(Ok(found)) => (
                    found.filter(may).collect(),
                    "its addresses are not allowed".to_owned(),
                ),
                Ok(Err(error)) => (Vec::new(), error.to_string()),
                Err(_) => (Vec::new(), "no answer in time".to_owned()),
            };
            if allowed.is_empty() {
                tell_operator(name.as_str(), &cause);
                return Err(io::Error::other(UrlError::NoAddress).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Which of both it is, for whoever reads the log: it is not said to whoever added the endpoint.
fn tell_operator(host: &str, cause: &str) {
    if let Some(unsaid) = logging::now_and_then(&format!("no address of {host}")) {
        tracing::warn!(
            host,
            cause,
            unsaid,
            "the name of an endpoint leads nowhere that is posted to"
        );
    }
}

fn failure(error: &reqwest::Error) -> PostError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        let refused = inner
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        let refused = refused.and_then(|refused| refused.downcast_ref::<UrlError>());
        if let Some(refused) = refused.or_else(|| inner.downcast_ref()) {
            return PostError::Refused(refused.clone());
        }
        cause = inner.source();
    }
    match error {
        error if error.is_connect() => PostError::NotReached(chain(error)),
        error if error.is_timeout() => PostError::TimeOut,
        error => PostError::Broken(chain(error)),
    }
}

/// The causes of an error, without the URL, which may hold what is not for logs.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    match text.as_str() {
        "" => "the request could not be made".to_owned(),
        _ => plain(text.as_bytes()),
    }
}

async fn read(mut response: reqwest::Response) -> Answer {
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let mut body = Vec::new();
    // What fails from here on takes nothing from the status.
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > READ_MAX {
            break;
        }
    }
    Answer {
        status,
        excerpt: plain(&body),
        retry_after,
    }
}

/// Foreign bytes as a short text in one line.
fn plain(bytes: &[u8]) -> String {
    let kept = bytes.get(..KEPT).unwrap_or(bytes);
    let text = String::from_utf8_lossy(kept);
    let text = text.replace(char::is_control, " ");
    text.trim().to_owned()
}

#[cfg(test)]
mod tests;
