//! The story, in acts. Each act says what happens, then checks it through Queqiao's own API or on
//! WeChat's side.

mod adopt;
mod fallback;
mod invite;
mod later;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::app::{items, text};
use super::stage::{MINI, PEOPLE, SERVICE, Stage, TEMPLATE};
use crate::cli::terminal::say;
use crate::simulator::{Origin, population};

/// People of the story, by number.
const LOGS_IN_FIRST: u32 = 0;
const FOLLOWS_FIRST: u32 = 1;
const NEVER_FOLLOWS: u32 = 2;

/// Plays all of it; returns how many checks failed.
pub(super) async fn play(stage: &Stage) -> Result<u32> {
    let mut report = Report::default();
    introduce(stage, &mut report).await?;
    link(stage, &mut report).await?;
    crowd(stage, &mut report).await?;
    let notification = notify(stage, &mut report).await?;
    receipts(stage, &mut report, &notification).await?;
    refuse(stage, &mut report).await?;
    invite::act(stage, &mut report).await?;
    unfollow(stage, &mut report).await?;
    fallback::act(stage, &mut report).await?;
    adopt::act(stage, &mut report).await?;
    later::act(stage, &mut report).await?;
    say!("");
    say!("{} checks, {} failed", report.checks, report.failed);
    Ok(report.failed)
}

/// Prints the acts and their checks, and counts them.
#[derive(Default)]
struct Report {
    acts: u32,
    checks: u32,
    failed: u32,
}

impl Report {
    fn act(&mut self, title: &str) {
        self.acts += 1;
        say!("");
        say!("{}. {title}", self.acts);
    }

    fn check(&mut self, what: &str, holds: bool) {
        self.checks += 1;
        if !holds {
            self.failed += 1;
        }
        say!("   {} {what}", if holds { "✓" } else { "✗ NOT:" });
    }
}

async fn introduce(stage: &Stage, report: &mut Report) -> Result<()> {
    report.act("The owner sets the callback URL in WeChat's console");
    for app_id in [SERVICE, MINI] {
        let verified = stage.world().verify_callback(app_id).await?;
        report.check(
            &format!("WeChat's check of /callback/{app_id} is answered"),
            verified,
        );
    }
    Ok(())
}

async fn link(stage: &Stage, report: &mut Report) -> Result<()> {
    report.act("Staff log in to the mini-program and follow the service account, in any order");
    let (world, app) = (stage.world(), &stage.app);
    for (staff_id, person) in [
        ("e1001", LOGS_IN_FIRST),
        ("e1002", FOLLOWS_FIRST),
        ("e1003", NEVER_FOLLOWS),
    ] {
        if person == FOLLOWS_FIRST {
            world.follow(SERVICE, person, Origin::search()).await?;
        }
        app.put(&format!("/staff/{staff_id}"), &json!({})).await?;
        let code = world.log_in(MINI, person)?;
        let binding = json!({ "app_id": MINI, "code": code });
        app.post(&format!("/staff/{staff_id}/bindings"), &binding)
            .await?;
        if person == LOGS_IN_FIRST {
            let push = world.follow(SERVICE, person, Origin::qr("shop_12")).await?;
            let answer = push.attempts.last().map(|attempt| format!("{attempt:?}"));
            report.check(
                "the follow event, encrypted, was answered with the welcome text",
                push.verdict.is_accepted() && answer.is_some() && !stage.welcome.is_empty(),
            );
        }
    }
    for (staff_id, person) in [("e1001", LOGS_IN_FIRST), ("e1002", FOLLOWS_FIRST)] {
        let path = format!("/people?unionid={}", population::unionid(person));
        let people = app.watch(&path, |people| identities(people) == 2).await?;
        report.check(
            &format!("{staff_id}: two openids, one person, linked through the unionid"),
            identities(&people) == 2,
        );
    }
    Ok(())
}

fn identities(people: &Value) -> usize {
    let first = items(people).first();
    first
        .and_then(|person| person.get("identities")?.as_array())
        .map_or(0, Vec::len)
}

async fn crowd(stage: &Stage, report: &mut Report) -> Result<()> {
    report.act("A crowd follows at once, and WeChat repeats and reorders its pushes");
    let (world, app) = (stage.world(), &stage.app);
    let before = world.calls("/cgi-bin/user/info/batchget", None)?;
    world.set_push_copies(SERVICE, 2)?;
    let crowd = 10..PEOPLE;
    let expected = u64::from(PEOPLE - 10);
    let outcome = world
        .follow_many(SERVICE, crowd, &Origin::search(), 32)
        .await?;
    world.set_push_copies(SERVICE, 1)?;
    report.check(
        &format!("{expected} follow events, each sent twice, all answered success"),
        outcome.failed == 0,
    );
    let last = format!("/people?unionid={}", population::unionid(PEOPLE - 1));
    let people = app.watch(&last, |people| identities(people) == 1).await?;
    report.check(
        "their profiles were fetched and their unionids stored",
        identities(&people) == 1,
    );
    let events = app.get("/events?kind=event.subscribe&limit=200").await?;
    let page = items(&events).len();
    report.check(
        "no event was stored twice",
        distinct(&events, "openid") == page && page == 200,
    );
    let calls = world.calls("/cgi-bin/user/info/batchget", None)? - before;
    report.check(
        &format!("{calls} calls of user/info/batchget were enough"),
        calls < expected / 10,
    );
    Ok(())
}

