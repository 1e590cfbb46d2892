//! What is fuzzed: one function for each target of `fuzz/`, which takes any bytes, and panics where
//! something does not hold. A test feeds all of them with the seeds of `fuzz/corpus`, and with what
//! chance makes of these.

use std::net::IpAddr;

use url::form_urlencoded;

use crate::bridge::limits::FREE_TEXT_MAX;
use crate::bridge::routes::{self, Compiled, Params, Recipient};
use crate::bridge::webhooks::address;
use crate::bridge::webhooks::post::Poster;
use crate::web;
use crate::wechat::callback::{self, Credentials, Mode, Query, Window};
use crate::wechat::crypto::{self, AesKey};
use crate::wechat::fields::Fields;
use crate::wechat::{envelope, message, salvage, signature};

const APP_ID: &str = "wx00000000000000a1";
const TOKEN: &str = "harbour7";
const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
/// As `customer.text_bytes` is by default.
const TEXT_BYTES: usize = 2_048;

/// A target, by the name under which it is run.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 9] = [
    ("callback_query", callback_query),
    ("callback_body", callback_body),
    ("xml", xml),
    ("json", json),
    ("envelope", read_envelope),
    ("salvage", read_salvage),
    ("route", render_route),
    ("cursor", cursor),
    ("webhook_address", webhook_address),
];

fn credentials(mode: Mode) -> Credentials {
    Credentials {
        app_id: APP_ID.to_owned(),
        token: TOKEN.to_owned(),
        aes_key: AesKey::parse(AES_KEY).ok(),
        mode,
    }
}

/// The query string of a callback: nobody gets in who cannot sign.
pub fn callback_query(data: &[u8]) {
    let query = Query::parse(&String::from_utf8_lossy(data));
    let signed = [&query.signature, &query.msg_signature];
    let time = query.timestamp.as_deref().unwrap_or_default();
    let nonce = query.nonce.as_deref().unwrap_or_default();
    let right = signature::sign(&[TOKEN, time, nonce]);
    let is_signed = signed
        .into_iter()
        .flatten()
        .any(|given| given.eq_ignore_ascii_case(&right));
    for mode in [Mode::Plain, Mode::Compatible, Mode::Secure] {
        let credentials = credentials(mode);
        let is_answered = callback::echo(&query, &credentials, Window::OPEN).is_ok();
        let is_opened = callback::admit(&query, &credentials, Window::OPEN).is_ok()
            && callback::open(&query, b"<xml></xml>", &credentials).is_ok();
        assert!(
            is_signed || !(is_answered || is_opened),
            "let in without a signature"
        );
    }
}

/// The body of a callback, in clear and sealed, with signatures that fit.
pub fn callback_body(data: &[u8]) {
    let clear = signed(&[TOKEN, "1790000000", "42"], "signature");
    for mode in [Mode::Plain, Mode::Compatible, Mode::Secure] {
        let credentials = credentials(mode);
        if let Ok(opened) = callback::open(&clear, data, &credentials) {
            assert!(
                mode != Mode::Secure || opened.encrypted,
                "clear in secure mode"
            );
            parsed(&opened.plaintext);
        }
    }
    let Some(key) = credentials(Mode::Secure).aes_key else {
        return;
    };
    let sealed = crypto::encrypt(&key, APP_ID, data);
    let body = format!("<xml><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>");
    let query = signed(&[TOKEN, "1790000000", "42", &sealed], "msg_signature");
    let opened = callback::open(&query, body.as_bytes(), &credentials(Mode::Secure));
    let plaintext = opened.map(|opened| opened.plaintext.into_owned());
    assert_eq!(
        plaintext.ok().as_deref(),
        Some(data),
        "what was sealed comes out"
    );
    // Any text in the place of the sealed one, rightly signed: the key holder's own rubbish.
    let text = String::from_utf8_lossy(data);
    let query = signed(&[TOKEN, "1790000000", "42", &text], "msg_signature");
    let body = format!("<xml><Encrypt><![CDATA[{text}]]></Encrypt></xml>");
    drop(callback::open(
        &query,
        body.as_bytes(),
        &credentials(Mode::Secure),
    ));
}

