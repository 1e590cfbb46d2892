//! Accounts, their receipts, tokens and callbacks.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::done;
use crate::simulator::{Budget, PushOrder, Receipt, Settings, World, WorldError};
use crate::wechat::callback::Mode;
use crate::wechat::fields::Format;

type Answer = Result<HttpResponse, WorldError>;

pub(super) async fn list(world: web::Data<World>) -> HttpResponse {
    let accounts = world.accounts();
    HttpResponse::Ok().json(
        accounts
            .iter()
            .map(|account| &**account)
            .collect::<Vec<_>>(),
    )
}

pub(super) async fn add(world: web::Data<World>, settings: web::Json<Settings>) -> Answer {
    let settings = settings.into_inner();
    let app_id = settings.app_id.clone();
    if settings.test_account && settings.mode != Mode::Plain {
        return Err(WorldError::TestAccount(app_id));
    }
    world.add_account(settings);
    Ok(HttpResponse::Created().json(&*world.settings(&app_id)?))
}

/// What can change while the account lives; what is absent stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    secret: Option<String>,
    token: Option<String>,
    encoding_aes_key: Option<String>,
    mode: Option<Mode>,
    format: Option<Format>,
    #[serde(default, with = "crate::simulator::url_text")]
    callback_url: Option<Url>,
    bound_to_open_platform: Option<bool>,
    /// Another one moves the account, and its people come with other unionids.
    open_platform: Option<String>,
    answers: Option<u32>,
    /// Pages of the mini-program's released version; empty for every page.
    pages: Option<Vec<String>>,
    released: Option<bool>,
    id_before_person: Option<bool>,
    /// An empty one lets the caller in again.
    refused_ip: Option<String>,
}

pub(super) async fn change(
    world: web::Data<World>,
    app_id: web::Path<String>,
    change: web::Json<Change>,
) -> Answer {
    let change = change.into_inner();
    let needs_key = change.mode.is_some_and(|mode| mode != Mode::Plain);
    if (needs_key || change.encoding_aes_key.is_some()) && world.settings(&app_id)?.test_account {
        return Err(WorldError::TestAccount(app_id.into_inner()));
    }
    world.change_account(&app_id, |settings| {
        replace(&mut settings.secret, change.secret);
        replace(&mut settings.token, change.token);
        replace(&mut settings.encoding_aes_key, change.encoding_aes_key);
        replace(&mut settings.mode, change.mode);
        replace(&mut settings.pages, change.pages);
        replace(&mut settings.released, change.released);
        replace(&mut settings.id_before_person, change.id_before_person);
        replace(&mut settings.format, change.format);
        replace(
            &mut settings.bound_to_open_platform,
            change.bound_to_open_platform,
        );
        replace(&mut settings.open_platform, change.open_platform);
        replace(&mut settings.answers, change.answers);
        replace(&mut settings.callback_url, change.callback_url.map(Some));
        let refused_ip = change
            .refused_ip
            .map(|ip| Some(ip).filter(|ip| !ip.is_empty()));
        replace(&mut settings.refused_ip, refused_ip);
    })?;
    Ok(HttpResponse::Ok().json(&*world.settings(&app_id)?))
}

fn replace<T>(old: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *old = new;
    }
}

/// `{"person": 3, "receipt": {"status": "failed:user block"}}`; without `person` for everybody.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiptRule {
    person: Option<u32>,
    receipt: Receipt,
}

pub(super) async fn set_receipt(
    world: web::Data<World>,
    app_id: web::Path<String>,
    rule: web::Json<ReceiptRule>,
) -> Answer {
    let ReceiptRule { person, receipt } = rule.into_inner();
    world.set_receipt(&app_id, person, receipt)?;
    Ok(done())
}

/// Sends the receipts that waited for it.
pub(super) async fn release_receipts(world: web::Data<World>, app_id: web::Path<String>) -> Answer {
    Ok(HttpResponse::Ok().json(world.release_receipts(&app_id).await?))
}

pub(super) async fn set_budget(
    world: web::Data<World>,
    app_id: web::Path<String>,
    budget: web::Json<Budget>,
) -> Answer {
    world.set_budget(&app_id, &budget)?;
    Ok(done())
}

pub(super) async fn invalidate_tokens(
    world: web::Data<World>,
    app_id: web::Path<String>,
) -> Answer {
    world.invalidate_tokens(&app_id)?;
    Ok(done())
}

pub(super) async fn verify_callback(world: web::Data<World>, app_id: web::Path<String>) -> Answer {
    let verified = world.verify_callback(&app_id).await?;
    Ok(HttpResponse::Ok().json(json!({ "verified": verified })))
}

/// A push as it stands, well-formed or not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPush {
    openid: String,
    body: String,
}

pub(super) async fn push_raw(
    world: web::Data<World>,
    app_id: web::Path<String>,
    push: web::Json<RawPush>,
) -> Answer {
    let record = world.push_raw(&app_id, &push.openid, &push.body).await?;
    Ok(HttpResponse::Ok().json(record))
}

/// The account that takes the followers over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Successor {
    to: String,
}

pub(super) async fn migrate(
    world: web::Data<World>,
    app_id: web::Path<String>,
    successor: web::Json<Successor>,
) -> Answer {
    world.migrate_account(&app_id, &successor.to)?;
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Copies {
    copies: u32,
}

pub(super) async fn set_copies(
    world: web::Data<World>,
    app_id: web::Path<String>,
    copies: web::Json<Copies>,
) -> Answer {
    world.set_push_copies(&app_id, copies.copies)?;
    Ok(done())
}

pub(super) async fn hold_pushes(world: web::Data<World>, app_id: web::Path<String>) -> Answer {
    world.hold_pushes(&app_id)?;
    Ok(done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {
    #[serde(default)]
    order: PushOrder,
}

pub(super) async fn release_pushes(
    world: web::Data<World>,
    app_id: web::Path<String>,
    release: web::Json<Release>,
) -> Answer {
    let records = world
        .release_pushes(&app_id, release.into_inner().order)
        .await?;
    Ok(HttpResponse::Ok().json(records))
}
