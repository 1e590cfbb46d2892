//! Subscription-message and authorization events, in every shape in which they were seen.

use queqiao::simulator::{Kind, PushOutcome};
use queqiao::wechat::callback::Mode;
use queqiao::wechat::fields::Format;
use serde_json::{Value, json};

use super::{CallbackFixture, USER};

/// The consent of one template, as it is shown.
fn entry(template: &str, status: &str, scene: Option<&str>) -> Value {
    let mut entry = json!({"template_id": template, "status": status});
    if let Some(scene) = scene {
        entry["popup_scene"] = json!(scene);
    }
    entry
}

fn sent(id: &str) -> Value {
    json!({"template_id": "tplA", "msg_id": id, "error_code": 0, "error_status": "success"})
}

/// The rest of a JSON push, its event, and the content that it means.
fn json_shapes() -> Vec<(Value, &'static str, Value)> {
    let popup = |entries: Value| json!({"type": "subscribe_msg_popup", "entries": entries});
    let one = json!({"TemplateId": "tplA", "SubscribeStatusString": "accept", "PopupScene": "0"});
    let other = json!({"TemplateId": "tplB", "SubscribeStatusString": "reject", "PopupScene": "0"});
    let accepted = entry("tplA", "accept", Some("0"));
    let result = json!({"TemplateId": "tplA", "MsgID": "3990000000000000008", "ErrorCode": "0", "ErrorStatus": "success"});
    let sent_one = json!({"type": "subscribe_msg_sent", "entries": [sent("3990000000000000008")]});
    vec![
        (
            json!({"List": one}),
            "subscribe_msg_popup_event",
            popup(json!([accepted])),
        ),
        (
            json!({"List": [one, other]}),
            "subscribe_msg_popup_event",
            popup(json!([accepted, entry("tplB", "reject", Some("0"))])),
        ),
        (
            json!({"SubscribeMsgPopupEvent": {"List": [one]}}),
            "subscribe_msg_popup_event",
            popup(json!([accepted])),
        ),
        (
            json!({"List": {"TemplateId": "tplA", "SubscribeStatusString": "reject"}}),
            "subscribe_msg_change_event",
            json!({"type": "subscribe_msg_change", "entries": [entry("tplA", "reject", None)]}),
        ),
        (
            json!({"List": result}),
            "subscribe_msg_sent_event",
            sent_one.clone(),
        ),
        (
            json!({"SubscribeMsgSentEvent": {"List": result}}),
            "subscribe_msg_sent_event",
            sent_one,
        ),
    ]
}

const XML_LIST: &str = "<List><TemplateId><![CDATA[tplA]]></TemplateId>\
    <SubscribeStatusString><![CDATA[accept]]></SubscribeStatusString><PopupScene>0</PopupScene></List>";

async fn push(callback: &CallbackFixture, app_id: &str, body: &str) -> Value {
    let world = callback.app.simulator.world();
    let record = world.push_raw(app_id, USER, body).await.unwrap();
    assert_eq!(record.verdict, PushOutcome::Success, "{body}");
    let listed = callback.events(app_id).await.remove(0);
    let event = callback.event(&listed).await;
    assert_eq!(event["raw"], body);
    assert_eq!(event["problem"], json!(null), "{event}");
    event
}

both_engines! {
    every_shape_of_a_json_list_is_read,
    any_wrapper_of_an_xml_list_is_read,
    an_authorization_event_names_its_user_inside,
}

async fn every_shape_of_a_json_list_is_read(callback: CallbackFixture) {
    for mode in [Mode::Plain, Mode::Secure] {
        let settings = callback
            .account(Kind::MiniProgram, mode, Format::Json)
            .await;
        for (second, (rest, event, content)) in json_shapes().into_iter().enumerate() {
            let second = 1_767_225_600 + second;
            for time in [json!(second), json!(second.to_string())] {
                let mut body = json!({
                    "ToUserName": "gh_0a1b2c3d4e5f", "FromUserName": USER, "CreateTime": time,
                    "MsgType": "event", "Event": event,
                });
                body.as_object_mut()
                    .unwrap()
                    .extend(rest.as_object().unwrap().clone());
                let stored = push(&callback, &settings.app_id, &body.to_string()).await;
                assert_eq!(stored["kind"], format!("event.{event}"));
                assert_eq!(stored["openid"], USER);
                assert_eq!(stored["parsed"]["content"], content, "{body}");
                assert_eq!(stored["parsed"]["create_time"], second);
            }
        }
    }
}

