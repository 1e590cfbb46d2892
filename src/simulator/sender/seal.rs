//! A push made ready to be sent, and the request by which WeChat's console verifies a URL.

use std::sync::Arc;

use actix_web::web::Bytes;
use url::Url;

use super::{Attempt, PushOutcome, PushRecord};
use crate::simulator::account::Settings;
use crate::simulator::tokens::random_number;
use crate::simulator::world::WorldError;
use crate::wechat::callback::{Credentials, Mode};
use crate::wechat::crypto::AesKey;
use crate::wechat::fields::{Fields, Format};
use crate::wechat::push::{self, Sender, Signed};
use crate::wechat::signature;

/// What is to be pushed.
pub(in crate::simulator) enum Clear<'a> {
    /// A well-formed push.
    Fields(&'a Fields<'a>),
    /// A body that need not be well-formed, from this openid.
    Raw { openid: &'a str, body: &'a str },
}

impl Clear<'_> {
    fn openid(&self) -> &str {
        match self {
            Self::Fields(fields) => fields.text("FromUserName").unwrap_or_default(),
            Self::Raw { openid, .. } => openid,
        }
    }

    /// The event, or the message type of what is no event.
    fn event(&self) -> &str {
        match self {
            Self::Fields(fields) => fields
                .text("Event")
                .or_else(|| fields.text("MsgType"))
                .unwrap_or_default(),
            Self::Raw { .. } => "raw",
        }
    }

    fn plaintext(&self, format: Format) -> String {
        match self {
            Self::Fields(fields) => push::render(fields, format),
            Self::Raw { body, .. } => (*body).to_owned(),
        }
    }

    /// The record of a push that is not sent, or not yet.
    pub(super) fn unsent(&self, settings: &Settings, verdict: PushOutcome) -> PushRecord {
        PushRecord {
            app_id: settings.app_id.clone(),
            openid: self.openid().to_owned(),
            event: self.event().to_owned(),
            plaintext: self.plaintext(settings.format),
            attempts: Vec::new(),
            verdict,
        }
    }
}

/// A push with its signature: sending it again sends the same bytes.
#[derive(Clone)]
pub(in crate::simulator) struct Sealed {
    pub(super) url: Url,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
    pub(super) settings: Arc<Settings>,
    pub(super) openid: String,
    event: String,
    plaintext: String,
}

impl Sealed {
    /// Signs at `now`, seconds since 1970, and encrypts as the account's mode says.
    pub(super) fn new(
        settings: &Arc<Settings>,
        mut url: Url,
        clear: &Clear<'_>,
        now: i64,
    ) -> Result<Self, WorldError> {
        let aes_key = aes_key(settings)?;
        let sender = Sender {
            token: &settings.token,
            aes_key: aes_key.as_ref(),
            app_id: &settings.app_id,
            to_user_name: &settings.original_id,
            mode: settings.mode,
            format: settings.format,
            timestamp: now,
            nonce: &random_number().to_string(),
            openid: clear.openid(),
        };
        let signed = match clear {
            Clear::Fields(fields) => push::sign_and_seal(fields, &sender),
            Clear::Raw { body, .. } => push::sign_and_seal_body(body, &sender),
        };
        let Signed { query, body } = signed.map_err(|error| unusable_key(settings, &error))?;
        url.query_pairs_mut().extend_pairs(query);
        Ok(Self {
            url,
            content_type: match settings.format {
                Format::Xml => "text/xml",
                Format::Json => "application/json",
            },
            body: Bytes::from(body),
            openid: clear.openid().to_owned(),
            event: clear.event().to_owned(),
            plaintext: clear.plaintext(settings.format),
            settings: Arc::clone(settings),
        })
    }

    /// What the judge of a reply needs.
    pub(super) fn credentials(&self) -> Result<Credentials, WorldError> {
        Ok(Credentials {
            app_id: self.settings.app_id.clone(),
            token: self.settings.token.clone(),
            aes_key: aes_key(&self.settings)?,
            mode: self.settings.mode,
        })
    }

    pub(super) fn record(&self, attempts: Vec<Attempt>, verdict: PushOutcome) -> PushRecord {
        PushRecord {
            app_id: self.settings.app_id.clone(),
            openid: self.openid.clone(),
            event: self.event.clone(),
            plaintext: self.plaintext.clone(),
            attempts,
            verdict,
        }
    }
}

/// The URL of a verification and the `echostr` that must come back.
pub(super) fn verification(settings: &Settings, now: i64) -> Result<(Url, String), WorldError> {
    let url = settings.callback_url.clone();
    let mut url = url.ok_or_else(|| WorldError::NoCallbackUrl(settings.app_id.clone()))?;
    let (timestamp, nonce) = (now.to_string(), random_number().to_string());
    let echostr = format!("{}{}", random_number(), random_number());
    let signature = signature::sign(&[&settings.token, &timestamp, &nonce]);
    url.query_pairs_mut()
        .append_pair("signature", &signature)
        .append_pair("echostr", &echostr)
        .append_pair("timestamp", &timestamp)
        .append_pair("nonce", &nonce);
    Ok((url, echostr))
}

/// The key, where the mode needs one.
fn aes_key(settings: &Settings) -> Result<Option<AesKey>, WorldError> {
    match settings.mode {
        Mode::Plain => Ok(None),
        Mode::Compatible | Mode::Secure => AesKey::parse(&settings.encoding_aes_key)
            .map(Some)
            .map_err(|error| unusable_key(settings, &error)),
    }
}

fn unusable_key(settings: &Settings, error: &dyn std::error::Error) -> WorldError {
    WorldError::AesKey {
        app_id: settings.app_id.clone(),
        reason: error.to_string(),
    }
}
