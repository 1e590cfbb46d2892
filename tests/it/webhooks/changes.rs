//! What a change of an endpoint does to the turn that is under way, and to what waits.

use diesel::RunQueryDsl as _;
use diesel::sql_types::BigInt;
use queqiao::bridge::Step;
use queqiao::bridge::steps::StepName;
use queqiao::db::{Db, DbError};
use queqiao::simulator::Origin;
use reqwest::Method;
use serde_json::{Value, json};

use super::{OA, WebhookFixture, texts};
use crate::support::app::Answer;
use crate::support::receiver::Receiver;

const DAY: u64 = 86_400;
const MESSAGES: &[&str] = &["message.received"];

#[derive(diesel::QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many rows there are of this.
async fn count(db: &Db, of: &'static str) -> i64 {
    let counted = db.read(move |conn| {
        let sql = format!("SELECT COUNT(*) AS count FROM {of}");
        let counted: Counted = diesel::sql_query(sql).get_result(conn)?;
        Ok::<_, DbError>(counted.count)
    });
    counted.await.unwrap()
}

async fn execute(db: &Db, sql: &'static str) {
    let done = db.write(move |conn| Ok::<_, DbError>(diesel::sql_query(sql).execute(conn)?));
    done.await.unwrap();
}

impl WebhookFixture {
    /// Lets so many people write, and begins the turn that posts it.
    async fn begin(&self, texts: &[(u32, &str)]) {
        let world = self.app.simulator.world();
        for (person, text) in texts {
            world.send_text(OA, *person, text).await.unwrap();
        }
        self.app.bridge.run(StepName::Process).await.unwrap();
        assert_eq!(
            self.app.bridge.run(StepName::Webhooks).await.unwrap(),
            Step::Worked
        );
    }

    async fn rotate(&self, id: i64, key: Option<&str>) -> Answer {
        let path = format!("/api/v1/webhooks/{id}/rotate-secret");
        let mut request = self.app.request(Method::POST, &path).bearer_auth(&self.key);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        self.app.send(request).await
    }
}

both_engines! {
    what_the_old_url_answers_is_not_for_the_new_one,
    nothing_is_posted_after_delete_or_disable_was_answered,
    another_process_notices_a_change,
    who_wants_rest_or_is_gone_gets_nothing_more,
    a_deleted_endpoint_is_cleared_away_by_and_by,
    a_large_outbox_is_put_back_and_hastened_whole,
    a_retry_says_what_it_waits_for,
    each_secret_signs_for_the_day_it_was_promised,
    a_url_is_measured_as_it_is_stored,
}

async fn what_the_old_url_answers_is_not_for_the_new_one(webhooks: WebhookFixture) {
    let (id, _) = webhooks.listen(MESSAGES).await;
    let new = Receiver::start();
    webhooks.new_follower(1).await;
    for (status, word) in [(410, "one"), (500, "two")] {
        webhooks
            .put(id, &webhooks.receiver.url, MESSAGES, true)
            .await;
        let before = (webhooks.receiver.posts().len(), new.posts().len());
        webhooks.receiver.answer(status);
        let held = webhooks.receiver.hold().await;
        webhooks.begin(&[(1, word)]).await;
        webhooks.receiver.wait_for(before.0 + 1).await;
        webhooks.put(id, &new.url, MESSAGES, true).await;
        // The new one has it, though the old one has not answered yet.
        webhooks.app.bridge.webhooks.settled().await;
        webhooks.app.drain().await;
        assert_eq!(new.posts().len(), before.1 + 1, "{status}");
        drop(held);
        let shown = webhooks.webhook(id).await;
        assert_eq!(
            (&shown["state"], &shown["failures"]),
            (&json!("enabled"), &json!(0)),
            "{shown}"
        );
        assert_eq!(shown["waiting"], 0, "{shown}");
    }
    assert_eq!(texts(&new.posts(), 1), ["one", "two"]);
}

async fn nothing_is_posted_after_delete_or_disable_was_answered(webhooks: WebhookFixture) {
    for is_deleted in [false, true] {
        let (id, _) = webhooks.listen(MESSAGES).await;
        webhooks.new_follower(1).await;
        let before = webhooks.receiver.posts().len();
        let held = webhooks.receiver.hold().await;
        webhooks
            .begin(&[(1, "one"), (1, "two"), (1, "three")])
            .await;
        webhooks.receiver.wait_for(before + 1).await;
        match is_deleted {
            true => assert_eq!(
                webhooks
                    .app
                    .delete(&webhooks.key, &format!("/webhooks/{id}"))
                    .await
                    .status,
                204
            ),
            false => drop(
                webhooks
                    .put(id, &webhooks.receiver.url, MESSAGES, false)
                    .await,
            ),
        }
        drop(held);
        webhooks.app.bridge.webhooks.settled().await;
        webhooks.app.drain().await;
        assert_eq!(webhooks.receiver.posts().len(), before + 1);
    }
}

