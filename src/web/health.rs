//! What a load balancer and a monitor ask.

use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, web};

use super::State;
use crate::bridge::health::gauges::Gauges;
use crate::bridge::health::readiness::NotReady;
use crate::{logging, metrics};

/// `GET /healthz`: the process answers.
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().body("ok")
}

/// `GET /readyz`: the database answers too, and takes a row.
pub(super) async fn ready(state: web::Data<State>) -> HttpResponse {
    answer(state.bridge.readiness.look().await)
}

fn answer(readiness: Result<(), NotReady>) -> HttpResponse {
    let Err(error) = readiness else {
        return HttpResponse::Ok().body("ready");
    };
    if let Some(unsaid) = logging::now_and_then("not ready") {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::error!(%error, cause, unsaid, "not ready");
    }
    HttpResponse::ServiceUnavailable().body(error.to_string())
}

/// `GET /readyz/callbacks`: a callback can be made durable, in the database or in the spool. For whoever
/// decides where WeChat's pushes go: a process without its database takes them all the same.
pub(super) async fn ready_for_callbacks(state: web::Data<State>) -> HttpResponse {
    // A step that does not go on is no reason to turn pushes away.
    let readiness = &state.bridge.readiness;
    let Some(spool) = state.intake.spool() else {
        return answer(readiness.storage().await);
    };
    if !spool.is_away() && readiness.storage().await.is_ok() {
        return HttpResponse::Ok().body("ready");
    }
    match spool.takes().await {
        true => HttpResponse::Ok().body("ready: callbacks are kept in the spool"),
        false => answer(readiness.storage().await),
    }
}

/// `GET /metrics`: counters and gauges in Prometheus' text format.
pub(super) async fn metrics(state: web::Data<State>) -> HttpResponse {
    let Some(handle) = &state.metrics else {
        return HttpResponse::NotFound().finish();
    };
    match state.bridge.gauges().await {
        Ok(gauges) => show(gauges),
        Err(error) => tracing::warn!(%error, "gauges not read"),
    }
    if let Some(spool) = state.intake.spool() {
        match spool.fill().await {
            Ok(fill) => {
                let oldest = fill.oldest.map(|oldest| state.bridge.clock.now() - oldest);
                let oldest = oldest.map_or(0, |age| age.num_seconds().max(0));
                metrics::spool(fill.waiting, fill.refused, fill.bytes, oldest);
            }
            Err(error) => tracing::warn!(%error, "the spool is not read"),
        }
    }
    HttpResponse::Ok()
        .content_type(ContentType::plaintext())
        .body(handle.render())
}

fn show(gauges: Gauges) {
    metrics::events_waiting(gauges.events_waiting);
    for (state, count) in gauges.queued {
        metrics::deliveries_queued(state.as_str(), count);
    }
    for (app_id, seconds) in gauges.oldest_due_seconds {
        metrics::oldest_due(app_id, seconds);
    }
    for (kind, count) in gauges.paused {
        metrics::accounts_paused(kind.as_str(), count);
    }
    for (app_id, stopped) in gauges.stopped {
        metrics::account_stopped(app_id, stopped);
    }
    for budget in gauges.budgets {
        metrics::budget_used(budget.app_id.clone(), budget.call, budget.used);
        if let Some(per_day) = budget.per_day {
            metrics::budget_limit(budget.app_id, budget.call, per_day);
        }
    }
}
