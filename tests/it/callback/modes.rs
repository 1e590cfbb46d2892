//! Every mode and format, for both kinds of account, and the check of the URL.

use queqiao::simulator::{Kind, PushOutcome, population};
use queqiao::wechat::callback::Mode;
use queqiao::wechat::fields::Format;
use reqwest::Method;

use super::{CallbackFixture, USER, assert_success, new_app_id, signed, stamp, text};
use crate::support::logs;

const MODES: [Mode; 3] = [Mode::Plain, Mode::Compatible, Mode::Secure];

both_engines! {
    every_mode_and_format_is_taken_in_and_answered_success,
    in_compatible_mode_the_encrypted_part_is_the_one_that_counts,
    the_openid_of_the_query_is_not_believed,
    the_check_of_the_url_is_echoed_if_it_is_wechats,
}

async fn every_mode_and_format_is_taken_in_and_answered_success(callback: CallbackFixture) {
    let world = callback.app.simulator.world();
    for kind in [Kind::OfficialAccount, Kind::MiniProgram] {
        for mode in MODES {
            for format in [Format::Xml, Format::Json] {
                let settings = callback.account(kind, mode, format).await;
                let push = world
                    .send_text(&settings.app_id, 3, "余额? <&> ]] \" \\")
                    .await
                    .unwrap();
                assert_eq!(push.verdict, PushOutcome::Success, "{push:?}");
                assert_eq!(
                    (push.attempts.len(), push.attempts[0].answer.as_str()),
                    (1, "success")
                );
                let event = callback.only_event(&settings.app_id).await;
                let openid = population::openid(&settings.app_id, 3);
                assert_eq!(
                    (&event["kind"], &event["openid"]),
                    (&"text".into(), &openid.into())
                );
                assert_eq!(event["parsed"]["content"]["content"], "余额? <&> ]] \" \\");
                if mode != Mode::Compatible {
                    assert_eq!(event["raw"], push.plaintext);
                }
            }
        }
    }
}

async fn in_compatible_mode_the_encrypted_part_is_the_one_that_counts(callback: CallbackFixture) {
    for format in [Format::Xml, Format::Json] {
        let settings = callback
            .account(Kind::MiniProgram, Mode::Compatible, format)
            .await;
        let mut push = signed(&settings, &text(&settings, "the sealed text"));
        let body = String::from_utf8(push.body).unwrap();
        assert!(
            body.contains("the sealed text"),
            "the clear part is there: {body}"
        );
        push.body = body
            .replace("the sealed text", "a forged text!!")
            .into_bytes();
        assert_success(&callback.push(&settings.app_id, push).await);
        let event = callback.only_event(&settings.app_id).await;
        assert_eq!(event["parsed"]["content"]["content"], "the sealed text");
        assert!(
            !event["raw"].as_str().unwrap().contains("forged"),
            "{event}"
        );
    }
}

async fn the_openid_of_the_query_is_not_believed(callback: CallbackFixture) {
    let settings = callback
        .account(Kind::OfficialAccount, Mode::Plain, Format::Xml)
        .await;
    let mut push = signed(&settings, &text(&settings, "hi"));
    for (name, value) in &mut push.query {
        if *name == "openid" {
            *value = "oSomebodyElse".to_owned();
        }
    }
    assert_success(&callback.push(&settings.app_id, push).await);
    assert_eq!(callback.only_event(&settings.app_id).await["openid"], USER);
}

async fn the_check_of_the_url_is_echoed_if_it_is_wechats(callback: CallbackFixture) {
    logs::capture();
    let world = callback.app.simulator.world();
    for mode in MODES {
        let settings = callback
            .account(Kind::OfficialAccount, mode, Format::Xml)
            .await;
        let app_id = &settings.app_id;
        assert!(world.verify_callback(app_id).await.unwrap());
        let check = async |token: &str, echo: Option<&str>| {
            let (time, nonce) = (stamp().to_string(), "88412");
            let signature = queqiao::wechat::signature::sign(&[token, &time, nonce]);
            let mut query = vec![
                ("signature", signature.as_str()),
                ("timestamp", &time),
                ("nonce", nonce),
            ];
            query.extend(echo.map(|echo| ("echostr", echo)));
            let request = callback
                .app
                .request(Method::GET, &format!("/callback/{app_id}"));
            callback.app.send(request.query(&query)).await
        };
        let echoed = check(&settings.token, Some("<b>7700112233445566</b>")).await;
        assert_eq!(
            (echoed.status, echoed.text.as_str()),
            (200, "<b>7700112233445566</b>")
        );
        let content_type = echoed.headers["content-type"].to_str().unwrap();
        assert!(content_type.starts_with("text/plain"), "{content_type}");
        assert_eq!(logs::lines_with(app_id), Vec::<String>::new());
        let forged = check("not-the-token", Some("77001122")).await;
        assert_eq!((forged.status, forged.text.as_str()), (403, ""));
        assert_eq!(check(&settings.token, None).await.status, 403);
        let lines = logs::lines_with(app_id);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("wrong_signature"), "{lines:?}");
        assert!(lines[1].contains("echostr"), "{lines:?}");
        assert!(
            lines.iter().all(|line| !line.contains(&settings.token)),
            "{lines:?}"
        );
    }
    let unknown = new_app_id();
    let path = format!("/callback/{unknown}?signature=x&timestamp=1&nonce=2&echostr=3");
    assert_eq!(
        callback
            .app
            .send(callback.app.request(Method::GET, &path))
            .await
            .status,
        404
    );
    assert_eq!(logs::lines_with(&unknown).len(), 1);
}