async fn another_process_notices_a_change(webhooks: WebhookFixture) {
    let (id, _) = webhooks.listen(MESSAGES).await;
    webhooks.new_follower(1).await;
    let (replica, _server) = webhooks.app.replica();
    let held = webhooks.receiver.hold().await;
    let world = webhooks.app.simulator.world();
    world.send_text(OA, 1, "one").await.unwrap();
    world.send_text(OA, 1, "two").await.unwrap();
    webhooks.app.bridge.run(StepName::Process).await.unwrap();
    assert_eq!(replica.run(StepName::Webhooks).await.unwrap(), Step::Worked);
    webhooks.receiver.wait_for(1).await;
    webhooks
        .put(id, &webhooks.receiver.url, MESSAGES, false)
        .await;
    // Its post is not waited for: the receiver holds the answer back all the time.
    replica.webhooks.settled().await;
    drop(held);
    assert_eq!(texts(&webhooks.receiver.posts(), 1), ["one"]);
    assert_eq!(webhooks.webhook(id).await["waiting"], 2);
}

async fn who_wants_rest_or_is_gone_gets_nothing_more(webhooks: WebhookFixture) {
    webhooks.app.simulator.world().add_people(30);
    let (id, _) = webhooks.listen(MESSAGES).await;
    let people: Vec<(u32, &str)> = (1..=39).map(|person| (person, "hi")).collect();
    for (person, _) in &people {
        webhooks
            .app
            .simulator
            .world()
            .follow(OA, *person, Origin::default())
            .await
            .unwrap();
    }
    webhooks.app.drain().await;
    for status in [429, 410] {
        webhooks
            .put(id, &webhooks.receiver.url, MESSAGES, true)
            .await;
        let before = webhooks.receiver.posts().len();
        webhooks
            .receiver
            .script(move |_| (status, "120".to_owned()));
        webhooks.begin(&people).await;
        webhooks.app.bridge.webhooks.settled().await;
        // Those that were on their way when the first answer came.
        let posts = webhooks.receiver.posts().len() - before;
        assert!((1..=16).contains(&posts), "{posts} posts");
        webhooks.receiver.answer(200);
        webhooks
            .put(id, &webhooks.receiver.url, MESSAGES, true)
            .await;
        webhooks.advance(121).await;
        assert_eq!(webhooks.webhook(id).await["waiting"], 0);
    }
}

async fn a_deleted_endpoint_is_cleared_away_by_and_by(webhooks: WebhookFixture) {
    let (id, _) = webhooks.listen(MESSAGES).await;
    webhooks.new_follower(1).await;
    webhooks.receiver.answer(500);
    for text in ["one", "two", "three"] {
        webhooks.write(1, text).await;
    }
    let path = format!("/webhooks/{id}");
    assert_eq!(webhooks.app.delete(&webhooks.key, &path).await.status, 204);
    webhooks
        .app
        .delete(&webhooks.key, &path)
        .await
        .refused(404, "not_found", "");
    webhooks
        .app
        .get(&webhooks.key, &path)
        .await
        .refused(404, "not_found", "");
    let body = json!({"url": webhooks.receiver.url, "events": MESSAGES});
    webhooks
        .app
        .put(&webhooks.key, &path, body)
        .await
        .refused(404, "not_found", "");
    let listed = webhooks.app.get(&webhooks.key, "/webhooks").await.ok(200);
    assert_eq!(listed["items"], json!([]));
    let db = &webhooks.app.bridge.db;
    assert_eq!(count(db, "webhook_messages").await, 3);
    while webhooks.app.bridge.run(StepName::Prune).await.unwrap() == Step::Worked {}
    assert_eq!(
        (
            count(db, "webhook_messages").await,
            count(db, "webhooks").await
        ),
        (0, 0)
    );
}

