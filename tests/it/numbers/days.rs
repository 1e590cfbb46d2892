//! With which day something counts.

use std::time::Duration;

use chrono::{NaiveTime, TimeDelta};
use queqiao::bridge::steps::StepName;
use queqiao::clock::{Day, TimeZone};
use queqiao::db::Engine;
use queqiao::models::project;
use serde_json::{Value, json};

use crate::support::api::by_unionid;
use crate::support::setup::{OA, template, titled};
use crate::support::{Setup, TestProject};

/// A project on the next day whose midnight in Shanghai, 16:00 UTC, is so far away.
async fn before_midnight(engine: Engine, by: TimeDelta) -> (TestProject, Day) {
    let project = Setup::on(engine)
        .people(20)
        .project("one")
        .official(OA)
        .template(OA, template("TPL", "{{thing1.DATA}}"))
        .message_type("ping", json!([titled(OA, "TPL")]))
        .start()
        .await;
    let now = project.app.clock.now();
    let midnight = NaiveTime::from_hms_opt(16, 0, 0).unwrap();
    let tomorrow = now.date() + TimeDelta::days(1);
    let wait = tomorrow.and_time(midnight) - by - now;
    project.app.advance(wait.to_std().unwrap());
    let today = TimeZone::default().day(project.app.clock.now());
    assert_eq!(today, Day::of(tomorrow));
    (project, today)
}

impl TestProject {
    /// The only series of these words, over so many days.
    async fn counts(&self, from: Day, days: i32, metric: &str, name: Option<&str>) -> Value {
        let stats = self
            .stats(&format!("from={from}&to={}", from.later(days - 1)))
            .await;
        let all = stats["series"].as_array().unwrap();
        let mut found = all
            .iter()
            .filter(|one| one["metric"] == metric && one["name"].as_str() == name);
        let one = found
            .next()
            .unwrap_or_else(|| panic!("{metric} {name:?}: {stats}"));
        assert!(found.next().is_none(), "{metric} {name:?}: {stats}");
        one["counts"].clone()
    }
}

both_engines! {
    an_event_counts_on_the_day_on_which_it_came_in,
    a_delivery_counts_on_the_day_on_which_it_was_to_be_sent_whatever_becomes_of_it,
    another_time_zone_counts_from_then_on,
}

async fn an_event_counts_on_the_day_on_which_it_came_in(engine: Engine) {
    let (project, today) = before_midnight(engine, TimeDelta::minutes(1)).await;
    project.follows(1).await;
    project.app.advance(Duration::from_secs(120));
    project.follows(2).await;
    // Both are processed on the second day.
    project.app.drain().await;
    let counts = async |metric, name| project.counts(today, 3, metric, name).await;
    assert_eq!(counts("follows", None).await, json!([1, 1, 0]));
    let kind = Some("event.subscribe");
    assert_eq!(counts("events", kind).await, json!([1, 1, 0]));
    project.world().unfollow(OA, 2).await.unwrap();
    project.app.drain().await;
    assert_eq!(counts("unfollows", None).await, json!([0, 1, 0]));
    assert_eq!(counts("net_follows", None).await, json!([1, 0, 0]));
}

async fn a_delivery_counts_on_the_day_on_which_it_was_to_be_sent_whatever_becomes_of_it(
    engine: Engine,
) {
    let (project, today) = before_midnight(engine, TimeDelta::minutes(1)).await;
    project.new_follower(1).await;
    project.staff("s1").bound_to(by_unionid(1)).await;
    let send_at = project.app.clock.now() + TimeDelta::hours(30);
    let scheduled = json!({"message_type": "ping", "staff_ids": ["s1"], "params": {"title": "x"},
        "send_at": send_at.and_utc().to_rfc3339()});
    let accepted = project.app.post(&project.key, "/notifications", scheduled);
    accepted.await.ok(202);
    project.notify("s1").await;
    let counts = async |metric, name| project.counts(today, 3, metric, name).await;
    assert_eq!(counts("accepted", None).await, json!([1, 0, 1]));
    let queued = Some("queued");
    assert_eq!(counts("deliveries", queued).await, json!([1, 0, 1]));
    // Both are sent later than that.
    project.app.advance(Duration::from_secs(36 * 3_600));
    project.app.bridge.run(StepName::Deliver).await.unwrap();
    let (sent, delivered) = (Some("sent"), Some("delivered"));
    assert_eq!(counts("deliveries", queued).await, json!([0, 0, 0]));
    assert_eq!(counts("deliveries", sent).await, json!([1, 0, 1]));
    project.app.drain().await;
    assert_eq!(counts("deliveries", sent).await, json!([0, 0, 0]));
    assert_eq!(counts("deliveries", delivered).await, json!([1, 0, 1]));
    assert_eq!(counts("receipts", delivered).await, json!([0, 0, 2]));
    project.assert_counted("delivered").await;
}

async fn another_time_zone_counts_from_then_on(engine: Engine) {
    // In Tokyo the next day begins.
    let (project, today) = before_midnight(engine, TimeDelta::minutes(59)).await;
    project.new_follower(1).await;
    project.staff("s1").bound_to(by_unionid(1)).await;
    let path = project.notify("s1").await;
    let set = |name: &str, zone: &'static str| {
        let bridge = &project.app.bridge;
        bridge.set_time_zone(name.to_owned(), zone)
    };
    assert_eq!(set("one", "Asia/Tokyo").await.unwrap().name(), "Asia/Tokyo");
    project.follows(2).await;
    // What is counted stays where it is, also while it changes.
    project.app.drain().await;
    assert_eq!(project.delivery(&path).await["state"], "delivered");
    let counts = async |metric, name| project.counts(today, 2, metric, name).await;
    assert_eq!(counts("follows", None).await, json!([1, 1]));
    assert_eq!(counts("accepted", None).await, json!([1, 0]));
    assert_eq!(counts("deliveries", Some("delivered")).await, json!([1, 0]));
    assert_eq!(counts("deliveries", Some("sent")).await, json!([0, 0]));
    // Without days it is thirty of them up to today, which is the day in Tokyo.
    let stats = project.stats("").await;
    assert_eq!(stats["time_zone"], "Asia/Tokyo");
    assert_eq!(stats["days"].as_array().unwrap().len(), 30);
    assert_eq!(stats["to"], today.later(1).to_string());
    let unknown = set("one", "Beijing").await.unwrap_err();
    assert!(unknown.to_string().contains("Asia/Shanghai"));
    let unknown = set("two", "UTC").await.unwrap_err();
    assert!(unknown.to_string().contains("no project 'two'"));
    let id = project.project;
    let stored = project
        .app
        .bridge
        .db
        .read(move |conn| project::time_zone(conn, id));
    assert_eq!(stored.await.unwrap().name(), "Asia/Tokyo");
}
