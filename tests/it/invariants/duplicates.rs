//! The same push more than once, and pushes in the wrong order.

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use futures_util::future::join_all;
use queqiao::bridge::Step;
use queqiao::db::Engine;
use queqiao::simulator::{Kind, Origin, PushOrder, PushOutcome, population};
use queqiao::wechat::callback::Mode;
use queqiao::wechat::fields::Format;

use super::{BATCH, INFO, OA, TestProject};
use crate::callback::{CallbackFixture, USER, assert_success, event, signed};
use crate::support::{Fixture, postgres};

both_engines! {
    a_push_that_comes_three_times_has_its_effect_once,
    different_events_of_one_second_are_all_kept,
    the_order_of_arrival_does_not_matter,
    of_two_follows_in_one_batch_the_newer_one_counts,
    an_old_event_in_a_later_batch_changes_nothing,
}

async fn a_push_that_comes_three_times_has_its_effect_once(project: TestProject) {
    let world = project.world();
    world.set_push_copies(OA, 3).unwrap();
    for person in [1, 2] {
        project.follows(person).await;
    }
    assert_eq!(world.stats().pushes, 6);
    assert_eq!(world.stats().failed_pushes, 0);
    assert_eq!(project.events().await.len(), 2);
    project.app.drain().await;
    // And once more, after its effect.
    let page = project.events().await;
    world.set_push_copies(OA, 1).unwrap();
    world.hold_pushes(OA).unwrap();
    // Not in the second of the follow, where only WeChat can say which came last.
    project.app.advance(Duration::from_secs(5));
    world.unfollow(OA, 1).await.unwrap();
    let records = world
        .release_pushes(OA, PushOrder::Indices(vec![0, 0, 0]))
        .await
        .unwrap();
    assert!(
        records
            .iter()
            .all(|record| record.verdict == PushOutcome::Success)
    );
    project.app.drain().await;
    assert_eq!(project.events().await.len(), page.len() + 1);
    assert_eq!(
        project.calls(BATCH) + project.calls(INFO),
        1,
        "both were fetched together, once"
    );
    assert_eq!(project.people("").await.len(), 2);
    assert_eq!(project.identity(2).await["profile_state"], "complete");
}

async fn different_events_of_one_second_are_all_kept(callback: CallbackFixture) {
    let settings = callback
        .account(Kind::OfficialAccount, Mode::Secure, Format::Xml)
        .await;
    for key in ["menu_1", "menu_2", "menu_3"] {
        let click = event(&settings, "CLICK").with("EventKey", key);
        assert_success(
            &callback
                .push(&settings.app_id, signed(&settings, &click))
                .await,
        );
    }
    assert_eq!(callback.events(&settings.app_id).await.len(), 3);
}

async fn the_order_of_arrival_does_not_matter(project: TestProject) {
    let world = project.world();
    for (person, follows_last) in [(1, false), (2, true)] {
        world.hold_pushes(OA).unwrap();
        for follows in [!follows_last, follows_last] {
            if follows {
                world
                    .follow(OA, person, Origin::qr("shop_12"))
                    .await
                    .unwrap();
            } else {
                world.unfollow(OA, person).await.unwrap();
            }
            project.app.advance(Duration::from_secs(5));
        }
        let records = world.release_pushes(OA, PushOrder::Reverse).await.unwrap();
        assert!(
            records
                .iter()
                .all(|record| record.verdict == PushOutcome::Success)
        );
        // In one batch, and once more in one batch each.
        project.app.drain().await;
        let first = project.identity(person).await;
        let expected = if follows_last {
            "following"
        } else {
            "not_following"
        };
        assert_eq!(first["follow_state"], expected, "{first}");
        for event in project.events().await {
            let path = format!("/events/{}/replay", event["id"]);
            project
                .app
                .post(&project.key, &path, serde_json::json!({}))
                .await
                .ok(202);
            project.app.drain().await;
            assert_eq!(project.identity(person).await["follow_state"], expected);
        }
        let last = project.identity(person).await;
        assert_eq!(
            (&last["followed_at"], &last["unfollowed_at"]),
            (&first["followed_at"], &first["unfollowed_at"])
        );
    }
}

