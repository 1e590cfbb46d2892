//! Whatever happens, in whichever order and however often: the numbers are those of the rows.

use std::time::Duration;

use diesel::RunQueryDsl as _;
use queqiao::bridge::Bridge;
use queqiao::bridge::steps::StepName;
use queqiao::db::{Conn, DbError, Engine};
use queqiao::simulator::{Fault, FaultKind, Origin, Receipt, population};
use serde_json::json;

use crate::support::TestProject;
use crate::support::api::by_unionid;
use crate::support::setup::{MP, OA, titled};

/// Stories on each engine, and what happens in each.
const STORIES: u64 = 4;
const HAPPENINGS: u64 = 45;
const SEND: &str = "/cgi-bin/message/template/send";
/// People in a story.
const PEOPLE: u64 = 5;

/// A sequence of numbers that looks like chance, and is the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn person(&mut self) -> u32 {
        u32::try_from(self.below(PEOPLE)).unwrap() + 1
    }
}

async fn execute(bridge: &Bridge, sql: &'static str) {
    let done = bridge.db.write(move |conn| {
        match conn {
            Conn::Postgres(conn) => diesel::sql_query(sql).execute(conn)?,
            Conn::Sqlite(conn) => diesel::sql_query(sql).execute(conn)?,
        };
        Ok::<_, DbError>(())
    });
    done.await.unwrap();
}

/// A step while the database lacks a table: what it had done until then is rolled back.
async fn fails(project: &TestProject, step: StepName, table: &'static str) {
    let (away, back) = match table {
        "webhooks" => (
            "ALTER TABLE webhooks RENAME TO webhooks_away",
            "ALTER TABLE webhooks_away RENAME TO webhooks",
        ),
        _ => (
            "ALTER TABLE attempts RENAME TO attempts_away",
            "ALTER TABLE attempts_away RENAME TO attempts",
        ),
    };
    execute(&project.app.bridge, away).await;
    drop(project.app.bridge.run(step).await);
    execute(&project.app.bridge, back).await;
}

