//! Texts with links, built so that no words become a link by themselves.
//!
//! WeChat's clients turn `<a …>words</a>` in a text into a link and show everything else as it is; whether they decode
//! entities differs. So `<` and `>` are shown as their full-width forms, which are never markup, and what looks like
//! an entity loses its `&`.

/// Characters of entities that could stand for markup, without `&`; the case does not matter.
const ENTITIES: [&str; 6] = ["#", "lt", "gt", "quot", "apos", "amp"];

/// A link that opens a mini-program.
#[derive(Clone, Copy, Debug)]
pub struct MiniProgramTextLink<'a> {
    /// The mini-program: one that is linked with the service account; of a mini-program's own texts, itself.
    pub app_id: &'a str,
    /// Page with query, as in its app.json.
    pub path: Option<&'a str>,
    /// Where clients go that cannot open mini-programs (before 6.5.16).
    pub href: Option<&'a str>,
    /// What is shown.
    pub words: &'a str,
}

/// A text for WeChat: words that are nothing but words, and links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RichText(String);

impl RichText {
    /// Words, with line breaks; other control characters are left out. The client itself may show a web address or a
    /// telephone number among them as one that can be tapped.
    pub fn words(&mut self, words: &str) -> &mut Self {
        for (at, letter) in words.char_indices() {
            match letter {
                '<' => self.0.push('＜'),
                '>' => self.0.push('＞'),
                '&' if is_entity(rest(words, at), false) => self.0.push('＆'),
                '\n' => self.0.push('\n'),
                letter if letter.is_control() => {}
                letter => self.0.push(letter),
            }
        }
        self
    }

    /// Words that open a web page when tapped.
    pub fn link(&mut self, href: &str, words: &str) -> &mut Self {
        self.0.push_str("<a");
        self.attribute("href", href);
        self.linked(words)
    }

    /// Words that open a mini-program when tapped.
    pub fn mini_program_link(&mut self, link: &MiniProgramTextLink<'_>) -> &mut Self {
        self.0.push_str("<a");
        self.attribute("data-miniprogram-appid", link.app_id);
        if let Some(path) = link.path {
            self.attribute("data-miniprogram-path", path);
        }
        if let Some(href) = link.href {
            self.attribute("href", href);
        }
        self.linked(link.words)
    }

    /// As it goes out.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its length as WeChat counts it: bytes of UTF-8, links included.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    fn linked(&mut self, words: &str) -> &mut Self {
        self.0.push('>');
        self.words(&words.replace('\n', " "));
        self.0.push_str("</a>");
        self
    }

    /// What would end the attribute or the tag is percent-encoded, as it has to be in an address anyhow.
    fn attribute(&mut self, name: &str, value: &str) {
        self.0.push(' ');
        self.0.push_str(name);
        self.0.push_str("=\"");
        for (at, letter) in value.char_indices() {
            match letter {
                '"' => self.0.push_str("%22"),
                '\'' => self.0.push_str("%27"),
                '<' => self.0.push_str("%3C"),
                '>' => self.0.push_str("%3E"),
                '`' => self.0.push_str("%60"),
                ' ' => self.0.push_str("%20"),
                '&' if is_entity(rest(value, at), true) => self.0.push_str("%26"),
                letter if letter.is_control() => {}
                letter => self.0.push(letter),
            }
        }
        self.0.push('"');
    }
}

/// What stands behind the `&` at this place.
fn rest(text: &str, at: usize) -> &str {
    text.get(at + 1..).unwrap_or_default()
}

/// In an address `&lt=1` is a parameter, so there only what has its semicolon counts.
fn is_entity(behind: &str, closed: bool) -> bool {
    ENTITIES.iter().any(|entity| {
        let named = behind
            .get(..entity.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(entity));
        let ends = || rest(behind, entity.len() - 1).starts_with(';');
        named && (!closed || *entity == "#" || ends())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> String {
        RichText::default().words(text).as_str().to_owned()
    }

    #[test]
    fn words_stay_as_they_are_but_for_markup() {
        assert_eq!(
            words("AT&T: 3 件,共 ￥39.80\n第二行"),
            "AT&T: 3 件,共 ￥39.80\n第二行"
        );
        assert_eq!(words("a<b>c"), "a＜b＞c");
        assert_eq!(
            words("&lt;a&GT; &#60; &amp;lt; &am"),
            "＆lt;a＆GT; ＆#60; ＆amp;lt; &am"
        );
        assert_eq!(words("a\u{0}\r\tb\u{7f}"), "ab");
    }

    #[test]
    fn an_address_keeps_its_meaning_and_cannot_leave_its_attribute() {
        let mut text = RichText::default();
        text.link(
            "https://example.com/?a=1&lt=2&b=\" onclick=\"x&quot;",
            "看\n看",
        );
        assert_eq!(
            text.as_str(),
            "<a href=\"https://example.com/?a=1&lt=2&b=%22%20onclick=%22x%26quot;\">看 看</a>"
        );
        assert_eq!(text.bytes(), text.as_str().len());
    }

    /// The entities a lenient client could decode, decoded once.
    fn decoded(text: &str) -> String {
        let mut text = text.to_owned();
        for (entity, letter) in [
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&quot;", "\""),
            ("&#60;", "<"),
            ("&#34;", "\""),
        ] {
            text = text.replace(entity, letter);
        }
        text
    }

    /// Tags and attribute quotes, as the laziest parser would count them.
    fn markup(text: &str) -> (usize, usize, usize) {
        let count = |wanted| text.matches(wanted).count();
        (count('<'), count('>'), count('"'))
    }

    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("<a href=\"https://evil.example\">x</a>".to_owned()),
            Just("\" data-miniprogram-appid=\"wxevil".to_owned()),
            Just("</a>".to_owned()),
            Just("&lt;a href=&quot;".to_owned()),
            Just("&#60;".to_owned()),
            Just("&".to_owned()),
            Just("lt;".to_owned()),
            Just("#34;".to_owned()),
            any::<String>(),
        ];
        proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn words_never_become_markup(text in hostile()) {
            let text = words(&text);
            let (opened, closed, _) = markup(&decoded(&text));
            prop_assert_eq!((opened, closed), (0, 0), "{}", text);
        }

        #[test]
        fn a_link_is_one_tag_with_the_attributes_that_were_asked_for(
            app_id in hostile(), path in hostile(), href in hostile(), shown in hostile(), before in hostile(),
        ) {
            let mut text = RichText::default();
            text.mini_program_link(&MiniProgramTextLink {
                app_id: &app_id,
                path: Some(&path),
                href: Some(&href),
                words: &shown.replace('"', ""),
            });
            let link = decoded(text.as_str());
            prop_assert_eq!(markup(&link), (2, 2, 6), "{}", link);
            prop_assert_eq!(link.matches(" href=\"").count(), 1);
            prop_assert!(link.starts_with("<a data-miniprogram-appid=\""));
            prop_assert!(link.ends_with("</a>") && !link.contains('\n'));
            let mut after = RichText::default();
            after.words(&before).link(&href, &shown);
            let (opened, closed, _) = markup(&decoded(after.as_str()));
            prop_assert_eq!((opened, closed), (2, 2), "{}", after.as_str());
        }
    }
}
