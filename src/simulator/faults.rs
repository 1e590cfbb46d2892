//! Faults on demand: what goes wrong with the next calls of an API.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::api::Call;
use super::locks::lock;

/// What goes wrong. JSON: `{"kind": "errcode", "errcode": 45009}`, `{"kind": "time_out_after"}`, ….
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// The connection is held open without an answer; nothing is done.
    TimeOutBefore,
    /// The call takes effect (the message is shown), but is never answered.
    TimeOutAfter,
    /// A gateway's HTML page with this HTTP status.
    HttpError {
        /// 500 to 599.
        status: u16,
    },
    /// WeChat's own error: -1, 40001, 45009 or any other; nothing is done.
    Errcode {
        /// The code.
        errcode: i64,
    },
    /// The connection is closed without an answer; nothing is done.
    Reset,
    /// The call takes effect, then the connection is closed without an answer.
    ResetAfter,
    /// The call succeeds late.
    Slow {
        /// How late.
        millis: u64,
    },
    /// The person's part of the answer has a quotation mark that is not escaped: the whole is no JSON.
    UnescapedQuote,
    /// The person's part of the answer has half a character in it.
    BrokenUtf8,
    /// The same, within their unionid.
    BrokenUnionid,
    /// The person's part of the answer has no openid.
    NoOpenid,
}

impl FaultKind {
    pub(super) fn delay(self) -> Option<Duration> {
        match self {
            Self::Slow { millis } => Some(Duration::from_millis(millis)),
            _ => None,
        }
    }
}

/// A fault and the calls that it hits. JSON: `{"path": "/cgi-bin/user/info", "app_id": null, "openid": null, "times": 2,
/// "kind": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Path of the API; every API if absent.
    #[serde(default)]
    pub path: Option<String>,
    /// The calling account; every account if absent.
    #[serde(default)]
    pub app_id: Option<String>,
    /// Whom the call must concern, alone or among others; everybody if absent. A wrong 43004 is
    /// `{"path": "/cgi-bin/message/template/send", "openid": …, "times": 1, "kind": "errcode", "errcode": 43004}`.
    #[serde(default)]
    pub openid: Option<String>,
    /// How many calls it hits; until cleared if absent.
    #[serde(default)]
    pub times: Option<u32>,
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
}

impl Fault {
    /// A fault of every call to `path`, until cleared.
    pub fn at(path: &str, kind: FaultKind) -> Self {
        Self {
            path: Some(path.to_owned()),
            app_id: None,
            openid: None,
            times: None,
            kind,
        }
    }

    /// Only calls that concern this person, alone or among others.
    #[must_use]
    pub fn of(mut self, openid: &str) -> Self {
        self.openid = Some(openid.to_owned());
        self
    }

    /// Only the next `times` calls.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    fn hits(&self, call: &Call<'_>, app_id: Option<&str>) -> bool {
        let same_path = self
            .path
            .as_deref()
            .is_none_or(|path| path == call.endpoint.path());
        let same_app = self.app_id.is_none() || self.app_id.as_deref() == app_id;
        let openid = self.openid.as_deref();
        same_path && same_app && openid.is_none_or(|openid| call.concerns(openid))
    }
}

/// The faults in force; the first that fits is taken.
#[derive(Default)]
pub(super) struct Faults {
    /// Read by every call, so that a world without faults costs no lock.
    count: AtomicUsize,
    list: Mutex<Vec<Fault>>,
    hit: AtomicU64,
}

impl Faults {
    pub(super) fn add(&self, fault: Fault) {
        let mut list = lock(&self.list);
        list.push(fault);
        self.count.store(list.len(), Ordering::Release);
    }

    pub(super) fn clear(&self) {
        let mut list = lock(&self.list);
        list.clear();
        self.count.store(0, Ordering::Release);
    }

    pub(super) fn list(&self) -> Vec<Fault> {
        lock(&self.list).clone()
    }

    /// How many calls a fault has hit.
    pub(super) fn hits(&self) -> u64 {
        self.hit.load(Ordering::Relaxed)
    }

    pub(super) fn take(&self, call: &Call<'_>, app_id: Option<&str>) -> Option<Fault> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut list = lock(&self.list);
        let fault = list
            .iter_mut()
            .find(|fault| fault.hits(call, app_id) && fault.times != Some(0))?;
        fault.times = fault.times.map(|times| times - 1);
        let hit = fault.clone();
        list.retain(|fault| fault.times != Some(0));
        self.count.store(list.len(), Ordering::Release);
        self.hit.fetch_add(1, Ordering::Relaxed);
        Some(hit)
    }
}
