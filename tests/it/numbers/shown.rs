//! What the API answers about numbers by day.

use queqiao::bridge::steps::StepName;
use queqiao::simulator::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::api::by_unionid;
use crate::support::setup::{FOREIGN, MP, OA, titled};
use crate::support::{ApiFixture, TestProject};

const SEND: &str = "/cgi-bin/message/template/send";

/// Totals by metric, name, channel, reason and AppID, but for those that are zero.
fn totals(stats: &Value) -> Vec<String> {
    let series = stats["series"].as_array().unwrap().iter();
    let words = ["metric", "name", "channel", "reason", "app_id"];
    let told = |one: &Value| {
        let words = words.iter().filter_map(|word| one[word].as_str());
        let words: Vec<&str> = words.collect();
        format!("{} {}", words.join(" "), one["total"])
    };
    series.filter(|one| one["total"] != 0).map(told).collect()
}

both_engines! {
    every_day_is_there_and_what_never_happened_is_zero,
    numbers_are_told_apart_as_far_as_is_asked_for,
    what_cannot_be_shown_is_refused_with_its_field,
    a_project_sees_its_own_numbers,
    logins_and_calls_are_counted,
}

async fn every_day_is_there_and_what_never_happened_is_zero(api: ApiFixture) {
    let stats = api.stats("from=2026-02-27&to=2026-03-02").await;
    let days = ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"];
    assert_eq!(stats["days"], json!(days));
    assert_eq!(stats["time_zone"], "Asia/Shanghai");
    let series = stats["series"].as_array().unwrap();
    let named: Vec<String> = series
        .iter()
        .map(|one| {
            assert_eq!(
                (&one["total"], &one["counts"]),
                (&json!(0), &json!([0, 0, 0, 0]))
            );
            let name = one["name"].as_str().unwrap_or_default();
            format!("{} {name}", one["metric"].as_str().unwrap())
        })
        .collect();
    let always = [
        "follows ",
        "unfollows ",
        "net_follows ",
        "logins ",
        "accepted ",
        "deliveries cancelled",
        "deliveries delivered",
        "deliveries expired",
        "deliveries failed",
        "deliveries no_receipt",
        "deliveries queued",
        "deliveries sent",
        "deliveries unknown",
        "deliveries unreachable",
        "receipts delivered",
        "receipts failed",
    ];
    assert_eq!(named, always);
    // A year of them, and one day.
    let stats = api.stats("from=2026-01-01&to=2027-02-04").await;
    assert_eq!(stats["days"].as_array().unwrap().len(), 400);
    let stats = api.stats("from=2100-01-01").await;
    assert_eq!(
        (&stats["from"], &stats["to"]),
        (&json!("2100-01-01"), &json!("2100-01-01"))
    );
}

async fn numbers_are_told_apart_as_far_as_is_asked_for(project: TestProject) {
    project
        .message_type("ping", json!([titled(OA, "TPL")]))
        .await;
    for person in 1..=3 {
        project.follows(person).await;
    }
    project.app.drain().await;
    for person in 1..=3 {
        project
            .staff(&format!("s{person}"))
            .bound_to(by_unionid(person))
            .await;
    }
    project.staff("s4").await;
    let fault = Fault::at(SEND, FaultKind::Errcode { errcode: 40037 }).times(1);
    project.world().add_fault(fault).unwrap();
    let body = json!({"message_type": "ping", "staff_ids": ["s1", "s2", "s3", "s4"],
        "params": {"title": "hi"}});
    project
        .app
        .post(&project.key, "/notifications", body)
        .await
        .ok(202);
    project.app.drain().await;
    project.app.bridge.run(StepName::Stats).await.unwrap();
    let of = |stats: &Value, metric: &str| {
        let all = totals(stats).into_iter();
        all.filter(|line| line.starts_with(metric))
            .collect::<Vec<_>>()
    };
    let plain = project.stats("").await;
    assert_eq!(
        of(&plain, "deliveries"),
        [
            "deliveries delivered 2",
            "deliveries failed 1",
            "deliveries unreachable 1"
        ]
    );
    assert_eq!(of(&plain, "accepted"), ["accepted 4"]);
    assert_eq!(of(&plain, "receipts"), ["receipts delivered 2"]);
    let apart = project.stats("group=channel,reason").await;
    assert_eq!(
        of(&apart, "deliveries"),
        [
            "deliveries delivered template 2",
            "deliveries failed template template_unknown 1",
            "deliveries unreachable not_bound 1",
        ]
    );
    let apart = project.stats("group=account").await;
    assert_eq!(
        of(&apart, "deliveries"),
        [
            format!("deliveries delivered {OA} 2"),
            format!("deliveries failed {OA} 1"),
            "deliveries unreachable 1".to_owned(),
        ]
    );
    assert_eq!(of(&apart, "follows"), [format!("follows {OA} 3")]);
    // What is of no account, or of no certain one yet, is not shown as of one.
    let one = project.stats(&format!("app_id={OA}")).await;
    assert_eq!(
        of(&one, "deliveries"),
        ["deliveries delivered 2", "deliveries failed 1"]
    );
    assert!(of(&one, "accepted").is_empty());
    let none = project.stats(&format!("app_id={MP}")).await;
    assert_eq!(totals(&none), Vec::<String>::new());
}

