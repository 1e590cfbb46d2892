//! From fields to typed content.

use super::content::Content;
use super::event::{
    Authorization, Consent, ConsentEntry, FollowOrigin, MassSendResult, MenuLocation, MenuPictures,
    SendStatus, SentEntry, Verification, VerificationEvent,
};
use crate::wechat::fields::{Fields, Value};

/// The wrappers around `List`. The documentation itself puts one event's entries into another one's wrapper.
const WRAPPERS: [&str; 3] = [
    "SubscribeMsgPopupEvent",
    "SubscribeMsgChangeEvent",
    "SubscribeMsgSentEvent",
];

/// The content of a message, by its kind (see [`super::kind::name`]); `None` where the kind is not known.
pub(super) fn content(kind: &str, fields: &Fields<'_>) -> Option<Content> {
    match kind.strip_prefix("event.") {
        Some(event) => event_content(event, fields),
        None => message_content(kind, fields),
    }
}

fn message_content(msg_type: &str, fields: &Fields<'_>) -> Option<Content> {
    let text = |name| text(fields, name);
    Some(match msg_type {
        "text" => Content::Text {
            content: text("Content"),
            menu_id: some(fields, "bizmsgmenuid"),
        },
        "image" => Content::Image {
            pic_url: text("PicUrl"),
            media_id: text("MediaId"),
        },
        "voice" => Content::Voice {
            media_id: text("MediaId"),
            format: text("Format"),
            recognition: some(fields, "Recognition"),
        },
        "video" => Content::Video {
            media_id: text("MediaId"),
            thumb_media_id: text("ThumbMediaId"),
        },
        "shortvideo" => Content::ShortVideo {
            media_id: text("MediaId"),
            thumb_media_id: text("ThumbMediaId"),
        },
        "location" => Content::Location {
            latitude: decimal(fields, "Location_X"),
            longitude: decimal(fields, "Location_Y"),
            scale: decimal(fields, "Scale"),
            label: text("Label"),
        },
        "link" => Content::Link {
            title: text("Title"),
            description: text("Description"),
            url: text("Url"),
        },
        "file" => Content::File {
            title: text("Title"),
            description: text("Description"),
            file_key: text("FileKey"),
            file_md5: text("FileMd5"),
            file_total_len: integer(fields, "FileTotalLen"),
        },
        "miniprogrampage" => Content::MiniProgramPage {
            title: text("Title"),
            app_id: text("AppId"),
            page_path: text("PagePath"),
            thumb_url: text("ThumbUrl"),
            thumb_media_id: text("ThumbMediaId"),
        },
        _ => return None,
    })
}

fn event_content(event: &str, fields: &Fields<'_>) -> Option<Content> {
    Some(match event {
        "subscribe" => Content::Subscribe {
            origin: FollowOrigin::parse(fields.text("EventKey").unwrap_or_default()),
            ticket: some(fields, "Ticket"),
        },
        "unsubscribe" => Content::Unsubscribe,
        "scan" => Content::Scan {
            scene: text(fields, "EventKey"),
            ticket: some(fields, "Ticket"),
        },
        "location" => Content::LocationReport {
            latitude: decimal(fields, "Latitude"),
            longitude: decimal(fields, "Longitude"),
            precision: decimal(fields, "Precision"),
        },
        "templatesendjobfinish" => Content::TemplateSendJobFinish {
            status: SendStatus::parse(fields.text("Status").unwrap_or_default()),
        },
        "masssendjobfinish" => Content::MassSendJobFinish(MassSendResult {
            status: text(fields, "Status"),
            total_count: integer(fields, "TotalCount"),
            filter_count: integer(fields, "FilterCount"),
            sent_count: integer(fields, "SentCount"),
            error_count: integer(fields, "ErrorCount"),
        }),
        "user_enter_tempsession" => Content::UserEnterTempSession {
            session_from: text(fields, "SessionFrom"),
        },
        "subscribe_msg_popup_event" => Content::SubscribeMsgPopup {
            entries: entries(fields, consent_entry),
        },
        "subscribe_msg_change_event" => Content::SubscribeMsgChange {
            entries: entries(fields, consent_entry),
        },
        "subscribe_msg_sent_event" => Content::SubscribeMsgSent {
            entries: entries(fields, sent_entry),
        },
        "user_info_modified" => Content::UserInfoModified(authorization(fields)),
        "user_authorization_revoke" => Content::UserAuthorizationRevoke(authorization(fields)),
        "user_authorization_cancellation" => {
            Content::UserAuthorizationCancellation(authorization(fields))
        }
        "debug_demo" => Content::DebugDemo {
            debug_str: text(fields, "debug_str"),
        },
        other => match verification(other, fields) {
            Some(verification) => Content::AccountVerification(verification),
            None => return menu_content(other, fields),
        },
    })
}

fn verification(event: &str, fields: &Fields<'_>) -> Option<Verification> {
    let mut all = VerificationEvent::ALL.into_iter();
    Some(Verification {
        news: all.find(|news| news.as_str() == event)?,
        expired_time: integer(fields, "ExpiredTime"),
        fail_time: integer(fields, "FailTime"),
        fail_reason: some(fields, "FailReason"),
    })
}

