//! The welcome text of a new follower.

use queqiao::simulator::{Kind, Origin, PushOutcome, Settings};
use queqiao::wechat::callback::Mode;
use queqiao::wechat::crypto::{self, AesKey};
use queqiao::wechat::fields::{Fields, Format};
use queqiao::wechat::reply::mini_program_link;
use queqiao::wechat::signature;

use super::{CallbackFixture, USER, assert_success, event, signed, text};

fn check_reply(settings: &Settings, clear: &[u8], welcome: &str) {
    let reply = Fields::parse(clear).unwrap();
    assert_eq!(reply.text("ToUserName"), Some(USER));
    assert_eq!(
        reply.text("FromUserName"),
        Some(settings.original_id.as_str())
    );
    assert_eq!(reply.text("MsgType"), Some("text"));
    assert_eq!(reply.text("Content"), Some(welcome));
    assert!(reply.text("CreateTime").unwrap().parse::<i64>().unwrap() > 1_700_000_000);
}

both_engines! {
    a_new_follower_is_welcomed_in_clear_or_sealed_as_the_push_was,
    a_retry_is_welcomed_again_and_stored_once,
}

async fn a_new_follower_is_welcomed_in_clear_or_sealed_as_the_push_was(callback: CallbackFixture) {
    let link = mini_program_link(
        "wx00000000000000b2",
        "pages/a?b=1&c=2",
        "https://example.com",
        "打开 ]]> <小程序>",
    );
    let welcome = format!("欢迎!\n{link}");
    for mode in [Mode::Plain, Mode::Compatible, Mode::Secure] {
        let settings = callback
            .welcoming_account(Kind::OfficialAccount, mode, Format::Xml, Some(&welcome))
            .await;
        let follow = event(&settings, "subscribe").with("EventKey", "");
        let answer = callback
            .push(&settings.app_id, signed(&settings, &follow))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        if mode == Mode::Plain {
            check_reply(&settings, answer.text.as_bytes(), &welcome);
        } else {
            let outer = Fields::parse(answer.text.as_bytes()).unwrap();
            let field = |name| outer.text(name).unwrap();
            assert_eq!(field("Nonce"), "88412");
            let parts = [
                &settings.token,
                field("TimeStamp"),
                field("Nonce"),
                field("Encrypt"),
            ];
            assert!(signature::verify(field("MsgSignature"), &parts));
            let key = AesKey::parse(&settings.encoding_aes_key).unwrap();
            let clear = crypto::decrypt(&key, &settings.app_id, field("Encrypt")).unwrap();
            check_reply(&settings, &clear, &welcome);
            assert!(!answer.text.contains("欢迎"));
        }
        assert_eq!(
            callback.only_event(&settings.app_id).await["kind"],
            "event.subscribe"
        );
        let world = callback.app.simulator.world();
        let push = world
            .follow(&settings.app_id, 2, Origin::qr("shop_12"))
            .await
            .unwrap();
        assert!(
            matches!(&push.verdict, PushOutcome::Reply { msg_type, .. } if msg_type == "text"),
            "{push:?}"
        );
        let push = world.unfollow(&settings.app_id, 2).await.unwrap();
        assert_eq!(push.verdict, PushOutcome::Success);
        assert_success(
            &callback
                .push(&settings.app_id, signed(&settings, &text(&settings, "hi")))
                .await,
        );
    }
}

async fn a_retry_is_welcomed_again_and_stored_once(callback: CallbackFixture) {
    let settings = callback
        .welcoming_account(Kind::OfficialAccount, Mode::Plain, Format::Xml, Some("hi"))
        .await;
    for _ in 0..4 {
        let follow = event(&settings, "subscribe").with("EventKey", "");
        let answer = callback
            .push(&settings.app_id, signed(&settings, &follow))
            .await;
        check_reply(&settings, answer.text.as_bytes(), "hi");
    }
    callback.only_event(&settings.app_id).await;
}