async fn of_two_follows_in_one_batch_the_newer_one_counts(project: TestProject) {
    let world = project.world();
    world.hold_pushes(OA).unwrap();
    for scene in ["shop_1", "shop_2"] {
        project.app.advance(Duration::from_secs(5));
        world.follow(OA, 1, Origin::qr(scene)).await.unwrap();
    }
    world.release_pushes(OA, PushOrder::Reverse).await.unwrap();
    let newest = world.now() / 1000;
    // Before WeChat is asked, so that nothing but the events can say so.
    assert_eq!(
        project.app.bridge.run(StepName::Process).await.unwrap(),
        Step::Worked
    );
    let identity = project.identity(1).await;
    assert_eq!(identity["qr_scene"], "shop_2", "{identity}");
    let followed = identity["followed_at"].as_str().unwrap();
    let followed = chrono::DateTime::parse_from_rfc3339(followed)
        .unwrap()
        .timestamp();
    assert!((newest - followed).abs() <= 2, "{newest} {followed}");
}

async fn an_old_event_in_a_later_batch_changes_nothing(project: TestProject) {
    let world = project.world();
    world.hold_pushes(OA).unwrap();
    world.follow(OA, 1, Origin::search()).await.unwrap();
    project.app.advance(Duration::from_secs(5));
    world.unfollow(OA, 1).await.unwrap();
    world
        .release_pushes(OA, PushOrder::Indices(vec![1]))
        .await
        .unwrap();
    project.app.drain().await;
    assert_eq!(project.identity(1).await["follow_state"], "not_following");
    let event = project.events().await.remove(0);
    let unfollowed = event["create_time"].clone();
    // The follow of five seconds before comes only now.
    let raw = world.pushes().remove(0).plaintext;
    let seconds = chrono::DateTime::parse_from_rfc3339(unfollowed.as_str().unwrap())
        .unwrap()
        .timestamp();
    let late = raw
        .replace("unsubscribe", "subscribe")
        .replace(&seconds.to_string(), &(seconds - 5).to_string());
    assert_ne!(late, raw);
    let push = world
        .push_raw(OA, &population::openid(OA, 1), &late)
        .await
        .unwrap();
    assert_eq!(push.verdict, PushOutcome::Success);
    project.app.drain().await;
    let identity = project.identity(1).await;
    assert_eq!(identity["follow_state"], "not_following", "{identity}");
    assert!(identity["followed_at"].is_string(), "{identity}");
    assert_eq!(project.events().await.len(), 2);
}

/// Replicas share a PostgreSQL; SQLite has one process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_deliveries_at_once_to_two_replicas_are_one_event_with_one_effect() {
    if !postgres::is_there() {
        return;
    }
    let callback = CallbackFixture::on(Engine::Postgres).await;
    let (other, server) = callback.app.replica();
    for _ in 0..5 {
        let settings = callback
            .account(Kind::OfficialAccount, Mode::Secure, Format::Xml)
            .await;
        let push = signed(
            &settings,
            &event(&settings, "subscribe").with("EventKey", ""),
        );
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let urls = [
            &callback.app.url,
            &server.url,
            &callback.app.url,
            &server.url,
        ];
        let answers = urls.map(|url| {
            let request = http.post(format!("{url}/callback/{}", settings.app_id));
            let request = request.query(&push.query).body(push.body.clone());
            callback.app.send(request)
        });
        for answer in join_all(answers).await {
            assert_success(&answer);
        }
        assert_eq!(callback.events(&settings.app_id).await.len(), 1);
        let (one, two) = tokio::join!(
            callback.app.bridge.run(StepName::Process),
            other.run(StepName::Process)
        );
        let worked = [one.unwrap(), two.unwrap()];
        assert_eq!(
            worked.iter().filter(|step| **step == Step::Worked).count(),
            1
        );
        let path = format!("/people?app_id={}&openid={USER}", settings.app_id);
        let people = callback.app.get(&callback.key, &path).await.ok(200);
        assert_eq!(people["items"].as_array().unwrap().len(), 1);
    }
}
