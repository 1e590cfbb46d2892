//! Texts that break out of their CDATA, since WeChat does not escape them.

use super::*;
use crate::wechat::fields::Fields;
use crate::wechat::push;

const A: &str = "gh_0a1b2c3d4e5f";
const MSG_ID: i64 = 777;

fn pushed(fields: &Fields<'_>) -> Push {
    read(&push::render(fields, push::Format::Xml))
}

fn said(text: &str) -> Push {
    pushed(&push::text(A, U, 1_767_225_600, text, MSG_ID))
}

fn content(push: Push) -> String {
    match push.content {
        Content::Text { content, .. } => content,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_end_of_cdata_in_a_text_belongs_to_the_text() {
    for text in [
        "if (a[b[0]]>1)",
        "]]>",
        "]]",
        "]",
        ">",
        "]]]]>>",
        "a]]>b]]>c",
        "]]><![CDATA[",
        "a]]><![CDATA[b",
        "a]]> <![CDATA[b",
        "a]]>b<![CDATA[c",
        "]]><!-- --><![CDATA[",
        "]]><a><![CDATA[b]]></a><![CDATA[",
        "]]><a/><![CDATA[",
        "<]]><![CDATA[",
        "<a]]> <![CDATA[b",
        "]]><!--<a--><![CDATA[",
        "]]><?a <b?><![CDATA[",
        "]]><a b='<c'/><![CDATA[",
        "<![CDATA[a]]>",
        "a ]]> <b> & c",
        "]]> ",
        " ]]>\u{2}\u{0}",
    ] {
        assert_eq!(content(said(text)), text);
    }
}

#[test]
fn nothing_that_a_text_says_becomes_a_field() {
    for text in [
        "a]]></Content><FromUserName><![CDATA[oForged]]></FromUserName><Content><![CDATA[b",
        "a]]></Content><FromUserName>oForged</FromUserName><MsgType>x",
        "a]]></Content><MsgId>1</MsgId><Content><![CDATA[b",
        "a]]></Content><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[unsubscribe]]></Event></xml>",
        "a]]></Content></xml><xml><Content><![CDATA[",
        "a]]></Content><Encrypt><![CDATA[b]]></Encrypt><Content><![CDATA[c",
        "]]></Content>",
        "]]> </Content >",
        "<Content><![CDATA[",
        "]]></Content><!DOCTYPE a><Content><![CDATA[",
    ] {
        let push = said(text);
        assert_eq!(
            (push.from_user_name.as_str(), push.msg_type.as_str()),
            (U, "text"),
            "{text}"
        );
        assert_eq!(
            (push.create_time, push.event.as_deref()),
            (1_767_225_600, None),
            "{text}"
        );
        assert_eq!(push.msg_id.as_deref(), Some("777"), "{text}");
        assert_eq!(content(push), text);
    }
    let many = format!("]]></Content>{}<Content><![CDATA[", "<a/>".repeat(5_000));
    assert_eq!(content(said(&many)), many);
}

#[test]
fn every_text_of_a_stranger_is_read() {
    let text = "a]]>b";
    let message = |kind| push::message(A, U, 1, kind);
    let event = |name| push::event(A, U, 1, name);
    let found = pushed(
        &message("location")
            .with("Location_X", "1")
            .with("Label", text),
    );
    assert!(matches!(found.content, Content::Location { label, .. } if label == text));
    let found = pushed(
        &message("voice")
            .with("MediaId", "m")
            .with("Recognition", text)
            .with("MsgId", 7),
    );
    assert!(
        matches!(found.content, Content::Voice { recognition, .. } if recognition.as_deref() == Some(text))
    );
    let link = message("link")
        .with("Title", text)
        .with("Description", text)
        .with("Url", text)
        .with("MsgId", 7);
    let found = pushed(&link);
    assert_eq!(found.msg_id.as_deref(), Some("7"));
    assert!(matches!(
        found.content,
        Content::Link { title, description, url } if [&title, &description, &url] == [text; 3]
    ));
    let found = pushed(&event("CLICK").with("EventKey", text));
    assert!(matches!(found.content, Content::Click { key } if key == text));
    let scan = Fields::new()
        .with("ScanType", "qrcode")
        .with("ScanResult", text);
    let found = pushed(
        &event("scancode_push")
            .with("EventKey", "k")
            .with("ScanCodeInfo", scan),
    );
    assert!(
        matches!(found.content, Content::MenuScanCode { scan_result, .. } if scan_result == text)
    );
    // An element that nobody knows.
    let found = pushed(&event("new").with("Reason", text).with("More", "b"));
    let Content::Unknown { fields } = found.content else {
        panic!("{found:?}");
    };
    assert_eq!(
        (fields.text("Reason"), fields.text("More")),
        (Some(text), Some("b"))
    );
}

#[test]
fn a_text_with_another_texts_end_in_it_is_read_too() {
    let evil = "a]]></Title>b";
    let link = push::message(A, U, 1, "link")
        .with("Title", "t")
        .with("Description", evil)
        .with("Url", "u")
        .with("MsgId", 7);
    let found = pushed(&link);
    assert_eq!(
        (found.from_user_name.as_str(), found.msg_id.as_deref()),
        (U, Some("7"))
    );
    assert!(matches!(
        found.content,
        Content::Link { title, description, .. } if title == "t" && description == evil
    ));
}

#[test]
fn a_text_that_is_escaped_by_another_sender_is_read_too() {
    for text in ["]]>", "a]]>b]]>c", "<b>&]]>"] {
        let fields = push::text(A, U, 1_767_225_600, text, MSG_ID);
        assert_eq!(content(read(&fields.to_xml())), text);
    }
}

/// What somebody types who knows how pushes are written.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("]]>".to_owned()),
        Just("<![CDATA[".to_owned()),
        Just("</Content>".to_owned()),
        Just("<Content>".to_owned()),
        Just("<FromUserName><![CDATA[oForged]]></FromUserName>".to_owned()),
        Just("<MsgType>event</MsgType>".to_owned()),
        Just("<MsgId>1</MsgId>".to_owned()),
        Just("</xml>".to_owned()),
        Just("<xml>".to_owned()),
        Just("<a/>".to_owned()),
        Just("<a>".to_owned()),
        Just("</a>".to_owned()),
        Just("<!--".to_owned()),
        Just("-->".to_owned()),
        Just("<?a ".to_owned()),
        Just("?>".to_owned()),
        Just("]".to_owned()),
        "[<>/a!?' \n&\\]]",
        "\\PC{0,3}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_text_is_read_as_it_was_written_whatever_it_says(text in hostile()) {
        let push = said(&text);
        prop_assert_eq!(&push.from_user_name, U);
        prop_assert_eq!(&push.msg_type, "text");
        prop_assert_eq!(push.msg_id.as_deref(), Some("777"));
        prop_assert_eq!(content(push), text);
    }

    #[test]
    fn the_sender_of_several_texts_stays_the_sender(title in hostile(), description in hostile()) {
        let link = push::message(A, U, 1, "link").with("Title", title.as_str());
        let link = link.with("Description", description.as_str()).with("Url", "u").with("MsgId", MSG_ID);
        if let Ok(push) = parse(push::render(&link, push::Format::Xml).as_bytes()) {
            prop_assert_eq!((push.from_user_name.as_str(), push.msg_type.as_str()), (U, "link"));
        }
    }
}
