//! The act of the invitation.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::super::app::{items, text};
use super::super::stage::{SERVICE, Stage};
use super::Report;
use crate::cli::terminal::say;
use crate::simulator::population;

/// People of this act, by number: neither follows yet.
const SCANS_FIRST: u32 = 3;
const SCANS_LATER: u32 = 4;

pub(super) async fn act(stage: &Stage, report: &mut Report) -> Result<()> {
    report.act("A new colleague scans a QR code: it follows and binds at once");
    let (world, app) = (stage.world(), &stage.app);
    app.put("/staff/e1004", &json!({ "name": "李雷" })).await?;
    let invitation = json!({ "app_id": SERVICE });
    let invited = app.post("/staff/e1004/invitations", &invitation).await?;
    say!("     the code says {}", text(&invited, "url"));
    let scanned = world
        .scan_code(SERVICE, SCANS_FIRST, text(&invited, "url"))
        .await?;
    let reachable = |staff: &Value| staff.get("reachable") == Some(&json!(true));
    let staff = app.watch("/staff/e1004", reachable).await?;
    report.check(
        "e1004 is bound to who scanned it, and can be reached",
        scanned.is_some() && reachable(&staff),
    );
    let request = json!({
        "message_type": "order_created",
        "staff_ids": ["e1004"],
        "params": { "order": "A20260103", "title": "红色雨伞", "time": "2026年1月7日 15:01" },
    });
    let accepted = app.post("/notifications", &request).await?;
    let id = accepted.get("id").context("the notification has no id")?;
    let delivered = |list: &Value| {
        let mut states = items(list).iter().map(|item| text(item, "state"));
        states.all(|state| state == "delivered")
    };
    let path = format!("/notifications/{id}/deliveries");
    app.watch(&path, delivered).await?;
    let seen = world.messages_to(&population::openid(SERVICE, SCANS_FIRST));
    report.check("a notification reaches them", seen.len() == 1);
    world
        .scan_code(SERVICE, SCANS_LATER, text(&invited, "url"))
        .await?;
    let refusal = |list: &Value| {
        let refusal = items(list).first()?.get("last_refusal")?;
        Some(text(refusal, "reason").to_owned()).filter(|reason| !reason.is_empty())
    };
    let path = "/staff/e1004/invitations";
    let list = app.watch(path, |list| refusal(list).is_some()).await?;
    report.check(
        "somebody else who scans it is refused: used",
        refusal(&list).as_deref() == Some("used"),
    );
    Ok(())
}
