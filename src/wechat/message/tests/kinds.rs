//! One example per kind of message and event.

use serde_json::json;

use super::*;

#[test]
fn every_kind_of_message() {
    let cases = [
        (
            "image",
            "<PicUrl>p</PicUrl><MediaId>m</MediaId>",
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
            "<Title>t</Title><Description></Description><FileKey>k</FileKey><FileMd5>5</FileMd5><FileTotalLen>6</FileTotalLen>",
            json!({"type": "file", "title": "t", "description": "", "file_key": "k", "file_md5": "5", "file_total_len": 6}),
        ),
        (
            "miniprogrampage",
            "<Title>t</Title><AppId>a</AppId><PagePath>p</PagePath><ThumbUrl>u</ThumbUrl><ThumbMediaId>m</ThumbMediaId>",
            json!({"type": "mini_program_page", "title": "t", "app_id": "a", "page_path": "p", "thumb_url": "u", "thumb_media_id": "m"}),
        ),
    ];
    for (kind, rest, expected) in cases {
        let body = xml(&format!("<MsgType>{kind}</MsgType>{rest}"));
        assert_eq!(shown(&body), (kind.to_owned(), expected));
    }
}

#[test]
fn every_way_of_following() {
    let origin = |key: &str| {
        let (kind, content) = shown(&event_xml("subscribe", key));
        assert_eq!(kind, "event.subscribe");
        content["origin"].clone()
    };
    let key = |key: &str| origin(&format!("<EventKey><![CDATA[{key}]]></EventKey>"));
    assert_eq!(origin(""), json!({"kind": "direct"}));
    assert_eq!(key(""), json!({"kind": "direct"}));
    assert_eq!(
        key("qrscene_shop_12"),
        json!({"kind": "qr_scene", "scene": "shop_12"})
    );
    assert_eq!(
        key("last_trade_no_42"),
        json!({"kind": "payment", "trade_no": "42"})
    );
    assert_eq!(
        key("scanbarcode|EAN13|690"),
        json!({"kind": "scan_barcode", "standard": "EAN13", "code": "690"})
    );
    assert_eq!(
        key("scanimage|7|8"),
        json!({"kind": "scan_image", "value": "7|8"})
    );
    assert_eq!(key("new_7"), json!({"kind": "other", "event_key": "new_7"}));
    let by_code = event_xml(
        "subscribe",
        "<EventKey>qrscene_1</EventKey><Ticket>gQ==</Ticket>",
    );
    assert_eq!(shown(&by_code).1["ticket"], "gQ==");
}