async fn any_wrapper_of_an_xml_list_is_read(callback: CallbackFixture) {
    let settings = callback
        .account(Kind::OfficialAccount, Mode::Secure, Format::Xml)
        .await;
    let wrappers = [
        "SubscribeMsgPopupEvent",
        "SubscribeMsgChangeEvent",
        "SubscribeMsgSentEvent",
    ];
    for (second, wrapper) in (1_767_225_600..).zip(wrappers) {
        for (event, content) in [
            ("subscribe_msg_popup_event", "subscribe_msg_popup"),
            ("subscribe_msg_change_event", "subscribe_msg_change"),
        ] {
            let body = format!(
                "<xml><ToUserName>gh_1</ToUserName><FromUserName>{USER}</FromUserName><CreateTime>{second}</CreateTime>\
                     <MsgType>event</MsgType><Event>{event}</Event><{wrapper}>{XML_LIST}{XML_LIST}</{wrapper}></xml>"
            );
            let stored = push(&callback, &settings.app_id, &body).await;
            let entries = [
                entry("tplA", "accept", Some("0")),
                entry("tplA", "accept", Some("0")),
            ];
            assert_eq!(
                stored["parsed"]["content"],
                json!({"type": content, "entries": entries}),
                "{body}"
            );
        }
    }
    let body = format!(
        "<xml><ToUserName>gh_1</ToUserName><FromUserName>{USER}</FromUserName><CreateTime>1767225900</CreateTime>\
             <MsgType>event</MsgType><Event>subscribe_msg_sent_event</Event><SubscribeMsgSentEvent><List><TemplateId>tplA</TemplateId>\
             <MsgID>3990000000000000010</MsgID><ErrorCode>0</ErrorCode><ErrorStatus>success</ErrorStatus></List></SubscribeMsgSentEvent></xml>"
    );
    let stored = push(&callback, &settings.app_id, &body).await;
    assert_eq!(
        stored["parsed"]["content"]["entries"],
        json!([sent("3990000000000000010")])
    );
}

async fn an_authorization_event_names_its_user_inside(callback: CallbackFixture) {
    let settings = callback
        .account(Kind::MiniProgram, Mode::Secure, Format::Json)
        .await;
    let user = "oTheUserInside00000000000000";
    for (second, (event, rest)) in (1_767_225_600..).zip([
        (
            "user_info_modified",
            json!({"OpenID": user, "AppID": "wx1"}),
        ),
        (
            "user_authorization_revoke",
            json!({"openid": user, "appid": "wx1", "RevokeInfo": "8"}),
        ),
        (
            "user_authorization_cancellation",
            json!({" OpenID": user, " AppID": "wx1"}),
        ),
    ]) {
        let mut body = json!({
            "ToUserName": "gh_1", "FromUserName": USER, "CreateTime": second, "MsgType": "event", "Event": event,
        });
        body.as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        let stored = push(&callback, &settings.app_id, &body.to_string()).await;
        assert_eq!(stored["kind"], format!("event.{event}"));
        assert_eq!(stored["openid"], user, "not the platform account: {stored}");
        let content = &stored["parsed"]["content"];
        assert_eq!(
            (&content["type"], &content["app_id"]),
            (&json!(event), &json!("wx1"))
        );
    }
    let body = json!({
        "ToUserName": "gh_1", "FromUserName": USER, "CreateTime": 1_767_225_700, "MsgType": "event", "Event": "user_info_modified",
    });
    assert_eq!(
        push(&callback, &settings.app_id, &body.to_string()).await["openid"],
        json!(null)
    );
    callback.app.drain().await;
    let people = callback
        .app
        .get(&callback.key, &format!("/people?openid={USER}"))
        .await
        .ok(200);
    assert_eq!(people["items"], json!([]), "the platform account is nobody");
}
