//! POST /cgi-bin/message/subscribe/send and …/bizsend (WeChat's documentation of subscribeMessage.send; guide of
//! service accounts, subscription notices).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::{Answer, Call, Errcode, template};
use crate::simulator::account::Account;
use crate::simulator::record::{MiniProgramPage, SeenMessage};
use crate::simulator::template::{TemplateKind, Value};
use crate::simulator::world::World;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Request {
    touser: String,
    template_id: String,
    page: Option<String>,
    miniprogram: Option<MiniProgramPage>,
    miniprogram_state: Option<String>,
    lang: Option<String>,
    data: BTreeMap<String, Value>,
}

impl Request {
    fn read(body: &[u8]) -> Result<Self, Errcode> {
        serde_json::from_slice(body).map_err(|_| Errcode::DATA_FORMAT)
    }
}

/// For mini-programs: the page belongs to the sender itself.
pub(in crate::simulator) async fn send(
    world: &World,
    account: &Arc<Account>,
    call: &Call<'_>,
) -> Result<Answer, Errcode> {
    let mut request = Request::read(call.body)?;
    let state = request.miniprogram_state.as_deref().unwrap_or("formal");
    let lang = request.lang.as_deref().unwrap_or("zh_CN");
    if !matches!(state, "developer" | "trial" | "formal")
        || !matches!(lang, "zh_CN" | "en_US" | "zh_HK" | "zh_TW")
    {
        return Err(Errcode::DATA_FORMAT);
    }
    let page = request.page.take().filter(|page| !page.is_empty());
    let settings = account.settings();
    let is_there = |page: &str| state != "formal" || settings.has_page(page);
    if !page.as_deref().is_none_or(is_there) {
        return Err(Errcode::INVALID_PAGE);
    }
    request.miniprogram = page.map(|page| MiniProgramPage {
        appid: account.app_id.clone(),
        pagepath: Some(page),
    });
    deliver(world, account, call, request).await
}

/// For service accounts: the page is a web page, and a mini-program is named.
pub(in crate::simulator) async fn bizsend(
    world: &World,
    account: &Arc<Account>,
    call: &Call<'_>,
) -> Result<Answer, Errcode> {
    let mut request = Request::read(call.body)?;
    request.miniprogram_state = None;
    request.lang = None;
    template::check_page(world, request.miniprogram.as_ref())?;
    deliver(world, account, call, request).await
}

async fn deliver(
    world: &World,
    account: &Arc<Account>,
    call: &Call<'_>,
    request: Request,
) -> Result<Answer, Errcode> {
    let person = world.person_of(account, &request.touser)?;
    if account.switches.is_restricted(person) {
        return Err(Errcode::RESTRICTED);
    }
    let turn = account.grants.turn(person).ok_or(Errcode::CONCURRENT)?;
    call.turn.set(Some(turn));
    let template = template::find(account, &request.template_id)
        .filter(|template| template.kind != TemplateKind::Template)
        .ok_or(Errcode::INVALID_TEMPLATE_ID)?;
    let shown = template
        .fill(&request.data)
        .map_err(|refusal| template::refused(&refusal))?;
    if !account.grants.take(person, &request.template_id) {
        return Err(Errcode::USER_REFUSED);
    }
    let msgid = world.next_msgid();
    let receipt = account.receipts.of(person);
    let template_id = request.template_id.clone();
    if receipt.status == "success" {
        world.record().messages.add(|| SeenMessage {
            app_id: account.app_id.clone(),
            openid: request.touser,
            template_id: request.template_id,
            data: shown,
            text: None,
            url: request.page,
            miniprogram: request.miniprogram,
            miniprogram_state: request.miniprogram_state,
            lang: request.lang,
            client_msg_id: None,
            msgid,
            seen_at: world.now(),
        });
    }
    world
        .push_sent(account, person, &template_id, msgid, receipt)
        .await;
    template::accepted(msgid)
}
