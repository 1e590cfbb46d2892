//! Requests that are WeChat's, but for what a proxy or a console has made of them; and those that lead nowhere.

use queqiao::simulator::{Kind, Origin, Settings};
use queqiao::wechat::callback::Mode;
use queqiao::wechat::crypto::{self, AesKey};
use queqiao::wechat::fields::Format;
use queqiao::wechat::push::Signed;
use queqiao::wechat::signature;
use reqwest::Method;
use serde_json::json;

use super::{CallbackFixture, USER, assert_success, new_app_id, signed, stamp, text};
use crate::support::app::Answer;
use crate::support::logs;

impl CallbackFixture {
    async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Answer {
        let request = self.app.request(Method::GET, path);
        self.app.send(request.query(query)).await
    }

    async fn post_to(&self, path: &str, push: Signed) -> Answer {
        let request = self.app.request(Method::POST, path).query(&push.query);
        self.app.send(request.body(push.body)).await
    }
}

/// The query of a check of the URL.
fn check(token: &str) -> Vec<(&'static str, String)> {
    let time = stamp().to_string();
    vec![
        ("signature", signature::sign(&[token, &time, "88412"])),
        ("timestamp", time),
        ("nonce", "88412".to_owned()),
        ("echostr", "7700112233445566".to_owned()),
    ]
}

fn pairs<'a>(query: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    query
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

both_engines! {
    a_test_account_works_in_plain_mode_without_a_key,
    one_slash_at_the_end_of_the_url_is_taken,
    of_doubled_parameters_the_first_counts,
    white_space_inside_the_encrypted_text_does_not_matter,
    wecoms_check_of_the_url_is_known_and_said,
    what_leads_nowhere_is_logged_with_its_path_and_nothing_else,
}

async fn a_test_account_works_in_plain_mode_without_a_key(callback: CallbackFixture) {
    let mut settings = Settings::new(&new_app_id(), Kind::OfficialAccount);
    settings.test_account = true;
    let app_id = settings.app_id.clone();
    callback
        .app
        .account_as(callback.project, settings, Some("welcome"))
        .await;
    let world = callback.app.simulator.world();
    let push = world.follow(&app_id, 1, Origin::default()).await.unwrap();
    assert!(push.verdict.is_accepted(), "{push:?}");
    let push = world.send_text(&app_id, 1, "hi").await.unwrap();
    assert!(push.verdict.is_accepted(), "{push:?}");
    assert!(
        push.plaintext.contains("<Content><![CDATA[hi]]></Content>"),
        "{push:?}"
    );
    callback.app.drain().await;
    let people = callback
        .app
        .get(&callback.key, &format!("/people?app_id={app_id}"))
        .await
        .ok(200);
    assert_eq!(
        people["items"][0]["identities"][0]["profile_state"], "complete",
        "{people}"
    );
}

async fn one_slash_at_the_end_of_the_url_is_taken(callback: CallbackFixture) {
    for mode in [Mode::Plain, Mode::Secure] {
        let settings = callback
            .account(Kind::OfficialAccount, mode, Format::Xml)
            .await;
        let (query, path) = (
            check(&settings.token),
            format!("/callback/{}/", settings.app_id),
        );
        let answer = callback.ask(&path, &pairs(&query)).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (200, "7700112233445566"),
            "{answer:?}"
        );
        let push = signed(&settings, &text(&settings, "hi"));
        assert_success(&callback.post_to(&path, push.clone()).await);
        assert_success(&callback.push(&settings.app_id, push.clone()).await);
        assert_eq!(
            callback.events(&settings.app_id).await.len(),
            1,
            "the same push"
        );
        assert_eq!(
            callback.post_to(&format!("{path}/"), push).await.status,
            404
        );
    }
}

async fn of_doubled_parameters_the_first_counts(callback: CallbackFixture) {
    let settings = callback
        .account(Kind::OfficialAccount, Mode::Secure, Format::Xml)
        .await;
    let path = format!("/callback/{}", settings.app_id);
    let query = check(&settings.token);
    for again in ["timestamp", "nonce", "signature", "echostr", "openid"] {
        let mut doubled = pairs(&query);
        doubled.extend([(again, "1"), ("id", "7"), ("id", "8")]);
        let answer = callback.ask(&path, &doubled).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (200, "7700112233445566"),
            "{again}: {answer:?}"
        );
    }
    let mut first = vec![("timestamp", "1")];
    first.extend(pairs(&query));
    assert_eq!(callback.ask(&path, &first).await.status, 403);
    let mut push = signed(&settings, &text(&settings, "hi"));
    push.query.extend([
        ("msg_signature", "x".to_owned()),
        ("timestamp", "1".to_owned()),
    ]);
    assert_success(&callback.push(&settings.app_id, push).await);
    assert_eq!(callback.only_event(&settings.app_id).await["kind"], "text");
}

