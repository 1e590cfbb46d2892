//! What one push costs before it is stored: verifying, decrypting, parsing.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use queqiao::wechat::callback::{self, Credentials, Mode, Query};
use queqiao::wechat::crypto::{self, AesKey};
use queqiao::wechat::{message, salvage, signature};

const APP_ID: &str = "wx0123456789abcdef";
const TOKEN: &str = "harbour7";
const STAMP: (&str, &str) = ("1767225600", "88412");

/// A follow by QR code, about 350 bytes.
const XML: &str = "<xml><ToUserName><![CDATA[gh_0a1b2c3d4e5f]]></ToUserName><FromUserName><![CDATA[oABCdefGHIjklMNOpqrSTUvwxYZ0]]></FromUserName><CreateTime>1767225602</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[subscribe]]></Event><EventKey><![CDATA[qrscene_shop_12]]></EventKey><Ticket><![CDATA[gQFw8DwAAAA==]]></Ticket></xml>";
const JSON: &str = r#"{"ToUserName":"gh_0a1b2c3d4e5f","FromUserName":"oABCdefGHIjklMNOpqrSTUvwxYZ0","CreateTime":1767225613,"MsgType":"event","Event":"subscribe_msg_popup_event","List":[{"TemplateId":"tplA","SubscribeStatusString":"accept","PopupScene":"0"},{"TemplateId":"tplB","SubscribeStatusString":"reject","PopupScene":"0"}]}"#;

fn account() -> Option<Credentials> {
    let key = AesKey::parse("Zx1Cv2Bn3Mm4As5Df6Gh7Jk8Lq9We0RtYuIoPaSdFgH").ok()?;
    Some(Credentials {
        app_id: APP_ID.to_owned(),
        token: TOKEN.to_owned(),
        aes_key: Some(key),
        mode: Mode::Secure,
    })
}

fn protocol(c: &mut Criterion) {
    let Some(credentials) = account() else { return };
    let Some(key) = credentials.aes_key.clone() else {
        return;
    };
    let encrypt = crypto::encrypt(&key, APP_ID, XML.as_bytes());
    let parts = [TOKEN, STAMP.0, STAMP.1, &encrypt];
    let msg_signature = signature::sign(&parts);
    c.bench_function("verify msg_signature", |b| {
        b.iter(|| signature::verify(black_box(&msg_signature), black_box(&parts)));
    });
    c.bench_function("decrypt", |b| {
        b.iter(|| crypto::decrypt(&key, APP_ID, black_box(&encrypt)));
    });
    c.bench_function("parse xml", |b| {
        b.iter(|| message::parse(black_box(XML.as_bytes())));
    });
    c.bench_function("parse json", |b| {
        b.iter(|| message::parse(black_box(JSON.as_bytes())));
    });
    c.bench_function("salvage xml", |b| {
        b.iter(|| salvage::salvage(black_box(XML.as_bytes())));
    });

    let body = format!(
        "<xml><ToUserName><![CDATA[gh_0a1b2c3d4e5f]]></ToUserName><Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>"
    );
    let query = Query {
        msg_signature: Some(msg_signature.clone()),
        timestamp: Some(STAMP.0.to_owned()),
        nonce: Some(STAMP.1.to_owned()),
        encrypt_type: Some("aes".to_owned()),
        ..Query::default()
    };
    c.bench_function("open, parse, name and key a secure push", |b| {
        b.iter(|| {
            let opened =
                callback::open(black_box(&query), black_box(body.as_bytes()), &credentials).ok()?;
            let push = message::parse(&opened.plaintext).ok()?;
            Some((push.kind(), push.dedup_key(&opened.plaintext)))
        });
    });
}

criterion_group!(benches, protocol);
criterion_main!(benches);
