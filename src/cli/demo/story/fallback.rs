//! The act of the second route.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::super::app::{items, text};
use super::super::stage::{MINI, NOTICE, SERVICE, Stage, TEMPLATE};
use super::{LOGS_IN_FIRST, Report};
use crate::cli::terminal::say;
use crate::simulator::{Choice, population};

pub(super) async fn act(stage: &Stage, report: &mut Report) -> Result<()> {
    report.act("They allow a subscription message instead, and the next order reaches them there");
    let (world, app) = (stage.world(), &stage.app);
    let choices = [(NOTICE, Choice::Accept)];
    world.answer_popup(MINI, LOGS_IN_FIRST, &choices).await?;
    let allowed = |credits: &Value| !items(credits).is_empty();
    let credits = app.watch("/staff/e1001/credits", allowed).await?;
    report.check("the permission is in the ledger", allowed(&credits));
    app.put("/message-types/order_shipped", &two_routes())
        .await?;
    let request = json!({
        "message_type": "order_shipped",
        "staff_ids": ["e1001"],
        "params": { "order": "A20260104", "title": "绿色雨伞", "time": "2026年1月8日 15:01" },
    });
    let (service, mini) = (
        population::openid(SERVICE, LOGS_IN_FIRST),
        population::openid(MINI, LOGS_IN_FIRST),
    );
    let before = world.messages_to(&service).len();
    let accepted = app.post("/notifications", &request).await?;
    let id = accepted.get("id").context("the notification has no id")?;
    let delivered = |list: &Value| {
        let mut states = items(list).iter().map(|item| text(item, "state"));
        states.all(|state| state == "delivered")
    };
    let path = format!("/notifications/{id}/deliveries");
    let list = app.watch(&path, delivered).await?;
    let routes = items(&list)
        .first()
        .and_then(|delivery| delivery.get("routes")?.as_array())
        .cloned()
        .unwrap_or_default();
    let mut verdicts = Vec::new();
    for route in &routes {
        let (channel, verdict) = (text(route, "channel"), text(route, "verdict"));
        say!("     {channel}: {verdict} {}", text(route, "detail"));
        verdicts.push((channel, verdict));
    }
    report.check(
        "the API shows both routes: the template's was left, the subscription's was taken",
        verdicts == [("template", "not_following"), ("mp_subscribe", "taken")],
    );
    let seen = (
        world.messages_to(&service).len() - before,
        world.messages_to(&mini).len(),
    );
    report.check("they saw one message, in the mini-program", seen == (0, 1));
    Ok(())
}

/// The service account first, then the mini-program.
fn two_routes() -> Value {
    json!({ "routes": [
        {
            "account": SERVICE,
            "template_id": TEMPLATE,
            "fields": {
                "character_string1": "{{ params.order }}",
                "thing2": "{{ params.title }}",
                "time3": "{{ params.time }}",
            },
        },
        {
            "channel": "mp_subscribe",
            "account": MINI,
            "template_id": NOTICE,
            "fields": { "thing1": "{{ params.title }}" },
            "page": "pages/order?id={{ params.order }}",
        },
    ]})
}
