//! The parts of events that have a shape of their own.

use serde::Serialize;
use utoipa::ToSchema;

/// How a new follower came, read from the `EventKey` of `subscribe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FollowOrigin {
    /// No key: search, a card, a profile page.
    Direct,
    /// By a QR code of the account.
    QrScene {
        /// The scene, without its prefix `qrscene_`.
        scene: String,
    },
    /// After a payment.
    Payment {
        /// The number of the payment.
        trade_no: String,
    },
    /// By the bar code of a product.
    ScanBarcode {
        /// The standard of the code, as `EAN13`.
        standard: String,
        /// The code.
        code: String,
    },
    /// By scanning a picture.
    ScanImage {
        /// What stands behind `scanimage|`.
        value: String,
    },
    /// A key of a form not known here.
    Other {
        /// The whole key.
        event_key: String,
    },
}

impl FollowOrigin {
    /// Reads an `EventKey`.
    pub fn parse(event_key: &str) -> Self {
        if event_key.is_empty() {
            return Self::Direct;
        }
        if let Some(scene) = event_key.strip_prefix("qrscene_") {
            return Self::QrScene {
                scene: scene.to_owned(),
            };
        }
        if let Some(trade_no) = event_key.strip_prefix("last_trade_no_") {
            return Self::Payment {
                trade_no: trade_no.to_owned(),
            };
        }
        if let Some(code) = event_key.strip_prefix("scanbarcode|") {
            let (standard, code) = code.split_once('|').unwrap_or(("", code));
            return Self::ScanBarcode {
                standard: standard.to_owned(),
                code: code.to_owned(),
            };
        }
        if let Some(value) = event_key.strip_prefix("scanimage|") {
            return Self::ScanImage {
                value: value.to_owned(),
            };
        }
        Self::Other {
            event_key: event_key.to_owned(),
        }
    }

    /// The scene, where a QR code of the account brought the user.
    pub fn scene(&self) -> Option<&str> {
        match self {
            Self::QrScene { scene } => Some(scene),
            _ => None,
        }
    }
}

/// The `Status` of a template message or a mass message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum SendStatus {
    /// It reached the user.
    Success,
    /// It did not.
    Failed {
        /// `user block`, `system failed`, `freq limit`…
        reason: String,
    },
}

impl SendStatus {
    /// Reads a `Status`: `success…`, else a failure whose reason stands behind the first colon.
    pub fn parse(status: &str) -> Self {
        let status = status.trim();
        let success = status
            .get(..7)
            .is_some_and(|start| start.eq_ignore_ascii_case("success"));
        if success {
            return Self::Success;
        }
        let reason = status.split_once(':').map_or(status, |(_, reason)| reason);
        Self::Failed {
            reason: reason.trim().to_owned(),
        }
    }

    /// Whether the user refuses the account's messages.
    pub fn is_user_block(&self) -> bool {
        matches!(self, Self::Failed { reason } if reason.eq_ignore_ascii_case("user block"))
    }
}

/// The figures of a mass message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MassSendResult {
    /// `send success`, `sendsuccess`, `send fail`, `err(30003)`…
    pub status: String,
    /// Followers it was meant for.
    pub total_count: Option<i64>,
    /// Followers left after filtering.
    pub filter_count: Option<i64>,
    /// Followers it reached.
    pub sent_count: Option<i64>,
    /// Followers it did not reach.
    pub error_count: Option<i64>,
}

/// Pictures sent through a menu button.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MenuPictures {
    /// The button's key.
    pub key: String,
    /// How many.
    pub count: Option<i64>,
    /// The MD5 of each.
    pub md5_sums: Vec<String>,
}

/// A place sent through a menu button.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MenuLocation {
    /// The button's key.
    pub key: String,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// The zoom of the map.
    pub scale: Option<f64>,
    /// The name of the place.
    pub label: String,
    /// The name of the point of interest.
    pub poi_name: String,
}

/// The user's word on one template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// One more message may be sent (any number, for a long-term template).
    Accept,
    /// No message may be sent.
    Reject,
    /// A word not known here.
    Other(String),
}

