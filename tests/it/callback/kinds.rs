//! Every kind of message and event in XML: stored under its name and its person, shown parsed.

use queqiao::simulator::{Kind, PushOutcome};
use queqiao::wechat::callback::Mode;
use queqiao::wechat::fields::Format;
use serde_json::{Value, json};

use super::{CallbackFixture, USER};

/// `MsgType`, what follows it, and the content that it means.
fn messages() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        (
            "text",
            "<Content><![CDATA[ 余额? ]]></Content>",
            json!({"type": "text", "content": " 余额? "}),
        ),
        (
            "image",
            "<PicUrl><![CDATA[p]]></PicUrl><MediaId>m</MediaId>",
            json!({"type": "image", "pic_url": "p", "media_id": "m"}),
        ),
        (
            "voice",
            "<MediaId>m</MediaId><Format>amr</Format><Recognition>r</Recognition>",
            json!({"type": "voice", "media_id": "m", "format": "amr", "recognition": "r"}),
        ),
        (
            "video",
            "<MediaId>m</MediaId><ThumbMediaId>t</ThumbMediaId>",
            json!({"type": "video", "media_id": "m", "thumb_media_id": "t"}),
        ),
        (
            "shortvideo",
            "<MediaId>m</MediaId><ThumbMediaId>t</ThumbMediaId>",
            json!({"type": "short_video", "media_id": "m", "thumb_media_id": "t"}),
        ),
        (
            "location",
            "<Location_X>23.1</Location_X><Location_Y>113.3</Location_Y><Scale>20</Scale><Label>l</Label>",
            json!({"type": "location", "latitude": 23.1, "longitude": 113.3, "scale": 20.0, "label": "l"}),
        ),
        (
            "link",
            "<Title>t</Title><Description>d</Description><Url>u</Url>",
            json!({"type": "link", "title": "t", "description": "d", "url": "u"}),
        ),
        (
            "file",
            "<Title>t</Title><Description/><FileKey>k</FileKey><FileMd5>5</FileMd5><FileTotalLen>6</FileTotalLen>",
            json!({"type": "file", "title": "t", "description": "", "file_key": "k", "file_md5": "5", "file_total_len": 6}),
        ),
        (
            "miniprogrampage",
            "<Title>t</Title><AppId>a</AppId><PagePath>p</PagePath><ThumbUrl>u</ThumbUrl><ThumbMediaId>m</ThumbMediaId>",
            json!({"type": "mini_program_page", "title": "t", "app_id": "a", "page_path": "p", "thumb_url": "u", "thumb_media_id": "m"}),
        ),
    ]
}

/// `Event`, what follows it, and the content that it means.
fn events() -> Vec<(&'static str, &'static str, Value)> {
    [followers(), menus(), results()].concat()
}

fn followers() -> Vec<(&'static str, &'static str, Value)> {
    let follow = |origin: Value| json!({"type": "subscribe", "origin": origin});
    vec![
        ("subscribe", "", follow(json!({"kind": "direct"}))),
        (
            "subscribe",
            "<EventKey><![CDATA[]]></EventKey>",
            follow(json!({"kind": "direct"})),
        ),
        (
            "subscribe",
            "<EventKey><![CDATA[qrscene_shop_12]]></EventKey><Ticket>gQ==</Ticket>",
            json!({"type": "subscribe", "origin": {"kind": "qr_scene", "scene": "shop_12"}}),
        ),
        (
            "subscribe",
            "<EventKey>last_trade_no_42</EventKey>",
            follow(json!({"kind": "payment", "trade_no": "42"})),
        ),
        (
            "subscribe",
            "<EventKey>scanbarcode|EAN13|690</EventKey>",
            follow(json!({"kind": "scan_barcode", "standard": "EAN13", "code": "690"})),
        ),
        (
            "subscribe",
            "<EventKey>scanimage|7|8</EventKey>",
            follow(json!({"kind": "scan_image", "value": "7|8"})),
        ),
        ("unsubscribe", "<EventKey/>", json!({"type": "unsubscribe"})),
        (
            "SCAN",
            "<EventKey>shop_12</EventKey><Ticket>t</Ticket>",
            json!({"type": "scan", "scene": "shop_12"}),
        ),
        (
            "scan",
            "<EventKey>shop_12</EventKey>",
            json!({"type": "scan", "scene": "shop_12"}),
        ),
        (
            "LOCATION",
            "<Latitude>22.543096</Latitude><Longitude>114.057865</Longitude><Precision>40.000000</Precision>",
            json!({"type": "location_report", "latitude": 22.543096, "longitude": 114.057865, "precision": 40.0}),
        ),
    ]
}

