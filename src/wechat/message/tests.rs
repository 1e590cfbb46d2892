//! One example per shape of push, and what strange bodies come to.

mod kinds;
mod unescaped;

mod subscription;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const U: &str = "oABCdefGHIjklMNOpqrSTUvwxYZ0";

fn xml(rest: &str) -> String {
    format!(
        "<xml><ToUserName><![CDATA[gh_0a1b2c3d4e5f]]></ToUserName><FromUserName><![CDATA[{U}]]></FromUserName><CreateTime>1767225600</CreateTime>{rest}</xml>"
    )
}

fn event_xml(name: &str, rest: &str) -> String {
    xml(&format!(
        "<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[{name}]]></Event>{rest}"
    ))
}

fn json_event(name: &str, rest: &str) -> String {
    format!(
        r#"{{"ToUserName":"gh_0a1b2c3d4e5f","FromUserName":"{U}","CreateTime":1767225600,"MsgType":"event","Event":"{name}"{rest}}}"#
    )
}

fn read(body: &str) -> Push {
    parse(body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// The kind and the content as the API shows it.
fn shown(body: &str) -> (String, serde_json::Value) {
    let push = read(body);
    assert_eq!(push.openid(), Some(U));
    (
        push.kind().into_owned(),
        serde_json::to_value(&push.content).unwrap(),
    )
}

#[test]
fn the_head_of_a_push() {
    let push = read(&xml(
        "<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[ 余额? ]]></Content><MsgId>24930000000000001</MsgId><Idx>1</Idx>",
    ));
    assert_eq!(
        serde_json::to_value(&push).unwrap(),
        json!({
            "to_user_name": "gh_0a1b2c3d4e5f",
            "from_user_name": U,
            "create_time": 1_767_225_600,
            "msg_type": "text",
            "msg_id": "24930000000000001",
            "content": {"type": "text", "content": " 余额? "},
        })
    );
}

#[test]
fn what_is_not_known_is_kept_whole_under_a_safe_name() {
    let push = read(&event_xml(
        "wxa_media_check",
        "<trace_id>t</trace_id><Deep><X>3990000000000000010</X></Deep>",
    ));
    assert_eq!(push.kind(), "event.wxa_media_check");
    let shown = serde_json::to_value(&push.content).unwrap();
    assert_eq!(
        (&shown["type"], &shown["fields"]["Deep"]["X"]),
        (&json!("unknown"), &json!("3990000000000000010"))
    );
    assert_eq!(
        read(&event_xml("A b/<é>", "").replace("<é>", "&lt;é")).kind(),
        "event.a_b__lt__"
    );
    assert_eq!(read(&event_xml(&"x".repeat(500), "")).kind().len(), 64);
    assert_eq!(
        read(&xml("<MsgType>event.subscribe</MsgType>")).kind(),
        "event_subscribe"
    );
}

#[test]
fn create_time_comes_as_number_or_text_and_ids_under_both_names() {
    for time in ["1767225600", r#""1767225600""#, r#"" 1767225600 ""#] {
        let body = json_event("unsubscribe", "").replace("1767225600", time);
        assert_eq!(read(&body).create_time, 1_767_225_600);
    }
    assert_eq!(
        read(&json_event("x", r#","MsgID":9223372036854775807"#))
            .msg_id
            .as_deref(),
        Some("9223372036854775807")
    );
    assert_eq!(
        read(&json_event("x", r#","MsgId":"cloud-7""#))
            .msg_id
            .as_deref(),
        Some("cloud-7")
    );
    assert_eq!(read(&json_event("x", r#","MsgId":"""#)).msg_id, None);
}

#[test]
fn what_is_no_push_says_why() {
    let error = |body: &str| parse(body.as_bytes()).unwrap_err();
    assert_eq!(error("{}"), ParseError::Missing("ToUserName"));
    assert_eq!(error(&xml("")), ParseError::Missing("MsgType"));
    assert_eq!(
        error(&xml("<MsgType>event</MsgType>")),
        ParseError::Missing("Event")
    );
    for time in ["soon", "1e9", "-1", "99999999999999", "1767225600.5"] {
        assert_eq!(
            error(&event_xml("x", "").replace("1767225600", time)),
            ParseError::CreateTime,
            "{time}"
        );
    }
    let whole = event_xml("x", "").replace("1767225600", "1767225600.0");
    assert_eq!(read(&whole).create_time, 1_767_225_600);
    assert!(matches!(
        error("success"),
        ParseError::Fields(FieldsError::UnknownFormat)
    ));
}

#[test]
fn injected_fields_do_not_replace_the_ones_that_identify_a_push() {
    let inject = "]]></Content><FromUserName>oEVIL</FromUserName><MsgType>event</MsgType><Event>subscribe</Event><Content><![CDATA[";
    let push = read(&xml(&format!(
        "<MsgType>text</MsgType><Content><![CDATA[{inject}]]></Content><MsgId>1</MsgId>"
    )));
    assert_eq!(
        (push.openid(), push.kind().as_ref(), push.event.as_deref()),
        (Some(U), "text", None)
    );
}

#[test]
fn a_retry_has_the_same_key_and_nothing_else_has() {
    let key = |body: &str| read(body).dedup_key(body.as_bytes());
    let text = xml("<MsgType>text</MsgType><Content>a</Content><MsgId>1</MsgId>");
    assert_eq!(
        key(&text),
        key(&text.replace("</xml>", "<MenuId>1</MenuId></xml>"))
    );
    assert_ne!(key(&text), key(&text.replace(U, "oOTHER")));
    assert_ne!(key(&text), key(&text.replace("<MsgId>1<", "<MsgId>2<")));
    let one = event_xml("wxa_media_check", "<trace_id>1</trace_id>");
    assert_eq!(key(&one), key(&one));
    assert_ne!(key(&one), key(&one.replace("<trace_id>1", "<trace_id>2")));
    let job = |event| {
        key(&event_xml(
            event,
            "<MsgID>1</MsgID><Status>success</Status>",
        ))
    };
    assert_ne!(job("TEMPLATESENDJOBFINISH"), job("MASSSENDJOBFINISH"));
}

proptest! {
    #[test]
    fn no_change_of_a_push_makes_reading_panic(
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..4),
        json in any::<bool>(),
    ) {
        let mut body = match json {
            true => json_event("subscribe_msg_popup_event", r#","List":[{"TemplateId":"a"}]"#),
            false => event_xml("pic_weixin", "<SendPicsInfo><PicList><item/></PicList></SendPicsInfo>"),
        }.into_bytes();
        let at = at.index(body.len());
        body.splice(at..(at + 2).min(body.len()), bytes);
        if let Ok(push) = parse(&body) {
            let kind = push.kind();
            let safe = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.".contains(&b);
            prop_assert!(!kind.is_empty() && kind.len() <= 64 && kind.bytes().all(safe));
        }
    }
}
