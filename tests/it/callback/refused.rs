//! What is refused: with which status, nothing stored, one line in the log that names the cause
//! and no secret.

use queqiao::db::Engine;
use queqiao::simulator::{Kind, Settings};
use queqiao::wechat::callback::Mode;
use queqiao::wechat::fields::Format;
use queqiao::wechat::push::Signed;
use queqiao::wechat::signature;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{CallbackFixture, assert_success, new_app_id, signed, text};
use crate::support::{Fixture, logs};

const SAID: &str = "said in confidence";

/// How a good push is spoilt.
type Spoil = fn(&mut Signed, &Settings);

fn set(push: &mut Signed, name: &'static str, value: &str) {
    unset(push, name);
    push.query.push((name, value.to_owned()));
}

fn unset(push: &mut Signed, name: &str) {
    push.query.retain(|(known, _)| *known != name);
}

fn timestamp_of(push: &Signed) -> &str {
    let found = push.query.iter().find(|(name, _)| *name == "timestamp");
    &found.unwrap().1
}

fn reseal(push: &mut Signed, settings: &Settings, change: impl FnOnce(&mut Settings)) {
    let mut other = settings.clone();
    change(&mut other);
    *push = signed(&other, &text(settings, SAID));
}

const CASES: [(Mode, u16, &str, Spoil); 14] = [
    (Mode::Plain, 403, "wrong_signature", |push, _| {
        set(push, "signature", &"0".repeat(40));
    }),
    (Mode::Plain, 403, "wrong_signature", |push, _| {
        set(push, "timestamp", "1767225601");
    }),
    (Mode::Plain, 403, "missing_signature", |push, _| {
        unset(push, "signature");
    }),
    (Mode::Plain, 403, "missing_parameter", |push, _| {
        unset(push, "nonce");
    }),
    (Mode::Plain, 413, "too large", |push, _| {
        push.body.resize((1 << 20) + 1, b' ');
    }),
    (Mode::Secure, 403, "unencrypted", |push, settings| {
        reseal(push, settings, |other| other.mode = Mode::Plain);
    }),
    (Mode::Secure, 403, "missing_signature", |push, _| {
        unset(push, "msg_signature");
    }),
    (Mode::Secure, 403, "wrong_signature", |push, _| {
        set(push, "msg_signature", &"f".repeat(40));
    }),
    (Mode::Secure, 403, "wrong_signature", |push, settings| {
        // The signature of the clear modes says nothing about the body.
        let clear = signature::sign(&[&settings.token, timestamp_of(push), "88412"]);
        set(push, "msg_signature", &clear);
    }),
    (Mode::Secure, 403, "wrong_signature", |push, settings| {
        reseal(push, settings, |other| other.token = "forged".to_owned());
    }),
    (Mode::Secure, 403, "app_id_mismatch", |push, settings| {
        reseal(push, settings, |other| {
            other.app_id = "wx0000000000000bad".to_owned();
        });
    }),
    (Mode::Secure, 403, "decryption_failed", |push, settings| {
        reseal(push, settings, |other| {
            other.encoding_aes_key = "Zx1Cv2Bn3Mm4As5Df6Gh7Jk8Lq9We0RtYuIoPaSdFgH".to_owned();
        });
    }),
    (Mode::Compatible, 403, "wrong_signature", |push, _| {
        set(push, "msg_signature", &"f".repeat(40));
    }),
    (
        Mode::Compatible,
        403,
        "nothing_encrypted",
        |push, settings| {
            let mut clear = settings.clone();
            clear.mode = Mode::Plain;
            push.body = signed(&clear, &text(settings, SAID)).body;
        },
    ),
];

