//! GET /cgi-bin/token and POST /cgi-bin/stable_token (WeChat guide, getAccessToken and getStableAccessToken).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Answer, Call, Errcode};
use crate::simulator::account::{Account, Kind};
use crate::simulator::tokens::Grant;
use crate::simulator::world::World;

const GRANT_TYPE: &str = "client_credential";

#[derive(Serialize)]
struct GrantBody<'a> {
    access_token: &'a str,
    expires_in: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StableRequest {
    grant_type: String,
    appid: String,
    secret: String,
    force_refresh: bool,
}

pub(in crate::simulator) fn plain(world: &World, call: &Call<'_>) -> Result<Answer, Errcode> {
    let account = authorise(
        world,
        call.param("grant_type"),
        call.param("appid"),
        call.param("secret"),
    )?;
    let grant = world
        .tokens()
        .plain(&account, world.token_life(), world.now());
    answer(&grant)
}

pub(in crate::simulator) fn stable(world: &World, body: &[u8]) -> Result<Answer, Errcode> {
    // Not JSON, as when a form is posted, looks to WeChat like JSON without fields.
    let request: StableRequest = serde_json::from_slice(body).unwrap_or_default();
    let account = authorise(
        world,
        non_empty(&request.grant_type),
        non_empty(&request.appid),
        non_empty(&request.secret),
    )?;
    let (life, now) = (world.token_life(), world.now());
    let grant = world
        .tokens()
        .stable(&account, life, request.force_refresh, now)?;
    answer(&grant)
}

/// The account that a stable_token request names.
pub(super) fn app_id_of(body: &[u8]) -> Option<String> {
    let request: StableRequest = serde_json::from_slice(body).ok()?;
    Some(request.appid)
}

fn authorise(
    world: &World,
    grant_type: Option<&str>,
    app_id: Option<&str>,
    secret: Option<&str>,
) -> Result<Arc<Account>, Errcode> {
    let app_id = app_id.ok_or(Errcode::MISSING_APP_ID)?;
    let secret = secret.ok_or(Errcode::MISSING_SECRET)?;
    if grant_type != Some(GRANT_TYPE) {
        return Err(Errcode::INVALID_GRANT_TYPE);
    }
    let account = world.find(app_id).ok_or(Errcode::INVALID_APP_ID)?;
    let settings = account.settings();
    if settings.secret != secret {
        return Err(Errcode::INVALID_SECRET);
    }
    match &settings.refused_ip {
        Some(ip) if settings.kind == Kind::OfficialAccount => Err(Errcode::new(
            40164,
            format!("invalid ip {ip} ipv6 ::ffff:{ip}, not in whitelist"),
        )),
        _ => Ok(account),
    }
}

fn non_empty(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn answer(grant: &Grant) -> Result<Answer, Errcode> {
    Answer::json(&GrantBody {
        access_token: &grant.token,
        expires_in: grant.expires_in,
    })
}
