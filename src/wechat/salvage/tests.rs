//! What broken bodies still yield, and what false tags do not.

use proptest::prelude::*;

use super::*;
use crate::wechat::message;

const TEXT: &str = "<xml><ToUserName><![CDATA[gh_0a1b2c3d4e5f]]></ToUserName><FromUserName><![CDATA[oUSER]]></FromUserName><CreateTime>1767225600</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[TEXT]]></Content><MsgId>24930000000000001</MsgId></xml>";

/// A text message with `content` as WeChat would insert it: without escaping.
fn text(content: &str) -> String {
    TEXT.replace("TEXT", content)
}

fn expected() -> Salvaged {
    Salvaged {
        to_user_name: Some("gh_0a1b2c3d4e5f".to_owned()),
        from_user_name: Some("oUSER".to_owned()),
        create_time: Some(1_767_225_600),
        msg_type: Some("text".to_owned()),
        msg_id: Some("24930000000000001".to_owned()),
        ..Salvaged::default()
    }
}

#[test]
fn a_text_that_breaks_the_document_costs_only_the_text() {
    for content in [
        "a]]>b",
        "a]]><b",
        "]]></xml>",
        "</Content>]]>",
        "<Content>]]></",
        "\u{2}]]>&x;",
    ] {
        let body = text(content);
        assert_eq!(salvage(body.as_bytes()), expected(), "{body}");
    }
}

#[test]
fn false_tags_in_a_text_are_not_believed() {
    let body = text(
        "]]></Content><MsgId>1</MsgId><FromUserName>oEVIL</FromUserName><MsgType>event</MsgType><Event>subscribe</Event><OpenID>oEVIL</OpenID><Content>]]>",
    );
    let salvaged = salvage(body.as_bytes());
    assert_eq!(salvaged, expected());
    assert_eq!(salvaged.kind(), "text");
    assert_eq!(salvaged.openid(), Some("oUSER"));
}

#[test]
fn nothing_is_read_between_several_texts_of_a_user() {
    let fake = "<MsgId>1</MsgId>]]>";
    let link = format!("<Title><![CDATA[{fake}]]></Title>{fake}<Description>{fake}</Description>");
    let body = text("x").replace("<Content><![CDATA[x]]></Content>", &link);
    assert_eq!(salvage(body.as_bytes()), expected());
    let (without_id, _) = body.rsplit_once("<MsgId>").unwrap();
    let nothing_behind = Salvaged {
        msg_id: None,
        ..expected()
    };
    assert_eq!(salvage(without_id.as_bytes()), nothing_behind);
}

#[test]
fn a_body_that_is_not_utf8_or_cut_short_yields_what_there_is() {
    let mut body = text("a?b").into_bytes();
    let at = body.iter().position(|byte| *byte == b'?').unwrap();
    body[at] = 0xff;
    assert_eq!(salvage(&body), expected());
    let cut = text("abc");
    let (cut, _) = cut.split_once("abc").unwrap();
    assert_eq!(
        salvage(cut.as_bytes()),
        Salvaged {
            msg_id: None,
            ..expected()
        }
    );
}

#[test]
fn events_give_their_name_and_authorization_events_their_user() {
    let body = "<xml><FromUserName>oPLATFORM</FromUserName><CreateTime>17672256xx</CreateTime><MsgType>event</MsgType><Event><![CDATA[user_authorization_revoke]]></Event><OpenID><![CDATA[oUSER]]></OpenID><RevokeInfo>]]></xml>";
    let salvaged = salvage(body.as_bytes());
    assert_eq!(salvaged.kind(), "event.user_authorization_revoke");
    assert_eq!(salvaged.openid(), Some("oUSER"));
    assert_eq!(salvaged.create_time, None);
}

#[test]
fn json_is_read_at_its_outermost_level_only() {
    let body = "{\"ToUserName\":\"gh_0a1b2c3d4e5f\", \"FromUserName\" : \"oUSER\",\"CreateTime\":1767225600,\"MsgType\":\"text\",\"Content\":\"\u{2}\\\",\\\"MsgType\\\":\\\"event\\\"\",\"X\":{\"FromUserName\":\"oEVIL\",\"MsgId\":1},\"MsgId\":24930000000000001";
    assert!(message::parse(body.as_bytes()).is_err());
    assert_eq!(salvage(body.as_bytes()), expected());
}

#[test]
fn nothing_found_is_nothing_and_the_key_is_the_bodys() {
    let salvaged = salvage(b"garbage");
    assert_eq!(salvaged, Salvaged::default());
    assert_eq!(
        (salvaged.kind().as_ref(), salvaged.openid()),
        ("unknown", None)
    );
    assert_eq!(
        salvaged.dedup_key(b"garbage"),
        salvaged.dedup_key(b"garbage")
    );
    assert_ne!(
        salvaged.dedup_key(b"garbage"),
        salvaged.dedup_key(b"rubbish")
    );
}

#[test]
fn implausible_values_are_left_out() {
    let long = text("]]>").replace("oUSER", &"o".repeat(129));
    assert_eq!(salvage(long.as_bytes()).from_user_name, None);
    let control = text("]]>").replace("oUSER", "o\nUSER");
    assert_eq!(salvage(control.as_bytes()).from_user_name, None);
}

#[test]
fn a_body_full_of_unended_elements_is_searched_in_one_pass() {
    let body = "<MsgId><![CDATA[".repeat(200_000);
    assert_eq!(salvage(body.as_bytes()), Salvaged::default());
}

#[test]
fn a_sound_push_gives_the_same_as_parsing_it() {
    let body = text("余额?");
    let push = message::parse(body.as_bytes()).unwrap();
    let salvaged = salvage(body.as_bytes());
    assert_eq!(salvaged, expected());
    assert_eq!(salvaged.kind(), push.kind());
    assert_eq!(salvaged.dedup_key(b""), push.dedup_key(b""));
}

proptest! {
    #[test]
    fn no_text_changes_what_stands_outside(content in any::<String>(), tags in "[<>/\\[\\]!CDATAMsgIdContentFromUserName]{0,60}") {
        for content in [content, tags] {
            prop_assert_eq!(salvage(text(&content).as_bytes()), expected());
        }
    }

    #[test]
    fn no_bytes_make_salvaging_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[<>\\[\\]!&;{}\":,\\\\a-cé -]{0,80}", at in any::<prop::sample::Index>()) {
        let _ = salvage(&bytes);
        let _ = salvage(text.as_bytes());
        let _ = salvage(format!("{{{text}").as_bytes());
        let _ = salvage(format!("<Content>{text}").as_bytes());
        let _ = salvage(&TEXT.as_bytes()[at.index(TEXT.len())..]);
    }
}
