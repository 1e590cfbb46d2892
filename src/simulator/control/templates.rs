//! The templates of an account: listed, added, changed, removed.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::done;
use crate::simulator::{TemplateSettings, World, WorldError};

type Answer = Result<HttpResponse, WorldError>;

pub(super) async fn list(world: web::Data<World>, app_id: web::Path<String>) -> Answer {
    Ok(HttpResponse::Ok().json(world.templates(&app_id)?))
}

pub(super) async fn add(
    world: web::Data<World>,
    app_id: web::Path<String>,
    template: web::Json<TemplateSettings>,
) -> Answer {
    let template_id = world.add_template(&app_id, &template)?;
    Ok(HttpResponse::Created().json(json!({ "template_id": template_id })))
}

pub(super) async fn change(
    world: web::Data<World>,
    path: web::Path<(String, String)>,
    template: web::Json<TemplateSettings>,
) -> Answer {
    let (app_id, template_id) = path.into_inner();
    world.change_template(&app_id, &template_id, &template)?;
    Ok(done())
}

pub(super) async fn remove(world: web::Data<World>, path: web::Path<(String, String)>) -> Answer {
    let (app_id, template_id) = path.into_inner();
    world.remove_template(&app_id, &template_id)?;
    Ok(done())
}
