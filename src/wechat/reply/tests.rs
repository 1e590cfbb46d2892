//! The worked example of the protocol notes, and texts that try to break out.

use super::*;
use crate::wechat::callback::Mode;
use crate::wechat::crypto::{self, AesKey};

const EXAMPLE: &str = "<xml><ToUserName><![CDATA[oABCdefGHIjklMNOpqrSTUvwxYZ0]]></ToUserName><FromUserName><![CDATA[gh_0a1b2c3d4e5f]]></FromUserName><CreateTime>1767225600</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[收到]]></Content></xml>";

fn credentials() -> Credentials {
    Credentials {
        app_id: "wx0123456789abcdef".to_owned(),
        token: "harbour7".to_owned(),
        aes_key: AesKey::parse("Zx1Cv2Bn3Mm4As5Df6Gh7Jk8Lq9We0RtYuIoPaSdFgH").ok(),
        mode: Mode::Secure,
    }
}

#[test]
fn the_worked_reply_is_written_and_sealed_byte_for_byte() {
    let reply = text(
        "oABCdefGHIjklMNOpqrSTUvwxYZ0",
        "gh_0a1b2c3d4e5f",
        1_767_225_600,
        "收到",
    );
    assert_eq!(reply, EXAMPLE);
    assert_eq!(reply.len(), 239);
    let account = credentials();
    let sealed = SealedReply::seal(
        account.aes_key.as_ref().unwrap(),
        &account.token,
        &account.app_id,
        reply.as_bytes(),
        1_767_225_601,
        "88412",
        Some(b"a1b2c3d4e5f60718"),
    );
    assert!(
        sealed.encrypt.starts_with("nZPu3snAzw6ex4haCT7lv4Yy14"),
        "{}",
        sealed.encrypt
    );
    assert_eq!(
        sealed.msg_signature,
        "981f8454c08995b9e40ce781bd67ae8b07a93ed2"
    );
    assert_eq!(
        sealed.to_xml(),
        format!(
            "<xml><Encrypt><![CDATA[{}]]></Encrypt><MsgSignature><![CDATA[981f8454c08995b9e40ce781bd67ae8b07a93ed2]]></MsgSignature><TimeStamp>1767225601</TimeStamp><Nonce><![CDATA[88412]]></Nonce></xml>",
            sealed.encrypt
        )
    );
    assert_eq!(
        sealed.to_json(),
        format!(
            r#"{{"Encrypt":"{}","MsgSignature":"981f8454c08995b9e40ce781bd67ae8b07a93ed2","TimeStamp":1767225601,"Nonce":"88412"}}"#,
            sealed.encrypt
        )
    );
}

#[test]
fn a_sealed_reply_opens_to_the_reply() {
    let account = credentials();
    let sealed = seal(EXAMPLE, &account, 1_767_225_601, "88412").unwrap();
    let key = account.aes_key.as_ref().unwrap();
    let opened = crypto::decrypt(key, &account.app_id, &sealed.encrypt).unwrap();
    assert_eq!(opened, EXAMPLE.as_bytes());
    let keyless = Credentials {
        aes_key: None,
        ..account
    };
    assert_eq!(seal(EXAMPLE, &keyless, 0, "1"), None);
}

#[test]
fn the_end_of_cdata_and_line_feeds_survive_in_a_text() {
    let reply = text("u", "a", 1, "a]]>b\nc");
    assert!(
        reply.contains("<![CDATA[a]]]]><![CDATA[>b\nc]]>"),
        "{reply}"
    );
    let fields = Fields::parse(reply.as_bytes()).unwrap();
    assert_eq!(fields.text("Content"), Some("a]]>b\nc"));
}

#[test]
fn a_long_text_is_refused_when_configured_and_cut_between_characters_when_sent() {
    assert_eq!(check_text(&"x".repeat(2048)), Ok(()));
    assert_eq!(check_text(&"收".repeat(683)), Err(TextTooLong(2049)));
    let reply = text("u", "a", 1, &"收".repeat(683));
    let fields = Fields::parse(reply.as_bytes()).unwrap();
    assert_eq!(fields.text("Content"), Some("收".repeat(682).as_str()));
}

#[test]
fn nothing_breaks_out_of_a_link() {
    assert_eq!(
        mini_program_link(
            "wx1",
            "pages/a?x=1&y=\"2\"",
            "https://example.com/",
            "<b>'开'</b>"
        ),
        "<a data-miniprogram-appid=\"wx1\" data-miniprogram-path=\"pages/a?x=1&amp;y=&quot;2&quot;\" href=\"https://example.com/\">&lt;b&gt;&#39;开&#39;&lt;/b&gt;</a>"
    );
}
