//! Both formats into one tree, and back.

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Fields<'_>, FieldsError> {
    Fields::parse(text.as_bytes())
}

#[test]
fn xml_and_json_of_one_event_read_alike() {
    let xml =
        parse("<xml><A><![CDATA[x]]></A><N>12</N><L><T>1</T></L><L><T>2</T></L></xml>").unwrap();
    let json = parse(r#"{"A":"x","N":"12","L":[{"T":"1"},{"T":"2"}]}"#).unwrap();
    assert_eq!(xml, json);
    assert_eq!(xml.all("L").count(), 2);
    assert_eq!(xml.text("N"), Some("12"));
}

#[test]
fn cdata_is_never_trimmed_and_layout_around_it_is_dropped() {
    let fields = parse("<xml>\n <A>\n<![CDATA[ x\r\n ]]>\n</A> <B> y </B><C/></xml>").unwrap();
    assert_eq!(fields.text("A"), Some(" x\r\n "));
    assert_eq!(fields.text("B"), Some(" y "));
    assert_eq!(fields.text("C"), Some(""));
}

#[test]
fn texts_and_names_borrow_from_the_body() {
    let body = "<?xml version=\"1.0\"?><xml>\n<A><![CDATA[x]]></A><B>1</B></xml>";
    for (name, value) in parse(body).unwrap() {
        assert!(matches!(name, Cow::Borrowed(_)), "{name}");
        assert!(matches!(value, Value::Text(Cow::Borrowed(_))), "{name}");
    }
    for (name, _) in parse(r#"{"A":"x"}"#).unwrap() {
        assert!(matches!(name, Cow::Borrowed(_)), "{name}");
    }
}

#[test]
fn a_byte_order_mark_a_declaration_comments_and_entities_are_fine() {
    let body = "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- c --><r><A>a&amp;b &#20320; &lt;</A></r>\n";
    assert_eq!(parse(body).unwrap().text("A"), Some("a&b 你 <"));
    assert_eq!(
        parse("\u{feff} {\"A\":\"x\"}").unwrap().text("A"),
        Some("x")
    );
}

#[test]
fn doctype_is_refused_before_anything_is_expanded() {
    let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaa">]><xml><A>&a;</A></xml>"#;
    assert_eq!(parse(bomb).unwrap_err(), FieldsError::Doctype);
    assert!(matches!(
        parse("<xml><A>&a;</A></xml>"),
        Err(FieldsError::Xml(_))
    ));
}

#[test]
fn names_are_found_without_case_and_trimmed_and_the_first_one_counts() {
    let fields = parse(r#"{" OpenID":"u","openid":"other"}"#).unwrap();
    assert_eq!(fields.text("openId"), Some("u"));
    assert_eq!(fields.text("missing"), None);
}

#[test]
fn numbers_keep_every_digit() {
    let body = r#"{"a":3990000000000000007,"b":40.000000,"c":1e400,"d":123456789012345678901234567890,"e":true,"f":null}"#;
    let fields = parse(body).unwrap();
    let texts: Vec<_> = fields
        .iter()
        .filter_map(|(_, value)| value.as_text())
        .collect();
    let expected = [
        "3990000000000000007",
        "40.000000",
        "1e400",
        "123456789012345678901234567890",
        "true",
        "",
    ];
    assert_eq!(texts, expected);
    let shown = serde_json::to_string(&fields).unwrap();
    assert!(shown.contains(r#""a":"3990000000000000007""#), "{shown}");
    assert!(fields.to_json().contains(r#""a":3990000000000000007,"#));
}

#[test]
fn control_characters_in_xml_are_let_through() {
    let fields = parse("<xml><A><![CDATA[a\u{2}b]]></A></xml>").unwrap();
    assert_eq!(fields.text("A"), Some("a\u{2}b"));
}

#[test]
fn broken_bodies_are_errors() {
    for broken in [
        "<xml><A><![CDATA[a]]>b]]></A></xml>",
        "<xml><A>x</B></xml>",
        "<xml><A>x</A>",
        "<xml></xml><xml></xml>",
        "<xml>text</xml>",
        "<xml><A>1</A>text</xml>",
        "<xml><A>1</A></xml>text",
        "</xml>",
        "<",
        "<!-- -->",
        "<![CDATA[x]]>",
    ] {
        assert!(
            matches!(parse(broken), Err(FieldsError::Xml(_))),
            "{broken}: {:?}",
            parse(broken)
        );
    }
    for broken in ["{", "{\"a\":}", "{\"a\":1}x", "{\"a\":\"\u{2}\"}", "{1:2}"] {
        assert!(
            matches!(parse(broken), Err(FieldsError::Json(_))),
            "{broken}"
        );
    }
    for other in ["", "success", "[1]", "\"x\""] {
        assert_eq!(
            parse(other).unwrap_err(),
            FieldsError::UnknownFormat,
            "{other}"
        );
    }
    assert_eq!(
        Fields::parse(b"<xml>\xff").unwrap_err(),
        FieldsError::NotUtf8(5)
    );
}

#[test]
fn a_complaint_is_short_and_has_no_control_characters() {
    let body = format!("<xml><A></{}\n>", "b\u{2}".repeat(10_000));
    let shown = parse(&body).unwrap_err().to_string();
    assert!(
        shown.len() < 500 && !shown.contains(char::is_control),
        "{shown}"
    );
}

#[test]
fn depth_and_number_are_limited_in_both_formats() {
    let deep = |n: usize| {
        [
            ("<a>".repeat(n) + &"</a>".repeat(n)),
            format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n)),
        ]
    };
    for body in deep(MAX_DEPTH) {
        assert!(parse(&body).is_ok(), "{body}");
    }
    for body in deep(MAX_DEPTH + 1).into_iter().chain(deep(100_000)) {
        assert_eq!(parse(&body).unwrap_err(), FieldsError::TooDeep);
    }
    let arrays = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(parse(&arrays).unwrap_err(), FieldsError::TooDeep);
    let xml = format!("<xml>{}</xml>", "<a/>".repeat(MAX_FIELDS + 1));
    assert_eq!(parse(&xml).unwrap_err(), FieldsError::TooMany);
    let json = format!("{{\"a\":[{}0]}}", "0,".repeat(MAX_FIELDS));
    assert_eq!(parse(&json).unwrap_err(), FieldsError::TooMany);
}

#[test]
fn writing_splits_cdata_keeps_numbers_bare_and_makes_names_safe() {
    let fields = Fields::new()
        .with("T", "a]]>b")
        .with("N", 7_i64)
        .with("1 <x>", "y");
    assert_eq!(
        fields.to_xml(),
        "<xml><T><![CDATA[a]]]]><![CDATA[>b]]></T><N>7</N><_1__x_><![CDATA[y]]></_1__x_></xml>"
    );
    assert_eq!(fields.to_json(), r#"{"T":"a]]>b","N":7,"1 <x>":"y"}"#);
    assert_eq!(Fields::new().to_json(), "{}");
    let forged = Fields::new().with("N", Value::Literal("1,\"x\":2".into()));
    assert_eq!(forged.to_json(), r#"{"N":"1,\"x\":2"}"#);
}

fn values() -> impl Strategy<Value = Value<'static>> {
    let text = any::<String>().prop_map(Value::from);
    text.prop_recursive(3, 24, 4, |inner| {
        prop::collection::btree_map("[A-Za-z_][A-Za-z0-9_]{0,8}", inner, 1..4)
            .prop_map(|members| Value::Fields(tree(members)))
    })
}

fn tree(members: std::collections::BTreeMap<String, Value<'static>>) -> Fields<'static> {
    let mut fields = Fields::new();
    for (name, value) in members {
        fields.push(name, value);
    }
    fields
}

fn trees() -> impl Strategy<Value = Fields<'static>> {
    prop::collection::btree_map("[A-Za-z_][A-Za-z0-9_]{0,8}", values(), 1..5).prop_map(tree)
}

proptest! {
    #[test]
    fn what_is_written_as_xml_reads_back(fields in trees()) {
        let xml = fields.to_xml();
        prop_assert_eq!(Fields::parse(xml.as_bytes()).unwrap(), fields);
    }

    #[test]
    fn what_is_written_as_json_reads_back(fields in trees(), number in any::<i64>()) {
        let fields = fields.with("0", number);
        let json = fields.to_json();
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
        prop_assert_eq!(Fields::parse(json.as_bytes()).unwrap(), fields);
    }

    #[test]
    fn any_text_survives_both_formats(text in any::<String>()) {
        let fields = Fields::new().with("Content", text.as_str());
        for body in [fields.to_xml(), fields.to_json()] {
            let read = Fields::parse(body.as_bytes()).unwrap();
            prop_assert_eq!(read.text("Content"), Some(text.as_str()));
        }
    }

    #[test]
    fn no_bytes_make_parsing_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[<>\\[\\]!&;{}\":,a-c/CDATA -]{0,80}") {
        let _ = Fields::parse(&bytes);
        let _ = parse(&text);
        let _ = parse(&format!("<xml>{text}</xml>"));
        let _ = parse(&format!("{{\"a\":{text}}}"));
    }
}
