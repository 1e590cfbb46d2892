//! The templates that an account has: template messages of service accounts (WeChat guide,
//! getAllTemplates) and subscription messages of mini-programs (WeChat guide, getTemplateList).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::client::{AccessToken, Client, lenient};
use super::error::CallError;

/// WeChat lists one-time subscriptions of old as a template of this content. It cannot be used.
const PHANTOM: (&str, &str) = ("订阅模板消息", "{{content.DATA}}");
/// WeChat's number for a subscription template that stays granted.
const LONG_TERM: i64 = 3;
/// The types of keywords (WeChat guide, parameter table of message fields).
const TYPES: [&str; 16] = [
    "thing",
    "short_thing",
    "number",
    "letter",
    "symbol",
    "character_string",
    "time",
    "date",
    "amount",
    "phone_number",
    "car_number",
    "name",
    "phrase",
    "enum_string",
    "enum",
    "const",
];

/// What a template is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateKind {
    /// A template message of a service account.
    Template,
    /// A subscription message: one for each consent.
    OneTime,
    /// A subscription message whose consent stays.
    LongTerm,
}

/// A template as WeChat lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTemplate {
    /// Its id in this account.
    pub template_id: String,
    /// What it is for.
    pub kind: TemplateKind,
    /// Its name.
    pub title: String,
    /// Lines such as `订单号:{{character_string1.DATA}}`.
    pub content: String,
    /// The keys in the content, in order.
    pub keys: Vec<TemplateKey>,
}

/// A key of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TemplateKey {
    /// Such as `thing1`.
    pub key: String,
    /// Such as `thing`; none for a free name of the old library (`first`, `keyword1`).
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The texts that WeChat takes, where it lists them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

#[derive(Deserialize)]
struct PrivateTemplates {
    template_list: Vec<PrivateTemplate>,
}

#[derive(Deserialize)]
struct PrivateTemplate {
    template_id: String,
    #[serde(default, deserialize_with = "lenient::text")]
    title: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    content: Option<String>,
}

#[derive(Deserialize)]
struct SubscriptionTemplates {
    data: Vec<SubscriptionTemplate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionTemplate {
    pri_tmpl_id: String,
    #[serde(default, deserialize_with = "lenient::text")]
    title: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    content: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "lenient::int")]
    kind: Option<i64>,
    #[serde(default)]
    keyword_enum_value_list: Option<Vec<EnumValues>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EnumValues {
    /// `enum_string2.DATA`.
    keyword_code: String,
    enum_value_list: Vec<String>,
}

impl Client {
    /// `GET /cgi-bin/template/get_all_private_template`, of a service account.
    pub async fn private_templates(
        &self,
        token: &AccessToken,
    ) -> Result<Vec<ListedTemplate>, CallError> {
        let query = [("access_token", token.expose())];
        let answer: PrivateTemplates = self
            .get("/cgi-bin/template/get_all_private_template", &query)
            .await?;
        let listed = answer.template_list.into_iter().map(|template| {
            let content = template.content.unwrap_or_default();
            ListedTemplate {
                template_id: template.template_id,
                kind: TemplateKind::Template,
                title: template.title.unwrap_or_default(),
                keys: keys(&content),
                content,
            }
        });
        Ok(listed
            .filter(|template| (template.title.as_str(), template.content.trim()) != PHANTOM)
            .collect())
    }

    /// `GET /wxaapi/newtmpl/gettemplate`, of a mini-program.
    pub async fn subscription_templates(
        &self,
        token: &AccessToken,
    ) -> Result<Vec<ListedTemplate>, CallError> {
        let query = [("access_token", token.expose())];
        let answer: SubscriptionTemplates = self.get("/wxaapi/newtmpl/gettemplate", &query).await?;
        let listed = answer.data.into_iter().map(|template| {
            let content = template.content.unwrap_or_default();
            let mut keys = keys(&content);
            for listed in template.keyword_enum_value_list.unwrap_or_default() {
                let code = listed.keyword_code.trim();
                let name = code.strip_suffix(".DATA").unwrap_or(code);
                if let Some(key) = keys.iter_mut().find(|key| key.key == name) {
                    key.values = listed.enum_value_list;
                }
            }
            ListedTemplate {
                template_id: template.pri_tmpl_id,
                kind: match template.kind {
                    Some(LONG_TERM) => TemplateKind::LongTerm,
                    _ => TemplateKind::OneTime,
                },
                title: template.title.unwrap_or_default(),
                content,
                keys,
            }
        });
        Ok(listed.collect())
    }
}

/// The keys in a template's content, each once, in order: what stands as `{{thing1.DATA}}`.
pub fn keys(content: &str) -> Vec<TemplateKey> {
    let mut keys: Vec<TemplateKey> = Vec::new();
    for rest in content.split("{{").skip(1) {
        let inside = rest.split("}}").next().unwrap_or_default().trim();
        let Some(key) = inside.strip_suffix(".DATA").filter(|key| is_key(key)) else {
            continue;
        };
        if keys.iter().all(|known| known.key != key) {
            keys.push(TemplateKey {
                key: key.to_owned(),
                kind: kind_of(key),
                values: Vec::new(),
            });
        }
    }
    keys
}

