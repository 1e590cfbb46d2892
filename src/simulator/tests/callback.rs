//! How pushes are signed and sealed, and how their answers are judged.

use super::stub::{Got, Reply, Stub};
use super::*;
use crate::simulator::population::openid;
use crate::simulator::{Origin, PushOutcome, PushRecord, WorldError};
use crate::wechat::callback::{self, Credentials, Mode, Window};
use crate::wechat::crypto::AesKey;
use crate::wechat::envelope::SealedReply;
use crate::wechat::fields::{Fields, Format};
use crate::wechat::message::{self, Content};

fn credentials(sim: &Sim, app_id: &str) -> Credentials {
    let settings = sim.world().settings(app_id).unwrap();
    Credentials {
        app_id: app_id.to_owned(),
        token: settings.token.clone(),
        aes_key: Some(AesKey::parse(&settings.encoding_aes_key).unwrap()),
        mode: settings.mode,
    }
}

fn set_mode(sim: &Sim, app_id: &str, mode: Mode, format: Format) {
    let change = |settings: &mut Settings| (settings.mode, settings.format) = (mode, format);
    sim.world().change_account(app_id, change).unwrap();
}

#[tokio::test]
async fn pushes_open_in_every_mode_and_format() {
    let sim = Sim::start().await;
    let mut stub = Stub::saying("success").await;
    sim.push_to(&stub);
    for mode in [Mode::Plain, Mode::Compatible, Mode::Secure] {
        for (format, start, content_type) in [
            (Format::Xml, '<', "text/xml"),
            (Format::Json, '{', "application/json"),
        ] {
            set_mode(&sim, MINI, mode, format);
            let record = sim.world().send_text(MINI, 2, "你好 ]]> <&").await.unwrap();
            assert_eq!(record.verdict, PushOutcome::Success);
            let got = stub.next().await;
            let credentials = credentials(&sim, MINI);
            let opened = callback::open(&got.query(), got.body.as_bytes(), &credentials).unwrap();
            assert_eq!(opened.encrypted, mode != Mode::Plain, "{mode} {format:?}");
            let push = message::parse(&opened.plaintext).unwrap();
            assert!(
                matches!(push.content, Content::Text { content, .. } if content == "你好 ]]> <&")
            );
            assert_eq!(push.from_user_name, openid(MINI, 2));
            // As WeChat: not escaped.
            let raw = String::from_utf8_lossy(&opened.plaintext);
            assert_eq!(
                raw.contains("<![CDATA[你好 ]]> <&]]>"),
                format == Format::Xml,
                "{raw}"
            );
            assert_eq!(got.body.contains("你好"), mode != Mode::Secure, "{mode}");
            assert!(got.body.starts_with(start));
            assert_eq!(
                (got.content_type.as_str(), got.user_agent.as_str()),
                (content_type, "Mozilla/4.0")
            );
            assert!(
                got.query.starts_with("id=7&"),
                "the URL's own query stays first"
            );
            assert!(
                callback::open(
                    &got.query(),
                    got.body.as_bytes(),
                    &Credentials {
                        token: "another".to_owned(),
                        ..credentials
                    }
                )
                .is_err()
            );
        }
    }
}

#[tokio::test]
async fn the_console_verifies_an_address() {
    let sim = Sim::start().await;
    let token = sim.world().settings(OFFICIAL).unwrap().token.clone();
    assert_eq!(
        sim.world().verify_callback(OFFICIAL).await,
        Err(WorldError::NoCallbackUrl(OFFICIAL.to_owned()))
    );
    let echo = move |got: &Got| {
        let credentials = Credentials {
            app_id: OFFICIAL.to_owned(),
            token: token.clone(),
            aes_key: None,
            mode: Mode::Plain,
        };
        let query = got.query();
        let echo = callback::echo(&query, &credentials, Window::OPEN);
        Some((200, echo.map_or("refused".to_owned(), str::to_owned)))
    };
    let good = Stub::start(echo).await;
    sim.push_to(&good);
    assert_eq!(sim.world().verify_callback(OFFICIAL).await, Ok(true));
    let bad = Stub::saying("success").await;
    sim.push_to(&bad);
    let verified = sim
        .http
        .post(sim.url(&format!("/_sim/accounts/{OFFICIAL}/callback/verify")));
    let verified: Value = verified.send().await.unwrap().json().await.unwrap();
    assert_eq!(verified, json!({"verified": false}));
}

async fn push_answered(
    sim: &Sim,
    answer: impl Fn(&Got) -> Reply + Send + Sync + 'static,
) -> (PushRecord, Vec<Got>) {
    let mut stub = Stub::start(answer).await;
    sim.push_to(&stub);
    let record = sim
        .world()
        .follow(OFFICIAL, 1, Origin::qr("shop_12"))
        .await
        .unwrap();
    let received = stub.rest();
    assert_eq!(received.len(), record.attempts.len());
    stub.stop().await;
    (record, received)
}

