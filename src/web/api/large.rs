//! Answers with an entry for each of very many recipients.

use std::convert::Infallible;

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::web::Bytes;
use futures_util::stream;
use serde::Serialize;

use crate::web::error::Problem;

/// Bytes handed to the server at a time.
const PIECE_BYTES: usize = 65_536;
/// About how many bytes an answer has around its entries.
const FRAME_BYTES: usize = 256;

/// An answer of so many entries of about so many bytes. It is handed over in pieces: in one, the
/// server would copy all of it into its buffer before it writes any.
pub(super) fn answer(
    status: StatusCode,
    value: &impl Serialize,
    (entries, bytes): (usize, usize),
) -> Result<HttpResponse, Problem> {
    let mut json = Vec::with_capacity(entries.saturating_mul(bytes).saturating_add(FRAME_BYTES));
    serde_json::to_writer(&mut json, value).map_err(|error| Problem::internal(&error))?;
    let json = Bytes::from(json);
    let length = json.len();
    let pieces = (0..length)
        .step_by(PIECE_BYTES)
        .map(move |at| -> Result<_, Infallible> {
            Ok(json.slice(at..length.min(at + PIECE_BYTES)))
        });
    let body = SizedStream::new(length as u64, stream::iter(pieces));
    Ok(HttpResponse::build(status)
        .content_type(ContentType::json())
        .body(body))
}
