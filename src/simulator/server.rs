//! The HTTP side of the simulator: every call to WeChat's API comes through [`answer`], where faults strike.

use std::time::Duration;

use actix_web::body::{BodyStream, BoxBody, MessageBody};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream;

use super::api::{Call, Endpoint, Errcode};
use super::faults::FaultKind;
use super::world::World;

/// How long an unanswered connection is held: longer than any client waits.
const HOLD: Duration = Duration::from_secs(300);

pub(super) async fn answer(
    request: HttpRequest,
    body: web::Bytes,
    world: web::Data<World>,
) -> HttpResponse {
    let Some(endpoint) = Endpoint::at(request.path()) else {
        return Errcode::INVALID_URL.into_response(world.now());
    };
    let call = Call::new(endpoint, request.method(), request.query_string(), &body);
    let account = call.account(&world);
    world.count_call(endpoint, account.as_deref());
    let app_id = account.as_deref().map(|account| account.app_id.as_str());
    let hit = world.faults().take(&call, app_id);
    let fault = hit.as_ref().map(|hit| hit.kind);
    match fault {
        Some(FaultKind::TimeOutBefore) => return hold().await,
        Some(FaultKind::Reset) => return reset(),
        Some(FaultKind::HttpError { status }) => return gateway_error(status),
        Some(FaultKind::Errcode { errcode }) => {
            return Errcode::of(errcode).into_response(world.now());
        }
        _ => {}
    }
    let answer = call.answer(&world).await;
    let late = fault.and_then(FaultKind::delay).or(world.latency(endpoint));
    if let Some(late) = late {
        tokio::time::sleep(late).await;
    }
    world.gates().pass(endpoint).await;
    // What follows is the way back: for WeChat the call is over.
    drop(call.turn.take());
    match (fault, answer) {
        (Some(FaultKind::TimeOutAfter), _) => hold().await,
        (Some(FaultKind::ResetAfter), _) => reset(),
        (_, Ok(answer)) => match hit {
            Some(hit) => answer.damaged(&hit).into_response(),
            None => answer.into_response(),
        },
        (_, Err(error)) => error.into_response(world.now()),
    }
}

async fn hold() -> HttpResponse {
    tokio::time::sleep(HOLD).await;
    reset()
}

/// A body that fails before the head is flushed: the connection closes without a byte.
fn reset() -> HttpResponse {
    let broken = stream::once(async {
        Err::<web::Bytes, _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    });
    let body = BodyStream::new(Box::pin(broken));
    HttpResponse::with_body(StatusCode::OK, BoxBody::new(body.boxed()))
}

fn gateway_error(status: u16) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let title = format!(
        "{} {}",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default()
    );
    HttpResponse::build(status).content_type("text/html").body(format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    ))
}
