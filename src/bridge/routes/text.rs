//! The text of a customer message: what is filled in stays words, and the link below it is the
//! message type's own.

use super::judge::check_filled;
use super::{Broken, FieldError, OnTooLong, Route};
use crate::wechat::custom::{MiniProgramTextLink, RichText};

/// What is tapped where a route names no words for it.
const LINK_WORDS: &str = "查看详情";

/// The templates of a text, under the paths of their fields.
#[derive(Debug)]
pub(super) struct TextPart {
    pub(super) path: String,
    /// The words of the link, where the route names some.
    pub(super) link_words: Option<String>,
    pub(super) mentions_staff: bool,
    /// The mini-program that the link opens.
    app_id: Option<String>,
    on_too_long: OnTooLong,
}

/// The link below a text, filled in.
#[derive(Debug)]
pub(super) struct Link<'a> {
    pub(super) words: String,
    pub(super) url: Option<&'a str>,
    pub(super) page: Option<&'a str>,
}

impl TextPart {
    pub(super) fn new(at: usize, route: &Route, on_too_long: OnTooLong) -> Self {
        let linked = route.mini_program.as_ref();
        Self {
            path: format!("routes[{at}].text"),
            link_words: route
                .link_text
                .as_ref()
                .map(|_| format!("routes[{at}].link_text")),
            mentions_staff: false,
            app_id: linked.map(|linked| linked.app_id.clone()),
            on_too_long,
        }
    }

    /// Whether a text that is too long is cut.
    pub(super) fn truncates(&self) -> bool {
        self.on_too_long == OnTooLong::Truncate
    }

    /// The words of the link, which `fill` fills in.
    pub(super) fn link_words(
        &self,
        fill: impl FnOnce(&str) -> Result<String, FieldError>,
    ) -> Result<String, FieldError> {
        let Some(path) = &self.link_words else {
            return Ok(LINK_WORDS.to_owned());
        };
        let words = fill(path)?;
        check_filled(path, &words).map(|()| words)
    }

    /// The whole text, if it is not longer than `limit` bytes; of any length without one.
    pub(super) fn compose(
        &self,
        words: &str,
        link: &Link<'_>,
        limit: Option<usize>,
    ) -> Result<RichText, FieldError> {
        let words = words.replace("\r\n", "\n");
        check_filled(&self.path, &words)?;
        if let Some(letter) = words.chars().find(|c| c.is_control() && *c != '\n') {
            let problem = format!(
                "contains the control character {letter:?}, which WeChat does not show: leave it out"
            );
            return Err(FieldError::new(&self.path, problem).with(Broken::of("control_character")));
        }
        let text = self.with_link(&words, link);
        match limit {
            Some(limit) if text.bytes() > limit => self.too_long(&words, link, &text, limit),
            _ => Ok(text),
        }
    }

    fn with_link(&self, words: &str, link: &Link<'_>) -> RichText {
        let mut text = RichText::default();
        text.words(words);
        match (&self.app_id, link.url) {
            (Some(app_id), href) => {
                text.words("\n").mini_program_link(&MiniProgramTextLink {
                    app_id,
                    path: link.page,
                    href,
                    words: &link.words,
                });
            }
            (None, Some(url)) => {
                text.words("\n").link(url, &link.words);
            }
            (None, None) => {}
        }
        text
    }

