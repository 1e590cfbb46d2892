//! Addresses that only this machine can reach.

use std::sync::Arc;

use queqiao::bridge::Bridge;
use queqiao::db::{Db, Engine};
use serde_json::json;

use super::{OA, WebhookFixture};
use crate::support::logs;
use crate::support::receiver::Receiver;

both_engines! {
    private_addresses_are_refused_unless_allowed,
    the_address_is_judged_when_it_is_connected_to,
    a_name_inside_is_told_by_nothing_from_one_that_nobody_has,
    the_metadata_of_clouds_is_refused_even_where_private_addresses_are_allowed,
    a_redirect_is_not_followed,
}

async fn private_addresses_are_refused_unless_allowed(engine: Engine) {
    let webhooks = WebhookFixture::with(engine, false).await;
    for url in [
        "http://127.0.0.1:1/",
        "http://2130706433/",
        "http://localhost/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.8/hook",
        "https://192.168.1.1/",
        "http://[fd00::1]/",
    ] {
        let body = json!({"url": url, "events": ["*"]});
        let refused = webhooks.app.post(&webhooks.key, "/webhooks", body).await;
        let problem = refused.refused(422, "invalid_field", "url");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("allow_private_addresses")
        );
    }
    let body = json!({"url": "https://example.com/hook", "events": ["*"]});
    webhooks
        .app
        .post(&webhooks.key, "/webhooks", body)
        .await
        .ok(201);
}

/// The endpoint was added while it was allowed, as a name that changes its address would be.
async fn the_address_is_judged_when_it_is_connected_to(webhooks: WebhookFixture) {
    let url = webhooks.receiver.url.replace("127.0.0.1", "localhost");
    let (named, _) = webhooks.listen_at(&url, &["message.received"]).await;
    let (literal, _) = webhooks.listen(&["message.received"]).await;
    webhooks.new_follower(1).await;
    let mut config = (*webhooks.app.bridge.config).clone();
    config.webhooks.allow_private_addresses = false;
    let strict = Bridge::new(
        Db::open(&webhooks.app.database.url(), 4).unwrap(),
        webhooks.app.clock.clone(),
        webhooks.app.bridge.wechat.clone(),
        webhooks.app.bridge.vault.clone(),
        Arc::new(config),
    );
    webhooks
        .app
        .simulator
        .world()
        .send_text(OA, 1, "hello")
        .await
        .unwrap();
    webhooks.app.drain_by(&strict).await;
    assert!(webhooks.receiver.posts().is_empty());
    for id in [named, literal] {
        let shown = webhooks.deliveries(id).await.swap_remove(0);
        assert_eq!(shown["state"], "queued");
        let answer = &shown["last_answer"];
        assert!(answer["status"].is_null(), "{answer}");
        assert!(
            answer["text"]
                .as_str()
                .unwrap()
                .contains("not of the internet"),
            "{answer}"
        );
    }
}

/// By the difference, whoever may add endpoints would learn the names of the network around this machine.
async fn a_name_inside_is_told_by_nothing_from_one_that_nobody_has(engine: Engine) {
    logs::capture();
    let webhooks = WebhookFixture::with(engine, false).await;
    // This machine's own name leads to an address of its own.
    let inside = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let inside = inside
        .lines()
        .next()
        .filter(|name| !name.is_empty())
        .unwrap_or("inside.invalid");
    let unknown = format!("nobody-{:x}.invalid", rand::random::<u64>());
    let mut said = Vec::new();
    for name in [inside, &unknown] {
        let (id, _) = webhooks
            .listen_at(&format!("http://{name}:1/hook"), &["message.received"])
            .await;
        let path = format!("/webhooks/{id}/test");
        webhooks
            .app
            .call("POST", &webhooks.key, &path, None)
            .await
            .ok(202);
        webhooks.app.drain().await;
        let shown = webhooks.deliveries(id).await.swap_remove(0);
        assert_eq!(shown["state"], "queued", "{shown}");
        said.push((
            shown["last_answer"]["status"].clone(),
            shown["last_answer"]["text"].clone(),
        ));
    }
    assert_eq!(said[0], said[1]);
    assert!(
        said[0].1.as_str().unwrap().contains("leads to no address"),
        "{said:?}"
    );
    // The operator is told which it is.
    let lines = logs::lines_with(&unknown);
    assert!(
        lines
            .iter()
            .any(|line| line.contains("leads nowhere") && line.contains("lookup")),
        "{lines:?}"
    );
}

async fn the_metadata_of_clouds_is_refused_even_where_private_addresses_are_allowed(
    webhooks: WebhookFixture,
) {
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:a9fe:a9fe]/",
        "http://2852039166/",
        "http://169.254.0.23/",
        "http://100.100.100.200/",
        "http://[fd00:ec2::254]/",
        "http://metadata.google.internal/computeMetadata/v1/",
        "http://metadata.tencentyun.com./",
    ] {
        let body = json!({"url": url, "events": ["*"]});
        let refused = webhooks.app.post(&webhooks.key, "/webhooks", body).await;
        let problem = refused.refused(422, "invalid_field", "url");
        assert!(
            problem["detail"].as_str().unwrap().contains("metadata"),
            "{problem}"
        );
    }
    webhooks
        .listen_at("http://10.0.0.8/hook", &["message.received"])
        .await;
}

async fn a_redirect_is_not_followed(webhooks: WebhookFixture) {
    let inside = Receiver::start();
    let (id, _) = webhooks.listen(&["message.received"]).await;
    webhooks.new_follower(1).await;
    let target = inside.url.clone();
    webhooks.receiver.script(move |_| (307, target.clone()));
    webhooks.write(1, "hello").await;
    assert_eq!(webhooks.receiver.posts().len(), 1);
    assert!(inside.posts().is_empty());
    let shown = webhooks.deliveries(id).await.swap_remove(0);
    assert_eq!(
        (&shown["state"], &shown["last_answer"]["status"]),
        (&json!("queued"), &json!(307))
    );
    assert!(
        shown["last_answer"]["text"]
            .as_str()
            .unwrap()
            .contains("final URL"),
        "{shown}"
    );
}
