//! What is written here is let in and read by the other half.

use super::*;
use crate::wechat::callback::{self, Credentials, Query};
use crate::wechat::message::{self, Content};

fn key() -> AesKey {
    AesKey::parse("Zx1Cv2Bn3Mm4As5Df6Gh7Jk8Lq9We0RtYuIoPaSdFgH").unwrap()
}

fn sender(key: Option<&AesKey>, mode: Mode, format: Format) -> Sender<'_> {
    Sender {
        token: "harbour7",
        aes_key: key,
        app_id: "wx0123456789abcdef",
        to_user_name: "gh_0a1b2c3d4e5f",
        mode,
        format,
        timestamp: 1_767_225_600,
        nonce: "88412",
        openid: "oUSER",
    }
}

fn query(signed: &Signed) -> Query {
    let pairs: serde_json::Map<_, _> = signed
        .query
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
        .collect();
    serde_json::from_value(pairs.into()).unwrap()
}

#[test]
fn every_mode_and_format_is_let_in_and_reads_the_same() {
    let key = key();
    let fields = text(
        "gh_0a1b2c3d4e5f",
        "oUSER",
        1_767_225_600,
        "a]]>b \"你\"",
        3_990_000_000_000_000_007,
    );
    for mode in [Mode::Plain, Mode::Compatible, Mode::Secure] {
        for format in [Format::Xml, Format::Json] {
            let signed = sign_and_seal(&fields, &sender(Some(&key), mode, format)).unwrap();
            let credentials = Credentials {
                app_id: "wx0123456789abcdef".to_owned(),
                token: "harbour7".to_owned(),
                aes_key: Some(key.clone()),
                mode,
            };
            let query = query(&signed);
            assert_eq!(query.openid.as_deref(), Some("oUSER"));
            let opened = callback::open(&query, &signed.body, &credentials).unwrap();
            assert_eq!(opened.encrypted, mode != Mode::Plain);
            let push = message::parse(&opened.plaintext).unwrap();
            assert_eq!(push.msg_id.as_deref(), Some("3990000000000000007"));
            assert_eq!(
                push.content,
                Content::Text {
                    content: "a]]>b \"你\"".to_owned(),
                    menu_id: None,
                }
            );
            let clear_fields = message::parse(&signed.body).is_ok();
            assert_eq!(clear_fields, mode != Mode::Secure, "{mode} {format:?}");
        }
    }
}

#[test]
fn a_broken_body_can_be_sent_in_every_mode() {
    let key = key();
    for mode in [Mode::Plain, Mode::Compatible, Mode::Secure] {
        let signed =
            sign_and_seal_body("<xml>]]>", &sender(Some(&key), mode, Format::Xml)).unwrap();
        let credentials = Credentials {
            app_id: "wx0123456789abcdef".to_owned(),
            token: "harbour7".to_owned(),
            aes_key: Some(key.clone()),
            mode,
        };
        let opened = callback::open(&query(&signed), &signed.body, &credentials).unwrap();
        assert_eq!(opened.plaintext.as_ref(), b"<xml>]]>");
    }
}

#[test]
fn encryption_without_a_key_is_refused() {
    let fields = event("gh_0a1b2c3d4e5f", "oUSER", 1_767_225_600, "subscribe");
    let error = sign_and_seal(&fields, &sender(None, Mode::Secure, Format::Xml)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the mode `secure` needs an EncodingAESKey"
    );
    let signed = sign_and_seal(&fields, &sender(None, Mode::Plain, Format::Json)).unwrap();
    assert_eq!(
        String::from_utf8(signed.body).unwrap(),
        r#"{"ToUserName":"gh_0a1b2c3d4e5f","FromUserName":"oUSER","CreateTime":1767225600,"MsgType":"event","Event":"subscribe"}"#
    );
}
