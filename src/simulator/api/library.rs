//! GET /cgi-bin/template/get_all_private_template and GET /wxaapi/newtmpl/gettemplate: the templates that an account
//! has (WeChat guide, getAllTemplates and getTemplateList).

use serde::Serialize;
use serde_json::json;

use super::{Answer, Errcode};
use crate::simulator::account::Account;
use crate::simulator::template::{TemplateKind, TemplateSettings};

/// What WeChat shows beside its samples.
const INDUSTRY: (&str, &str) = ("IT科技", "互联网|电子商务");

/// A template as gettemplate lists it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Subscription<'a> {
    pri_tmpl_id: &'a str,
    title: &'a str,
    content: &'a str,
    example: &'static str,
    #[serde(rename = "type")]
    kind: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keyword_enum_value_list: Vec<EnumValues<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EnumValues<'a> {
    keyword_code: String,
    enum_value_list: &'a [String],
}

pub(super) fn private(account: &Account) -> Result<Answer, Errcode> {
    let (primary, deputy) = INDUSTRY;
    let mut templates = account.template_settings();
    templates.retain(|template| template.kind == TemplateKind::Template);
    let list = templates.into_iter().map(|template| {
        json!({
            "template_id": template.template_id,
            "title": template.title,
            "primary_industry": primary,
            "deputy_industry": deputy,
            "content": template.content,
            "example": "",
        })
    });
    Answer::json(&json!({ "template_list": list.collect::<Vec<_>>() }))
}

pub(super) fn subscriptions(account: &Account) -> Result<Answer, Errcode> {
    let mut templates = account.template_settings();
    // Mini-programs and service accounts share the call; the templates of template messages are in the other one.
    templates.retain(|template| template.kind != TemplateKind::Template);
    let data: Vec<Subscription<'_>> = templates.iter().map(subscription).collect();
    Answer::json(&json!({ "errmsg": "ok", "errcode": 0, "data": data }))
}

fn subscription(template: &TemplateSettings) -> Subscription<'_> {
    let values = template.values.iter().map(|(key, values)| EnumValues {
        keyword_code: format!("{key}.DATA"),
        enum_value_list: values,
    });
    Subscription {
        pri_tmpl_id: &template.template_id,
        title: &template.title,
        content: &template.content,
        example: "",
        kind: match template.kind {
            TemplateKind::SubscribeLongTerm => 3,
            TemplateKind::SubscribeOnce | TemplateKind::Template => 2,
        },
        keyword_enum_value_list: values.collect(),
    }
}
