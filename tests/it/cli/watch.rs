//! What a monitor and an operator see of an account that WeChat refuses, and how it comes back.

use queqiao::simulator::{Origin, population};
use serde_json::json;

use super::{CliFixture, MP, OA};
use crate::support::api::by_openid;
use crate::support::program::{Running, eventually};
use crate::support::setup::template;

impl CliFixture {
    async fn metrics(&self, running: &Running) -> String {
        let request = self.http.get(format!("{}/metrics", running.url));
        request.send().await.unwrap().text().await.unwrap()
    }

    /// Staff member `s1`, who follows, and a message type for them.
    async fn prepare(&self, running: &Running) {
        self.world().follow(OA, 1, Origin::search()).await.unwrap();
        let listed = template("TPL", "{{thing1.DATA}}");
        self.world().add_template(OA, &listed).unwrap();
        let api = self.api(running);
        let routes = json!([{"account": OA, "template_id": "TPL", "fields": {"thing1": "hi"}}]);
        api.message_type("ping", routes).await;
        api.staff("s1").bound_to(by_openid(OA, 1)).await;
    }

    async fn notify(&self, running: &Running) {
        let body = json!({"message_type": "ping", "staff_ids": ["s1"]});
        self.api(running).post("/notifications", body).await.ok(202);
    }
}

both_engines! {
    deliveries_are_counted_by_how_they_end,
}

async fn deliveries_are_counted_by_how_they_end(cli: CliFixture) {
    let serve = cli.program.serve(&["serve"]);
    cli.point_to(&serve);
    cli.prepare(&serve).await;
    cli.notify(&serve).await;
    let counted = |state: &str, reason: &str, count: u32| {
        format!("queqiao_deliveries_total{{state=\"{state}\",reason=\"{reason}\"}} {count}")
    };
    let wait_for = async |lines: Vec<String>| {
        eventually("the count of ends", async || {
            shows(&cli.metrics(&serve).await, &lines).then_some(())
        })
        .await;
    };
    wait_for(vec![counted("delivered", "none", 1)]).await;
    cli.world().remove_template(OA, "TPL").unwrap();
    cli.notify(&serve).await;
    let both = vec![
        counted("delivered", "none", 1),
        counted("failed", "template_unknown", 1),
    ];
    wait_for(both).await;
    let body = json!({"message_type": "ping", "staff_ids": ["s9"]});
    cli.api(&serve).post("/notifications", body).await.ok(202);
    wait_for(vec![counted("unreachable", "unknown_staff", 1)]).await;
    // What an erasure ends is an end like any other.
    let tomorrow = (chrono::Utc::now() + chrono::TimeDelta::days(1)).to_rfc3339();
    let body = json!({"message_type": "ping", "staff_ids": ["s1"], "send_at": tomorrow});
    cli.api(&serve).post("/notifications", body).await.ok(202);
    let path = format!("/people?openid={}", population::openid(OA, 1));
    let found = cli.get(&serve, &path).await;
    let path = format!("/people/{}", found["items"][0]["identity_id"]);
    let erased = cli.api(&serve).call("DELETE", &path, None).await;
    assert!((200..300).contains(&erased.status), "{erased:?}");
    wait_for(vec![counted("cancelled", "erased", 1)]).await;
    // What was not told yet is told when the process ends.
    serve.terminate();
    let log = serve.ended().err;
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("deliveries did not arrive"))
        .collect();
    let line = lines
        .iter()
        .find(|line| line.contains("template_unknown"))
        .unwrap();
    assert!(
        line.contains(&format!("account.app_id=\"{OA}\"")) && line.contains("deliveries.count=1"),
        "{log}"
    );
    assert!(
        lines.iter().any(|line| line.contains("unknown_staff")),
        "{log}"
    );
}

/// Whether these lines stand in Prometheus' text.
fn shows(metrics: &str, lines: &[String]) -> bool {
    let there: Vec<&str> = metrics.lines().collect();
    lines.iter().all(|line| there.contains(&line.as_str()))
}

both_engines! {
    an_account_that_is_refused_is_seen_and_resumes_when_it_is_changed,
}

async fn an_account_that_is_refused_is_seen_and_resumes_when_it_is_changed(cli: CliFixture) {
    let mut cli = cli;
    // No try by itself within this test.
    cli.program
        .settings
        .push(("QUEQIAO_DELIVER__PROBE_SECONDS", "3000"));
    let serve = cli.program.serve(&["serve"]);
    cli.point_to(&serve);
    cli.prepare(&serve).await;
    let calm = [
        "queqiao_deliveries_queued{state=\"waiting\"} 0".to_owned(),
        "queqiao_deliveries_oldest_due_seconds{app_id=\"none\"} 0".to_owned(),
        "queqiao_accounts_paused{kind=\"stopped\"} 0".to_owned(),
        format!("queqiao_account_stopped{{app_id=\"{OA}\"}} 0"),
        format!("queqiao_budget_used{{app_id=\"{OA}\",call=\"template/send\"}} 0"),
        format!("queqiao_budget_limit{{app_id=\"{OA}\",call=\"template/send\"}} 100000"),
        format!("queqiao_budget_limit{{app_id=\"{MP}\",call=\"subscribe/send\"}} 10000000"),
    ];
    let metrics = cli.metrics(&serve).await;
    assert!(shows(&metrics, &calm), "{metrics}");
    cli.world().invalidate_tokens(OA).unwrap();
    let reset = "another-secret-of-the-account";
    cli.world()
        .change_account(OA, |settings| settings.secret = reset.to_owned())
        .unwrap();
    cli.notify(&serve).await;
    let stopped = [
        "queqiao_deliveries_queued{state=\"waiting\"} 1".to_owned(),
        "queqiao_accounts_paused{kind=\"stopped\"} 1".to_owned(),
        format!("queqiao_account_stopped{{app_id=\"{OA}\"}} 1"),
        format!("queqiao_account_stopped{{app_id=\"{MP}\"}} 0"),
    ];
    eventually("the pause in the gauges", async || {
        shows(&cli.metrics(&serve).await, &stopped).then_some(())
    })
    .await;
    let waiting = cli
        .program
        .run(&["deliveries", "list", "--reason", "account_problem"])
        .ok();
    assert!(
        waiting.contains("s1") && waiting.contains("queued"),
        "{waiting}"
    );
    std::fs::write(cli.program.directory.join("secret"), reset).unwrap();
    let set = cli
        .program
        .run(&["accounts", "set", OA, "--secret", "@secret"])
        .ok();
    assert!(set.contains("1 deliveries due at once"), "{set}");
    eventually("the message", async || {
        let messages = cli.world().messages_to(&population::openid(OA, 1));
        (messages.len() == 1).then_some(())
    })
    .await;
    let used = [format!(
        "queqiao_budget_used{{app_id=\"{OA}\",call=\"template/send\"}} 1"
    )];
    eventually("the budget and the end of the pause", async || {
        let metrics = cli.metrics(&serve).await;
        (shows(&metrics, &calm[..4]) && shows(&metrics, &used)).then_some(())
    })
    .await;
    serve.terminate();
    let log = serve.ended().err;
    let mut told = log.lines().filter(|line| line.contains("account stopped"));
    let line = told.next().unwrap_or_default();
    assert!(line.contains(&format!("account.app_id=\"{OA}\"")), "{log}");
    assert!(!log.contains("account.id"), "{log}");
}