async fn white_space_inside_the_encrypted_text_does_not_matter(callback: CallbackFixture) {
    for format in [Format::Xml, Format::Json] {
        for (wrap, is_signed_wrapped) in [
            ("\n", false),
            ("\r\n", false),
            (" ", false),
            ("\n", true),
            ("\t ", true),
        ] {
            let settings = callback
                .account(Kind::MiniProgram, Mode::Secure, format)
                .await;
            let clear = queqiao::wechat::push::render(&text(&settings, "hi"), format);
            let key = AesKey::parse(&settings.encoding_aes_key).unwrap();
            let encrypt = crypto::encrypt(&key, &settings.app_id, clear.as_bytes());
            let lines: Vec<String> = encrypt
                .as_bytes()
                .chunks(76)
                .map(|line| String::from_utf8(line.to_vec()).unwrap())
                .collect();
            let wrapped = format!("{wrap}{}{wrap}", lines.join(wrap));
            let covered = if is_signed_wrapped {
                &wrapped
            } else {
                &encrypt
            };
            let time = stamp().to_string();
            let query = vec![
                (
                    "msg_signature",
                    signature::sign(&[&settings.token, &time, "88412", covered]),
                ),
                ("timestamp", time),
                ("nonce", "88412".to_owned()),
                ("encrypt_type", "aes".to_owned()),
            ];
            let body = match format {
                Format::Xml => format!(
                    "<xml><ToUserName>gh_1</ToUserName><Encrypt><![CDATA[{wrapped}]]></Encrypt></xml>"
                ),
                Format::Json => json!({"ToUserName": "gh_1", "Encrypt": wrapped}).to_string(),
            };
            let push = Signed {
                query: query.clone(),
                body: body.clone().into_bytes(),
            };
            assert_success(&callback.push(&settings.app_id, push).await);
            assert_eq!(callback.only_event(&settings.app_id).await["openid"], USER);
            // Only white space is left out.
            let spoilt = body.replacen(lines[0].get(..8).unwrap(), "AAAAAAAA", 1);
            let push = Signed {
                query,
                body: spoilt.into_bytes(),
            };
            assert_eq!(callback.push(&settings.app_id, push).await.status, 403);
        }
    }
}

async fn wecoms_check_of_the_url_is_known_and_said(callback: CallbackFixture) {
    logs::capture();
    let settings = callback
        .account(Kind::OfficialAccount, Mode::Secure, Format::Xml)
        .await;
    let key = AesKey::parse(&settings.encoding_aes_key).unwrap();
    let echo = crypto::encrypt(&key, "ww0123456789abcdef", b"7700112233445566");
    let time = stamp().to_string();
    let query = [
        (
            "msg_signature",
            signature::sign(&[&settings.token, &time, "88412", &echo]),
        ),
        ("timestamp", time),
        ("nonce", "88412".to_owned()),
        ("echostr", echo.clone()),
    ];
    let answer = callback
        .ask(&format!("/callback/{}", settings.app_id), &pairs(&query))
        .await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (403, ""),
        "{answer:?}"
    );
    let lines = logs::lines_with(&settings.app_id);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("wecom_echo") && lines[0].contains("WeCom"),
        "{lines:?}"
    );
    assert!(!lines[0].contains(&echo), "{lines:?}");
}

async fn what_leads_nowhere_is_logged_with_its_path_and_nothing_else(callback: CallbackFixture) {
    logs::capture();
    let settings = callback
        .account(Kind::OfficialAccount, Mode::Plain, Format::Xml)
        .await;
    let (here, nowhere) = (&settings.app_id, new_app_id());
    for (path, cause) in [
        (format!("/callback/{nowhere}"), "unknown_account"),
        (format!("/callback/{nowhere}/"), "unknown_account"),
        (format!("/wechat/{here}"), "unknown_path"),
        (format!("/callback/{here}/more"), "unknown_path"),
        (format!("/api/v1/callback/{here}"), "unknown_path"),
        (format!("/{here}%0Aforged%1b[31m"), "unknown_path"),
    ] {
        for _ in 0..3 {
            let push = signed(&settings, &text(&settings, "said in confidence"));
            assert_eq!(callback.post_to(&path, push).await.status, 404, "{path}");
            assert_eq!(
                callback
                    .ask(&path, &pairs(&check(&settings.token)))
                    .await
                    .status,
                404,
                "{path}"
            );
        }
        // One line for a path and a minute.
        let lines: Vec<String> = logs::lines_with(&format!("path=\"{path}\""));
        assert_eq!(lines.len(), 1, "{path}: {lines:?}");
        assert!(lines[0].contains(cause), "{lines:?}");
        for secret in ["said", "signature=", &check(&settings.token)[0].1] {
            assert!(!lines[0].contains(secret), "{lines:?}");
        }
    }
    let lines = logs::lines_with(&format!("path=\"/wechat/{here}\"")).len();
    callback.app.advance(std::time::Duration::from_secs(60));
    callback
        .ask(&format!("/wechat/{here}"), &pairs(&check(&settings.token)))
        .await;
    assert_eq!(
        logs::lines_with(&format!("path=\"/wechat/{here}\"")).len(),
        lines + 1
    );
    // Without WeChat's parameters it is anybody.
    assert_eq!(
        callback
            .ask(
                &format!("/quiet/{here}"),
                &[("timestamp", "1"), ("nonce", "2")]
            )
            .await
            .status,
        404
    );
    assert_eq!(logs::lines_with(&format!("/quiet/{here}")).len(), 0);
}