fn signed(parts: &[&str], name: &str) -> Query {
    let text = form_urlencoded::Serializer::new(String::new())
        .append_pair("timestamp", "1790000000")
        .append_pair("nonce", "42")
        .append_pair(
            "encrypt_type",
            if name == "signature" { "raw" } else { "aes" },
        )
        .append_pair(name, &signature::sign(parts))
        .append_pair("signature", &signature::sign(&[TOKEN, "1790000000", "42"]))
        .finish();
    Query::parse(&text)
}

fn parsed(body: &[u8]) {
    if let Ok(push) = message::parse(body) {
        assert_eq!(push.dedup_key(body), push.dedup_key(body));
        drop((
            push.kind(),
            push.openid().map(str::len),
            push.unionid().map(str::len),
        ));
    }
}

fn as_document(data: &[u8]) {
    if let Ok(fields) = Fields::parse(data) {
        let owned = fields.clone().into_owned();
        assert_eq!(owned, fields);
        assert!(fields.len() <= data.len(), "more fields than bytes");
    }
    parsed(data);
}

/// A document in XML.
pub fn xml(data: &[u8]) {
    as_document(data);
    as_document(&[b"<xml>", data, b"</xml>"].concat());
    // As a user's text, which WeChat does not escape.
    as_document(
        &[
            b"<xml><FromUserName>o1</FromUserName><MsgType>text</MsgType><Content><![CDATA[",
            data,
            b"]]></Content><MsgId>1</MsgId></xml>",
        ]
        .concat(),
    );
}

/// A document in JSON.
pub fn json(data: &[u8]) {
    as_document(data);
    as_document(&[b"{", data, b"}"].concat());
}

/// What stands around a sealed push.
pub fn read_envelope(data: &[u8]) {
    let read = envelope::read(data);
    let most = read.encrypt.as_deref().map_or(0, str::len);
    assert!(most <= data.len().saturating_mul(3), "longer than the body");
    let pushed = envelope::push("gh_1", "c2VhbGVk", crate::wechat::fields::Format::Xml);
    let both = [data, pushed.as_bytes()].concat();
    drop(envelope::read(&both));
}

/// What is saved of a broken push.
pub fn read_salvage(data: &[u8]) {
    let saved = salvage::salvage(data);
    assert_eq!(saved, salvage::salvage(data));
    assert_eq!(saved.dedup_key(data), saved.dedup_key(data));
    assert!(
        saved.openid().is_none_or(|openid| openid.len() <= 128),
        "no id is that long"
    );
    drop(saved.kind());
}

/// Routes as they are put, and params as an app sends them, in two lines.
pub fn render_route(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (routes, params) = text.split_once('\n').unwrap_or((&text, "{}"));
    let Ok(routes) = routes::parse(routes) else {
        return;
    };
    if routes::check(&routes).is_err() {
        return;
    }
    if let Ok(written) = routes::to_json(&routes) {
        assert!(routes::parse(&written).is_ok_and(|again| routes::check(&again).is_ok()));
    }
    let (Ok(compiled), Ok(params)) = (Compiled::new(&routes, TEXT_BYTES), Params::read(params))
    else {
        return;
    };
    let staff = Recipient {
        id: Some("e1001"),
        name: Some("王芳"),
    };
    let params = params.value();
    for number in 0..routes.len() {
        drop(compiled.try_out(number, &params));
        if let Ok(rendered) = compiled.render(number, &params, staff) {
            let longest = rendered.data.values().map(String::len).max();
            assert!(
                longest.unwrap_or_default() <= FREE_TEXT_MAX * 4,
                "longer than any field"
            );
        }
    }
}

/// The cursor of a list.
pub fn cursor(data: &[u8]) {
    web::fuzz_cursor(&String::from_utf8_lossy(data));
}

/// The URL of an endpoint: what is let through is on the internet.
pub fn webhook_address(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(url) = Poster::check_url(&text, false) {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        assert!(host.parse::<IpAddr>().is_ok_and(address::is_public) || url.domain().is_some());
        assert_ne!(url.domain(), Some("localhost"));
    }
    if let Ok(address) = text.trim().parse::<IpAddr>() {
        let is_here = address.is_loopback() || address.is_unspecified() || address.is_multicast();
        assert!(!(is_here && address::is_public(address)), "{address}");
    }
}

#[cfg(test)]
mod tests;
