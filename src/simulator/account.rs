//! One WeChat app of the simulated world: what its owner configured, and everything WeChat keeps for it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, RwLock};

use serde::{Deserialize, Serialize};
use url::Url;

use super::api::Calls;
use super::budgets::Budgets;
use super::chats::Chats;
use super::codes::Codes;
use super::followers::Followers;
use super::grants::Grants;
use super::late::Late;
use super::lists::Lists;
use super::locks::{read, write};
use super::migration::Migration;
use super::population;
use super::qrcodes::QrCodes;
use super::receipts::Receipts;
use super::sender::Queue;
use super::sent::SentIds;
use super::switches::Switches;
use super::template::{Template, TemplateSettings};
use super::tokens::{Newest, random_text};
use crate::wechat::callback::Mode;
use crate::wechat::fields::Format;

/// What the app is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A verified service account: has followers, sends template messages.
    OfficialAccount,
    /// A mini-program: has logins.
    MiniProgram,
}

/// What the account's owner enters in WeChat's console, and how WeChat identifies the account.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `wx` and 16 hex digits, but anything will do.
    pub app_id: String,
    /// The app secret; made up unless given.
    #[serde(default = "secret")]
    pub secret: String,
    /// Official account or mini-program.
    pub kind: Kind,
    /// `gh_…`, the `ToUserName` of pushes; made up unless given.
    #[serde(default = "original_id")]
    pub original_id: String,
    /// Token of the callback; made up unless given.
    #[serde(default = "callback_token")]
    pub token: String,
    /// 43 characters; made up unless given.
    #[serde(default = "encoding_aes_key")]
    pub encoding_aes_key: String,
    /// Protection of pushes.
    #[serde(default = "plain")]
    pub mode: Mode,
    /// Whether it is one of WeChat's test accounts (接口测试号): plain mode only and no EncodingAESKey, for good. All
    /// else works.
    #[serde(default)]
    pub test_account: bool,
    /// Format of pushes.
    #[serde(default = "xml")]
    pub format: Format,
    /// Where pushes go; nothing is pushed without it.
    #[serde(default, with = "super::url_text")]
    pub callback_url: Option<Url>,
    /// Whether unionids are given at all.
    #[serde(default = "bound")]
    pub bound_to_open_platform: bool,
    /// Under which Open Platform account it is: the accounts of one have the same unionids. Another name moves the
    /// account, and its people come with others.
    #[serde(default)]
    pub open_platform: String,
    /// Refuses the token calls of an official account with 40164, reporting this address as the caller's.
    #[serde(default)]
    pub refused_ip: Option<String>,
    /// Customer messages that may answer somebody who wrote; WeChat's present documentation says 5, older rules 20.
    #[serde(default = "answers")]
    pub answers: u32,
    /// Pages of a mini-program's released version, as `pages/order`; empty for every page.
    #[serde(default)]
    pub pages: Vec<String>,
    /// Whether the mini-program was ever released; one that was not has no page at all.
    #[serde(default = "released")]
    pub released: bool,
    /// Whether a template message that was sent before, by its client_msg_id, is answered as such before anything is
    /// looked at that concerns the person. Which of the two WeChat does is not documented.
    #[serde(default)]
    pub id_before_person: bool,
}

impl Settings {
    /// An account with made-up secrets, in plain mode, bound to the Open Platform, without a callback URL.
    pub fn new(app_id: &str, kind: Kind) -> Self {
        Self {
            app_id: app_id.to_owned(),
            secret: secret(),
            kind,
            original_id: original_id(),
            token: callback_token(),
            encoding_aes_key: encoding_aes_key(),
            mode: plain(),
            test_account: false,
            format: xml(),
            callback_url: None,
            bound_to_open_platform: bound(),
            open_platform: String::new(),
            refused_ip: None,
            answers: answers(),
            pages: Vec::new(),
            released: released(),
            id_before_person: false,
        }
    }

    /// Whether the released version of the mini-program has this page; its query does not matter, and an empty one is
    /// the home page.
    pub(super) fn has_page(&self, page: &str) -> bool {
        let path = page.split('?').next().unwrap_or_default();
        let path = path.trim_start_matches('/');
        let mut pages = self.pages.iter();
        self.released
            && (self.pages.is_empty() || path.is_empty() || pages.any(|known| known == path))
    }
}

impl Settings {
    /// What a test account has, whatever is asked for.
    pub(super) fn hold_to_kind(&mut self) {
        if self.test_account {
            self.mode = Mode::Plain;
            self.encoding_aes_key.clear();
        }
    }
}

/// Without the secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("app_id", &self.app_id)
            .field("kind", &self.kind)
            .field("original_id", &self.original_id)
            .field("mode", &self.mode)
            .field("format", &self.format)
            .field("callback_url", &self.callback_url)
            .finish_non_exhaustive()
    }
}

fn secret() -> String {
    random_text(32).to_lowercase()
}

fn original_id() -> String {
    format!("gh_{}", random_text(12).to_lowercase())
}

fn callback_token() -> String {
    random_text(16)
}

fn encoding_aes_key() -> String {
    random_text(43)
}

fn xml() -> Format {
    Format::Xml
}

fn plain() -> Mode {
    Mode::Plain
}

fn answers() -> u32 {
    5
}

fn bound() -> bool {
    true
}

fn released() -> bool {
    true
}

pub(super) struct Account {
    pub(super) app_id: String,
    settings: RwLock<Arc<Settings>>,
    pub(super) calls: Calls,
    pub(super) newest_tokens: Mutex<Newest>,
    pub(super) followers: RwLock<Followers>,
    pub(super) late: Late,
    pub(super) lists: Lists,
    pub(super) codes: Mutex<Codes>,
    pub(super) qr_codes: Mutex<QrCodes>,
    pub(super) templates: RwLock<HashMap<String, Arc<Template>>>,
    pub(super) grants: Grants,
    pub(super) switches: Switches,
    pub(super) chats: Chats,
    pub(super) budgets: Budgets,
    pub(super) sent: SentIds,
    pub(super) receipts: Receipts,
    pub(super) queue: Queue,
    pub(super) migration: Migration,
}

impl Account {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            app_id: settings.app_id.clone(),
            settings: RwLock::new(Arc::new(settings)),
            calls: Calls::default(),
            newest_tokens: Mutex::default(),
            followers: RwLock::default(),
            late: Late::default(),
            lists: Lists::default(),
            codes: Mutex::default(),
            qr_codes: Mutex::default(),
            templates: RwLock::default(),
            grants: Grants::default(),
            switches: Switches::default(),
            chats: Chats::default(),
            budgets: Budgets::default(),
            sent: SentIds::default(),
            receipts: Receipts::default(),
            queue: Queue::default(),
            migration: Migration::default(),
        }
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&read(&self.settings))
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = write(&self.settings);
        change(Arc::make_mut(&mut settings));
    }

    /// The templates as their owner sees them, by template_id.
    pub(super) fn template_settings(&self) -> Vec<TemplateSettings> {
        let templates = read(&self.templates);
        let settings = templates.values().map(|template| template.settings.clone());
        let mut all: Vec<TemplateSettings> = settings.collect();
        all.sort_by(|a, b| a.template_id.cmp(&b.template_id));
        all
    }

    pub(super) fn openid(&self, person: u32) -> String {
        population::openid(&self.app_id, person)
    }
}
