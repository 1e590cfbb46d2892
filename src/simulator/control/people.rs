//! People and what they do.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::done;
use crate::simulator::{
    LateProfile, ListRule, Origin, ProfileDetails, World, WorldError, population,
};

type Answer = Result<HttpResponse, WorldError>;
type Actor = web::Path<(String, u32)>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPeople {
    count: u32,
}

pub(super) async fn add(world: web::Data<World>, new: web::Json<NewPeople>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "people": world.add_people(new.count) }))
}

pub(super) async fn get(world: web::Data<World>, person: web::Path<u32>) -> Answer {
    world.check_person(*person)?;
    let accounts = world.accounts();
    let openid = |app_id: &str| (app_id.to_owned(), population::openid(app_id, *person));
    let openids: BTreeMap<_, _> = accounts
        .iter()
        .map(|account| openid(&account.app_id))
        .collect();
    let look = world.persons().look();
    let unionid = look.unionid("", *person);
    let unionids: BTreeMap<_, _> = accounts
        .iter()
        .map(|account| {
            (
                &account.app_id,
                look.unionid(&account.open_platform, *person),
            )
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({
        "unionid": unionid,
        "openids": openids,
        "unionids": unionids,
        "profile": look.details(*person),
    })))
}

/// What user/info tells of a person from now on; what is left out is empty.
pub(super) async fn set_profile(
    world: web::Data<World>,
    person: web::Path<u32>,
    details: web::Json<ProfileDetails>,
) -> Answer {
    world.set_details(*person, details.into_inner())?;
    Ok(done())
}

/// Whom to give another unionid; everybody, if no person is named.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    #[serde(default)]
    person: Option<u32>,
}

pub(super) async fn change_unionids(world: web::Data<World>, whose: web::Json<Whose>) -> Answer {
    world.change_unionids(whose.person)?;
    Ok(done())
}

/// The people with the numbers `from` up to, not including, `to`; `concurrency` is for pushes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Crowd {
    from: u32,
    to: u32,
    #[serde(default)]
    origin: Origin,
    #[serde(default = "concurrency")]
    concurrency: usize,
}

fn concurrency() -> usize {
    64
}

pub(super) async fn add_followers(
    world: web::Data<World>,
    app_id: web::Path<String>,
    crowd: web::Json<Crowd>,
) -> Answer {
    world.add_followers(&app_id, crowd.from..crowd.to, &crowd.origin)?;
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Leaving {
    from: u32,
    to: u32,
}

/// They leave, and nothing is pushed.
pub(super) async fn remove_followers(
    world: web::Data<World>,
    app_id: web::Path<String>,
    crowd: web::Json<Leaving>,
) -> Answer {
    world.remove_followers(&app_id, crowd.from..crowd.to)?;
    Ok(done())
}

pub(super) async fn set_list_rule(
    world: web::Data<World>,
    app_id: web::Path<String>,
    rule: web::Json<ListRule>,
) -> Answer {
    world.set_list_rule(&app_id, rule.into_inner())?;
    Ok(done())
}

pub(super) async fn set_late_profile(
    world: web::Data<World>,
    app_id: web::Path<String>,
    rule: web::Json<LateProfile>,
) -> Answer {
    world.set_late_profile(&app_id, rule.into_inner())?;
    Ok(done())
}

pub(super) async fn follow_many(
    world: web::Data<World>,
    app_id: web::Path<String>,
    crowd: web::Json<Crowd>,
) -> Answer {
    let people = crowd.from..crowd.to;
    let outcome = world
        .follow_many(&app_id, people, &crowd.origin, crowd.concurrency)
        .await?;
    Ok(HttpResponse::Ok().json(outcome))
}

pub(super) async fn follow(
    world: web::Data<World>,
    actor: Actor,
    origin: web::Json<Origin>,
) -> Answer {
    let (app_id, person) = actor.into_inner();
    let record = world.follow(&app_id, person, origin.into_inner()).await?;
    Ok(HttpResponse::Ok().json(record))
}

pub(super) async fn unfollow(world: web::Data<World>, actor: Actor) -> Answer {
    let (app_id, person) = actor.into_inner();
    Ok(HttpResponse::Ok().json(world.unfollow(&app_id, person).await?))
}

/// `{"ticket": "…"}` for a code that was made, by its ticket or by what its picture says, or `{"scene": "…"}` for one
/// that need not have been.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Scan {
    Ticket(String),
    Scene(String),
}

/// `null` for a code that has expired or is unknown: nothing is pushed.
pub(super) async fn scan(world: web::Data<World>, actor: Actor, scan: web::Json<Scan>) -> Answer {
    let (app_id, person) = actor.into_inner();
    let record = match scan.into_inner() {
        Scan::Ticket(code) => world.scan_code(&app_id, person, &code).await?,
        Scan::Scene(scene) => Some(world.scan(&app_id, person, &scene).await?),
    };
    Ok(HttpResponse::Ok().json(record))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Click {
    key: String,
}

pub(super) async fn click(
    world: web::Data<World>,
    actor: Actor,
    click: web::Json<Click>,
) -> Answer {
    let (app_id, person) = actor.into_inner();
    Ok(HttpResponse::Ok().json(world.click(&app_id, person, &click.key).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    content: String,
}

pub(super) async fn send_text(
    world: web::Data<World>,
    actor: Actor,
    text: web::Json<Text>,
) -> Answer {
    let (app_id, person) = actor.into_inner();
    Ok(HttpResponse::Ok().json(world.send_text(&app_id, person, &text.content).await?))
}

/// The scan result of a `scancode_waitmsg` entry.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MenuScan {
    key: String,
    result: String,
}

pub(super) async fn scan_from_menu(
    world: web::Data<World>,
    actor: Actor,
    scan: web::Json<MenuScan>,
) -> Answer {
    let (app_id, person) = actor.into_inner();
    let record = world.scan_from_menu(&app_id, person, &scan.key, &scan.result);
    Ok(HttpResponse::Ok().json(record.await?))
}

/// An entry of a menu message.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MenuMessage {
    id: String,
    content: String,
}

pub(super) async fn tap_menu_message(
    world: web::Data<World>,
    actor: Actor,
    entry: web::Json<MenuMessage>,
) -> Answer {
    let (app_id, person) = actor.into_inner();
    let record = world.tap_menu_message(&app_id, person, &entry.id, &entry.content);
    Ok(HttpResponse::Ok().json(record.await?))
}

pub(super) async fn enter_chat(world: web::Data<World>, actor: Actor) -> Answer {
    let (app_id, person) = actor.into_inner();
    Ok(HttpResponse::Ok().json(world.enter_chat(&app_id, person).await?))
}

pub(super) async fn log_in(world: web::Data<World>, actor: Actor) -> Answer {
    let (app_id, person) = actor.into_inner();
    let code = world.log_in(&app_id, person)?;
    Ok(HttpResponse::Ok().json(json!({ "js_code": code })))
}
