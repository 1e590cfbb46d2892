//! POST /cgi-bin/message/template/send (WeChat guide, sendTemplateMessage).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Answer, Errcode};
use crate::simulator::account::{Account, Kind};
use crate::simulator::locks::read;
use crate::simulator::record::{MiniProgramPage, SeenMessage};
use crate::simulator::sent::Claim;
use crate::simulator::template::{Refusal, Template, TemplateKind, Value};
use crate::simulator::world::World;

const TEMPLATE_ID_MAX: usize = 64;
const CLIENT_MSG_ID_MAX: usize = 32;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Request {
    touser: String,
    template_id: String,
    url: Option<String>,
    miniprogram: Option<MiniProgramPage>,
    client_msg_id: Option<String>,
    data: BTreeMap<String, Value>,
}

#[derive(Serialize)]
struct Accepted {
    errcode: u8,
    errmsg: &'static str,
    msgid: i64,
}

pub(in crate::simulator) async fn send(
    world: &World,
    account: &Arc<Account>,
    body: &[u8],
) -> Result<Answer, Errcode> {
    let request: Request = serde_json::from_slice(body).map_err(|_| Errcode::DATA_FORMAT)?;
    let person = world.person_of(account, &request.touser)?;
    if let Some(msgid) = known_before(world, account, person, &request) {
        world.count_repeat();
        return accepted(msgid);
    }
    let template = template(account, &request.template_id)?;
    if account.switches.is_restricted(person) {
        return Err(Errcode::RESTRICTED);
    }
    if read(&account.followers).get(person).is_none() {
        return Err(Errcode::REQUIRE_SUBSCRIBE);
    }
    if account.switches.is_off(person, &request.template_id) {
        return Err(Errcode::USER_REFUSED);
    }
    check_page(world, request.miniprogram.as_ref())?;
    if request.data.is_empty() {
        return Err(Errcode::DATA_FORMAT);
    }
    let shown = template
        .fill(&request.data)
        .map_err(|refusal| refused(&refusal))?;
    let msgid = world.next_msgid();
    if let Some(id) = &request.client_msg_id {
        if id.len() > CLIENT_MSG_ID_MAX {
            return Err(Errcode::CLIENT_MSG_ID_TOO_LONG);
        }
        if let Claim::Repeat(msgid) = account.sent.claim(person, id, msgid, world.now()) {
            world.count_repeat();
            return accepted(msgid);
        }
    }
    let receipt = account.receipts.of(person);
    if receipt.status == "success" {
        world.record().messages.add(|| SeenMessage {
            app_id: account.app_id.clone(),
            openid: request.touser,
            template_id: request.template_id,
            data: shown,
            text: None,
            url: request.url,
            miniprogram: request.miniprogram,
            miniprogram_state: None,
            lang: None,
            client_msg_id: request.client_msg_id,
            msgid,
            seen_at: world.now(),
        });
    }
    world.push_receipt(account, person, msgid, receipt).await;
    accepted(msgid)
}

/// The msgid of a message that was sent before, where that is looked at first.
fn known_before(world: &World, account: &Account, person: u32, request: &Request) -> Option<i64> {
    let id = request.client_msg_id.as_deref()?;
    let is_first = account.settings().id_before_person;
    is_first
        .then(|| account.sent.known(person, id, world.now()))
        .flatten()
}

/// The mini-program that a message opens must be linked with the account, as all of this world are, and its released
/// version must have the page, or the whole message is refused.
pub(super) fn check_page(world: &World, link: Option<&MiniProgramPage>) -> Result<(), Errcode> {
    let Some(link) = link.filter(|link| !link.appid.is_empty()) else {
        return Ok(());
    };
    let page = link.pagepath.as_deref().unwrap_or_default();
    let opened = world.find(&link.appid).map(|opened| opened.settings());
    let opened = opened.filter(|opened| opened.kind == Kind::MiniProgram);
    match opened.ok_or(Errcode::INVALID_APP_ID)?.has_page(page) {
        true => Ok(()),
        false => Err(Errcode::INVALID_WEAPP_PAGE),
    }
}

fn template(account: &Account, id: &str) -> Result<Arc<Template>, Errcode> {
    if id.is_empty() || id.len() > TEMPLATE_ID_MAX {
        return Err(Errcode::TEMPLATE_ID_SIZE);
    }
    find(account, id)
        .filter(|template| template.kind == TemplateKind::Template)
        .ok_or(Errcode::INVALID_TEMPLATE_ID)
}

/// A template of either kind.
pub(super) fn find(account: &Account, id: &str) -> Option<Arc<Template>> {
    read(&account.templates).get(id).cloned()
}

/// 47003, with the key at which WeChat stops.
pub(super) fn refused(refusal: &Refusal<'_>) -> Errcode {
    let Refusal { key, reason } = refusal;
    let message = format!("argument invalid! data.{key}.value {reason}");
    Errcode::new(47003, message)
}

pub(super) fn accepted(msgid: i64) -> Result<Answer, Errcode> {
    Answer::json(&Accepted {
        errcode: 0,
        errmsg: "ok",
        msgid,
    })
}
