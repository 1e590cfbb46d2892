//! Bodies of requests: JSON that has exactly the expected shape, or a problem that names the field.

mod strict;
mod words;

use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest, mime, web};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use super::error::{Code, Problem};

/// Largest body where a route does not say, bytes.
const DEFAULT_LIMIT: usize = 64 << 10;

/// The largest body of the routes that it is given to, bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimit(pub(super) usize);

/// A body that has to be there.
#[derive(Debug)]
pub(super) struct Body<T>(T);

/// A body that may be left out: nothing means the defaults.
#[derive(Debug)]
pub(super) struct MaybeBody<T>(T);

macro_rules! wrapper {
    ($name:ident) => {
        impl<T> $name<T> {
            pub(super) fn into_inner(self) -> T {
                self.0
            }
        }

        impl<T> Deref for $name<T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.0
            }
        }
    };
}

wrapper!(Body);
wrapper!(MaybeBody);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            check_content_type(&request)?;
            let body = read(&request, payload).await?;
            parse(&body).map(Self)
        })
    }
}

impl<T: DeserializeOwned + Default + 'static> FromRequest for MaybeBody<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let body = read(&request, payload).await?;
            if body.is_empty() {
                return Ok(Self(T::default()));
            }
            check_content_type(&request)?;
            parse(&body).map(Self)
        })
    }
}

fn check_content_type(request: &HttpRequest) -> Result<(), Problem> {
    let mime = request.mime_type().ok().flatten();
    let is_json = mime.is_some_and(|mime| {
        mime.subtype() == mime::JSON || mime.suffix().is_some_and(|suffix| suffix == mime::JSON)
    });
    if is_json {
        return Ok(());
    }
    let detail = "Send the body as JSON with the header Content-Type: application/json.";
    Err(Problem::new(Code::UnsupportedMediaType, detail))
}

async fn read(request: &HttpRequest, payload: Payload) -> Result<web::Bytes, Problem> {
    let limit = request
        .app_data::<BodyLimit>()
        .map_or(DEFAULT_LIMIT, |limit| limit.0);
    let too_large = || {
        let detail = format!("The body may have at most {limit} bytes.");
        Problem::new(Code::BodyTooLarge, detail).limit(limit)
    };
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut payload = payload;
    let payload = web::Payload::from_request(request, &mut payload).await;
    let payload = payload.map_err(|error| Problem::internal(&error))?;
    match payload.to_bytes_limited(limit).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) => {
            let broken = |error: &dyn std::fmt::Display| {
                let detail = format!("The body did not arrive whole: {error}.");
                Problem::new(Code::BrokenBody, detail)
            };
            match error.as_error::<PayloadError>() {
                Some(PayloadError::Overflow) => Err(too_large()),
                _ => Err(broken(&error)),
            }
        }
        Err(_) => Err(too_large()),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    strict::from_slice(body).map_err(|error| words::problem(&error))
}
