//! From one route to the next: what moves a delivery on, what does not, and what is told of it.

use queqiao::bridge::steps::StepName;
use queqiao::simulator::{Arrival, Receipt, population};
use queqiao::wechat::push;
use serde_json::json;

use super::routes::{CHANNELS, MP_SEND, OA_SEND, ONCE, RouteFixture, TEMPLATE_SEND, verdicts};
use crate::support::setup::{MP, OA};

both_engines! {
    every_channel_brings_its_message,
    a_route_that_does_not_lead_to_the_person_is_passed_over_at_once,
    what_is_final_for_a_route_moves_on_to_the_next,
    a_refused_subscription_message_moves_on_and_the_ledger_is_corrected,
    what_is_the_requests_fault_does_not_move_on,
    with_no_way_left_every_verdict_is_told,
    a_message_that_did_not_arrive_goes_on_and_its_receipts_count_no_more,
    what_was_cancelled_does_not_move_on,
}

async fn every_channel_brings_its_message(routes: RouteFixture) {
    routes.member("s1", 1).await;
    let fields = json!({"thing1": "{{ params.title }}"});
    for (route, account) in [
        (
            json!({"account": OA, "template_id": "TPL", "fields": fields, "url": "https://example.com/1"}),
            OA,
        ),
        (
            json!({"channel": "mp_subscribe", "account": MP, "template_id": ONCE, "fields": fields,
                "page": "pages/order?id={{ staff.id }}", "miniprogram_state": "trial", "lang": "zh_HK"}),
            MP,
        ),
        (
            json!({"channel": "oa_subscribe", "account": OA, "template_id": ONCE, "fields": fields,
                "url": "https://example.com/1", "mini_program": {"app_id": MP, "path": "pages/x"}}),
            OA,
        ),
    ] {
        routes.set(json!([route])).await;
        let channel = route["channel"].as_str().unwrap_or("template");
        if channel != "template" {
            routes.allow(account, 1).await;
            assert_eq!(routes.left("s1").await, 1);
        }
        routes.world().clear_records();
        let delivery = routes.sent("s1").await;
        assert_eq!(delivery["state"], "delivered", "{delivery}");
        assert_eq!(verdicts(&delivery), [(channel, "taken")]);
        assert_eq!(
            (&delivery["app_id"], routes.left("s1").await),
            (&json!(account), 0)
        );
        let seen = routes.world().messages();
        assert_eq!(seen.len(), 1);
        assert_eq!(
            (seen[0].app_id.as_str(), seen[0].data["thing1"].as_str()),
            (account, "hi")
        );
        assert_eq!(delivery["msgid"], seen[0].msgid.to_string());
        match channel {
            "mp_subscribe" => {
                let page = seen[0].miniprogram.as_ref().unwrap().pagepath.as_deref();
                assert_eq!(page, Some("pages/order?id=s1"));
                assert_eq!(seen[0].miniprogram_state.as_deref(), Some("trial"));
                assert_eq!(seen[0].lang.as_deref(), Some("zh_HK"));
            }
            _ => assert_eq!(seen[0].url.as_deref(), Some("https://example.com/1")),
        }
    }
}

async fn a_route_that_does_not_lead_to_the_person_is_passed_over_at_once(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes
        .channels(&["oa_subscribe", "mp_subscribe", "template"])
        .await;
    let delivery = routes.sent("s1").await;
    assert_eq!(delivery["state"], "delivered");
    let expected = [
        ("oa_subscribe", "no_credit"),
        ("mp_subscribe", "no_credit"),
        ("template", "taken"),
    ];
    assert_eq!(verdicts(&delivery), expected);
    let why = delivery["routes"][1]["detail"].as_str().unwrap();
    assert!(why.contains(MP) && why.contains(ONCE), "{why}");
    routes.allow(MP, 1).await;
    let delivery = routes.sent("s1").await;
    assert_eq!(
        verdicts(&delivery),
        expected[..1]
            .iter()
            .copied()
            .chain([("mp_subscribe", "taken")])
            .collect::<Vec<_>>()
    );
    let id = format!("/deliveries/{}", delivery["id"]);
    let alone = routes.app.get(&routes.key, &id).await.ok(200);
    assert_eq!(
        (&alone["routes"], &alone["message_type"]),
        (&delivery["routes"], &json!("ping"))
    );
}