fn menus() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        (
            "CLICK",
            "<EventKey>菜单_1</EventKey>",
            json!({"type": "click", "key": "菜单_1"}),
        ),
        (
            "VIEW",
            "<EventKey><![CDATA[https://example.com/p?a=1&b=2]]></EventKey><MenuId>470000001</MenuId>",
            json!({"type": "view", "url": "https://example.com/p?a=1&b=2", "menu_id": "470000001"}),
        ),
        (
            "view_miniprogram",
            "<EventKey>pages/a</EventKey>",
            json!({"type": "view_mini_program", "page_path": "pages/a"}),
        ),
        (
            "scancode_push",
            "<EventKey>k</EventKey><ScanCodeInfo><ScanType>qrcode</ScanType><ScanResult>r</ScanResult></ScanCodeInfo>",
            json!({"type": "menu_scan_code", "key": "k", "scan_type": "qrcode", "scan_result": "r"}),
        ),
        (
            "scancode_waitmsg",
            "<EventKey>k</EventKey><ScanCodeInfo><ScanType>qrcode</ScanType><ScanResult>r</ScanResult></ScanCodeInfo>",
            json!({"type": "menu_scan_code", "key": "k", "scan_type": "qrcode", "scan_result": "r"}),
        ),
        (
            "pic_sysphoto",
            "<EventKey>k</EventKey>",
            json!({"type": "menu_pictures", "key": "k", "count": null, "md5_sums": []}),
        ),
        (
            "pic_photo_or_album",
            "<EventKey>k</EventKey>",
            json!({"type": "menu_pictures", "key": "k", "count": null, "md5_sums": []}),
        ),
        (
            "pic_weixin",
            "<EventKey>k</EventKey><SendPicsInfo><Count>2</Count><PicList><item><PicMd5Sum>a</PicMd5Sum></item><item><PicMd5Sum>b</PicMd5Sum></item></PicList></SendPicsInfo>",
            json!({"type": "menu_pictures", "key": "k", "count": 2, "md5_sums": ["a", "b"]}),
        ),
        (
            "location_select",
            "<EventKey>k</EventKey><SendLocationInfo><Location_X>23</Location_X><Location_Y>113</Location_Y><Scale>15</Scale><Label>l</Label><Poiname/></SendLocationInfo>",
            json!({"type": "menu_location", "key": "k", "latitude": 23.0, "longitude": 113.0, "scale": 15.0, "label": "l", "poi_name": ""}),
        ),
    ]
}

fn results() -> Vec<(&'static str, &'static str, Value)> {
    let status = |outcome: Value| json!({"type": "template_send_job_finish", "status": outcome});
    vec![
        (
            "TEMPLATESENDJOBFINISH",
            "<MsgID>3990000000000000007</MsgID><Status>success</Status>",
            status(json!({"outcome": "success"})),
        ),
        (
            "TEMPLATESENDJOBFINISH",
            "<MsgID>3990000000000000008</MsgID><Status><![CDATA[failed: system failed]]></Status>",
            status(json!({"outcome": "failed", "reason": "system failed"})),
        ),
        (
            "TEMPLATESENDJOBFINISH",
            "<MsgID>3990000000000000009</MsgID><Status>failed:user block</Status>",
            status(json!({"outcome": "failed", "reason": "user block"})),
        ),
        (
            "user_enter_tempsession",
            "<SessionFrom>s</SessionFrom>",
            json!({"type": "user_enter_temp_session", "session_from": "s"}),
        ),
        (
            "debug_demo",
            "<debug_str>ping</debug_str>",
            json!({"type": "debug_demo", "debug_str": "ping"}),
        ),
    ]
}

