//! POST /cgi-bin/message/custom/send (WeChat's documentation of sendCustomMessage), texts only.

use serde::Deserialize;
use serde_json::json;

use super::{Answer, Errcode};
use crate::simulator::account::{Account, Kind};
use crate::simulator::locks::read;
use crate::simulator::record::SeenMessage;
use crate::simulator::world::World;

/// What was found out about the longest text, in bytes.
const TEXT_MAX: usize = 2048;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Request {
    touser: String,
    msgtype: String,
    text: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Text {
    content: String,
}

pub(in crate::simulator) fn send(
    world: &World,
    account: &Account,
    body: &[u8],
) -> Result<Answer, Errcode> {
    let request: Request = serde_json::from_slice(body).map_err(|_| Errcode::DATA_FORMAT)?;
    let person = world.person_of(account, &request.touser)?;
    if account.switches.is_restricted(person) {
        return Err(Errcode::RESTRICTED);
    }
    if request.msgtype != "text" {
        return Err(Errcode::INVALID_MESSAGE_TYPE);
    }
    let content = request.text.content;
    if content.is_empty() {
        return Err(Errcode::EMPTY_CONTENT);
    }
    if content.len() > TEXT_MAX {
        return Err(Errcode::CONTENT_SIZE);
    }
    let official = account.settings().kind == Kind::OfficialAccount;
    if official && read(&account.followers).get(person).is_none() {
        // WeChat has one code for both: "out of time limit or subscription is canceled".
        return Err(Errcode::OUT_OF_TIME);
    }
    account.chats.answer(person, world.now())?;
    world.record().messages.add(|| SeenMessage {
        app_id: account.app_id.clone(),
        openid: request.touser,
        text: Some(content),
        seen_at: world.now(),
        ..SeenMessage::default()
    });
    Answer::json(&json!({ "errcode": 0, "errmsg": "ok" }))
}
