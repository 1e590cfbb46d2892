//! The sender of pushes, as WeChat sends them: signed, sealed, retried, and judged by the answer (WeChat guide,
//! message push; receiving of messages and events).

mod outcome;
mod seal;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::SimulatorOptions;
use super::account::{Account, Settings};
use super::locks::lock;
use super::world::{World, WorldError};
use crate::wechat::fields::Fields;

pub use outcome::{Attempt, PushOutcome};
pub(super) use seal::{Clear, Sealed};

/// The User-Agent of WeChat's pushes.
const USER_AGENT: &str = "Mozilla/4.0";

/// One push and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRecord {
    /// The account it came from.
    pub app_id: String,
    /// The `FromUserName`.
    pub openid: String,
    /// The event, or the message type of what is no event.
    pub event: String,
    /// The message in clear.
    pub plaintext: String,
    /// Each delivery: one and up to three retries, the same to the byte.
    pub attempts: Vec<Attempt>,
    /// The last attempt's verdict.
    pub verdict: PushOutcome,
}

/// In which order held pushes are let go. JSON: `"given"`, `"reverse"` or `{"indices": [2, 0, 1]}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushOrder {
    /// As they happened.
    #[default]
    Given,
    /// The last one first.
    Reverse,
    /// By index; one may stand twice, and what is left out is lost.
    Indices(Vec<usize>),
}

/// What an account does with its pushes.
pub(super) struct Queue {
    held: Mutex<Option<Vec<Sealed>>>,
    copies: AtomicU32,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            held: Mutex::default(),
            copies: AtomicU32::new(1),
        }
    }
}

impl Queue {
    pub(super) fn copies(&self) -> u32 {
        self.copies.load(Ordering::Relaxed)
    }
}

pub(super) struct Sender {
    http: reqwest::Client,
    /// Receipts of a hundred thousand messages must not open as many connections.
    places: Semaphore,
    retries: u32,
    retry_delay: Duration,
}

impl Sender {
    pub(super) fn new(options: &SimulatorOptions) -> Result<Self, reqwest::Error> {
        // Callbacks go to this machine or a test's network, never through the machine's proxy.
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .timeout(options.push_timeout)
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            places: Semaphore::new(options.push_concurrency.max(1)),
            retries: options.push_retries,
            retry_delay: options.push_retry_delay,
        })
    }

    /// Delivers one push, with retries that repeat it exactly.
    async fn deliver(&self, sealed: &Sealed) -> PushRecord {
        let mut attempts = Vec::new();
        let mut attempt = self.attempt(sealed).await;
        for _ in 0..self.retries {
            if attempt.verdict.is_accepted() {
                break;
            }
            if attempt.verdict != PushOutcome::TimedOut {
                tokio::time::sleep(self.retry_delay).await;
            }
            attempts.push(attempt);
            attempt = self.attempt(sealed).await;
        }
        let verdict = attempt.verdict.clone();
        attempts.push(attempt);
        sealed.record(attempts, verdict)
    }

    async fn attempt(&self, sealed: &Sealed) -> Attempt {
        let _place = self.places.acquire().await;
        let request = self
            .http
            .post(sealed.url.clone())
            .header("Content-Type", sealed.content_type)
            .body(sealed.body.clone());
        let answer = async {
            let response = request.send().await?;
            let status = response.status().as_u16();
            Ok::<_, reqwest::Error>((status, response.bytes().await?))
        };
        match answer.await {
            Ok((status, body)) => Attempt::judge(sealed, status, &body),
            Err(error) if error.is_timeout() => Attempt::unanswered(PushOutcome::TimedOut),
            Err(_) => Attempt::unanswered(PushOutcome::Unreachable),
        }
    }

    /// The URL verification of WeChat's console: whether the callback echoes what it should.
    async fn verify(&self, settings: &Settings, timestamp: i64) -> Result<bool, WorldError> {
        let (url, echostr) = seal::verification(settings, timestamp)?;
        let answer = async {
            let response = self.http.get(url).send().await?;
            Ok::<_, reqwest::Error>((response.status().as_u16(), response.bytes().await?))
        };
        Ok(matches!(answer.await, Ok((200, body)) if body == echostr.as_bytes()))
    }
}