#[tokio::test]
async fn anything_but_two_hundred_and_success_is_sent_four_times_the_same() {
    let sim = Sim::start().await;
    for (status, body, attempts) in [
        (200, "success", 1),
        (200, "", 1),
        (201, "success", 4),
        (404, "", 4),
        (200, "\"success\"", 4),
        (200, "success\n", 4),
        (200, "{\"errcode\":0}", 4),
        (200, "<html></html>", 4),
    ] {
        let (record, received) =
            push_answered(&sim, move |_| Some((status, body.to_owned()))).await;
        assert_eq!(record.attempts.len(), attempts, "{status} {body:?}");
        assert!(received.iter().all(|got| *got == received[0]));
        assert_eq!(record.attempts[0].status, Some(status));
        assert_eq!(record.attempts[0].answer, body);
        assert_eq!(record.verdict.is_accepted(), attempts == 1);
        let illegal = matches!(record.verdict, PushOutcome::IllegalResponse { .. });
        assert_eq!(illegal, status == 200 && attempts == 4);
    }
    let stats = sim.world().stats();
    assert_eq!((stats.pushes, stats.failed_pushes), (8, 6));
    assert_eq!(sim.world().pushes().len(), 8);
}

#[tokio::test]
async fn no_answer_is_waited_for_and_sent_four_times() {
    let sim = Sim::start_with(|options| options.push_timeout = Duration::from_millis(600)).await;
    let (record, received) = push_answered(&sim, |_| None).await;
    assert_eq!(record.verdict, PushOutcome::TimedOut);
    assert_eq!(received.len(), 4);
    let stats = sim.world().stats();
    assert_eq!((stats.pushes, stats.failed_pushes), (1, 1));
}

#[tokio::test]
async fn a_callback_that_is_gone_is_unreachable() {
    let sim = Sim::start().await;
    let stub = Stub::saying("success").await;
    sim.push_to(&stub);
    stub.stop().await;
    let record = sim.world().unfollow(OFFICIAL, 1).await.unwrap();
    assert_eq!(
        (record.verdict, record.attempts.len()),
        (PushOutcome::Unreachable, 4)
    );
}

fn text(to: &str, from: &str) -> String {
    Fields::new()
        .with("ToUserName", to.to_owned())
        .with("FromUserName", from.to_owned())
        .with("CreateTime", 1_767_225_600)
        .with("MsgType", "text")
        .with("Content", "欢迎")
        .to_xml()
}

#[tokio::test]
async fn a_passive_reply_in_clear_must_swap_the_names() {
    let sim = Sim::start().await;
    let account = sim.world().settings(OFFICIAL).unwrap().original_id.clone();
    let person = openid(OFFICIAL, 1);
    let good = text(&person, &account);
    let (record, _) = push_answered(&sim, move |_| Some((200, good.clone()))).await;
    assert!(
        matches!(&record.verdict, PushOutcome::Reply { msg_type, plaintext }
        if msg_type == "text" && plaintext.contains("欢迎"))
    );
    for (to, from) in [
        (&account, &person),
        (&account, &account),
        (&person, &person),
    ] {
        let wrong = text(to, from);
        let (record, _) = push_answered(&sim, move |_| Some((200, wrong.clone()))).await;
        assert!(
            matches!(&record.verdict, PushOutcome::IllegalResponse { reason }
                if reason.contains("swapped"))
        );
    }
}

#[tokio::test]
async fn a_passive_reply_in_secure_mode_must_be_encrypted_and_signed() {
    let sim = Sim::start().await;
    set_mode(&sim, OFFICIAL, Mode::Secure, Format::Xml);
    let account = sim.world().settings(OFFICIAL).unwrap().original_id.clone();
    let clear = text(&openid(OFFICIAL, 1), &account);
    let credentials = credentials(&sim, OFFICIAL);
    let seal = |message: &str, token: &str| {
        let key = credentials.aes_key.as_ref().unwrap();
        SealedReply::seal(
            key,
            token,
            OFFICIAL,
            message.as_bytes(),
            1_767_225_601,
            "88412",
            None,
        )
        .to_xml()
    };
    let good = seal(&clear, &credentials.token);
    let wrong_signature = seal(&clear, "another");
    let not_swapped = seal(&text(&account, &openid(OFFICIAL, 1)), &credentials.token);
    for (answer, accepted) in [
        (good, true),
        (wrong_signature, false),
        (not_swapped, false),
        (clear.clone(), false),
    ] {
        let copy = answer.clone();
        let (record, _) = push_answered(&sim, move |_| Some((200, copy.clone()))).await;
        match record.verdict {
            PushOutcome::Reply { plaintext, .. } => {
                assert!(accepted && plaintext == clear, "{answer}");
            }
            PushOutcome::IllegalResponse { .. } => assert!(!accepted, "{answer}"),
            other => panic!("{other:?}"),
        }
    }
    let (record, _) = push_answered(&sim, |_| Some((200, "success".to_owned()))).await;
    assert_eq!(
        record.verdict,
        PushOutcome::Success,
        "success goes in clear even in secure mode"
    );
}
