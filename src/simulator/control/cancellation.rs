//! People who leave WeChat, and news of an account's verification.

use actix_web::{HttpResponse, web};
use serde::Deserialize;

use crate::simulator::{Spelling, VerificationPush, World, WorldError};

type Answer = Result<HttpResponse, WorldError>;

/// `{"spelling": "lower"}`, or `{}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancellation {
    #[serde(default)]
    spelling: Spelling,
}

pub(super) async fn cancel(
    world: web::Data<World>,
    actor: web::Path<(String, u32)>,
    cancellation: web::Json<Cancellation>,
) -> Answer {
    let (app_id, person) = actor.into_inner();
    let record = world.cancel_wechat(&app_id, person, cancellation.spelling);
    Ok(HttpResponse::Ok().json(record.await?))
}

pub(super) async fn verification(
    world: web::Data<World>,
    app_id: web::Path<String>,
    order: web::Json<VerificationPush>,
) -> Answer {
    Ok(HttpResponse::Ok().json(world.push_verification(&app_id, &order).await?))
}
