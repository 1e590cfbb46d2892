//! Bodies of requests: JSON that has exactly the expected shape, or a problem that names the field.

pub(super) mod limits;
mod read;
mod strict;
mod words;

use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, mime};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use super::error::{Code, Problem};
pub(super) use read::LargeBodies;

/// The largest body of the routes that it is given to.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimit {
    pub(super) bytes: usize,
    /// Entries of one list.
    pub(super) entries: usize,
}

impl Default for BodyLimit {
    fn default() -> Self {
        Self {
            bytes: 64 << 10,
            entries: 1_000,
        }
    }
}

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

impl<T: DeserializeOwned + Send + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            check_content_type(&request)?;
            let body = read::receive(&request, payload).await?;
            read::parse(&request, body).await.map(Self)
        })
    }
}

impl<T: DeserializeOwned + Default + Send + 'static> FromRequest for MaybeBody<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let body = read::receive(&request, payload).await?;
            if body.is_empty() {
                return Ok(Self(T::default()));
            }
            check_content_type(&request)?;
            read::parse(&request, body).await.map(Self)
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