async fn what_cannot_be_shown_is_refused_with_its_field(api: ApiFixture) {
    for (query, field, said) in [
        ("from=yesterday", "from", "2026-11-30"),
        ("from=2026-11-01T00:00:00Z", "from", "2026-11-30"),
        ("to=2026-02-30", "to", "2026-11-30"),
        ("from=2026-11-02&to=2026-11-01", "from", "2026-11-01"),
        ("from=2026-01-01&to=2027-02-05", "to", "400"),
        ("app_id=wx00000000000000ff", "app_id", "wx00000000000000ff"),
        ("group=day", "group", "channel, reason, account"),
        ("group=", "group", "channel"),
    ] {
        let refused = api.app.get(&api.key, &format!("/stats?{query}")).await;
        let problem = refused.refused(400, "invalid_query", field);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(said), "{query}: {detail}");
    }
    api.app
        .get(&api.key, "/stats?since=1")
        .await
        .refused(400, "invalid_query", "since");
}

async fn a_project_sees_its_own_numbers(api: ApiFixture) {
    api.follows(1).await;
    let world = api.world();
    world.follow(FOREIGN, 2, Default::default()).await.unwrap();
    world.follow(FOREIGN, 3, Default::default()).await.unwrap();
    api.app.drain().await;
    let own = api.stats("").await;
    assert_eq!(totals(&own)[..2], ["follows 1", "net_follows 1"]);
    let other = api.app.get(&api.other, "/stats").await.ok(200);
    assert_eq!(totals(&other)[..2], ["follows 2", "net_follows 2"]);
    let foreign = api
        .app
        .get(&api.key, &format!("/stats?app_id={FOREIGN}"))
        .await;
    foreign.refused(400, "invalid_query", "app_id");
}

async fn logins_and_calls_are_counted(project: TestProject) {
    for person in [1, 1, 2] {
        project.logs_in(person).await;
    }
    let code = json!({"code": "wrong"});
    let path = format!("/miniprogram/{MP}/sessions");
    project
        .app
        .post(&project.key, &path, code)
        .await
        .refused(422, "code_invalid", "code");
    let of = |stats: &Value, metric: &str| {
        let all = totals(stats).into_iter();
        all.filter(|line| line.starts_with(metric))
            .collect::<Vec<_>>()
    };
    let stats = project.stats("").await;
    assert_eq!(of(&stats, "logins"), ["logins 3"]);
    assert!(
        of(&stats, "calls").is_empty(),
        "they are in memory: {stats}"
    );
    // While the database takes nothing they stay there.
    let rename = |sql: &'static str| {
        use queqiao::db::{Conn, DbError};
        let write = move |conn: &mut Conn| {
            use diesel::RunQueryDsl as _;
            match conn {
                Conn::Postgres(conn) => diesel::sql_query(sql).execute(conn)?,
                Conn::Sqlite(conn) => diesel::sql_query(sql).execute(conn)?,
            };
            Ok::<_, DbError>(())
        };
        project.app.bridge.db.write(write)
    };
    rename("ALTER TABLE stats_changes RENAME TO stats_changes_away")
        .await
        .unwrap();
    project.app.bridge.run(StepName::Stats).await.unwrap_err();
    rename("ALTER TABLE stats_changes_away RENAME TO stats_changes")
        .await
        .unwrap();
    for _ in 0..2 {
        project.app.bridge.run(StepName::Stats).await.unwrap();
        let stats = project.stats("").await;
        assert_eq!(
            of(&stats, "calls"),
            ["calls jscode2session 4"],
            "the refused one too"
        );
    }
    let stats = project.stats("group=account").await;
    assert_eq!(of(&stats, "logins"), [format!("logins {MP} 3")]);
}
