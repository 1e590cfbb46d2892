//! GET /cgi-bin/template/get_all_private_template and GET /wxaapi/newtmpl/gettemplate: the templates that an account
//! has (WeChat guide, getAllTemplates and getTemplateList).

use serde_json::{Value, json};

use super::{Answer, Errcode};
use crate::simulator::account::Account;
use crate::simulator::template::TemplateSettings;

/// What WeChat shows beside its samples.
const INDUSTRY: (&str, &str) = ("IT科技", "互联网|电子商务");

pub(super) fn private(account: &Account) -> Result<Answer, Errcode> {
    let (primary, deputy) = INDUSTRY;
    let list = account.template_settings().into_iter().map(|template| {
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
    let data: Vec<Value> = account
        .template_settings()
        .iter()
        .map(subscription)
        .collect();
    Answer::json(&json!({ "errmsg": "ok", "errcode": 0, "data": data }))
}

fn subscription(template: &TemplateSettings) -> Value {
    let mut shown = json!({
        "priTmplId": template.template_id,
        "title": template.title,
        "content": template.content,
        "example": "",
        "type": if template.long_term { 3 } else { 2 },
    });
    if !template.values.is_empty() {
        let values = template.values.iter().map(|(key, values)| {
            json!({ "keywordCode": format!("{key}.DATA"), "enumValueList": values })
        });
        shown["keywordEnumValueList"] = values.collect();
    }
    shown
}