/// Something happens; in words.
async fn happens(project: &TestProject, other: &Bridge, dice: &mut Dice) -> String {
    let (app, key, world) = (&project.app, &project.key, project.world());
    let person = dice.person();
    let what = dice.below(24);
    match what {
        0..=2 => drop(world.follow(OA, person, Origin::search()).await),
        3 => drop(world.unfollow(OA, person).await),
        4 => drop(world.send_text(OA, person, "hello").await),
        5 => project.logs_in(person).await,
        6..=9 => {
            let staff: Vec<String> = (1..=1 + dice.below(PEOPLE))
                .map(|n| format!("s{n}"))
                .collect();
            let mut body = json!({"message_type": "ping", "params": {"title": "hi"}});
            body["staff_ids"] = json!(staff);
            match dice.below(4) {
                0 => {
                    let later = i64::try_from(dice.below(72)).unwrap();
                    let at = app.clock.now() + chrono::TimeDelta::hours(later + 1);
                    body["send_at"] = json!(at.and_utc().to_rfc3339());
                }
                1 => {
                    let at = app.clock.now() + chrono::TimeDelta::hours(1);
                    body["expires_at"] = json!(at.and_utc().to_rfc3339());
                }
                _ => {}
            }
            app.post(key, "/notifications", body).await.ok(202);
        }
        10 => {
            let list = app.get(key, "/notifications?limit=1").await.ok(200);
            if let Some(id) = list["items"][0]["id"].as_i64() {
                let path = format!("/notifications/{id}/cancel");
                app.post(key, &path, json!({})).await;
            }
        }
        11 => {
            let states = "failed,unreachable,no_receipt,unknown";
            let body = json!({"state": states, "even_if_sent": true});
            app.post(key, "/deliveries/retry", body).await.ok(202);
        }
        12 => {
            let codes = [43004, 45009, 40037, 43101, -1, 50002, 45047];
            let errcode = codes[usize::try_from(dice.below(7)).unwrap()];
            let fault = Fault::at(SEND, FaultKind::Errcode { errcode }).times(2);
            world.add_fault(fault).unwrap();
        }
        13 => {
            // By the process that does not wait long.
            let kinds = [FaultKind::TimeOutAfter, FaultKind::TimeOutBefore];
            let kind = kinds[usize::try_from(dice.below(2)).unwrap()];
            world.add_fault(Fault::at(SEND, kind).times(1)).unwrap();
            drop(other.run(StepName::Deliver).await);
            world.clear_faults();
        }
        14 => {
            let status = ["success", "failed:user block", "failed: system failed"];
            let receipt = Receipt {
                status: status[usize::try_from(dice.below(3)).unwrap()].to_owned(),
                ..Receipt::default()
            };
            world.set_receipt(OA, None, receipt).unwrap();
        }
        15 => app.drain().await,
        16 => app.drain_by(other).await,
        17 => {
            let hours = dice.below(30);
            app.advance(Duration::from_secs(hours * 3_600));
        }
        18 => fails(project, StepName::Process, "webhooks").await,
        19 => fails(project, StepName::Deliver, "attempts").await,
        20 => {
            let page = app.get(key, "/events?limit=3").await.ok(200);
            for event in page["items"].as_array().unwrap() {
                let path = format!("/events/{}/replay", event["id"]);
                app.post(key, &path, json!({})).await.ok(202);
            }
        }
        21 => drop(other.run(StepName::Stats).await.unwrap()),
        22 => {
            let body = json!({"routes": match dice.below(2) {
                0 => json!([titled(OA, "TPL")]),
                _ => json!([titled(OA, "TPL"), customer()]),
            }});
            app.put(key, "/message-types/ping", body).await.ok(200);
        }
        _ => {
            let openid = population::openid(OA, person);
            for found in project.people(&format!("openid={openid}")).await {
                let path = format!("/people/{}", found["identities"][0]["id"]);
                app.delete(key, &path).await;
            }
        }
    }
    format!("{what} of person {person}")
}

/// A route that leads to who has just written.
fn customer() -> serde_json::Value {
    json!({"channel": "customer", "account": OA, "text": "{{ params.title }}"})
}

both_engines! {
    numbers_are_those_of_the_rows_whatever_happens,
}

async fn numbers_are_those_of_the_rows_whatever_happens(engine: Engine) {
    for seed in 1..=STORIES {
        let settings = |config: &mut queqiao::config::Config| {
            config.deliver.receipt_seconds = 7_200;
        };
        let project = TestProject::with_settings(engine, Default::default(), settings).await;
        let (other, _server) = project.impatient();
        project
            .message_type("ping", json!([titled(OA, "TPL")]))
            .await;
        for person in 1..=u32::try_from(PEOPLE).unwrap() {
            let staff = format!("s{person}");
            if person % 2 == 1 {
                project.follows(person).await;
                project.app.drain().await;
                project.staff(&staff).bound_to(by_unionid(person)).await;
            } else {
                project.staff(&staff).await;
            }
        }
        // Every push comes twice.
        project.world().set_push_copies(OA, 2).unwrap();
        project.world().set_push_copies(MP, 2).unwrap();
        let mut dice = Dice(seed);
        let mut story = Vec::new();
        for _ in 0..HAPPENINGS {
            story.push(happens(&project, &other, &mut dice).await);
            project.assert_counted(&format!("{seed}: {story:?}")).await;
        }
        // Whoever folds, nothing changes.
        let before = project.assert_counted(&format!("{seed}")).await;
        project.app.bridge.run(StepName::Stats).await.unwrap();
        let mut after = project.assert_counted(&format!("{seed}, folded")).await;
        after.retain(|[_, metric, ..], _| metric != "calls");
        let mut without_calls = before;
        without_calls.retain(|[_, metric, ..], _| metric != "calls");
        assert_eq!(without_calls, after);
    }
}
