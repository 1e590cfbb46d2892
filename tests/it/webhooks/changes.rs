//! What a change of an endpoint does to the turn that is under way, and to what waits.

use diesel::RunQueryDsl as _;
use diesel::sql_types::BigInt;
use queqiao::bridge::Step;
use queqiao::db::{Db, DbError};
use queqiao::simulator::Origin;
use reqwest::Method;
use serde_json::{Value, json};

use super::{OA, Shop, texts};
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

impl Shop {
    /// Lets so many people write, and begins the turn that posts it.
    async fn begin(&self, texts: &[(u32, &str)]) {
        let world = self.app.simulator.world();
        for (person, text) in texts {
            world.send_text(OA, *person, text).await.unwrap();
        }
        self.app.bridge.process_step().await.unwrap();
        assert_eq!(self.app.bridge.webhook_step().await.unwrap(), Step::Worked);
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

async fn what_the_old_url_answers_is_not_for_the_new_one(shop: Shop) {
    let (id, _) = shop.listen(MESSAGES).await;
    let new = Receiver::start();
    shop.follow(1).await;
    for (status, word) in [(410, "one"), (500, "two")] {
        shop.put(id, &shop.receiver.url, MESSAGES, true).await;
        let before = (shop.receiver.posts().len(), new.posts().len());
        shop.receiver.answer(status);
        let held = shop.receiver.hold().await;
        shop.begin(&[(1, word)]).await;
        shop.receiver.wait_for(before.0 + 1).await;
        shop.put(id, &new.url, MESSAGES, true).await;
        // The new one has it, though the old one has not answered yet.
        shop.app.bridge.webhooks_settled().await;
        shop.app.drain().await;
        assert_eq!(new.posts().len(), before.1 + 1, "{status}");
        drop(held);
        let shown = shop.webhook(id).await;
        assert_eq!(
            (&shown["state"], &shown["failures"]),
            (&json!("enabled"), &json!(0)),
            "{shown}"
        );
        assert_eq!(shown["waiting"], 0, "{shown}");
    }
    assert_eq!(texts(&new.posts(), 1), ["one", "two"]);
}

async fn nothing_is_posted_after_delete_or_disable_was_answered(shop: Shop) {
    for is_deleted in [false, true] {
        let (id, _) = shop.listen(MESSAGES).await;
        shop.follow(1).await;
        let before = shop.receiver.posts().len();
        let held = shop.receiver.hold().await;
        shop.begin(&[(1, "one"), (1, "two"), (1, "three")]).await;
        shop.receiver.wait_for(before + 1).await;
        match is_deleted {
            true => assert_eq!(
                shop.app
                    .delete(&shop.key, &format!("/webhooks/{id}"))
                    .await
                    .status,
                204
            ),
            false => drop(shop.put(id, &shop.receiver.url, MESSAGES, false).await),
        }
        drop(held);
        shop.app.bridge.webhooks_settled().await;
        shop.app.drain().await;
        assert_eq!(shop.receiver.posts().len(), before + 1);
    }
}

async fn another_process_notices_a_change(shop: Shop) {
    let (id, _) = shop.listen(MESSAGES).await;
    shop.follow(1).await;
    let (replica, _server) = shop.app.replica();
    let held = shop.receiver.hold().await;
    let world = shop.app.simulator.world();
    world.send_text(OA, 1, "one").await.unwrap();
    world.send_text(OA, 1, "two").await.unwrap();
    shop.app.bridge.process_step().await.unwrap();
    assert_eq!(replica.webhook_step().await.unwrap(), Step::Worked);
    shop.receiver.wait_for(1).await;
    shop.put(id, &shop.receiver.url, MESSAGES, false).await;
    // Its post is not waited for: the receiver holds the answer back all the time.
    replica.webhooks_settled().await;
    drop(held);
    assert_eq!(texts(&shop.receiver.posts(), 1), ["one"]);
    assert_eq!(shop.webhook(id).await["waiting"], 2);
}

async fn who_wants_rest_or_is_gone_gets_nothing_more(shop: Shop) {
    shop.app.simulator.world().add_people(30);
    let (id, _) = shop.listen(MESSAGES).await;
    let people: Vec<(u32, &str)> = (1..=39).map(|person| (person, "hi")).collect();
    for (person, _) in &people {
        shop.app
            .simulator
            .world()
            .follow(OA, *person, Origin::default())
            .await
            .unwrap();
    }
    shop.app.drain().await;
    for status in [429, 410] {
        shop.put(id, &shop.receiver.url, MESSAGES, true).await;
        let before = shop.receiver.posts().len();
        shop.receiver.script(move |_| (status, "120".to_owned()));
        shop.begin(&people).await;
        shop.app.bridge.webhooks_settled().await;
        // Those that were on their way when the first answer came.
        let posts = shop.receiver.posts().len() - before;
        assert!((1..=16).contains(&posts), "{posts} posts");
        shop.receiver.answer(200);
        shop.put(id, &shop.receiver.url, MESSAGES, true).await;
        shop.advance(121).await;
        assert_eq!(shop.webhook(id).await["waiting"], 0);
    }
}

async fn a_deleted_endpoint_is_cleared_away_by_and_by(shop: Shop) {
    let (id, _) = shop.listen(MESSAGES).await;
    shop.follow(1).await;
    shop.receiver.answer(500);
    for text in ["one", "two", "three"] {
        shop.write(1, text).await;
    }
    let path = format!("/webhooks/{id}");
    assert_eq!(shop.app.delete(&shop.key, &path).await.status, 204);
    shop.app
        .delete(&shop.key, &path)
        .await
        .refused(404, "not_found", "");
    shop.app
        .get(&shop.key, &path)
        .await
        .refused(404, "not_found", "");
    let body = json!({"url": shop.receiver.url, "events": MESSAGES});
    shop.app
        .put(&shop.key, &path, body)
        .await
        .refused(404, "not_found", "");
    let listed = shop.app.get(&shop.key, "/webhooks").await.ok(200);
    assert_eq!(listed["items"], json!([]));
    let db = &shop.app.bridge.db;
    assert_eq!(count(db, "webhook_messages").await, 3);
    while shop.app.bridge.webhook_prune_step().await.unwrap() == Step::Worked {}
    assert_eq!(
        (
            count(db, "webhook_messages").await,
            count(db, "webhooks").await
        ),
        (0, 0)
    );
}

async fn a_large_outbox_is_put_back_and_hastened_whole(shop: Shop) {
    let (id, _) = shop.listen(MESSAGES).await;
    shop.follow(1).await;
    shop.write(1, "one").await;
    // More than one transaction takes.
    let many = "INSERT INTO webhook_messages (webhook_id, uid, kind, body, state, attempts, created_at, finished_at) \
                    SELECT webhook_id, uid, kind, body, state, 1, created_at, finished_at FROM webhook_messages";
    for _ in 0..13 {
        execute(&shop.app.bridge.db, many).await;
    }
    shop.put(id, &shop.receiver.url, MESSAGES, false).await;
    let now = shop.app.clock.now().and_utc();
    let range = json!({"since": (now - chrono::TimeDelta::days(1)).to_rfc3339(), "until": (now + chrono::TimeDelta::days(1)).to_rfc3339()});
    let answer = shop
        .app
        .post(&shop.key, &format!("/webhooks/{id}/replay"), range)
        .await
        .ok(202);
    assert_eq!(
        answer,
        json!({"enqueued": 8_192, "endpoint": {"state": "disabled", "paused_until": null}})
    );
    let tried = "UPDATE webhook_messages SET attempts = 3, due_at = '2999-01-01 00:00:00'";
    execute(&shop.app.bridge.db, tried).await;
    shop.put(id, &shop.receiver.url, MESSAGES, true).await;
    let late = count(
        &shop.app.bridge.db,
        "webhook_messages WHERE attempts > 0 OR due_at > '2998-01-01 00:00:00'",
    )
    .await;
    assert_eq!(late, 0);
}

async fn a_retry_says_what_it_waits_for(shop: Shop) {
    let (id, _) = shop.listen(MESSAGES).await;
    shop.follow(1).await;
    shop.write(1, "one").await;
    let message = shop.deliveries(id).await[0]["id"].clone();
    shop.put(id, &shop.receiver.url, MESSAGES, false).await;
    let path = format!("/webhooks/{id}/deliveries/{message}/retry");
    let retried = shop.app.call("POST", &shop.key, &path, None).await.ok(202);
    assert_eq!(
        retried["endpoint"],
        json!({"state": "disabled", "paused_until": null})
    );
}

async fn each_secret_signs_for_the_day_it_was_promised(shop: Shop) {
    let (id, receivers) = shop.listen(MESSAGES).await;
    shop.follow(1).await;
    let secret = |answer: Value| answer["secret"].as_str().unwrap().to_owned();
    let second = secret(shop.rotate(id, Some("k1")).await.ok(200));
    // A lost answer, asked for again.
    assert_eq!(secret(shop.rotate(id, Some("k1")).await.ok(200)), second);
    shop.advance(3_600).await;
    let third = secret(shop.rotate(id, None).await.ok(200));
    assert_ne!(third, second);
    shop.rotate(id, Some("k2"))
        .await
        .refused(409, "too_many", "");
    shop.write(1, "one").await;
    let post = shop.receiver.posts().pop().unwrap();
    let signed = [&third, &second, &receivers].map(|secret| post.signed_by(secret));
    assert_eq!(signed, [Some(0), Some(1), Some(2)]);
    shop.advance(DAY - 1_800).await;
    shop.write(1, "two").await;
    let post = shop.receiver.posts().pop().unwrap();
    let signed = [&third, &second, &receivers].map(|secret| post.signed_by(secret));
    assert_eq!(signed, [Some(0), Some(1), None]);
    let fourth = secret(shop.rotate(id, Some("k1")).await.ok(200));
    assert!(
        ![third, second].contains(&fourth),
        "the key of a rotation that is over is a new one"
    );
}

async fn a_url_is_measured_as_it_is_stored(shop: Shop) {
    let url = format!("https://example.com/{}", "鹊".repeat(400));
    let body = json!({"url": url, "events": ["*"]});
    shop.app
        .post(&shop.key, "/webhooks", body)
        .await
        .refused(422, "invalid_field", "url");
    let url = format!("https://example.com/{}", "鹊".repeat(200));
    let (id, _) = shop.listen_at(&url, MESSAGES).await;
    let stored = shop.webhook(id).await["url"].as_str().unwrap().to_owned();
    assert_eq!(shop.put(id, &stored, MESSAGES, true).await["url"], stored);
}
