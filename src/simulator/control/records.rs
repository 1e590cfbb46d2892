//! Faults, time, and what happened.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::done;
use crate::simulator::{Fault, World, WorldError};

type Answer = Result<HttpResponse, WorldError>;

pub(super) async fn faults(world: web::Data<World>) -> HttpResponse {
    HttpResponse::Ok().json(world.faults_in_force())
}

pub(super) async fn add_fault(world: web::Data<World>, fault: web::Json<Fault>) -> Answer {
    world.add_fault(fault.into_inner())?;
    Ok(done())
}

pub(super) async fn clear_faults(world: web::Data<World>) -> HttpResponse {
    world.clear_faults();
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Latency {
    path: String,
    millis: u64,
}

pub(super) async fn set_latency(world: web::Data<World>, latency: web::Json<Latency>) -> Answer {
    world.set_latency(&latency.path, Duration::from_millis(latency.millis))?;
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Advance {
    seconds: u64,
}

pub(super) async fn advance(world: web::Data<World>, by: web::Json<Advance>) -> HttpResponse {
    world.advance(Duration::from_secs(by.seconds));
    HttpResponse::Ok().json(json!({ "now_millis": world.now() }))
}

/// What to list: everything, or one account's, or one openid's.
#[derive(Deserialize)]
pub(super) struct Filter {
    app_id: Option<String>,
    openid: Option<String>,
}

impl Filter {
    fn fits(&self, app_id: &str, openid: &str) -> bool {
        let same =
            |wanted: &Option<String>, found| wanted.as_deref().is_none_or(|wanted| wanted == found);
        same(&self.app_id, app_id) && same(&self.openid, openid)
    }
}

pub(super) async fn messages(world: web::Data<World>, filter: web::Query<Filter>) -> HttpResponse {
    let mut messages = world.messages();
    messages.retain(|message| filter.fits(&message.app_id, &message.openid));
    HttpResponse::Ok().json(messages)
}

pub(super) async fn pushes(world: web::Data<World>, filter: web::Query<Filter>) -> HttpResponse {
    let mut pushes = world.pushes();
    pushes.retain(|push| filter.fits(&push.app_id, &push.openid));
    HttpResponse::Ok().json(pushes)
}

#[derive(Deserialize)]
pub(super) struct Calls {
    path: String,
    app_id: Option<String>,
}

pub(super) async fn calls(world: web::Data<World>, of: web::Query<Calls>) -> Answer {
    let calls = world.calls(&of.path, of.app_id.as_deref())?;
    Ok(HttpResponse::Ok().json(json!({ "calls": calls })))
}

pub(super) async fn stats(world: web::Data<World>) -> HttpResponse {
    HttpResponse::Ok().json(world.stats())
}

pub(super) async fn clear(world: web::Data<World>) -> HttpResponse {
    world.clear_records();
    done()
}
