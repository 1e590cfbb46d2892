//! What people allow.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::done;
use crate::simulator::{Choice, World, WorldError};

type Answer = Result<HttpResponse, WorldError>;
type Actor = web::Path<(String, u32)>;

/// `{"choices": {"TEMPLATE_ID": "accept"}}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answers {
    choices: BTreeMap<String, Choice>,
}

pub(super) async fn answer_popup(
    world: web::Data<World>,
    actor: Actor,
    answers: web::Json<Answers>,
) -> Answer {
    let (app_id, person) = actor.into_inner();
    let choices: Vec<(&str, Choice)> = answers
        .choices
        .iter()
        .map(|(template, choice)| (template.as_str(), *choice))
        .collect();
    let popup = world.answer_popup(&app_id, person, &choices).await?;
    Ok(HttpResponse::Ok().json(popup))
}

/// `{"template_ids": ["TEMPLATE_ID"]}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Withdrawn {
    template_ids: Vec<String>,
}

pub(super) async fn withdraw(
    world: web::Data<World>,
    actor: Actor,
    withdrawn: web::Json<Withdrawn>,
) -> Answer {
    let (app_id, person) = actor.into_inner();
    let templates: Vec<&str> = withdrawn.template_ids.iter().map(String::as_str).collect();
    let record = world.withdraw_consent(&app_id, person, &templates).await?;
    Ok(HttpResponse::Ok().json(record))
}

pub(super) async fn grants(world: web::Data<World>, actor: Actor) -> Answer {
    let (app_id, person) = actor.into_inner();
    Ok(HttpResponse::Ok().json(world.grants(&app_id, person)?))
}

/// `{"template_id": "TEMPLATE_ID", "on": false}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Switch {
    template_id: String,
    on: bool,
}

pub(super) async fn switch(
    world: web::Data<World>,
    actor: Actor,
    switch: web::Json<Switch>,
) -> Answer {
    let (app_id, person) = actor.into_inner();
    world.switch_template(&app_id, person, &switch.template_id, switch.on)?;
    Ok(done())
}

/// `{"restricted": true}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restriction {
    restricted: bool,
}

pub(super) async fn restrict(
    world: web::Data<World>,
    actor: Actor,
    restriction: web::Json<Restriction>,
) -> Answer {
    let (app_id, person) = actor.into_inner();
    world.restrict(&app_id, person, restriction.restricted)?;
    Ok(done())
}
