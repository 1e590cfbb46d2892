//! One pass over a body that nobody has vouched for yet: it looks at the fields of the first level and keeps nothing of
//! the others, so that what a stranger sends costs no memory and little time.

use std::borrow::Cow;
use std::fmt;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, de};

use super::Envelope;

/// The depth of the fields of a push: the root is 1.
const FIELDS: usize = 2;

/// What the first level of a well-formed body says; nothing where it is not well-formed.
pub(super) fn find(body: &[u8]) -> Option<Envelope<'_>> {
    let text = std::str::from_utf8(body).ok()?;
    let text = text.trim_start_matches('\u{feff}').trim_ascii();
    match text.as_bytes().first()? {
        b'<' => in_xml(text),
        b'{' => serde_json::from_str::<FirstLevel<'_>>(text)
            .ok()
            .map(|found| found.0),
        _ => None,
    }
}

impl<'b> Envelope<'b> {
    /// Takes a field that is element; the last `Encrypt` counts.
    fn take(&mut self, element: KnownElement, text: Cow<'b, str>) {
        match element {
            KnownElement::Encrypt => self.encrypt = Some(text),
            KnownElement::ToUserName => {
                self.to_user_name.get_or_insert(text);
            }
            KnownElement::MsgType => self.has_clear_fields = true,
        }
    }
}

#[derive(Clone, Copy)]
enum KnownElement {
    Encrypt,
    ToUserName,
    MsgType,
}

impl KnownElement {
    fn of(name: &str) -> Option<Self> {
        let name = name.trim();
        [
            ("Encrypt", Self::Encrypt),
            ("ToUserName", Self::ToUserName),
            ("MsgType", Self::MsgType),
        ]
        .into_iter()
        .find_map(|(known, element)| name.eq_ignore_ascii_case(known).then_some(element))
    }
}

/// A field that is element, while it is open.
struct Open<'b> {
    element: KnownElement,
    text: Cow<'b, str>,
    has_cdata: bool,
    has_children: bool,
}

impl<'b> Open<'b> {
    fn new(element: KnownElement) -> Self {
        Self {
            element,
            text: Cow::Borrowed(""),
            has_cdata: false,
            has_children: false,
        }
    }

    fn add(&mut self, chunk: Cow<'b, str>) {
        if self.text.is_empty() {
            self.text = chunk;
        } else {
            self.text.to_mut().push_str(&chunk);
        }
    }

    fn add_cdata(&mut self, chunk: Cow<'b, str>) {
        // Blanks between the tag and its CDATA are layout.
        if !self.has_cdata && is_blank(&self.text) {
            self.text = Cow::Borrowed("");
        }
        self.has_cdata = true;
        self.add(chunk);
    }
}

fn in_xml(text: &str) -> Option<Envelope<'_>> {
    let mut reader = Reader::from_str(text);
    let mut scan = Scan::default();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => scan.start(start.name().as_ref()),
            Event::Empty(start) => scan.empty(start.name().as_ref()),
            Event::End(_) => scan.end()?,
            Event::Text(chunk) => scan.text(chunk.into_inner())?,
            Event::CData(chunk) if chunk.is_empty() && scan.depth < FIELDS => {}
            Event::CData(chunk) => scan.add(|open| open.add_cdata(chunk.into_inner()))?,
            Event::GeneralRef(reference) => {
                let meant = resolve(&reference)?;
                scan.add(|open| open.add(meant))?;
            }
            Event::DocType(_) => return None,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
        if scan.roots > 1 {
            return None;
        }
    }
    (scan.depth == 0 && scan.roots == 1).then_some(scan.envelope)
}

/// How far a scan has come. A step that gives none has met what no push has.
#[derive(Default)]
struct Scan<'b> {
    envelope: Envelope<'b>,
    open: Option<Open<'b>>,
    depth: usize,
    roots: usize,
}

impl<'b> Scan<'b> {
    fn start(&mut self, name: &str) {
        self.depth += 1;
        match self.depth {
            1 => self.roots += 1,
            FIELDS => self.open = KnownElement::of(name).map(Open::new),
            _ => self.child(),
        }
    }

    fn empty(&mut self, name: &str) {
        match self.depth {
            0 => self.roots += 1,
            1 => {
                if let Some(element) = KnownElement::of(name) {
                    self.envelope.take(element, Cow::Borrowed(""));
                }
            }
            _ => self.child(),
        }
    }

    fn child(&mut self) {
        if let Some(open) = &mut self.open {
            open.has_children = true;
        }
    }

    fn end(&mut self) -> Option<()> {
        if self.depth == FIELDS
            && let Some(open) = self.open.take()
        {
            match open.has_children {
                false => self.envelope.take(open.element, open.text),
                true if is_blank(&open.text) => {}
                // A text between elements is no push.
                true => return None,
            }
        }
        self.depth = self.depth.checked_sub(1)?;
        Some(())
    }

    fn text(&mut self, chunk: Cow<'b, str>) -> Option<()> {
        let blank = is_blank(&chunk);
        // A text has broken out of its CDATA, or stands where none does.
        if chunk.contains("]]>") || self.depth < FIELDS && !blank {
            return None;
        }
        match &mut self.open {
            Some(open) if self.depth == FIELDS && !(blank && open.has_cdata) => open.add(chunk),
            _ => {}
        }
        Some(())
    }