/// A push of that second: the time tells the cases of one account apart.
fn push(second: usize, rest: &str) -> String {
    format!(
        "<xml><ToUserName><![CDATA[gh_0a1b2c3d4e5f]]></ToUserName><FromUserName><![CDATA[{USER}]]></FromUserName>\
         <CreateTime>{}</CreateTime>{rest}</xml>",
        1_767_225_600 + second
    )
}

both_engines! {
    every_kind_is_stored_under_its_name_and_shown_parsed,
    what_is_unknown_is_kept_whole,
}

async fn every_kind_is_stored_under_its_name_and_shown_parsed(callback: CallbackFixture) {
    let settings = callback
        .account(Kind::OfficialAccount, Mode::Secure, Format::Xml)
        .await;
    let mut expected = Vec::new();
    for (name, rest, content) in messages() {
        let id = 24_930_000_000_000_001 + expected.len();
        let body = format!("<MsgType><![CDATA[{name}]]></MsgType>{rest}<MsgId>{id}</MsgId>");
        expected.push((push(expected.len(), &body), name.to_owned(), content));
    }
    for (name, rest, content) in events() {
        let body =
            format!("<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[{name}]]></Event>{rest}");
        let kind = format!("event.{}", name.to_ascii_lowercase());
        expected.push((push(expected.len(), &body), kind, content));
    }
    let world = callback.app.simulator.world();
    for (body, kind, _) in &expected {
        let record = world.push_raw(&settings.app_id, USER, body).await.unwrap();
        assert_eq!(record.verdict, PushOutcome::Success, "{kind}");
    }
    let mut stored = callback.events(&settings.app_id).await;
    stored.reverse();
    assert_eq!(stored.len(), expected.len());
    for (listed, (body, kind, content)) in stored.iter().zip(&expected) {
        let event = callback.event(listed).await;
        // Of a code that was scanned the ticket is not kept: it is the picture of the code.
        let kept = body
            .replace("<Ticket>gQ==", "<Ticket>")
            .replace("<Ticket>t<", "<Ticket><");
        assert_eq!(event["raw"], kept);
        assert_eq!(
            (&event["kind"], &event["openid"]),
            (&json!(kind), &json!(USER))
        );
        assert_eq!(&event["parsed"]["content"], content, "{kind}");
        assert_eq!(event["problem"], json!(null), "{kind}");
        let found = callback
            .app
            .get(&callback.key, &format!("/events?kind={kind}&limit=200"))
            .await
            .ok(200);
        assert!(
            found["items"].as_array().unwrap().contains(listed),
            "{kind}"
        );
    }
    callback.app.drain().await;
    for event in callback.events(&settings.app_id).await {
        assert_eq!(event["state"], "processed", "{event}");
    }
}

async fn what_is_unknown_is_kept_whole(callback: CallbackFixture) {
    let settings = callback
        .account(Kind::OfficialAccount, Mode::Plain, Format::Xml)
        .await;
    let world = callback.app.simulator.world();
    for (second, (rest, kind)) in [
        (
            "<MsgType>event</MsgType><Event>Brand New/Thing</Event><Deep><A>1</A><A>2</A></Deep>",
            "event.brand_new_thing",
        ),
        (
            "<MsgType>hologram</MsgType><Shape>cube</Shape><MsgId>5</MsgId>",
            "hologram",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let body = push(second, rest);
        let record = world.push_raw(&settings.app_id, USER, &body).await.unwrap();
        assert_eq!(record.verdict, PushOutcome::Success);
        let listed = callback.events(&settings.app_id).await.remove(0);
        let event = callback.event(&listed).await;
        assert_eq!(
            (&event["kind"], &event["openid"]),
            (&json!(kind), &json!(USER))
        );
        assert_eq!(event["raw"], body);
        assert_eq!(event["parsed"]["content"]["type"], "unknown");
        let fields = event["parsed"]["content"]["fields"].to_string();
        assert!(
            fields.contains("cube") || fields.contains("Deep"),
            "{fields}"
        );
    }
    callback.app.drain().await;
    let events = callback.events(&settings.app_id).await;
    assert!(
        events.iter().all(|event| event["state"] == "processed"),
        "{events:?}"
    );
}