async fn refuse_all(engine: Engine) {
    logs::capture();
    let callback = CallbackFixture::on(engine).await;
    for (mode, status, cause, spoil) in CASES {
        for format in [Format::Xml, Format::Json] {
            let settings = callback.account(Kind::MiniProgram, mode, format).await;
            let good = signed(&settings, &text(&settings, SAID));
            let mut bad = good.clone();
            spoil(&mut bad, &settings);
            assert_ne!(bad, good, "{cause}");
            let mut secrets = vec![
                settings.token.clone(),
                settings.encoding_aes_key.clone(),
                settings.secret.clone(),
                SAID.to_owned(),
                "Encrypt>".to_owned(),
            ];
            for push in [&good, &bad] {
                let signatures = push
                    .query
                    .iter()
                    .filter(|(name, _)| name.ends_with("signature"));
                secrets.extend(signatures.map(|(_, value)| value.clone()));
            }
            let answer = callback.push(&settings.app_id, bad).await;
            assert_eq!(
                (answer.status, answer.text.as_str()),
                (status, ""),
                "{cause}"
            );
            assert_eq!(callback.events(&settings.app_id).await.len(), 0, "{cause}");
            let lines = logs::lines_with(&settings.app_id);
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(lines[0].contains(cause), "{cause}: {lines:?}");
            for secret in secrets {
                assert!(!lines[0].contains(&secret), "{secret} in {lines:?}");
            }
            assert_success(&callback.push(&settings.app_id, good).await);
            assert_eq!(callback.events(&settings.app_id).await.len(), 1, "{cause}");
        }
    }
}

both_engines! {
    what_cannot_be_trusted_is_refused_and_not_stored,
    a_body_of_one_mebibyte_is_the_longest,
    a_body_that_does_not_say_its_length_is_cut_off_as_well,
    an_account_that_is_not_here_is_404,
}

async fn what_cannot_be_trusted_is_refused_and_not_stored(engine: Engine) {
    refuse_all(engine).await;
}

async fn a_body_of_one_mebibyte_is_the_longest(callback: CallbackFixture) {
    let settings = callback
        .account(Kind::OfficialAccount, Mode::Plain, Format::Xml)
        .await;
    let around = signed(&settings, &text(&settings, "")).body.len();
    let content = "x".repeat((1 << 20) - around);
    let longest = signed(&settings, &text(&settings, &content));
    assert_eq!(longest.body.len(), 1 << 20);
    assert_success(&callback.push(&settings.app_id, longest).await);
    let event = callback.only_event(&settings.app_id).await;
    assert_eq!(event["raw"].as_str().unwrap().len(), 1 << 20);
    let content = "y".repeat((1 << 20) - around + 1);
    let longer = signed(&settings, &text(&settings, &content));
    assert_eq!(callback.push(&settings.app_id, longer).await.status, 413);
    assert_eq!(callback.events(&settings.app_id).await.len(), 1);
}

async fn a_body_that_does_not_say_its_length_is_cut_off_as_well(callback: CallbackFixture) {
    let settings = callback
        .account(Kind::OfficialAccount, Mode::Plain, Format::Xml)
        .await;
    let push = signed(&settings, &text(&settings, "hi"));
    let query: Vec<_> = push
        .query
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let head = format!(
        "POST /callback/{}?{} HTTP/1.1\r\nHost: queqiao\r\nTransfer-Encoding: chunked\r\n\r\n",
        settings.app_id,
        query.join("&")
    );
    let address = callback.app.url.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut answer, mut request) = stream.into_split();
    let sending = tokio::spawn(async move {
        request.write_all(head.as_bytes()).await.unwrap();
        let chunk = [b"8000\r\n".as_slice(), &[b' '; 0x8000], b"\r\n"].concat();
        // Without end: only the server can bring it to one.
        while request.write_all(&chunk).await.is_ok() {}
    });
    let mut status = [0; 12];
    answer.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    sending.abort();
    assert_eq!(callback.events(&settings.app_id).await.len(), 0);
}

async fn an_account_that_is_not_here_is_404(callback: CallbackFixture) {
    logs::capture();
    let settings = Settings::new(&new_app_id(), Kind::OfficialAccount);
    let push = signed(&settings, &text(&settings, SAID));
    assert_eq!(callback.push(&settings.app_id, push).await.status, 404);
    let lines = logs::lines_with(&settings.app_id);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("unknown_account") && !lines[0].contains(SAID),
        "{lines:?}"
    );
    let strange = "wx%0Aforged log line%1b[31m";
    let push = signed(&settings, &text(&settings, SAID));
    assert_eq!(callback.push(strange, push).await.status, 404);
    let lines = logs::lines_with("forged log line");
    assert!(
        lines.iter().all(|line| line.contains("unknown_account")),
        "{lines:?}"
    );
    assert!(
        lines.iter().all(|line| !line.contains('\u{1b}')),
        "{lines:?}"
    );
    assert_eq!(
        callback.app.get(&callback.key, "/events").await.ok(200)["items"],
        serde_json::json!([])
    );
}