async fn a_large_outbox_is_put_back_and_hastened_whole(webhooks: WebhookFixture) {
    let (id, _) = webhooks.listen(MESSAGES).await;
    webhooks.new_follower(1).await;
    webhooks.write(1, "one").await;
    // More than one transaction takes.
    let many = "INSERT INTO webhook_messages (webhook_id, uid, kind, body, state, attempts, created_at, finished_at) \
                    SELECT webhook_id, uid, kind, body, state, 1, created_at, finished_at FROM webhook_messages";
    for _ in 0..13 {
        execute(&webhooks.app.bridge.db, many).await;
    }
    webhooks
        .put(id, &webhooks.receiver.url, MESSAGES, false)
        .await;
    let now = webhooks.app.clock.now().and_utc();
    let range = json!({"since": (now - chrono::TimeDelta::days(1)).to_rfc3339(), "until": (now + chrono::TimeDelta::days(1)).to_rfc3339()});
    let answer = webhooks
        .app
        .post(&webhooks.key, &format!("/webhooks/{id}/replay"), range)
        .await
        .ok(202);
    assert_eq!(
        answer,
        json!({"enqueued": 8_192, "endpoint": {"state": "disabled", "paused_until": null}})
    );
    let tried = "UPDATE webhook_messages SET attempts = 3, due_at = '2999-01-01 00:00:00'";
    execute(&webhooks.app.bridge.db, tried).await;
    webhooks
        .put(id, &webhooks.receiver.url, MESSAGES, true)
        .await;
    let late = count(
        &webhooks.app.bridge.db,
        "webhook_messages WHERE attempts > 0 OR due_at > '2998-01-01 00:00:00'",
    )
    .await;
    assert_eq!(late, 0);
}

async fn a_retry_says_what_it_waits_for(webhooks: WebhookFixture) {
    let (id, _) = webhooks.listen(MESSAGES).await;
    webhooks.new_follower(1).await;
    webhooks.write(1, "one").await;
    let message = webhooks.deliveries(id).await[0]["id"].clone();
    webhooks
        .put(id, &webhooks.receiver.url, MESSAGES, false)
        .await;
    let path = format!("/webhooks/{id}/deliveries/{message}/retry");
    let retried = webhooks
        .app
        .call("POST", &webhooks.key, &path, None)
        .await
        .ok(202);
    assert_eq!(
        retried["endpoint"],
        json!({"state": "disabled", "paused_until": null})
    );
}

async fn each_secret_signs_for_the_day_it_was_promised(webhooks: WebhookFixture) {
    let (id, receivers) = webhooks.listen(MESSAGES).await;
    webhooks.new_follower(1).await;
    let secret = |answer: Value| answer["secret"].as_str().unwrap().to_owned();
    let second = secret(webhooks.rotate(id, Some("k1")).await.ok(200));
    // A lost answer, asked for again.
    assert_eq!(
        secret(webhooks.rotate(id, Some("k1")).await.ok(200)),
        second
    );
    webhooks.advance(3_600).await;
    let third = secret(webhooks.rotate(id, None).await.ok(200));
    assert_ne!(third, second);
    webhooks
        .rotate(id, Some("k2"))
        .await
        .refused(409, "too_many", "");
    webhooks.write(1, "one").await;
    let post = webhooks.receiver.posts().pop().unwrap();
    let signed = [&third, &second, &receivers].map(|secret| post.signed_by(secret));
    assert_eq!(signed, [Some(0), Some(1), Some(2)]);
    webhooks.advance(DAY - 1_800).await;
    webhooks.write(1, "two").await;
    let post = webhooks.receiver.posts().pop().unwrap();
    let signed = [&third, &second, &receivers].map(|secret| post.signed_by(secret));
    assert_eq!(signed, [Some(0), Some(1), None]);
    let fourth = secret(webhooks.rotate(id, Some("k1")).await.ok(200));
    assert!(
        ![third, second].contains(&fourth),
        "the key of a rotation that is over is a new one"
    );
}

async fn a_url_is_measured_as_it_is_stored(webhooks: WebhookFixture) {
    let url = format!("https://example.com/{}", "鹊".repeat(400));
    let body = json!({"url": url, "events": ["*"]});
    webhooks
        .app
        .post(&webhooks.key, "/webhooks", body)
        .await
        .refused(422, "invalid_field", "url");
    let url = format!("https://example.com/{}", "鹊".repeat(200));
    let (id, _) = webhooks.listen_at(&url, MESSAGES).await;
    let stored = webhooks.webhook(id).await["url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        webhooks.put(id, &stored, MESSAGES, true).await["url"],
        stored
    );
}
