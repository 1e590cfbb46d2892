//! POST /cgi-bin/qrcode/create (WeChat guide, createQRCode).

use serde::{Deserialize, Serialize};

use super::{Answer, Errcode};
use crate::simulator::account::Account;
use crate::simulator::locks::lock;
use crate::simulator::world::World;

/// Seconds of a temporary code.
const LIFE_DEFAULT: i64 = 60;
const LIFE_MOST: i64 = 2_592_000;
/// Bytes of a scene that is a text.
const SCENE_MOST: usize = 64;
/// The highest number of a lasting code.
const LASTING_MOST: u32 = 100_000;

#[derive(Deserialize)]
struct Request {
    expire_seconds: Option<i64>,
    #[serde(default)]
    action_name: String,
    action_info: Option<ActionInfo>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ActionInfo {
    scene: Scene,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Scene {
    scene_id: Option<u32>,
    scene_str: Option<String>,
}

#[derive(Serialize)]
struct Created {
    ticket: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_seconds: Option<i64>,
    url: String,
}

pub(super) fn create(world: &World, account: &Account, body: &[u8]) -> Result<Answer, Errcode> {
    let request: Request = serde_json::from_slice(body).map_err(|_| Errcode::DATA_FORMAT)?;
    let scene = request.action_info.unwrap_or_default().scene;
    let text = scene
        .scene_str
        .filter(|text| (1..=SCENE_MOST).contains(&text.len()));
    let number = scene.scene_id.filter(|number| *number > 0);
    let (scene, temporary) = match request.action_name.as_str() {
        "QR_SCENE" => (number.map(|number| number.to_string()), true),
        "QR_STR_SCENE" => (text, true),
        "QR_LIMIT_SCENE" => {
            let lasting = number.filter(|number| *number <= LASTING_MOST);
            (lasting.map(|number| number.to_string()), false)
        }
        "QR_LIMIT_STR_SCENE" => (text, false),
        _ => return Err(Errcode::INVALID_ACTION_NAME),
    };
    let scene = scene.ok_or(Errcode::INVALID_ACTION_INFO)?;
    let life = request.expire_seconds.unwrap_or(LIFE_DEFAULT);
    if temporary && !(1..=LIFE_MOST).contains(&life) {
        return Err(Errcode::INVALID_ACTION_INFO);
    }
    let expires_at = temporary.then(|| world.now() + life * 1000);
    let code = lock(&account.qr_codes).create(&scene, expires_at);
    Answer::json(&Created {
        ticket: code.ticket,
        expire_seconds: temporary.then_some(life),
        url: code.url,
    })
}