async fn what_is_final_for_a_route_moves_on_to_the_next(routes: RouteFixture) {
    let codes = [
        (43004, "not_following"),
        (43005, "not_following"),
        (50005, "not_following"),
        (43019, "blocked"),
        (40003, "wrong_openid"),
        (46004, "wrong_openid"),
        (48002, "refused_by_person"),
        (45015, "window_closed"),
        (45047, "allowance_used"),
        (48011, "template_unknown"),
        (43116, "account_problem"),
    ];
    for (person, (errcode, reason)) in (1..).zip(codes) {
        let staff = format!("s{person}");
        routes.member(&staff, person).await;
        routes.allow(MP, person).await;
        routes.channels(&["template", "mp_subscribe"]).await;
        routes.refuse(TEMPLATE_SEND, errcode);
        let delivery = routes.sent(&staff).await;
        assert_eq!(delivery["state"], "delivered", "{errcode}: {delivery}");
        assert_eq!(
            verdicts(&delivery),
            [("template", reason), ("mp_subscribe", "taken")],
            "{errcode}"
        );
        assert!(
            delivery["routes"][0]["detail"]
                .as_str()
                .unwrap()
                .starts_with(&errcode.to_string())
        );
        let tries: Vec<_> = delivery["attempts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["outcome"].clone())
            .collect();
        assert_eq!(tries, [json!("refused"), json!("accepted")]);
        assert_eq!((&delivery["app_id"], routes.seen(person)), (&json!(MP), 1));
    }
}

async fn a_refused_subscription_message_moves_on_and_the_ledger_is_corrected(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.channels(&["mp_subscribe", "template"]).await;
    routes.believe(1).await;
    assert_eq!(routes.left("s1").await, 1);
    let delivery = routes.sent("s1").await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    assert_eq!(
        verdicts(&delivery),
        [("mp_subscribe", "refused_by_person"), ("template", "taken")]
    );
    assert_eq!((routes.left("s1").await, routes.seen(1)), (0, 1));
    // The ability of the account is banned: nothing that the person can fix, and no permission used.
    routes.pass(60, 60).await;
    routes.allow(MP, 1).await;
    routes.refuse(MP_SEND, 43107);
    let delivery = routes.sent("s1").await;
    assert_eq!(
        verdicts(&delivery),
        [("mp_subscribe", "account_problem"), ("template", "taken")]
    );
    assert_eq!((routes.left("s1").await, routes.seen(1)), (1, 2));
}

async fn what_is_the_requests_fault_does_not_move_on(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.allow(MP, 1).await;
    for (first, second, path, errcode, reason) in [
        (
            "template",
            "mp_subscribe",
            TEMPLATE_SEND,
            47003,
            "refused_content",
        ),
        (
            "mp_subscribe",
            "template",
            MP_SEND,
            47003,
            "refused_content",
        ),
    ] {
        routes.channels(&[first, second]).await;
        routes.refuse(path, errcode);
        let delivery = routes.sent("s1").await;
        assert_eq!(
            (&delivery["state"], &delivery["reason"]),
            (&json!("failed"), &json!(reason)),
            "{errcode}"
        );
        assert_eq!(verdicts(&delivery), [(first, reason)], "{errcode}");
        assert_eq!(
            (routes.seen(1), routes.left("s1").await),
            (0, 1),
            "{errcode}: the permission is given back"
        );
    }
}

async fn with_no_way_left_every_verdict_is_told(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.believe(1).await;
    routes.channels(&["template", "mp_subscribe"]).await;
    routes.refuse(TEMPLATE_SEND, 43019);
    routes.refuse(MP_SEND, 43101);
    let delivery = routes.sent("s1").await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("failed"), &json!("refused_by_person"))
    );
    assert_eq!(
        verdicts(&delivery),
        [
            ("template", "blocked"),
            ("mp_subscribe", "refused_by_person")
        ]
    );
    // By now we know that the person allows nothing more.
    routes.refuse(TEMPLATE_SEND, 43019);
    let path = routes.notify("s1").await;
    routes.pass(32, 1).await;
    let delivery = routes.delivery(&path).await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("failed"), &json!("no_credit"))
    );
    assert_eq!(
        verdicts(&delivery),
        [("template", "blocked"), ("mp_subscribe", "no_credit")]
    );
    assert_eq!(routes.seen(1), 0);
    // By hand it is planned again, from the first route.
    let retry = format!("/deliveries/{}/retry", delivery["id"]);
    routes
        .app
        .post(&routes.key, &retry, json!({}))
        .await
        .ok(202);
    routes.app.drain().await;
    let path = format!("/deliveries/{}", delivery["id"]);
    let delivery = routes.app.get(&routes.key, &path).await.ok(200);
    assert_eq!(
        (&delivery["state"], routes.seen(1)),
        (&json!("delivered"), 1)
    );
    assert_eq!(verdicts(&delivery), [("template", "taken")]);
}

