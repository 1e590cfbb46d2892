//! GET /sns/jscode2session (WeChat guide, code2Session).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::{Answer, Call, Errcode};
use crate::simulator::account::Kind;
use crate::simulator::locks::lock;
use crate::simulator::world::World;

#[derive(Serialize)]
struct Session {
    session_key: String,
    openid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<String>,
}

pub(in crate::simulator) fn code_to_session(
    world: &World,
    call: &Call<'_>,
) -> Result<Answer, Errcode> {
    let app_id = call.param("appid").ok_or(Errcode::MISSING_APP_ID)?;
    let secret = call.param("secret").ok_or(Errcode::MISSING_SECRET)?;
    let code = call.param("js_code").ok_or(Errcode::MISSING_CODE)?;
    if call.param("grant_type") != Some("authorization_code") {
        return Err(Errcode::INVALID_GRANT_TYPE);
    }
    let account = world.find(app_id).ok_or(Errcode::INVALID_APP_ID)?;
    let settings = account.settings();
    if settings.kind != Kind::MiniProgram {
        return Err(Errcode::INVALID_APP_ID);
    }
    if settings.secret != secret {
        return Err(Errcode::INVALID_SECRET);
    }
    let person = lock(&account.codes).redeem(code, world.now())?;
    let bound = settings.bound_to_open_platform;
    Answer::text(&Session {
        session_key: STANDARD.encode(rand::random::<[u8; 16]>()),
        openid: account.openid(person),
        unionid: bound.then(|| world.unionid_in(&account, person)),
    })
}