    /// Adds to the field that is open, if one is.
    fn add(&mut self, add: impl FnOnce(&mut Open<'b>)) -> Option<()> {
        if self.depth < FIELDS {
            return None;
        }
        match &mut self.open {
            Some(open) if self.depth == FIELDS => add(open),
            _ => {}
        }
        Some(())
    }
}

fn resolve(reference: &BytesRef<'_>) -> Option<Cow<'static, str>> {
    match reference.resolve_char_ref().ok()? {
        Some(character) => Some(Cow::Owned(character.to_string())),
        None => quick_xml::escape::resolve_predefined_entity(reference).map(Cow::Borrowed),
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_whitespace())
}

/// The members of a JSON object, read past but for those that are element.
struct FirstLevel<'b>(Envelope<'b>);

impl<'de> Deserialize<'de> for FirstLevel<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = FirstLevel<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut envelope = Envelope::default();
                while let Some(Name(name)) = map.next_key()? {
                    match KnownElement::of(&name) {
                        None => drop(map.next_value::<IgnoredAny>()?),
                        Some(element) => {
                            if let Some(text) = map.next_value::<MaybeText<'de>>()?.0 {
                                envelope.take(element, text);
                            }
                        }
                    }
                }
                Ok(FirstLevel(envelope))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[derive(Deserialize)]
struct Name<'b>(#[serde(borrow)] Cow<'b, str>);

/// The text of a member, if it is one.
struct MaybeText<'b>(Option<Cow<'b, str>>);

impl<'de> Deserialize<'de> for MaybeText<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: &serde_json::value::RawValue = Deserialize::deserialize(deserializer)?;
        if !raw.get().starts_with('"') {
            return Ok(Self(None));
        }
        let Name(text) = serde_json::from_str(raw.get()).map_err(de::Error::custom)?;
        Ok(Self(Some(text)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wechat::fields::{Fields, Value};

    /// What the tree of all fields says, where there is one.
    fn by_the_tree(body: &[u8]) -> Option<Envelope<'_>> {
        let mut envelope = Envelope::default();
        for (name, value) in Fields::parse(body).ok()? {
            if let (Some(element), Value::Text(text)) = (KnownElement::of(&name), value) {
                envelope.take(element, text);
            }
        }
        Some(envelope)
    }

    #[test]
    fn it_finds_what_the_tree_of_all_fields_has() {
        for body in [
            "<xml><ToUserName><![CDATA[gh_1]]></ToUserName><Encrypt><![CDATA[a+/=]]></Encrypt></xml>",
            "<xml>\n <Encrypt>\n <![CDATA[a]]>\n </Encrypt> <MsgType>text</MsgType></xml>",
            "<xml><Content><![CDATA[<Encrypt>false</Encrypt>]]></Content><MsgType>text</MsgType></xml>",
            "<xml><Info><Encrypt>deeper</Encrypt></Info></xml>",
            "<xml><Encrypt>first</Encrypt><ENCRYPT>la&amp;&#115;t</ENCRYPT></xml>",
            "<xml><Encrypt/><MsgType/></xml>",
            "<xml><Encrypt>a<b/></Encrypt></xml>",
            "<xml/>",
            r#"{"ToUserName":"gh_1","Encrypt":"a\/b","n":[1,{"Encrypt":"deeper"}]}"#,
            r#"{"Encrypt":7,"MsgType":"text"," encrypt ":"b"}"#,
            "{}",
        ] {
            assert_eq!(
                find(body.as_bytes()),
                by_the_tree(body.as_bytes()),
                "{body}"
            );
        }
    }

    #[test]
    fn what_is_not_well_formed_is_none() {
        for body in [
            "",
            "x",
            "<xml>",
            "<xml></xml><xml></xml>",
            "<xml><a></b></xml>",
            "<!DOCTYPE x><xml/>",
            "<xml>a]]></xml>",
            "<xml><a>]]></a></xml>",
            "<xml>&nbsp;</xml>",
            "{",
            "{\"Encrypt\":\"a\"",
            "[]",
        ] {
            assert_eq!(find(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn a_hundred_thousand_levels_or_members_cost_no_memory_and_do_not_overflow() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(find(deep.as_bytes()), Some(Envelope::default()));
        let deep = format!("<x>{}{}</x>", "<a>".repeat(100_000), "</a>".repeat(100_000));
        assert_eq!(find(deep.as_bytes()), Some(Envelope::default()));
    }

    proptest! {
        #[test]
        fn it_never_finds_another_text_than_the_tree(
            parts in prop::collection::vec(prop_oneof![
                Just("<Encrypt>"), Just("</Encrypt>"), Just("<![CDATA["), Just("]]>"), Just("<a>"), Just("</a>"),
                Just("<MsgType>"), Just("</MsgType>"), Just("x"), Just(" "), Just("&lt;"), Just("<b/>"),
            ], 0..12),
        ) {
            let body = format!("<xml>{}</xml>", parts.concat());
            if let Some(expected) = by_the_tree(body.as_bytes()) {
                prop_assert_eq!(find(body.as_bytes()), Some(expected), "{}", body);
            }
        }
    }
}