async fn a_message_that_did_not_arrive_goes_on_and_its_receipts_count_no_more(
    routes: RouteFixture,
) {
    for (person, (channel, account, _)) in (1..).zip(CHANNELS) {
        let staff = format!("s{person}");
        routes.member(&staff, person).await;
        if channel != "template" {
            routes.allow(account, person).await;
        }
        let (last, at) = if channel == "template" {
            ("mp_subscribe", MP)
        } else {
            ("template", OA)
        };
        if channel == "template" {
            routes.allow(MP, person).await;
        }
        routes.channels(&[channel, last]).await;
        let world = routes.world();
        let status = if channel == "template" {
            "failed:user block"
        } else {
            "failed: system failed"
        };
        let receipt = Receipt {
            status: status.to_owned(),
            arrival: Arrival::Lost,
        };
        world.set_receipt(account, Some(person), receipt).unwrap();
        let path = routes.notify(&staff).await;
        routes.app.drain().await;
        let waiting = routes.delivery(&path).await;
        assert_eq!(waiting["state"], "sent", "{waiting}");
        world
            .set_receipt(account, Some(person), Receipt::default())
            .unwrap();
        let msgid: i64 = waiting["msgid"].as_str().unwrap().parse().unwrap();
        let tell = async |good: bool| {
            let openid = population::openid(account, person);
            let now = world.now() / 1000 + i64::from(good);
            let fields = if channel == "template" {
                let status = if good { "success" } else { status };
                let fields = push::event("gh_1", &openid, now, "TEMPLATESENDJOBFINISH");
                fields.with("MsgID", msgid).with("Status", status)
            } else {
                use queqiao::wechat::fields::{Fields, Value};
                let entry = Fields::new()
                    .with("TemplateId", ONCE)
                    .with("MsgID", msgid)
                    .with("ErrorCode", if good { 0_i64 } else { -1 })
                    .with("ErrorStatus", if good { "success" } else { "failed" });
                let list = Fields::new().with("List", Value::Fields(entry));
                let fields = push::event("gh_1", &openid, now, "subscribe_msg_sent_event");
                fields.with("SubscribeMsgSentEvent", Value::Fields(list))
            };
            world.push(account, fields.into_owned()).await.unwrap();
            routes.app.drain().await;
        };
        tell(false).await;
        let delivery = routes.delivery(&path).await;
        assert_eq!(delivery["state"], "delivered", "{channel}: {delivery}");
        assert_eq!(
            verdicts(&delivery),
            [(channel, "receipt_failed"), (last, "taken")]
        );
        assert_eq!(delivery["app_id"], at);
        tell(true).await;
        assert_eq!(
            routes.delivery(&path).await,
            delivery,
            "{channel}: it is another message's"
        );
    }
}

async fn what_was_cancelled_does_not_move_on(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.allow(MP, 1).await;
    routes.channels(&["template", "mp_subscribe"]).await;
    let world = routes.world();
    let receipt = Receipt {
        status: "failed:user block".to_owned(),
        arrival: Arrival::BeforeAnswer,
    };
    world.set_receipt(OA, Some(1), receipt).unwrap();
    let path = routes.notify("s1").await;
    routes.app.bridge.run(StepName::Deliver).await.unwrap();
    let cancel = path.replace("/deliveries", "/cancel");
    routes
        .app
        .post(&routes.key, &cancel, json!({}))
        .await
        .ok(200);
    routes.app.drain().await;
    let delivery = routes.delivery(&path).await;
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("failed"), &json!("receipt_failed"))
    );
    assert_eq!((routes.seen(1), routes.left("s1").await), (0, 1));
    assert_eq!(
        world.calls(MP_SEND, None).unwrap() + world.calls(OA_SEND, None).unwrap(),
        0
    );
}
