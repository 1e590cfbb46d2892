//! Where the document and the page are served. Neither needs a key: both say what is public anyway. The page is in the
//! program, and loads nothing from elsewhere.

use std::sync::{Arc, LazyLock};

use actix_web::http::header::{self, ContentType};
use actix_web::{HttpResponse, web};
use utoipa_swagger_ui::{Config, SwaggerFile, serve};

use super::document;
use crate::web::{headers, looked_up};

/// Where the document is.
const DOCUMENT_PATH: &str = "/openapi.json";
/// Where the page is.
const PAGE_PATH: &str = "/docs/api";
/// What the page may do: load from here, ask here. It sets styles from scripts.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Adds both.
pub(in crate::web) fn page(config: &mut web::ServiceConfig) {
    let files = web::Data::from(Arc::new(Config::from(DOCUMENT_PATH)));
    config
        .route(DOCUMENT_PATH, looked_up().to(described))
        .service(
            web::scope(PAGE_PATH)
                .app_data(files)
                .route("", looked_up().to(to_page))
                .route("/{file:.*}", looked_up().to(file)),
        );
}

/// The document as it is given: nobody is asked for a key here, so it is written only once.
static JSON: LazyLock<web::Bytes> = LazyLock::new(|| {
    let json = serde_json::to_vec(document()).unwrap_or_default();
    web::Bytes::from(json)
});

async fn described() -> HttpResponse {
    let mut response = HttpResponse::Ok()
        .content_type(ContentType::json())
        .body(JSON.clone());
    headers::seal(response.headers_mut());
    response
}

/// The page's own paths are relative to a directory.
async fn to_page() -> HttpResponse {
    HttpResponse::MovedPermanently()
        .insert_header((header::LOCATION, format!("{PAGE_PATH}/")))
        .finish()
}

async fn file(path: web::Path<String>, files: web::Data<Config<'static>>) -> HttpResponse {
    let mut response = match serve(&path, files.into_inner()) {
        Ok(Some(file)) => answer(file),
        Ok(None) => HttpResponse::NotFound().finish(),
        Err(error) => {
            tracing::error!(%error, "a file of the page of the API cannot be given");
            HttpResponse::InternalServerError().finish()
        }
    };
    headers::seal(response.headers_mut());
    response
}

fn answer(file: SwaggerFile<'_>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, file.content_type))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"));
    if file.gzpipped {
        response.insert_header(header::ContentEncoding::Gzip);
    }
    response.body(file.bytes.into_owned())
}
