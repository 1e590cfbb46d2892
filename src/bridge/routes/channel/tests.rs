//! What each channel takes of a route, and from which account.

use serde_json::json;

use super::*;

fn refused(change: &serde_json::Value) -> String {
    let mut route = json!({"account": "wx1", "template_id": "TPL", "fields": {"thing1": "x"}});
    for (member, value) in change.as_object().unwrap() {
        match value.is_null() {
            true => drop(route.as_object_mut().unwrap().remove(member)),
            false => route[member] = value.clone(),
        }
    }
    match crate::bridge::routes::parse(&json!([route]).to_string()) {
        Ok(_) => "taken".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn each_channel_has_its_own_members() {
    let linked = json!({"app_id": "wx2", "path": "pages/x"});
    for (channel, member, value, taken) in [
        ("template", "url", json!("https://example.com"), true),
        ("template", "mini_program", linked.clone(), true),
        ("template", "page", json!("pages/x"), false),
        ("template", "lang", json!("zh_CN"), false),
        (
            "mp_subscribe",
            "page",
            json!("pages/x?id={{ params.id }}"),
            true,
        ),
        ("mp_subscribe", "miniprogram_state", json!("trial"), true),
        ("mp_subscribe", "lang", json!("zh_TW"), true),
        ("mp_subscribe", "url", json!("https://example.com"), false),
        ("mp_subscribe", "mini_program", linked.clone(), false),
        ("oa_subscribe", "url", json!("https://example.com"), true),
        ("oa_subscribe", "mini_program", linked, true),
        ("oa_subscribe", "miniprogram_state", json!("trial"), false),
    ] {
        let told = refused(&json!({"channel": channel, member: value}));
        if taken {
            assert_eq!(told, "taken", "{channel} {member}");
            continue;
        }
        let expected = format!("routes[0].{member} is not for channel {channel}");
        assert!(told.starts_with(&expected), "{told}");
        assert!(told.contains("choose another channel"), "{told}");
    }
}

#[test]
fn a_customer_message_has_a_text_and_no_template() {
    let only = |change: serde_json::Value| {
        let mut all =
            json!({"channel": "customer", "template_id": null, "fields": null, "text": "x"});
        all.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        refused(&all)
    };
    for (change, told) in [
        (json!({}), "taken"),
        (
            json!({"url": "https://example.com/", "link_text": "tap"}),
            "taken",
        ),
        (json!({"mini_program": {"app_id": "wx2"}}), "taken"),
        (json!({"text": null}), "routes[0].text is missing"),
        (json!({"account": null}), "routes[0].account is missing"),
        (
            json!({"template_id": "TPL"}),
            "routes[0].template_id is not for channel customer",
        ),
        (
            json!({"fields": {"a": "b"}}),
            "routes[0].fields is not for channel customer",
        ),
        (
            json!({"page": "p"}),
            "routes[0].page is not for channel customer",
        ),
    ] {
        assert!(only(change).starts_with(told), "{told}");
    }
    let webhook =
        json!({"channel": "webhook", "endpoint": 3, "account": null, "template_id": null});
    assert_eq!(refused(&webhook), "taken");
    let told = refused(&json!({"channel": "webhook", "account": null, "template_id": null}));
    assert!(told.starts_with("routes[0].endpoint is missing"), "{told}");
    let told = refused(&json!({"channel": "template", "text": "x"}));
    assert!(
        told.starts_with("routes[0].text is not for channel template"),
        "{told}"
    );
}

#[test]
fn what_a_channel_needs_is_named() {
    for channel in [
        Channel::Template,
        Channel::MpSubscribe,
        Channel::OaSubscribe,
    ] {
        let word = channel.traits().word;
        assert_eq!(json!(channel), word);
        for member in ["account", "template_id", "fields"] {
            let told = refused(&json!({"channel": word, member: null}));
            let expected = format!("routes[0].{member} is missing");
            assert!(told.starts_with(&expected) && told.contains(word), "{told}");
        }
    }
}

/// 50002 is about the person on calls for people, and about the account on all others.
#[test]
fn wechats_restriction_on_a_channels_call_is_about_the_person() {
    for channel in Channel::ALL {
        let traits = channel.traits();
        if !traits.accounts.is_empty() {
            let fault = crate::wechat::error::fault_on(traits.call, 50002);
            assert_eq!(fault, crate::wechat::error::Fault::Restricted, "{channel}");
        }
    }
}

#[test]
fn an_account_of_the_wrong_kind_is_told_with_the_right_one() {
    use AccountKind::{MiniProgram, OfficialAccount};
    for (channel, right, wrong) in [
        (Channel::Template, OfficialAccount, MiniProgram),
        (Channel::MpSubscribe, MiniProgram, OfficialAccount),
        (Channel::OaSubscribe, OfficialAccount, MiniProgram),
    ] {
        assert_eq!(Channel::Customer.account_problem(Some(right)), None);
        assert_eq!(Channel::Webhook.account_problem(None), None);
        assert_eq!(channel.account_problem(Some(right)), None);
        let told = channel.account_problem(Some(wrong)).unwrap();
        assert!(
            told.contains(a_kind(right)) && told.contains(channel.traits().word),
            "{told}"
        );
        let told = channel.account_problem(None).unwrap();
        assert!(told.starts_with("is no account of the project"), "{told}");
    }
}
