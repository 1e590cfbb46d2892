//! Consent, its results, and authorizations, in every shape they come in.

use super::*;

#[test]
fn consent_entries_in_every_shape() {
    let entry = |id: &str, word: &str| {
        format!(r#"{{"TemplateId":"{id}","SubscribeStatusString":"{word}","PopupScene":"0"}}"#)
    };
    let (a, b) = (entry("tplA", "accept"), entry("tplB", "reject"));
    let in_xml = "<List><TemplateId>tplA</TemplateId><SubscribeStatusString>accept</SubscribeStatusString><PopupScene>0</PopupScene></List><List><TemplateId>tplB</TemplateId><SubscribeStatusString>reject</SubscribeStatusString><PopupScene>0</PopupScene></List>";
    let name = "subscribe_msg_popup_event";
    let both = [
        event_xml(
            name,
            &format!("<SubscribeMsgPopupEvent>{in_xml}</SubscribeMsgPopupEvent>"),
        ),
        event_xml(
            name,
            &format!("<SubscribeMsgChangeEvent>{in_xml}</SubscribeMsgChangeEvent>"),
        ),
        json_event(name, &format!(r#","List":[{a},{b}]"#)),
        json_event(
            name,
            &format!(r#","SubscribeMsgPopupEvent":{{"List":[{a},{b}]}}"#),
        ),
        json_event(
            name,
            &format!(r#","SubscribeMsgSentEvent":{{"List":[{a},{b}]}}"#),
        ),
        // Nobody has seen these, and each says what it says.
        json_event(
            name,
            &format!(r#","SubscribeMsgPopupEvent":[{{"List":[{a}]}},{{"List":[{b}]}}]"#),
        ),
        json_event(name, &format!(r#","List":[[{a},{b}]]"#)),
        json_event(name, &format!(r#","List":[[{a}],[{b}]]"#)),
    ];
    let scene = Some("0".to_owned());
    let entry = |id: &str, status| ConsentEntry {
        template_id: id.to_owned(),
        status,
        popup_scene: scene.clone(),
    };
    let expected = vec![
        entry("tplA", Consent::Accept),
        entry("tplB", Consent::Reject),
    ];
    for body in both {
        assert_eq!(
            read(&body).content,
            Content::SubscribeMsgPopup {
                entries: expected.clone()
            },
            "{body}"
        );
    }
    for one in [
        json_event(name, &format!(r#","List":{a}"#)),
        json_event(
            name,
            &format!(r#","SubscribeMsgPopupEvent":{{"List":{a}}}"#),
        ),
    ] {
        assert_eq!(
            read(&one).content,
            Content::SubscribeMsgPopup {
                entries: expected[..1].to_vec()
            }
        );
    }
}

#[test]
fn a_consent_in_a_word_not_known_is_kept() {
    let change = json_event(
        "subscribe_msg_change_event",
        r#","List":{"TemplateId":"tplA","SubscribeStatusString":"hm"}"#,
    );
    let odd = ConsentEntry {
        template_id: "tplA".to_owned(),
        status: Consent::Other("hm".to_owned()),
        popup_scene: None,
    };
    assert_eq!(
        read(&change).content,
        Content::SubscribeMsgChange { entries: vec![odd] }
    );
}

#[test]
fn the_results_of_subscription_messages() {
    let xml = event_xml(
        "subscribe_msg_sent_event",
        "<SubscribeMsgSentEvent><List><TemplateId>tplA</TemplateId><MsgID>3990000000000000010</MsgID><ErrorCode>0</ErrorCode><ErrorStatus>success</ErrorStatus></List></SubscribeMsgSentEvent>",
    );
    let json = json_event(
        "subscribe_msg_sent_event",
        r#","List":{"TemplateId":"tplA","MsgID":3990000000000000010,"ErrorCode":"0","ErrorStatus":"success"}"#,
    );
    for body in [xml, json] {
        let Content::SubscribeMsgSent { entries } = read(&body).content else {
            panic!("{body}")
        };
        assert_eq!(entries[0].msg_id.as_deref(), Some("3990000000000000010"));
        assert_eq!(entries[0].error_code, Some(0));
        assert!(entries.len() == 1 && entries[0].delivered());
    }
    let failed = SentEntry {
        template_id: String::new(),
        msg_id: None,
        error_code: None,
        error_status: "failed".to_owned(),
    };
    assert!(!failed.delivered());
}

#[test]
fn authorization_events_name_the_user_inside() {
    let body = json_event(
        "user_authorization_revoke",
        r#"," OpenID":"oUSER","unionid":"oUNION","appid":"wx1","RevokeInfo":"8""#,
    );
    let push = read(&body);
    assert_eq!(
        (push.openid(), push.from_user_name.as_str()),
        (Some("oUSER"), U)
    );
    let Content::UserAuthorizationRevoke(authorization) = &push.content else {
        panic!("{body}")
    };
    assert_eq!(authorization.unionid.as_deref(), Some("oUNION"));
    assert_eq!(authorization.app_id.as_deref(), Some("wx1"));
    assert_eq!(authorization.revoke_info.as_deref(), Some("8"));
    let cancelled = event_xml("user_authorization_cancellation", "<OpenID>oUSER</OpenID>");
    assert_eq!(read(&cancelled).openid(), Some("oUSER"));
    assert_eq!(read(&json_event("user_info_modified", "")).openid(), None);
}