fn menu_content(event: &str, fields: &Fields<'_>) -> Option<Content> {
    let key = text(fields, "EventKey");
    let menu_id = some(fields, "MenuId");
    Some(match event {
        "click" => Content::Click { key },
        "view" => Content::View { url: key, menu_id },
        "view_miniprogram" => Content::ViewMiniProgram {
            page_path: key,
            menu_id,
        },
        "scancode_push" | "scancode_waitmsg" => {
            let scan = fields.fields("ScanCodeInfo");
            Content::MenuScanCode {
                key,
                scan_type: scan.map(|scan| text(scan, "ScanType")).unwrap_or_default(),
                scan_result: scan
                    .map(|scan| text(scan, "ScanResult"))
                    .unwrap_or_default(),
            }
        }
        "pic_sysphoto" | "pic_photo_or_album" | "pic_weixin" => {
            Content::MenuPictures(menu_pictures(key, fields.fields("SendPicsInfo")))
        }
        "location_select" => {
            Content::MenuLocation(menu_location(key, fields.fields("SendLocationInfo")))
        }
        _ => return None,
    })
}

fn menu_pictures(key: String, info: Option<&Fields<'_>>) -> MenuPictures {
    let lists = info.into_iter().flat_map(|info| info.all("PicList"));
    let md5_sums = lists
        .filter_map(Value::as_fields)
        .flat_map(|list| {
            // In XML the pictures are `item` elements of the list; a JSON array makes each one a `PicList`.
            let own = list.text("PicMd5Sum").map(str::to_owned);
            let items = list.all("item").filter_map(Value::as_fields);
            own.into_iter()
                .chain(items.map(|item| text(item, "PicMd5Sum")))
        })
        .collect();
    MenuPictures {
        key,
        count: info.and_then(|info| integer(info, "Count")),
        md5_sums,
    }
}

fn menu_location(key: String, info: Option<&Fields<'_>>) -> MenuLocation {
    let number = |name| info.and_then(|info| decimal(info, name));
    let string = |name| info.map(|info| text(info, name)).unwrap_or_default();
    MenuLocation {
        key,
        latitude: number("Location_X"),
        longitude: number("Location_Y"),
        scale: number("Scale"),
        label: string("Label"),
        poi_name: string("Poiname"),
    }
}

/// The `List` entries at the top or in any of the wrappers, one or several of either.
fn entries<T>(fields: &Fields<'_>, read: fn(&Fields<'_>) -> T) -> Vec<T> {
    let wrapped = WRAPPERS.iter().flat_map(|name| fields.all(name));
    std::iter::once(fields)
        .chain(wrapped.filter_map(Value::as_fields))
        .flat_map(|holder| holder.all("List"))
        .filter_map(Value::as_fields)
        .flat_map(listed)
        .map(read)
        .collect()
}

/// What one `List` lists: itself, or in JSON the items of an array in its array.
fn listed<'a, 'b>(list: &'b Fields<'a>) -> Vec<&'b Fields<'a>> {
    let items: Vec<_> = list.all("item").filter_map(Value::as_fields).collect();
    match items.is_empty() {
        true => vec![list],
        false => items,
    }
}

fn consent_entry(entry: &Fields<'_>) -> ConsentEntry {
    ConsentEntry {
        template_id: text(entry, "TemplateId"),
        status: Consent::parse(entry.text("SubscribeStatusString").unwrap_or_default()),
        popup_scene: some(entry, "PopupScene"),
    }
}

fn sent_entry(entry: &Fields<'_>) -> SentEntry {
    SentEntry {
        template_id: text(entry, "TemplateId"),
        msg_id: some(entry, "MsgID"),
        error_code: integer(entry, "ErrorCode"),
        error_status: text(entry, "ErrorStatus"),
    }
}

fn authorization(fields: &Fields<'_>) -> Authorization {
    // Ids have no blanks around them; the names of these fields are known to come with some.
    let id = |name| {
        let text = fields.text(name)?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    Authorization {
        openid: id("OpenID"),
        unionid: id("UnionID"),
        app_id: id("AppID"),
        revoke_info: some(fields, "RevokeInfo"),
        plugin_id: some(fields, "PluginID"),
        open_pid: some(fields, "OpenPID"),
    }
}

fn text(fields: &Fields<'_>, name: &str) -> String {
    fields.text(name).unwrap_or_default().to_owned()
}

/// A text that is there and not empty.
pub(super) fn some(fields: &Fields<'_>, name: &str) -> Option<String> {
    let text = fields.text(name)?;
    (!text.is_empty()).then(|| text.to_owned())
}

fn integer(fields: &Fields<'_>, name: &str) -> Option<i64> {
    fields.text(name)?.trim().parse().ok()
}

fn decimal(fields: &Fields<'_>, name: &str) -> Option<f64> {
    let number: f64 = fields.text(name)?.trim().parse().ok()?;
    number.is_finite().then_some(number)
}