#[test]
fn every_other_event() {
    let cases = [
        ("unsubscribe", "<EventKey/>", json!({"type": "unsubscribe"})),
        (
            "SCAN",
            "<EventKey>shop_12</EventKey><Ticket>t</Ticket>",
            json!({"type": "scan", "scene": "shop_12", "ticket": "t"}),
        ),
        (
            "LOCATION",
            "<Latitude>22.543096</Latitude><Longitude>114.057865</Longitude><Precision>40.000000</Precision>",
            json!({"type": "location_report", "latitude": 22.543096, "longitude": 114.057865, "precision": 40.0}),
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
    ];
    check_events(&cases);
}

#[test]
fn every_event_of_a_menu() {
    let cases = [
        (
            "CLICK",
            "<EventKey>k</EventKey>",
            json!({"type": "click", "key": "k"}),
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
            "<EventKey>k</EventKey>",
            json!({"type": "menu_scan_code", "key": "k", "scan_type": "", "scan_result": ""}),
        ),
        (
            "pic_weixin",
            "<EventKey>k</EventKey><SendPicsInfo><Count>2</Count><PicList><item><PicMd5Sum>a</PicMd5Sum></item><item><PicMd5Sum>b</PicMd5Sum></item></PicList></SendPicsInfo>",
            json!({"type": "menu_pictures", "key": "k", "count": 2, "md5_sums": ["a", "b"]}),
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
            "location_select",
            "<EventKey>k</EventKey><SendLocationInfo><Location_X>23</Location_X><Location_Y>113</Location_Y><Scale>15</Scale><Label>l</Label><Poiname/></SendLocationInfo>",
            json!({"type": "menu_location", "key": "k", "latitude": 23.0, "longitude": 113.0, "scale": 15.0, "label": "l", "poi_name": ""}),
        ),
    ];
    check_events(&cases);
}

/// Reads each event under its name as given and in capitals.
fn check_events(cases: &[(&str, &str, serde_json::Value)]) {
    check_events_of(Some(U), cases);
}

/// The same, of events that concern that user, or none.
fn check_events_of(user: Option<&str>, cases: &[(&str, &str, serde_json::Value)]) {
    for (name, rest, expected) in cases {
        let kind = format!("event.{}", name.to_ascii_lowercase());
        for name in [(*name).to_owned(), name.to_ascii_uppercase()] {
            let push = read(&event_xml(&name, rest));
            assert_eq!((push.kind().as_ref(), push.openid()), (kind.as_str(), user));
            assert_eq!(&serde_json::to_value(&push.content).unwrap(), expected);
        }
    }
}

#[test]
fn events_about_the_account_are_about_no_user() {
    let verification = |news: &str| json!({"type": "account_verification", "news": news});
    let until = |news: &str| {
        let mut shown = verification(news);
        shown["expired_time"] = json!(1_442_401_156);
        shown
    };
    let failed = |news: &str| {
        let mut shown = verification(news);
        shown["fail_time"] = json!(1_442_401_122);
        shown["fail_reason"] = json!("资料不全");
        shown
    };
    let expiry = "<ExpiredTime>1442401156</ExpiredTime>";
    let failure = "<FailTime>1442401122</FailTime><FailReason><![CDATA[资料不全]]></FailReason>";
    let cases = [
        (
            "qualification_verify_success",
            expiry,
            until("qualification_verify_success"),
        ),
        (
            "qualification_verify_fail",
            failure,
            failed("qualification_verify_fail"),
        ),
        (
            "naming_verify_success",
            expiry,
            until("naming_verify_success"),
        ),
        ("naming_verify_fail", failure, failed("naming_verify_fail")),
        ("annual_renew", expiry, until("annual_renew")),
        ("verify_expired", expiry, until("verify_expired")),
        (
            "verify_expired",
            "<ExpiredTime>soon</ExpiredTime><FailReason/>",
            verification("verify_expired"),
        ),
        (
            "MASSSENDJOBFINISH",
            "<MsgID>1</MsgID><Status>err(30003)</Status><TotalCount>4</TotalCount><FilterCount>3</FilterCount><SentCount>2</SentCount><ErrorCount>1</ErrorCount>",
            json!({"type": "mass_send_job_finish", "status": "err(30003)", "total_count": 4, "filter_count": 3, "sent_count": 2, "error_count": 1}),
        ),
    ];
    check_events_of(None, &cases);
    let audit = read(&event_xml("weapp_audit_fail", "<Reason>1</Reason>"));
    assert_eq!(audit.openid(), None);
}

#[test]
fn system_accounts_are_no_users_whatever_they_send() {
    for sender in ["mphelper", "gh_0a1b2c3d4e5f", " MPHELPER ", "GH_1"] {
        let body = event_xml("something_new", "").replace(U, sender);
        assert_eq!(read(&body).openid(), None, "{sender}");
        let text = xml("<MsgType>text</MsgType><Content>x</Content>").replace(U, sender);
        assert_eq!(read(&text).openid(), None, "{sender}");
    }
}

#[test]
fn the_result_of_a_template_message() {
    for (status, expected, block) in [
        ("success", SendStatus::Success, false),
        (
            "failed:user block",
            SendStatus::Failed {
                reason: "user block".to_owned(),
            },
            true,
        ),
        (
            "failed: system failed",
            SendStatus::Failed {
                reason: "system failed".to_owned(),
            },
            false,
        ),
        (
            "failed:freq limit",
            SendStatus::Failed {
                reason: "freq limit".to_owned(),
            },
            false,
        ),
        (
            "失败",
            SendStatus::Failed {
                reason: "失败".to_owned(),
            },
            false,
        ),
    ] {
        let push = read(&event_xml(
            "TEMPLATESENDJOBFINISH",
            &format!("<MsgID>3990000000000000007</MsgID><Status>{status}</Status>"),
        ));
        assert_eq!(push.msg_id.as_deref(), Some("3990000000000000007"));
        assert_eq!(expected.is_user_block(), block);
        assert_eq!(
            push.content,
            Content::TemplateSendJobFinish { status: expected }
        );
    }
}
