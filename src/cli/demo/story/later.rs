//! The act of what changes between a request and its message: bindings, and consent.

use anyhow::{Context as _, Result};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::super::app::{items, text};
use super::super::stage::{MINI, NOTICE, SERVICE, Stage};
use super::{LOGS_IN_FIRST, Report};
use crate::cli::terminal::say;
use crate::simulator::{Choice, population};

/// People of this act, by number: all of them follow since the crowd came.
const OLD: u32 = 20;
const LEAVES: u32 = 21;
const NEW: u32 = 22;
/// How long the message waits.
const AHEAD: TimeDelta = TimeDelta::seconds(2);

pub(super) async fn act(stage: &Stage, report: &mut Report) -> Result<()> {
    report.act("A message for later goes to who is there by then, and another waits for consent");
    rebound(stage, report).await?;
    consent(stage, report).await
}

async fn rebound(stage: &Stage, report: &mut Report) -> Result<()> {
    let (world, app) = (stage.world(), &stage.app);
    for (staff_id, person) in [("e1005", OLD), ("e1006", LEAVES)] {
        app.put(&format!("/staff/{staff_id}"), &json!({})).await?;
        bind(stage, staff_id, person).await?;
    }
    let request = json!({
        "message_type": "order_created",
        "staff_ids": ["e1005", "e1006"],
        "params": { "order": "A20260105", "title": "黑色雨伞", "time": "2026年1月9日 15:01" },
        "send_at": (Utc::now() + AHEAD).to_rfc3339(),
    });
    let accepted = app.post("/notifications", &request).await?;
    let id = accepted.get("id").context("the notification has no id")?;
    let waiting = |answer: &Value| answer.get("deliveries_waiting") == Some(&json!(1));
    let gone = app.delete("/staff/e1006").await?;
    let staff = app.get("/staff/e1005").await?;
    let binding = staff.pointer("/bindings/0/id");
    let binding = binding.context("e1005 is not bound")?;
    let unbound = app
        .delete(&format!("/staff/e1005/bindings/{binding}"))
        .await?;
    report.check(
        "deleting e1006, and e1005's binding, says that one message each still waits",
        waiting(&gone) && waiting(&unbound),
    );
    bind(stage, "e1005", NEW).await?;
    let ended = |list: &Value| {
        let mut states = items(list).iter().map(|item| text(item, "state"));
        states.all(|state| state == "delivered" || state == "unreachable")
    };
    let path = format!("/notifications/{id}/deliveries");
    let list = app.watch(&path, ended).await?;
    for delivery in items(&list) {
        let (staff_id, state) = (text(delivery, "staff_id"), text(delivery, "state"));
        say!("     {staff_id}: {state} {}", text(delivery, "detail"));
    }
    let seen = [OLD, LEAVES, NEW].map(|person| {
        let openid = population::openid(SERVICE, person);
        world.messages_to(&openid).len()
    });
    report.check(
        "it went to the WeChat that e1005 has by then, and to nobody who left",
        seen == [0, 0, 1],
    );
    Ok(())
}

async fn bind(stage: &Stage, staff_id: &str, person: u32) -> Result<()> {
    let binding = json!({ "unionid": population::unionid(person) });
    let path = format!("/staff/{staff_id}/bindings");
    stage.app.post(&path, &binding).await.map(drop)
}

/// The consent is pushed after the request has come.
async fn consent(stage: &Stage, report: &mut Report) -> Result<()> {
    let (world, app) = (stage.world(), &stage.app);
    let request = json!({
        "message_type": "order_shipped",
        "staff_ids": ["e1001"],
        "params": { "order": "A20260106", "title": "白色雨伞", "time": "2026年1月10日 15:01" },
    });
    let openid = population::openid(MINI, LOGS_IN_FIRST);
    let before = world.messages_to(&openid).len();
    let accepted = app.post("/notifications", &request).await?;
    let verdict = accepted.pointer("/verdicts/0").cloned().unwrap_or_default();
    say!("     e1001: {}", text(&verdict, "detail"));
    report.check(
        "without consent the message waits for it",
        text(&verdict, "reason") == "waiting_for_consent",
    );
    let choices = [(NOTICE, Choice::Accept)];
    world.answer_popup(MINI, LOGS_IN_FIRST, &choices).await?;
    let id = accepted.get("id").context("the notification has no id")?;
    let delivered = |list: &Value| {
        let mut states = items(list).iter().map(|item| text(item, "state"));
        states.all(|state| state == "delivered")
    };
    let path = format!("/notifications/{id}/deliveries");
    app.watch(&path, delivered).await?;
    let seen = world.messages_to(&openid).len() - before;
    report.check("and is sent when WeChat's event of it comes", seen == 1);
    Ok(())
}
