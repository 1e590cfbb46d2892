//! The requests of a load: each a follow event of another person, signed as WeChat signs it, on
//! buffers that are used again.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use url::Url;

use super::Plan;
use crate::simulator::population;
use crate::wechat::callback::Mode;
use crate::wechat::crypto::{self, AesKey};
use crate::wechat::signature;

/// `ToUserName` of the pushes: nobody reads it.
const ORIGINAL_ID: &str = "gh_0000000000ld";

/// Requests of one connection after which the time is looked at again, as a long load outlasts what Queqiao takes for
/// now.
const FRESH: u64 = 64;

pub(super) struct Events<'p> {
    plan: &'p Plan,
    host: String,
    /// Path and query of the callback URL, ready for more query parameters.
    target: String,
    timestamp: String,
    sent: u64,
    message: Vec<u8>,
    body: Vec<u8>,
    request: Vec<u8>,
}

impl<'p> Events<'p> {
    pub(super) fn new(plan: &'p Plan) -> Self {
        Self {
            plan,
            host: host(&plan.url),
            target: target(&plan.url),
            timestamp: now(),
            sent: 0,
            message: Vec::new(),
            body: Vec::new(),
            request: Vec::new(),
        }
    }

    /// The whole HTTP request of the event with that number.
    pub(super) fn request(&mut self, number: u64) -> &[u8] {
        let person = self.plan.first_person.wrapping_add(number);
        let openid = population::openid(&self.plan.app_id, person as u32);
        let nonce = number.to_string();
        let plan = self.plan;
        self.sent += 1;
        if self.sent.is_multiple_of(FRESH) {
            self.timestamp = now();
        }
        let signature = signature::sign(&[&plan.token, &self.timestamp, &nonce]);
        self.write_message(&openid);
        self.body.clear();
        let sealed = match (plan.mode, &plan.aes_key) {
            (Mode::Plain, _) | (_, None) => {
                self.body.extend_from_slice(&self.message);
                None
            }
            (mode, Some(key)) => Some(self.seal(mode, key, &nonce)),
        };
        self.request.clear();
        let length = self.body.len();
        // Writing to a Vec cannot fail.
        let _ = write!(
            self.request,
            "POST {}signature={signature}&timestamp={}&nonce={nonce}&openid={openid}",
            self.target, self.timestamp
        );
        if let Some(msg_signature) = sealed {
            let _ = write!(
                self.request,
                "&encrypt_type=aes&msg_signature={msg_signature}"
            );
        }
        let _ = write!(
            self.request,
            " HTTP/1.1\r\nHost: {}\r\nUser-Agent: Mozilla/4.0\r\nContent-Type: text/xml\r\n\
             Content-Length: {length}\r\n\r\n",
            self.host
        );
        self.request.extend_from_slice(&self.body);
        &self.request
    }

    fn write_message(&mut self, openid: &str) {
        self.message.clear();
        let _ = write!(
            self.message,
            "<xml><ToUserName><![CDATA[{ORIGINAL_ID}]]></ToUserName>\
             <FromUserName><![CDATA[{openid}]]></FromUserName><CreateTime>{}</CreateTime>\
             <MsgType><![CDATA[event]]></MsgType><Event><![CDATA[subscribe]]></Event>\
             <EventKey><![CDATA[]]></EventKey></xml>",
            self.timestamp
        );
    }

    /// Encrypts the message into the body; returns its signature.
    fn seal(&mut self, mode: Mode, key: &AesKey, nonce: &str) -> String {
        let plan = self.plan;
        let encrypt = crypto::encrypt(key, &plan.app_id, &self.message);
        if mode == Mode::Compatible {
            let clear = self
                .message
                .strip_suffix(b"</xml>")
                .unwrap_or(&self.message);
            self.body.extend_from_slice(clear);
            let _ = write!(self.body, "<Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>");
        } else {
            let _ = write!(
                self.body,
                "<xml><ToUserName><![CDATA[{ORIGINAL_ID}]]></ToUserName>\
                 <Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>"
            );
        }
        signature::sign(&[&plan.token, &self.timestamp, nonce, &encrypt])
    }
}

/// Seconds since 1970.
fn now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs()).to_string()
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn target(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}&", url.path()),
        None => format!("{}?", url.path()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wechat::callback::{self, Credentials, Query};

    fn plan(mode: Mode) -> Plan {
        Plan {
            url: "http://127.0.0.1:8080/callback/wx0123456789abcdef"
                .parse()
                .unwrap(),
            app_id: "wx0123456789abcdef".into(),
            token: "harbour7".into(),
            aes_key: Some(AesKey::parse("Zx1Cv2Bn3Mm4As5Df6Gh7Jk8Lq9We0RtYuIoPaSdFgH").unwrap()),
            mode,
            connections: 1,
            until: super::super::Until::Events(1),
            first_person: 0,
        }
    }

    #[test]
    fn every_request_is_one_that_queqiao_opens() {
        for mode in [Mode::Plain, Mode::Compatible, Mode::Secure] {
            let plan = plan(mode);
            let mut events = Events::new(&plan);
            let mut bodies = Vec::new();
            for number in 0..3 {
                let request = String::from_utf8(events.request(number).to_vec()).unwrap();
                let (head, body) = request.split_once("\r\n\r\n").unwrap();
                let target = head.split(' ').nth(1).unwrap();
                let url = Url::parse("http://h").unwrap().join(target).unwrap();
                let query: Query = serde_json::from_value(
                    url.query_pairs()
                        .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
                        .collect::<serde_json::Map<_, _>>()
                        .into(),
                )
                .unwrap();
                let credentials = Credentials {
                    app_id: plan.app_id.clone(),
                    token: plan.token.clone(),
                    aes_key: plan.aes_key.clone(),
                    mode,
                };
                let opened = callback::open(&query, body.as_bytes(), &credentials).unwrap();
                assert_eq!(opened.encrypted, mode != Mode::Plain);
                bodies.push(opened.plaintext.into_owned());
            }
            bodies.dedup();
            assert_eq!(bodies.len(), 3, "{mode}: distinct events");
        }
    }
}
