//! What a load balancer and a monitor ask.

use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, web};
use diesel::r2d2::R2D2Connection as _;

use super::State;
use crate::db::DbError;
use crate::metrics;
use crate::models::event;

/// `GET /healthz`: the process answers.
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().body("ok")
}

/// `GET /readyz`: the database answers too.
pub(super) async fn ready(state: web::Data<State>) -> HttpResponse {
    let answer = state.bridge.db.read(|conn| Ok::<_, DbError>(conn.ping()?));
    match answer.await {
        Ok(()) => HttpResponse::Ok().body("ready"),
        Err(error) => {
            tracing::error!(%error, "not ready");
            HttpResponse::ServiceUnavailable().body("the database does not answer")
        }
    }
}

/// `GET /metrics`: counters and gauges in Prometheus' text format.
pub(super) async fn metrics(state: web::Data<State>) -> HttpResponse {
    let Some(handle) = &state.metrics else {
        return HttpResponse::NotFound().finish();
    };
    match waiting(&state).await {
        Ok(count) => metrics::events_waiting(count),
        Err(error) => tracing::warn!(%error, "waiting events not counted"),
    }
    HttpResponse::Ok()
        .content_type(ContentType::plaintext())
        .body(handle.render())
}

async fn waiting(state: &State) -> Result<i64, DbError> {
    state
        .bridge
        .db
        .read(|conn| Ok(event::waiting_count(conn)?))
        .await
}
