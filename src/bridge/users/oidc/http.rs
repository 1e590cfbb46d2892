//! The calls to the identity provider, made by our HTTP client: within a time, without redirects, and with answers of a
//! limited size.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use openidconnect::http;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use thiserror::Error;

use crate::config::Oidc;

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const ANSWER_MAX: usize = 1 << 20;

/// Why a call did not work.
#[derive(Debug, Error)]
pub(super) enum HttpError {
    /// It was not made, or not answered.
    #[error("{0}")]
    Call(#[from] reqwest::Error),
    /// The answer is too large.
    #[error("the answer has more than {ANSWER_MAX} bytes")]
    TooLarge,
    /// The answer is none.
    #[error("{0}")]
    Answer(#[from] http::Error),
}

/// Makes the calls.
#[derive(Clone)]
pub(super) struct Http(reqwest::Client);

impl Http {
    /// For the provider of the settings.
    ///
    /// # Errors
    /// If the system has no TLS.
    pub(super) fn new(settings: &Oidc) -> Result<Self, HttpError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("queqiao/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false);
        if settings.is_here() {
            builder = builder.no_proxy();
        }
        Ok(Self(builder.build()?))
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let mut answer = self.0.execute(request).await?;
        let mut response = http::Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            response = response.header(name, value);
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            if body.len() + piece.len() > ANSWER_MAX {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&piece);
        }
        Ok(response.body(body)?)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.exchange(request))
    }
}