    fn too_long(
        &self,
        words: &str,
        link: &Link<'_>,
        text: &RichText,
        limit: usize,
    ) -> Result<RichText, FieldError> {
        let cut = |end: usize| {
            let words = words.get(..end).unwrap_or_default();
            self.with_link(&format!("{}…", words.trim_end()), link)
        };
        if self.truncates() {
            let ends: Vec<usize> = words.char_indices().map(|(at, _)| at).skip(1).collect();
            let fitting = ends.partition_point(|end| cut(*end).bytes() <= limit);
            let last = fitting.checked_sub(1).and_then(|last| ends.get(last));
            if let Some(end) = last {
                return Ok(cut(*end));
            }
        }
        let length = text.bytes();
        let advice = match self.on_too_long {
            OnTooLong::Truncate => "its link alone is too long: shorten that",
            OnTooLong::Reject => "shorten it, or choose \"on_too_long\": \"truncate\" for it",
        };
        let problem = format!(
            "comes out {length} bytes long, links included (a Chinese character is 3), and WeChat \
             takes at most {limit}: {advice}"
        );
        Err(FieldError::new(&self.path, problem).with(Broken {
            rule: "text_bytes",
            length: Some(length),
            limit: Some(limit),
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::bridge::routes::{Compiled, Recipient, Rendered, parse};

    fn render(
        route: &serde_json::Value,
        params: serde_json::Value,
    ) -> Result<Rendered, FieldError> {
        let routes = parse(&json!([route]).to_string())?;
        let params = minijinja::Value::from(minijinja::value::Serde(params));
        let staff = Recipient {
            id: Some("s1"),
            name: None,
        };
        Compiled::new(&routes, 120)?.render(0, &params, staff)
    }

    fn text(route: &serde_json::Value, params: serde_json::Value) -> String {
        let rendered = render(route, params).unwrap();
        rendered.text.unwrap().as_str().to_owned()
    }

    fn route(text: &serde_json::Value) -> serde_json::Value {
        json!({"channel": "customer", "account": "wx1", "text": text})
    }

    #[test]
    fn what_is_filled_in_stays_words_and_the_link_is_the_routes_own() {
        let params = json!({"order": "<a href=\"https://evil.example\">1</a>"});
        let mut route = route(&json!("订单 {{ params.order }}\n已创建"));
        assert_eq!(
            text(&route, params.clone()),
            "订单 ＜a href=\"https://evil.example\"＞1＜/a＞\n已创建"
        );
        route["url"] = json!("https://example.com/{{ staff.id }}");
        let params = json!({"order": 7});
        let linked = "订单 7\n已创建\n<a href=\"https://example.com/s1\">查看详情</a>";
        assert_eq!(text(&route, params.clone()), linked);
        route["mini_program"] = json!({"app_id": "wx2", "path": "p?o={{ params.order }}"});
        route["link_text"] = json!("看 {{ params.order }}");
        let shown = text(&route, params);
        assert!(
            shown.contains("data-miniprogram-path=\"p?o=7\" href="),
            "{shown}"
        );
        assert!(shown.ends_with(">看 7</a>"), "{shown}");
    }

    #[test]
    fn a_text_that_is_too_long_is_refused_with_its_length_or_cut() {
        let long = json!({"x": "长".repeat(60)});
        let error = render(&route(&json!("{{ params.x }}")), long.clone()).unwrap_err();
        assert!(
            error.to_string().contains("180 bytes") && error.to_string().contains("at most 120")
        );
        let broken = error.broken.unwrap();
        assert_eq!((broken.length, broken.limit), (Some(180), Some(120)));
        let cut = route(&json!({"text": "{{ params.x }}", "on_too_long": "truncate"}));
        assert_eq!(text(&cut, long), format!("{}…", "长".repeat(39)));
    }

    #[test]
    fn a_link_needs_somewhere_to_lead_and_a_text_something_to_say() {
        let mut nowhere = route(&json!("x"));
        nowhere["link_text"] = json!("tap");
        let error = render(&nowhere, json!({})).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("routes[0].link_text leads nowhere"),
            "{error}"
        );
        for empty in ["", " \n "] {
            let error = render(&route(&json!("{{ params.x }}")), json!({"x": empty})).unwrap_err();
            assert!(error.to_string().contains("comes out empty"), "{error}");
        }
        let error = render(&route(&json!("{{ params.x }}")), json!({"x": "a\tb"})).unwrap_err();
        assert!(error.to_string().contains("control character"), "{error}");
    }

    proptest! {
        #[test]
        fn what_is_cut_fits_and_keeps_its_link(x in ".{1,200}", words in "[a-z]{1,20}") {
            let mut route = route(&json!({"text": "{{ params.x }}", "on_too_long": "truncate"}));
            route["url"] = json!("https://example.com/");
            route["link_text"] = json!(words);
            if let Ok(rendered) = render(&route, json!({"x": x})) {
                let text = rendered.text.unwrap();
                prop_assert!(text.bytes() <= 120);
                let link = format!("\n<a href=\"https://example.com/\">{words}</a>");
                prop_assert!(text.as_str().ends_with(&link), "{}", text.as_str());
            } else {
                prop_assert!(x.trim().is_empty() || x.contains(char::is_control));
            }
        }
    }
}