impl Consent {
    /// Reads a `SubscribeStatusString`.
    pub fn parse(status: &str) -> Self {
        match status.trim() {
            "accept" => Self::Accept,
            "reject" => Self::Reject,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// One template in a consent event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConsentEntry {
    /// The template.
    pub template_id: String,
    /// The user's word.
    pub status: Consent,
    /// `0` a mini-program page, `1` a web page, `2` an article.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub popup_scene: Option<String>,
}

/// One message in a `subscribe_msg_sent_event`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SentEntry {
    /// The template.
    pub template_id: String,
    /// The id the send was answered with, up to 19 digits.
    pub msg_id: Option<String>,
    /// `0` when delivered.
    pub error_code: Option<i64>,
    /// `success` when delivered.
    pub error_status: String,
}

impl SentEntry {
    /// Whether the message reached the user. The status counts where WeChat sends no code.
    pub fn delivered(&self) -> bool {
        match self.error_code {
            Some(code) => code == 0,
            None => self.error_status.eq_ignore_ascii_case("success"),
        }
    }
}

/// What an authorization event says. The user is `openid`: `FromUserName` is a platform account there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Authorization {
    /// The user, absent in some pushes.
    pub openid: Option<String>,
    /// The user across accounts (service accounts).
    pub unionid: Option<String>,
    /// The app the authorization was given to.
    pub app_id: Option<String>,
    /// What was withdrawn, as WeChat's number: `8` is the phone number, `205` a service account's name and picture.
    pub revoke_info: Option<String>,
    /// The plugin, for plugins.
    pub plugin_id: Option<String>,
    /// The user's id towards the plugin.
    pub open_pid: Option<String>,
}

/// What an event says of the verification of the account (WeChat guide, verification events).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// What happened.
    pub news: VerificationEvent,
    /// Until when the account is verified, or since when it is not any more: seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expired_time: Option<i64>,
    /// When it failed: seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_time: Option<i64>,
    /// Why it failed, in WeChat's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_reason: Option<String>,
}

/// What happened to the verification of an account. The words are WeChat's names of the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerificationEvent {
    /// The qualification was verified: the calls of a verified account work.
    QualificationVerifySuccess,
    /// It was not.
    QualificationVerifyFail,
    /// The name was verified.
    NamingVerifySuccess,
    /// It was not; the calls work all the same.
    NamingVerifyFail,
    /// The verification has to be renewed soon.
    AnnualRenew,
    /// The verification has ended.
    VerifyExpired,
}

impl VerificationEvent {
    /// Every kind of news.
    pub const ALL: [Self; 6] = [
        Self::QualificationVerifySuccess,
        Self::QualificationVerifyFail,
        Self::NamingVerifySuccess,
        Self::NamingVerifyFail,
        Self::AnnualRenew,
        Self::VerifyExpired,
    ];

    /// WeChat's name of the event, in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QualificationVerifySuccess => "qualification_verify_success",
            Self::QualificationVerifyFail => "qualification_verify_fail",
            Self::NamingVerifySuccess => "naming_verify_success",
            Self::NamingVerifyFail => "naming_verify_fail",
            Self::AnnualRenew => "annual_renew",
            Self::VerifyExpired => "verify_expired",
        }
    }

    /// What it means for the account and what to do; none for what is as it should be.
    pub const fn advice(self) -> Option<&'static str> {
        match self {
            Self::QualificationVerifySuccess | Self::NamingVerifySuccess => None,
            Self::QualificationVerifyFail => Some(
                "WeChat did not verify the account's qualification. Without it, calls of verified accounts are refused \
                 with 48001. Correct what WeChat names and apply again.",
            ),
            Self::NamingVerifyFail => Some(
                "WeChat did not verify the account's name. Calls still work. Correct what WeChat names and apply again.",
            ),
            Self::AnnualRenew => Some(
                "The account's yearly verification ends soon. Renew it before that: afterwards WeChat refuses to send \
                 with 48001.",
            ),
            Self::VerifyExpired => Some(
                "The account's verification has ended. WeChat refuses to send with 48001 until the account is verified \
                 again.",
            ),
        }
    }
}
