//! Templates of an account, and what WeChat makes of the values sent with one.

mod field;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use field::Type;

/// Characters of a value that the reader sees, in templates of the old library (announcement of 2023-05-04).
const SHOWN_CHARACTERS: usize = 20;

/// For which messages a template is, and which permission they need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateKind {
    /// Template messages to followers. Mini-programs have none: there it means a one-time template.
    #[default]
    Template,
    /// Subscription messages, each of which uses a permission up.
    SubscribeOnce,
    /// Subscription messages under a permission that lasts.
    SubscribeLongTerm,
}

/// A template as its owner sets it up. JSON as the fields are named; each may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TemplateSettings {
    /// 43 characters; made up if empty.
    pub template_id: String,
    /// What it is for.
    pub kind: TemplateKind,
    /// Its name.
    pub title: String,
    /// Lines like `订单号:{{character_string1.DATA}}`.
    pub content: String,
    /// The listed values of `enum_string…` and `const…` keys.
    pub values: BTreeMap<String, Vec<String>>,
}

impl TemplateSettings {
    /// What WeChat would say of these values, by key: nothing, or the key at which it stops and what is wrong there
    /// (`invalid` or `is empty`).
    ///
    /// # Errors
    /// If it would refuse them with 47003.
    pub fn check(&self, values: &BTreeMap<String, String>) -> Result<(), (String, &'static str)> {
        let value = |(key, value): (&String, &String)| {
            let value = value.clone();
            (key.clone(), Value { value })
        };
        let data = values.iter().map(value).collect();
        match Template::new(self.clone()).fill(&data) {
            Ok(_) => Ok(()),
            Err(refusal) => Err((refusal.key.to_owned(), refusal.reason)),
        }
    }
}

struct Field {
    key: String,
    kind: Type,
    listed: Vec<String>,
}

pub(super) struct Template {
    pub(super) settings: TemplateSettings,
    pub(super) kind: TemplateKind,
    fields: Vec<Field>,
}

impl Template {
    pub(super) fn new(settings: TemplateSettings) -> Self {
        let field = |key: &str| Field {
            key: key.to_owned(),
            kind: Type::of_key(key),
            listed: settings.values.get(key).cloned().unwrap_or_default(),
        };
        Self {
            kind: settings.kind,
            fields: keys(&settings.content).map(field).collect(),
            settings,
        }
    }

    /// What the reader sees, or the key at which WeChat stops, with what is wrong about it.
    pub(super) fn fill(
        &self,
        data: &BTreeMap<String, Value>,
    ) -> Result<BTreeMap<String, String>, Refusal<'_>> {
        let mut shown = BTreeMap::new();
        for field in &self.fields {
            let value = data.get(&field.key).map_or("", |value| &value.value);
            if field.kind == Type::OldLibrary {
                if !matches!(field.key.as_str(), "first" | "remark") {
                    shown.insert(field.key.clone(), cut(value));
                }
                continue;
            }
            let refused = |reason| Refusal {
                key: &field.key,
                reason,
            };
            if value.is_empty() {
                return Err(refused("is empty"));
            }
            if !field.kind.accepts(value, &field.listed) {
                return Err(refused("invalid"));
            }
            shown.insert(field.key.clone(), value.to_owned());
        }
        Ok(shown)
    }
}

/// `{"value": "…"}`; a colour is ignored, as since 2023-05-04.
#[derive(Debug, Deserialize)]
pub(super) struct Value {
    pub(super) value: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal<'a> {
    pub(super) key: &'a str,
    pub(super) reason: &'static str,
}

/// The keys of `{{key.DATA}}`, in order.
fn keys(content: &str) -> impl Iterator<Item = &str> {
    content
        .split("{{")
        .skip(1)
        .filter_map(|rest| rest.split_once("}}"))
        .filter_map(|(inside, _)| inside.trim().strip_suffix(".DATA"))
}

fn cut(value: &str) -> String {
    let one_line = value.chars().filter(|c| !c.is_control());
    one_line.take(SHOWN_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(content: &str) -> Template {
        Template::new(TemplateSettings {
            content: content.to_owned(),
            ..TemplateSettings::default()
        })
    }

    fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, Value> {
        let value = |text: &str| Value {
            value: text.to_owned(),
        };
        pairs
            .iter()
            .map(|(key, text)| ((*key).to_owned(), value(text)))
            .collect()
    }

    #[test]
    fn every_key_of_a_category_template_must_be_there_and_surplus_ones_are_ignored() {
        let template = template("单号:{{character_string1.DATA}}\n状态:{{ phrase2.DATA }}\n");
        let full = data(&[
            ("character_string1", "SF1"),
            ("phrase2", "配送中"),
            ("x", "y"),
        ]);
        assert_eq!(template.fill(&full).unwrap().len(), 2);
        for missing in [data(&[("character_string1", "SF1")]), {
            data(&[("character_string1", "SF1"), ("phrase2", "")])
        }] {
            let refusal = template.fill(&missing).unwrap_err();
            assert_eq!((refusal.key, refusal.reason), ("phrase2", "is empty"));
        }
    }

    #[test]
    fn the_old_library_drops_first_and_remark_and_cuts_the_rest_without_a_word() {
        let template = template("{{first.DATA}}\n订单:{{keyword1.DATA}}\n{{remark.DATA}}");
        let sent = data(&[
            ("first", "您好"),
            ("keyword1", &"长".repeat(25)),
            ("remark", "谢谢"),
        ]);
        let shown = template.fill(&sent).unwrap();
        assert_eq!(shown.len(), 1);
        assert_eq!(shown["keyword1"], "长".repeat(20));
    }
}
