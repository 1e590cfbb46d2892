//! Signed pushes that do not parse: kept byte for byte, with what can be made out of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use queqiao::simulator::{Kind, PushOutcome, Settings};
use queqiao::wechat::callback::Mode;
use queqiao::wechat::crypto::{self, AesKey};
use queqiao::wechat::envelope;
use queqiao::wechat::fields::Format;
use queqiao::wechat::push::Signed;
use queqiao::wechat::signature;
use serde_json::json;

use super::{CallbackFixture, USER, assert_success, event, signed, stamp};
use crate::support::logs;

const HEAD: &str = "<xml><ToUserName><![CDATA[gh_0a1b2c3d4e5f]]></ToUserName>\
    <FromUserName><![CDATA[oABCdefGHIjklMNOpqrSTUvwxYZ0]]></FromUserName>\
    <CreateTime>1767225600</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[";
const TAIL: &str = "]]></Content><MsgId>24930000000000001</MsgId></xml>";

/// Signs any bytes, which need not be text.
fn sign_bytes(settings: &Settings, clear: &[u8]) -> Signed {
    let time = stamp().to_string();
    let (token, nonce) = (settings.token.as_str(), "88412");
    let mut query = vec![
        ("signature", signature::sign(&[token, &time, nonce])),
        ("timestamp", time.clone()),
        ("nonce", nonce.to_owned()),
    ];
    if settings.mode == Mode::Plain {
        let body = clear.to_vec();
        return Signed { query, body };
    }
    let key = AesKey::parse(&settings.encoding_aes_key).unwrap();
    let encrypt = crypto::encrypt(&key, &settings.app_id, clear);
    let msg_signature = signature::sign(&[token, &time, nonce, &encrypt]);
    query.push(("encrypt_type", "aes".to_owned()));
    query.push(("msg_signature", msg_signature));
    let body = envelope::push(&settings.original_id, &encrypt, settings.format).into_bytes();
    Signed { query, body }
}

/// Each with whether its sender, time and kind can be made out.
fn broken() -> Vec<(Vec<u8>, bool)> {
    let xml = |content: &[u8]| [HEAD.as_bytes(), content, TAIL.as_bytes()].concat();
    vec![
        (xml(b"not UTF-8: \xff\xfe"), true),
        (xml(b"\x00\x02 ]]> \xff"), true),
        (
            [b"<!DOCTYPE a [<!ENTITY b \"c\">]>".as_slice(), &xml(b"&b;")].concat(),
            true,
        ),
        (xml(b"x").split_at(HEAD.len() + 3).0.to_vec(), true),
        (
            br#"{"ToUserName":"gh_1","FromUserName":"oABC","#.to_vec(),
            false,
        ),
        (b"{]".to_vec(), false),
        (b"\xff\x00\xfe".to_vec(), false),
        (b"".to_vec(), false),
        (b"hello".to_vec(), false),
    ]
}

both_engines! {
    what_does_not_parse_is_kept_byte_for_byte,
    a_text_with_the_end_of_cdata_in_it_is_read,
    a_control_character_does_not_hide_a_push,
    the_consoles_test_push_and_the_container_check_are_answered,
}

async fn what_does_not_parse_is_kept_byte_for_byte(callback: CallbackFixture) {
    logs::capture();
    for mode in [Mode::Plain, Mode::Secure] {
        for (body, is_known) in broken() {
            let settings = callback
                .account(Kind::OfficialAccount, mode, Format::Xml)
                .await;
            let shown = String::from_utf8_lossy(&body).into_owned();
            assert_success(
                &callback
                    .push(&settings.app_id, sign_bytes(&settings, &body))
                    .await,
            );
            // A retry is the same push.
            assert_success(
                &callback
                    .push(&settings.app_id, sign_bytes(&settings, &body))
                    .await,
            );
            let event = callback.only_event(&settings.app_id).await;
            let raw = event["raw"].as_str().unwrap();
            let raw = match event["raw_encoding"].as_str().unwrap() {
                "text" => raw.as_bytes().to_vec(),
                _ => STANDARD.decode(raw).unwrap(),
            };
            assert_eq!(raw, body, "{shown}");
            assert!(event["problem"].is_string(), "{shown}: {event}");
            assert_eq!(event["parsed"], json!(null), "{shown}");
            if is_known {
                assert_eq!(event["kind"], "text", "{shown}");
                assert_eq!(event["openid"], USER, "{shown}");
                assert_eq!(event["create_time"], "2026-01-01T00:00:00Z", "{shown}");
            } else {
                assert_eq!(event["kind"], "unknown", "{shown}");
            }
            let lines = logs::lines_with(&settings.app_id);
            assert_eq!(lines.len(), 2, "one for each delivery: {lines:?}");
            assert!(lines[0].contains("kept raw"), "{lines:?}");
            assert!(!lines[0].contains("Content"), "{lines:?}");
        }
    }
    callback.app.drain().await;
    let found = callback
        .app
        .get(&callback.key, &format!("/people?openid={USER}"))
        .await
        .ok(200);
    assert!(
        !found["items"].as_array().unwrap().is_empty(),
        "salvaged senders are people too"
    );
}

