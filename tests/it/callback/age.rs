//! The time of a push: that of its signature, beyond which it is refused, and its CreateTime, which holds nothing for
//! ever.

use std::time::Duration;

use queqiao::db::Engine;
use queqiao::simulator::{Kind, Settings};
use queqiao::wechat::callback::Mode;
use queqiao::wechat::fields::Format;
use queqiao::wechat::{push, signature};
use reqwest::Method;
use serde_json::Value;

use super::{CallbackFixture, USER, assert_success, signed_at, stamp, text};
use crate::support::logs;

const MODES: [Mode; 3] = [Mode::Plain, Mode::Compatible, Mode::Secure];
/// The last second of the year 9999.
const FAR: i64 = 253_402_300_799;

impl CallbackFixture {
    async fn check_of_url(&self, settings: &Settings, time: i64) -> u16 {
        let time = time.to_string();
        let signature = signature::sign(&[&settings.token, &time, "88412"]);
        let path = format!("/callback/{}", settings.app_id);
        let request = self.app.request(Method::GET, &path).query(&[
            ("signature", signature.as_str()),
            ("timestamp", &time),
            ("nonce", "88412"),
            ("echostr", "7700112233445566"),
        ]);
        self.app.send(request).await.status
    }

    async fn sent_at(&self, settings: &Settings, time: i64) -> u16 {
        let push = signed_at(settings, &text(settings, "hi"), time);
        self.push(&settings.app_id, push).await.status
    }

    /// An event of [`USER`] with this CreateTime, sent now.
    async fn happened_at(&self, settings: &Settings, name: &str, time: i64) {
        let fields = push::event(&settings.original_id, USER, time, name);
        let push = signed_at(settings, &fields, self.app.clock.unix_seconds());
        assert_success(&self.push(&settings.app_id, push).await);
        self.app.drain().await;
    }

    async fn identity(&self) -> Value {
        let path = format!("/people?openid={USER}");
        let found = self.app.get(&self.key, &path).await.ok(200);
        found["items"][0]["identities"][0].clone()
    }
}

async fn any_time(engine: Engine) {
    let callback = CallbackFixture::with(engine, |config| config.intake.max_age_seconds = 0).await;
    for mode in MODES {
        let settings = callback
            .account(Kind::OfficialAccount, mode, Format::Xml)
            .await;
        for time in [1, 1_600_000_000, FAR] {
            assert_eq!(
                callback.sent_at(&settings, time).await,
                200,
                "{mode} {time}"
            );
            assert_eq!(
                callback.check_of_url(&settings, time).await,
                200,
                "{mode} {time}"
            );
        }
    }
}

both_engines! {
    what_is_not_of_now_is_refused_in_every_mode,
    a_push_that_was_seen_cannot_be_sent_again_once_its_event_may_be_gone,
    zero_takes_any_time,
    nothing_dated_in_the_year_9999_holds_a_state,
}

async fn what_is_not_of_now_is_refused_in_every_mode(callback: CallbackFixture) {
    logs::capture();
    let now = stamp();
    for mode in MODES {
        for format in [Format::Xml, Format::Json] {
            let settings = callback.account(Kind::MiniProgram, mode, format).await;
            for time in [now - 590, now + 590] {
                assert_eq!(callback.sent_at(&settings, time).await, 200, "{mode}");
                assert_eq!(callback.check_of_url(&settings, time).await, 200, "{mode}");
            }
            assert_eq!(callback.events(&settings.app_id).await.len(), 1);
            assert_eq!(logs::lines_with(&settings.app_id), Vec::<String>::new());
            for (time, cause) in [
                (now - 630, "too_old"),
                (1, "too_old"),
                (now + 630, "too_new"),
                (FAR, "too_new"),
            ] {
                assert_eq!(callback.sent_at(&settings, time).await, 403, "{mode}");
                assert_eq!(callback.check_of_url(&settings, time).await, 403, "{mode}");
                let lines = logs::lines_with(&settings.app_id);
                assert!(lines.last().unwrap().contains(cause), "{lines:?}");
                assert!(lines.last().unwrap().contains("clock"), "{lines:?}");
            }
            assert_eq!(callback.events(&settings.app_id).await.len(), 1);
        }
    }
}

async fn a_push_that_was_seen_cannot_be_sent_again_once_its_event_may_be_gone(
    callback: CallbackFixture,
) {
    let settings = callback
        .account(Kind::OfficialAccount, Mode::Plain, Format::Xml)
        .await;
    let seen = signed_at(&settings, &text(&settings, "hi"), stamp());
    assert_success(&callback.push(&settings.app_id, seen.clone()).await);
    assert_success(&callback.push(&settings.app_id, seen.clone()).await);
    assert_eq!(callback.events(&settings.app_id).await.len(), 1);
    callback.app.advance(Duration::from_secs(11 * 60));
    assert_eq!(callback.push(&settings.app_id, seen).await.status, 403);
}

async fn zero_takes_any_time(engine: Engine) {
    any_time(engine).await;
}

async fn nothing_dated_in_the_year_9999_holds_a_state(callback: CallbackFixture) {
    let settings = callback
        .account(Kind::OfficialAccount, Mode::Plain, Format::Xml)
        .await;
    for far in [FAR, i64::MAX] {
        callback.happened_at(&settings, "unsubscribe", far).await;
        callback.app.advance(Duration::from_secs(60));
        let now = callback.app.clock.unix_seconds();
        callback.happened_at(&settings, "subscribe", now).await;
        let identity = callback.identity().await;
        assert_eq!(identity["follow_state"], "following", "{identity}");
        callback.app.advance(Duration::from_secs(60));
        // A tap opens a window for a minute, not until the year 10000.
        callback.happened_at(&settings, "CLICK", far).await;
        callback.app.advance(Duration::from_secs(3_600));
        let identity = callback.identity().await;
        assert_ne!(identity["customer_window"]["state"], "open", "{identity}");
        assert!(!identity.to_string().contains("+1"), "{identity}");
        // Nor does it hide what comes later.
        let now = callback.app.clock.unix_seconds();
        callback.happened_at(&settings, "unsubscribe", now).await;
        assert_ne!(callback.identity().await["follow_state"], "following");
        callback.app.advance(Duration::from_secs(60));
    }
    for event in callback.events(&settings.app_id).await {
        // What is no number of seconds at all has no time.
        let Some(time) = event["create_time"].as_str() else {
            continue;
        };
        assert!(time.len() == 20 && time.starts_with("20"), "{event}");
    }
}