/// Letters and underscores, then digits.
fn is_key(key: &str) -> bool {
    let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic() || c == '_')
}

/// The type is the key without its number; without a number it is a free name, whatever it says.
fn kind_of(key: &str) -> Option<String> {
    let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
    (name.len() < key.len() && TYPES.contains(&name)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wechat::client::stub::{Stub, TOKEN, token};

    fn names(content: &str) -> Vec<(String, Option<String>)> {
        let keys = keys(content).into_iter();
        keys.map(|key| (key.key, key.kind)).collect()
    }

    #[test]
    fn keys_are_read_with_their_types() {
        let named = |key: &str, kind: Option<&str>| (key.to_owned(), kind.map(str::to_owned));
        assert_eq!(
            names(
                "单号:{{character_string1.DATA}}\n状态:{{ phrase12.DATA }}\n{{thing3.DATA}}{{thing3.DATA}}"
            ),
            [
                named("character_string1", Some("character_string")),
                named("phrase12", Some("phrase")),
                named("thing3", Some("thing")),
            ]
        );
        assert_eq!(
            names("{{first.DATA}}\n{{keyword1.DATA}} {{name.DATA}} {{orderProductName.DATA}}"),
            [
                named("first", None),
                named("keyword1", None),
                named("name", None),
                named("orderProductName", None),
            ]
        );
        for nothing in [
            "",
            "{{",
            "{{}}",
            "{{.DATA}}",
            "{{1.DATA}}",
            "{{a b.DATA}}",
            "{{x.data}}",
            "{ {x.DATA} }",
        ] {
            assert_eq!(names(nothing), [], "{nothing}");
        }
    }

    #[tokio::test]
    async fn private_templates_are_read_without_the_phantom() {
        let stub = Stub::json(
            r#"{"template_list":[
            {"template_id":"T1","title":"领取奖金提醒","primary_industry":"IT科技","deputy_industry":"互联网|电子商务",
             "content":"金额:{{amount2.DATA}}\n","example":"金额:1元"},
            {"template_id":"T0","title":"订阅模板消息","primary_industry":"","deputy_industry":"",
             "content":"{{content.DATA}}","example":""}]}"#,
        )
        .await;
        let listed = stub.client.private_templates(&token()).await.unwrap();
        let expected = ListedTemplate {
            template_id: "T1".to_owned(),
            kind: TemplateKind::Template,
            title: "领取奖金提醒".to_owned(),
            content: "金额:{{amount2.DATA}}\n".to_owned(),
            keys: keys("{{amount2.DATA}}"),
        };
        assert_eq!(listed, [expected]);
        assert_eq!(
            stub.request().await.target,
            format!("GET /cgi-bin/template/get_all_private_template?access_token={TOKEN}")
        );
    }

    #[tokio::test]
    async fn subscription_templates_are_read_with_type_and_listed_values() {
        let stub = Stub::json(
            r#"{"errmsg":"ok","errcode":0,"data":[
            {"priTmplId":"P1","title":"报名结果通知","content":"会议时间:{{date2.DATA}}\n地点:{{enum_string1.DATA}}\n",
             "example":"…","type":2,
             "keywordEnumValueList":[{"enumValueList":["客厅","餐厅"],"keywordCode":"enum_string1.DATA"}]},
            {"priTmplId":"P2","title":"t","content":"{{thing1.DATA}}","example":"","type":"3"}]}"#,
        )
        .await;
        let listed = stub.client.subscription_templates(&token()).await.unwrap();
        let kinds: Vec<_> = listed.iter().map(|template| template.kind).collect();
        assert_eq!(kinds, [TemplateKind::OneTime, TemplateKind::LongTerm]);
        assert_eq!(listed[0].keys[0].values, Vec::<String>::new());
        assert_eq!(listed[0].keys[1].values, ["客厅", "餐厅"]);
        assert_eq!(
            stub.request().await.target,
            format!("GET /wxaapi/newtmpl/gettemplate?access_token={TOKEN}")
        );
    }

    #[tokio::test]
    async fn an_answer_without_a_list_is_no_empty_list() {
        for body in [
            "{}",
            r#"{"template_list":null,"data":null}"#,
            r#"{"errcode":0}"#,
        ] {
            let stub = Stub::json(body).await;
            let answer = stub.client.private_templates(&token()).await;
            assert!(
                matches!(answer, Err(CallError::Malformed { .. })),
                "{answer:?}"
            );
            let stub = Stub::json(body).await;
            let answer = stub.client.subscription_templates(&token()).await;
            assert!(
                matches!(answer, Err(CallError::Malformed { .. })),
                "{answer:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_has_keys_that_are_keys(content: String, name in "[a-z_]{1,12}[0-9]{0,3}") {
            for key in keys(&content) {
                prop_assert!(is_key(&key.key));
            }
            let found = keys(&format!("x:{{{{{name}.DATA}}}}\n"));
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(&found[0].key, &name);
        }
    }
}