async fn a_text_with_the_end_of_cdata_in_it_is_read(callback: CallbackFixture) {
    for (mode, kind) in [
        (Mode::Plain, Kind::OfficialAccount),
        (Mode::Secure, Kind::MiniProgram),
    ] {
        for content in [
            "if (a[b[0]]>1)",
            "a ]]></Content><FromUserName>oForged</FromUserName><MsgType>x",
            "a]]></Content><MsgId>1</MsgId><Content><![CDATA[b",
            "]]><![CDATA[ ]]>\u{2}\u{0}",
        ] {
            let settings = callback.account(kind, mode, Format::Xml).await;
            let body = format!("{HEAD}{content}{TAIL}");
            assert_success(
                &callback
                    .push(&settings.app_id, sign_bytes(&settings, body.as_bytes()))
                    .await,
            );
            let event = callback.only_event(&settings.app_id).await;
            assert_eq!(
                (&event["problem"], &event["kind"]),
                (&json!(null), &json!("text")),
                "{event}"
            );
            assert_eq!(
                (&event["openid"], &event["raw"]),
                (&json!(USER), &json!(body)),
                "{event}"
            );
            assert_eq!(event["parsed"]["content"]["content"], content, "{event}");
            assert_eq!(event["parsed"]["msg_id"], "24930000000000001", "{event}");
        }
    }
}

async fn a_control_character_does_not_hide_a_push(callback: CallbackFixture) {
    for mode in [Mode::Plain, Mode::Secure] {
        let settings = callback
            .account(Kind::OfficialAccount, mode, Format::Xml)
            .await;
        let body = format!("{HEAD}a\u{2}b{TAIL}");
        let world = callback.app.simulator.world();
        let push = world.push_raw(&settings.app_id, USER, &body).await.unwrap();
        assert_eq!(
            (push.verdict, push.attempts.len()),
            (PushOutcome::Success, 1)
        );
        let event = callback.only_event(&settings.app_id).await;
        assert_eq!(
            (&event["raw"], &event["kind"], &event["openid"]),
            (&json!(body), &json!("text"), &json!(USER))
        );
    }
}

async fn the_consoles_test_push_and_the_container_check_are_answered(callback: CallbackFixture) {
    for (mode, format) in [(Mode::Plain, Format::Xml), (Mode::Secure, Format::Json)] {
        let settings = callback.account(Kind::MiniProgram, mode, format).await;
        let test = event(&settings, "debug_demo").with("debug_str", "ping");
        assert_success(
            &callback
                .push(&settings.app_id, signed(&settings, &test))
                .await,
        );
        let stored = callback.only_event(&settings.app_id).await;
        assert_eq!(stored["kind"], "event.debug_demo");
        assert_eq!(
            stored["parsed"]["content"],
            json!({"type": "debug_demo", "debug_str": "ping"})
        );
        for check in [
            r#"{"action":"CheckContainerPath"}"#,
            "<xml><action>CheckContainerPath</action></xml>",
        ] {
            let push = sign_bytes(&settings, check.as_bytes());
            assert_success(&callback.push(&settings.app_id, push).await);
            let unsigned = Signed {
                query: Vec::new(),
                body: check.as_bytes().to_vec(),
            };
            assert_success(&callback.push(&settings.app_id, unsigned).await);
        }
        assert_eq!(
            callback.events(&settings.app_id).await.len(),
            1,
            "the check is no event"
        );
    }
}
