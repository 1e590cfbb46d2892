//! What was there before there were numbers by day is counted when an operator asks for it.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use queqiao::bridge::stats::recount::Recounted;
use queqiao::bridge::steps::StepName;
use queqiao::clock::Day;
use queqiao::db::{Conn, DbError};
use serde_json::json;

use crate::support::TestProject;
use crate::support::api::by_unionid;
use crate::support::setup::{OA, titled};

/// As a version without numbers by day has left the rows.
async fn forget(project: &TestProject) {
    let sql = "UPDATE deliveries SET stats_day = NULL, channel = NULL; UPDATE events SET stats_day = NULL; \
         UPDATE receipts SET stats_day = NULL; DELETE FROM stats_changes; DELETE FROM daily_stats";
    let write = project.app.database.db().write(move |conn| {
        match conn {
            Conn::Postgres(conn) => conn.batch_execute(sql)?,
            Conn::Sqlite(conn) => conn.batch_execute(sql)?,
        }
        Ok::<_, DbError>(())
    });
    write.await.unwrap();
}

async fn recount(project: &TestProject, from: Day, to: Day) -> Recounted {
    let recount = project.app.bridge.recount(project.project, (from, to));
    recount.await.unwrap()
}

both_engines! {
    days_before_are_counted_once_when_asked_for,
    what_is_not_counted_stays_so_whatever_becomes_of_it,
    an_event_that_is_read_as_another_kind_counts_as_that,
}

async fn days_before_are_counted_once_when_asked_for(project: TestProject) {
    project
        .message_type("ping", json!([titled(OA, "TPL")]))
        .await;
    let begin = project.app.clock.now();
    // Three days, and more rows than one piece has.
    for day in 0..3_u32 {
        project.new_follower(day + 1).await;
        project
            .world()
            .send_text(OA, day + 1, "hello")
            .await
            .unwrap();
        let staff = format!("s{day}");
        project.staff(&staff).bound_to(by_unionid(day + 1)).await;
        let people: Vec<String> = (0..400).map(|one| format!("nobody{one}")).collect();
        let mut body = json!({"message_type": "ping", "params": {"title": "hi"}});
        body["staff_ids"] = json!([people, vec![staff]].concat());
        let routes = json!({"routes": [titled(OA, "TPL")]});
        project
            .app
            .put(&project.key, "/message-types/ping", routes)
            .await
            .ok(200);
        if day == 1 {
            let at = project.app.clock.now() + chrono::TimeDelta::days(40);
            body["send_at"] = json!(at.and_utc().to_rfc3339());
        }
        project
            .app
            .post(&project.key, "/notifications", body)
            .await
            .ok(202);
        project.app.drain().await;
        project.app.advance(Duration::from_secs(86_400));
    }
    let mut expected = project.assert_counted("counted as it happened").await;
    forget(&project).await;
    assert!(project.numbers().await.is_empty());
    let zone = queqiao::clock::TimeZone::default();
    let today = zone.day(begin);
    // One day of them, then all.
    let first = recount(&project, today, today).await;
    assert_eq!(
        (first.events, first.deliveries, first.receipts),
        (3, 401, 1),
        "{first:?}"
    );
    let all = (today.later(-300), today.later(50));
    let (one, other) = tokio::join!(
        recount(&project, all.0, all.1),
        recount(&project, all.0, all.1)
    );
    assert_eq!(one.deliveries + other.deliveries, 802);
    assert_eq!(recount(&project, all.0, all.1).await, Recounted::default());
    let counted = project.assert_counted("counted later").await;
    project.app.bridge.run(StepName::Stats).await.unwrap();
    // Calls are in no row.
    expected.retain(|[_, metric, ..], _| metric != "calls");
    assert_eq!(counted, expected);
}

async fn what_is_not_counted_stays_so_whatever_becomes_of_it(project: TestProject) {
    project.reachable("s1", 1).await;
    let path = project.notify("s1").await;
    forget(&project).await;
    project.app.drain().await;
    assert_eq!(project.delivery(&path).await["state"], "delivered");
    let numbers = project.numbers().await;
    let deliveries = numbers
        .keys()
        .filter(|[_, metric, ..]| metric == "deliveries");
    assert_eq!(deliveries.count(), 0, "{numbers:?}");
    // A replay counts what it processes, once.
    let event = project.events().await.pop().unwrap();
    for _ in 0..2 {
        let replay = format!("/events/{}/replay", event["id"]);
        project
            .app
            .post(&project.key, &replay, json!({}))
            .await
            .ok(202);
        project.app.drain().await;
    }
    let numbers = project.numbers().await;
    let follows: Vec<i64> = numbers
        .iter()
        .filter(|([_, metric, ..], _)| metric == "follows")
        .map(|(_, count)| *count)
        .collect();
    assert_eq!(follows, [1]);
}

async fn an_event_that_is_read_as_another_kind_counts_as_that(project: TestProject) {
    project.follows(1).await;
    project.app.drain().await;
    // As it was stored by a version that could not read it.
    let sql = "UPDATE events SET kind = 'unparsed', problem = 'cannot be read'; \
         UPDATE stats_changes SET name = 'unparsed' WHERE metric = 'events'";
    let write = project.app.database.db().write(move |conn| {
        match conn {
            Conn::Postgres(conn) => conn.batch_execute(sql)?,
            Conn::Sqlite(conn) => conn.batch_execute(sql)?,
        }
        Ok::<_, DbError>(())
    });
    write.await.unwrap();
    project.assert_counted("as stored").await;
    let event = project.events().await.pop().unwrap();
    let replay = format!("/events/{}/replay", event["id"]);
    project
        .app
        .post(&project.key, &replay, json!({}))
        .await
        .ok(202);
    project.assert_counted("to be replayed").await;
    project.app.drain().await;
    let numbers = project.assert_counted("replayed").await;
    let kinds: Vec<&str> = numbers
        .keys()
        .filter(|[_, metric, ..]| metric == "events")
        .map(|[_, _, kind, ..]| kind.as_str())
        .collect();
    assert_eq!(kinds, ["event.subscribe"]);
}