impl World {
    /// Pushes these fields to the account's callback, and waits for the end of the last retry, unless pushes are held.
    pub async fn push(
        &self,
        app_id: &str,
        fields: Fields<'static>,
    ) -> Result<PushRecord, WorldError> {
        let account = self.account(app_id)?;
        self.push_event(&account, fields).await
    }

    /// Signs and pushes a body as it stands, well-formed or not, as WeChat does with texts that break its XML.
    pub async fn push_raw(
        &self,
        app_id: &str,
        openid: &str,
        body: &str,
    ) -> Result<PushRecord, WorldError> {
        let account = self.account(app_id)?;
        let copies = account.queue.copies();
        self.push_from(&account, Clear::Raw { openid, body }, copies)
            .await
    }

    /// From now on every push of the account is sent so many times at once, identical to the byte.
    pub fn set_push_copies(&self, app_id: &str, copies: u32) -> Result<(), WorldError> {
        let queue = &self.account(app_id)?.queue;
        queue.copies.store(copies.max(1), Ordering::Relaxed);
        Ok(())
    }

    /// From now on pushes of the account wait for [`World::release_pushes`].
    pub fn hold_pushes(&self, app_id: &str) -> Result<(), WorldError> {
        lock(&self.account(app_id)?.queue.held).get_or_insert_default();
        Ok(())
    }

    /// Sends the held pushes one after the other, each when the one before has ended, and holds no more.
    pub async fn release_pushes(
        &self,
        app_id: &str,
        order: PushOrder,
    ) -> Result<Vec<PushRecord>, WorldError> {
        let account = self.account(app_id)?;
        let mut held = lock(&account.queue.held).take().unwrap_or_default();
        match order {
            PushOrder::Given => {}
            PushOrder::Reverse => held.reverse(),
            PushOrder::Indices(indices) => {
                let picked = indices.iter().filter_map(|index| held.get(*index).cloned());
                held = picked.collect();
            }
        }
        let mut records = Vec::with_capacity(held.len());
        for sealed in &held {
            records.push(self.deliver(sealed).await);
        }
        Ok(records)
    }

    /// The URL verification that WeChat's console does: whether the callback answers it well.
    pub async fn verify_callback(&self, app_id: &str) -> Result<bool, WorldError> {
        let settings = self.account(app_id)?.settings();
        self.sender().verify(&settings, self.seconds()).await
    }

    pub(super) async fn push_event(
        &self,
        account: &Account,
        fields: Fields<'static>,
    ) -> Result<PushRecord, WorldError> {
        let clear = Clear::Fields(&fields);
        self.push_from(account, clear, account.queue.copies()).await
    }

    pub(super) async fn push_from(
        &self,
        account: &Account,
        clear: Clear<'_>,
        copies: u32,
    ) -> Result<PushRecord, WorldError> {
        let settings = account.settings();
        let Some(url) = settings.callback_url.clone() else {
            return Ok(clear.unsent(&settings, PushOutcome::NotConfigured));
        };
        let sealed = Sealed::new(&settings, url, &clear, self.seconds())?;
        if let Some(held) = &mut *lock(&account.queue.held) {
            held.extend((0..copies).map(|_| sealed.clone()));
            return Ok(sealed.record(Vec::new(), PushOutcome::Held));
        }
        let others = join_all((1..copies).map(|_| self.deliver(&sealed)));
        let (record, _) = tokio::join!(self.deliver(&sealed), others);
        Ok(record)
    }

    async fn deliver(&self, sealed: &Sealed) -> PushRecord {
        let record = self.sender().deliver(sealed).await;
        self.record().push_ended(&record);
        record
    }
}