fn distinct(list: &Value, name: &str) -> usize {
    let names: std::collections::BTreeSet<&str> =
        items(list).iter().map(|item| text(item, name)).collect();
    names.len()
}

async fn notify(stage: &Stage, report: &mut Report) -> Result<String> {
    report.act("A business app notifies staff by staff id");
    let app = &stage.app;
    let routes = json!({ "routes": [{
        "account": SERVICE,
        "template_id": TEMPLATE,
        "fields": {
            "character_string1": "{{ params.order }}",
            "thing2": "{{ params.title }}",
            "time3": "{{ params.time }}",
        },
        "mini_program": { "app_id": MINI, "path": "pages/order?id={{ params.order }}" },
    }]});
    app.put("/message-types/order_created", &routes).await?;
    let request = json!({
        "message_type": "order_created",
        "staff_ids": ["e1001", "e1002", "e1003", "e9999"],
        "params": { "order": "A20260101", "title": "蓝色雨伞", "time": "2026年1月5日 15:01" },
    });
    let accepted = app
        .post_once("/notifications", "order-A20260101", &request)
        .await?;
    let verdicts = accepted
        .get("verdicts")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for verdict in &verdicts {
        let (staff_id, state) = (text(verdict, "staff_id"), text(verdict, "state"));
        say!("     {staff_id}: {state} {}", text(verdict, "detail"));
    }
    let states: Vec<&str> = verdicts
        .iter()
        .map(|verdict| text(verdict, "state"))
        .collect();
    report.check(
        "a verdict for each at once: two queued, two unreachable, each with its reason",
        states == ["queued", "queued", "unreachable", "unreachable"],
    );
    let again = app
        .post_once("/notifications", "order-A20260101", &request)
        .await?;
    report.check(
        "the same request again, with the same Idempotency-Key, is the same notification",
        again.get("id") == accepted.get("id"),
    );
    let id = accepted.get("id").context("the notification has no id")?;
    Ok(id.to_string())
}

async fn receipts(stage: &Stage, report: &mut Report, notification: &str) -> Result<()> {
    report.act("WeChat delivers, and says so in receipts");
    let path = format!("/notifications/{notification}/deliveries");
    let delivered = |list: &Value| {
        let states = items(list).iter().map(|item| text(item, "state"));
        states.filter(|state| *state == "delivered").count()
    };
    let deliveries = stage.app.watch(&path, |list| delivered(list) == 2).await?;
    for delivery in items(&deliveries) {
        say!(
            "     {}: {}",
            text(delivery, "staff_id"),
            text(delivery, "state")
        );
    }
    report.check(
        "two deliveries are closed by WeChat's receipts",
        delivered(&deliveries) == 2,
    );
    for person in [LOGS_IN_FIRST, FOLLOWS_FIRST] {
        let openid = population::openid(SERVICE, person);
        let seen = stage.world().messages_to(&openid);
        report.check(
            &format!("person {person} saw exactly one message"),
            seen.len() == 1,
        );
    }
    Ok(())
}

async fn refuse(stage: &Stage, report: &mut Report) -> Result<()> {
    report.act("A text that WeChat would refuse is explained before anything is sent");
    let title = "一把很长很长很长很长很长很长很长的蓝色自动雨伞";
    let params = json!({ "order": "A20260102", "title": title, "time": "2026年1月6日 15:01" });
    let preview = stage
        .app
        .post(
            "/message-types/order_created/preview",
            &json!({ "params": params }),
        )
        .await?;
    let error = preview.pointer("/routes/0/errors/0");
    let error = error.cloned().unwrap_or_default();
    say!("     {}", text(&error, "detail"));
    let number = |name: &str| error.get(name).and_then(Value::as_u64);
    report.check(
        "the field is named, with its rule, its length and the limit",
        text(&error, "field") == "routes[0].fields.thing2"
            && text(&error, "rule") == "thing"
            && number("length") == Some(23)
            && number("limit") == Some(20),
    );
    Ok(())
}

async fn unfollow(stage: &Stage, report: &mut Report) -> Result<()> {
    report.act("Somebody unfollows, and Queqiao says why they can no longer be reached");
    stage.world().unfollow(SERVICE, LOGS_IN_FIRST).await?;
    let reachable = |staff: &Value| staff.get("reachable").and_then(Value::as_bool);
    let staff = stage
        .app
        .watch("/staff/e1001", |staff| reachable(staff) == Some(false))
        .await?;
    let reason = staff
        .get("routes")
        .or_else(|| staff.get("accounts"))
        .and_then(Value::as_array)
        .and_then(|accounts| accounts.first())
        .map(|account| text(account, "reason").to_owned())
        .unwrap_or_default();
    say!("     e1001: {reason}");
    report.check(
        "e1001 cannot be reached: not_following",
        reachable(&staff) == Some(false) && reason == "not_following",
    );
    Ok(())
}
