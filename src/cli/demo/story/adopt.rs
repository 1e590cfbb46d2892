//! The act of the app that was there before.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use url::Url;

use super::super::app::{items, text};
use super::super::stage::{MINI, NOTICE, Stage};
use super::Report;
use crate::cli::terminal::say;
use crate::simulator::{Choice, PushOrder, population};

/// People of this act, by number: nobody of them ever logged in through Queqiao.
const CUSTOMER: u32 = 5;
const COLLEAGUE: u32 = 6;
const TAPS_NOW: u32 = 7;

pub(super) async fn act(stage: &Stage, report: &mut Report) -> Result<()> {
    report.act("An app brings its people and their consents in, and one call notifies them");
    let (world, app) = (stage.world(), &stage.app);
    let choices = [(NOTICE, Choice::Accept)];
    let callback = world.settings(MINI)?.callback_url.clone();
    point_to(stage, None)?;
    for person in [CUSTOMER, COLLEAGUE] {
        world.answer_popup(MINI, person, &choices).await?;
    }
    point_to(stage, callback.as_ref())?;
    let table = json!({ "create_staff": true, "rows": [
        { "openid": population::openid(MINI, CUSTOMER), "consents": { NOTICE: 1 } },
        { "openid": population::openid(MINI, COLLEAGUE), "staff_id": "e2001", "consents": { NOTICE: 1 } },
        { "openid": "undefined" },
    ]});
    let path = format!("/miniprogram/{MINI}/identities");
    let taken = app.post(&path, &table).await?;
    for row in rows(&taken) {
        say!(
            "     {}: {} {}",
            text(row, "openid"),
            text(row, "outcome"),
            text(row, "detail")
        );
    }
    let again = app.post(&path, &table).await?;
    report.check(
        "two of three rows were taken, and the same table again changes nothing",
        outcomes(&taken) == ["created", "created", "refused"]
            && outcomes(&again) == ["unchanged", "unchanged", "refused"],
    );
    // WeChat's push of the third one's consent comes after the app's call.
    world.hold_pushes(MINI)?;
    let popup = world.answer_popup(MINI, TAPS_NOW, &choices).await?;
    let code = world.log_in(MINI, TAPS_NOW)?;
    let request = json!({
        "message_type": "order_shipped",
        "people": [
            { "app_id": MINI, "openid": population::openid(MINI, CUSTOMER) },
            { "app_id": MINI, "openid": population::openid(MINI, COLLEAGUE) },
            { "app_id": MINI, "code": code, "results": popup.results },
        ],
        "params": { "order": "A20260105", "title": "黄色雨伞", "time": "2026年1月9日 15:01" },
    });
    let accepted = app.post("/notifications", &request).await?;
    world.release_pushes(MINI, PushOrder::Given).await?;
    let id = accepted.get("id").context("the notification has no id")?;
    let delivered = |list: &Value| {
        let mut states = items(list).iter().map(|item| text(item, "state"));
        states.all(|state| state == "delivered")
    };
    let list = app
        .watch(&format!("/notifications/{id}/deliveries"), delivered)
        .await?;
    let seen = [CUSTOMER, COLLEAGUE, TAPS_NOW]
        .map(|person| world.messages_to(&population::openid(MINI, person)).len());
    report.check(
        "all three saw one message; the third one's code and consent came with the call",
        delivered(&list) && seen == [1, 1, 1],
    );
    Ok(())
}

fn point_to(stage: &Stage, callback: Option<&Url>) -> Result<()> {
    stage
        .world()
        .change_account(MINI, |settings| settings.callback_url = callback.cloned())?;
    Ok(())
}

fn rows(taken: &Value) -> &[Value] {
    let rows = taken.get("rows").and_then(Value::as_array);
    rows.map_or(&[], Vec::as_slice)
}

fn outcomes(taken: &Value) -> Vec<&str> {
    rows(taken).iter().map(|row| text(row, "outcome")).collect()
}
