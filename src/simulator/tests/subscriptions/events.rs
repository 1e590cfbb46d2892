//! Pop-ups, and the events of subscription messages in both formats.

use super::*;
use crate::simulator::tests::stub::Stub;
use crate::simulator::{Arrival, Choice, PushOutcome, Receipt, WorldError};
use crate::wechat::fields::Format;
use crate::wechat::message::{self, Content};

fn content(body: &str) -> Content {
    message::parse(body.as_bytes()).unwrap().content
}

#[tokio::test]
async fn consent_is_pushed_in_both_formats() {
    for format in [Format::Xml, Format::Json] {
        let desk = Desk::open(MINI).await;
        let mut stub = Stub::saying("success").await;
        desk.sim.push_to(&stub);
        let change = |settings: &mut Settings| settings.format = format;
        desk.sim.world().change_account(MINI, change).unwrap();
        let other = TemplateSettings::default();
        let other = desk.sim.world().add_template(MINI, &other).unwrap();

        desk.allow(&desk.once).await;
        let one = stub.next().await.body;
        let choices = json!({"choices": {&desk.once: "accept", &other: "reject"}});
        desk.act("popup", &choices).await;
        let two = stub.next().await.body;
        let withdrawn = json!({"template_ids": [desk.once]});
        desk.act("withdraw", &withdrawn).await;
        let changed = stub.next().await.body;

        let Content::SubscribeMsgPopup { entries } = content(&one) else {
            panic!("{one}");
        };
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].template_id, desk.once);
        assert_eq!(entries[0].popup_scene.as_deref(), Some("0"));
        let Content::SubscribeMsgPopup { entries } = content(&two) else {
            panic!("{two}");
        };
        let words: Vec<_> = entries.iter().map(|entry| &entry.status).collect();
        assert_eq!(words.len(), 2);
        assert!(words.contains(&&message::Consent::Reject));
        let Content::SubscribeMsgChange { entries } = content(&changed) else {
            panic!("{changed}");
        };
        assert_eq!(entries[0].status, message::Consent::Reject);
        match format {
            Format::Xml => {
                assert!(one.contains("<SubscribeMsgPopupEvent><List><TemplateId>"));
                assert!(one.contains("<PopupScene>0</PopupScene>"));
                assert!(changed.contains("<SubscribeMsgChangeEvent><List>"));
            }
            Format::Json => {
                let list = |body: &str| serde_json::from_str::<Value>(body).unwrap()["List"].take();
                assert!(list(&one).is_object(), "one entry is no array: {one}");
                assert_eq!(list(&one)["PopupScene"], "0");
                assert_eq!(list(&two).as_array().unwrap().len(), 2);
                assert!(list(&changed).is_object());
            }
        }
    }
}

#[tokio::test]
async fn a_send_is_followed_by_its_result() {
    for format in [Format::Xml, Format::Json] {
        let desk = Desk::open(MINI).await;
        let mut stub = Stub::saying("success").await;
        desk.allow(&desk.lasting).await;
        desk.sim.push_to(&stub);
        let change = |settings: &mut Settings| settings.format = format;
        desk.sim.world().change_account(MINI, change).unwrap();
        for (status, code, shown) in [
            ("success", 0, "success"),
            ("failed: system failed", -1, "system failed"),
        ] {
            let receipt = Receipt {
                status: status.to_owned(),
                arrival: Arrival::BeforeAnswer,
            };
            desk.sim.world().set_receipt(MINI, None, receipt).unwrap();
            let msgid = desk.send(&desk.lasting).await["msgid"].as_i64().unwrap();
            let body = stub.rest().remove(0).body;
            let Content::SubscribeMsgSent { entries } = content(&body) else {
                panic!("{body}");
            };
            assert_eq!(entries.len(), 1);
            assert_eq!(entries[0].template_id, desk.lasting);
            assert_eq!(entries[0].msg_id, Some(msgid.to_string()));
            assert_eq!(entries[0].error_code, Some(code));
            assert_eq!(entries[0].error_status, shown);
            if format == Format::Json {
                assert!(body.contains(&format!(r#""MsgID":"{msgid}""#)), "{body}");
            }
        }
        let lost = Receipt {
            arrival: Arrival::Lost,
            ..Receipt::default()
        };
        desk.sim.world().set_receipt(MINI, None, lost).unwrap();
        desk.send(&desk.lasting).await;
        assert!(stub.rest().is_empty());
        assert_eq!(desk.sim.world().messages().len(), 2, "not the failed one");
    }
}

#[tokio::test]
async fn a_pop_up_has_its_own_rules() {
    let desk = Desk::open(MINI).await;
    let world = desk.sim.world();
    let ask = async |templates: &[&str]| {
        let choices: Vec<_> = templates.iter().map(|id| (*id, Choice::Accept)).collect();
        match world.answer_popup(MINI, 1, &choices).await {
            Err(WorldError::Popup { errcode, .. }) => errcode,
            other => panic!("{other:?}"),
        }
    };
    let (once, lasting) = (desk.once.as_str(), desk.lasting.as_str());
    assert_eq!(ask(&[]).await, 10001);
    assert_eq!(ask(&["unknown"]).await, 20001);
    assert_eq!(ask(&[once, lasting]).await, 20002);
    assert_eq!(ask(&[once; 6]).await, 20003);
    let nobody = desk
        .act("popup", &json!({"choices": {"unknown": "accept"}}))
        .await;
    assert!(nobody["error"].as_str().unwrap().contains("20001"));
    let unasked = [(once, Choice::Ban)];
    let popup = world.answer_popup(MINI, 1, &unasked).await.unwrap();
    assert_eq!((popup.push, &popup.results[once]), (None, &Choice::Ban));
    assert_eq!(desk.grants().await, json!({}));
    let popup = world.answer_popup(MINI, 1, &[(once, Choice::Accept)]).await;
    let verdict = popup.unwrap().push.unwrap().verdict;
    assert_eq!(
        verdict,
        PushOutcome::NotConfigured,
        "given without a callback"
    );
    assert_eq!(world.grants(MINI, 1).unwrap()[once].left, 1);
}
