//! The QR codes with a scene that an official account has made (WeChat guide, createQRCode).

use std::collections::HashMap;

use super::tokens::random_text;

/// What a code is made of.
#[derive(Clone, Debug)]
pub(super) struct QrCode {
    pub(super) ticket: String,
    /// What its picture says.
    pub(super) url: String,
    pub(super) scene: Box<str>,
    /// Milliseconds since 1970; none for a lasting code.
    expires_at: Option<i64>,
}

/// By ticket.
#[derive(Default)]
pub(super) struct QrCodes {
    by_ticket: HashMap<String, QrCode>,
}

impl QrCodes {
    pub(super) fn create(&mut self, scene: &str, expires_at: Option<i64>) -> QrCode {
        let code = QrCode {
            // The padding has to be escaped in an address, as that of real tickets has.
            ticket: format!("gQ{}+/A==", random_text(70)),
            url: format!("http://weixin.qq.com/q/02{}", random_text(20)),
            scene: scene.into(),
            expires_at,
        };
        self.by_ticket.insert(code.ticket.clone(), code.clone());
        code
    }

    /// The code with this ticket, or with this address in its picture, while it can be scanned.
    pub(super) fn find(&self, text: &str, now: i64) -> Option<QrCode> {
        let by_url = || self.by_ticket.values().find(|code| code.url == text);
        let code = self.by_ticket.get(text).or_else(by_url)?;
        let expired = code.expires_at.is_some_and(|at| now >= at);
        (!expired).then(|| code.clone())
    }
}
