//! The business's apps of the run: they notify, repeat themselves, cancel, retry, import and look, over whichever
//! replica answers, and keep what they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::installation::SERVICE;
use crate::process;

/// How long an app asks again until its request is answered.
const PATIENCE: Duration = Duration::from_secs(90);
const AGAIN: Duration = Duration::from_millis(150);
/// Examples of what must not be that are kept.
const EXAMPLES: usize = 5;
/// Channels, as often as each is used.
const CHANNELS: [&str; 8] = [
    "template", "template", "template", "chain", "chain", "webhook", "mp", "customer",
];

/// What the apps were told.
#[derive(Clone, Default)]
pub(crate) struct Told {
    /// Answers by status; 0 where there was none.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Notifications that were accepted, and for how many people.
    pub(crate) accepted: BTreeMap<i64, usize>,
    /// Requests that came to another notification when they were repeated.
    pub(crate) doubled: u64,
    /// Requests that nobody answered in time.
    pub(crate) unanswered: u64,
    /// Answers that must not be: 5xx other than 503.
    pub(crate) broken: Vec<String>,
    /// What was done beside notifying.
    pub(crate) done: BTreeMap<&'static str, u64>,
}

struct Inner {
    http: reqwest::Client,
    key: String,
    ports: Vec<u16>,
    people: u32,
    told: Mutex<Told>,
    orders: AtomicU32,
    stopped: AtomicBool,
}

/// All apps; clones are the same.
#[derive(Clone)]
pub(crate) struct Apps(Arc<Inner>);

impl Apps {
    pub(crate) fn new(key: &str, ports: Vec<u16>, people: u32) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            http: process::client(Duration::from_secs(20))?,
            key: key.to_owned(),
            ports,
            people,
            told: Mutex::default(),
            orders: AtomicU32::new(0),
            stopped: AtomicBool::new(false),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn told(&self) -> Told {
        self.lock().clone()
    }

    /// No further requests; those that were begun get their answer.
    pub(crate) fn stop(&self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }

    /// One app, until [`Apps::stop`].
    pub(crate) async fn run(self, mut dice: Dice) {
        while !self.0.stopped.load(Ordering::Relaxed) {
            match dice.below(10) {
                0..6 => self.notify(&mut dice).await,
                6 | 7 => self.retry(&mut dice).await,
                8 => self.import(&mut dice).await,
                _ => self.look(&mut dice).await,
            }
            tokio::time::sleep(dice.millis(50, 900)).await;
        }
    }

    fn done(&self, what: &'static str) {
        *self.lock().done.entry(what).or_default() += 1;
    }

    /// One request to one of the replicas; none where it was not answered.
    async fn call(
        &self,
        dice: &mut Dice,
        (method, path): (Method, &str),
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Option<(u16, Value)> {
        let port = dice.of_these(&self.0.ports).copied().unwrap_or_default();
        let url = format!("http://127.0.0.1:{port}/api/v1{path}");
        let mut request = self.0.http.request(method, url).bearer_auth(&self.0.key);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = async {
            let answer = request.send().await.ok()?;
            let status = answer.status().as_u16();
            let text = answer.text().await.ok()?;
            Some((
                status,
                serde_json::from_str(&text).unwrap_or(Value::String(text)),
            ))
        };
        let answer = answer.await;
        let mut told = self.lock();
        let status = answer.as_ref().map_or(0, |(status, _)| *status);
        *told.statuses.entry(status).or_default() += 1;
        if let Some((status, text)) = &answer
            && *status >= 500
            && *status != 503
        {
            told.broken.push(format!("{path}: {status} {text}"));
        }
        answer
    }

    /// A request with a key, which is repeated until it is answered.
    async fn notify(&self, dice: &mut Dice) {
        let order = format!("H{:07}", self.0.orders.fetch_add(1, Ordering::Relaxed));
        let people = u64::from(self.0.people);
        // Now and then to everybody: such a one has its progress counted.
        let (from, to) = match dice.percent(15) {
            true => (0, people),
            false => {
                let from = dice.below(people);
                (from, (from + 1 + dice.below(20)).min(people))
            }
        };
        let staff: Vec<String> = (from..to).map(|person| format!("e{person}")).collect();
        let channel = dice.of_these(&CHANNELS).copied().unwrap_or("template");
        let priority = dice.of_these(&["urgent", "normal", "bulk"]).copied();
        let body = json!({
            "message_type": channel, "staff_ids": staff, "params": {"order": order},
            "priority": priority,
        });
        let Some(id) = self.accepted(dice, &body, &order).await else {
            return;
        };
        self.lock().accepted.insert(id, staff.len());
        if dice.percent(10)
            && self
                .accepted(dice, &body, &order)
                .await
                .is_some_and(|other| other != id)
        {
            self.lock().doubled += 1;
        }
        if dice.percent(35) {
            tokio::time::sleep(dice.millis(0, 900)).await;
            let path = format!("/notifications/{id}/cancel");
            if self
                .call(dice, (Method::POST, path.as_str()), None, None)
                .await
                .is_some()
            {
                self.done("cancels");
            }
        }
    }

    /// The id that an accepted request has; none if it is refused, or nobody answers it in time.
    async fn accepted(&self, dice: &mut Dice, body: &Value, order: &str) -> Option<i64> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let asked = (Method::POST, "/notifications");
            match self.call(dice, asked, Some(body), Some(order)).await {
                Some((202, answer)) => return answer.get("id").and_then(Value::as_i64),
                Some((status @ 400..=499, answer)) if status != 429 => {
                    self.lock()
                        .broken
                        .push(format!("a notification: {status} {answer}"));
                    return None;
                }
                _ => tokio::time::sleep(AGAIN).await,
            }
        }
        self.lock().unanswered += 1;
        None
    }

    /// What did not arrive, for whatever reason, and was not shown for certain.
    async fn retry(&self, dice: &mut Dice) {
        let state = dice.of_these(&["failed", "unreachable"]).copied();
        let body = json!({"state": state, "limit": 1 + dice.below(300)});
        let asked = (Method::POST, "/deliveries/retry");
        if let Some((202, answer)) = self.call(dice, asked, Some(&body), None).await {
            self.done("bulk retries");
            let taken = answer.get("taken").and_then(Value::as_u64);
            *self.lock().done.entry("deliveries retried").or_default() += taken.unwrap_or_default();
        }
    }

    async fn import(&self, dice: &mut Dice) {
        let body = json!({"reconcile": dice.percent(50), "refresh": dice.percent(20)});
        let path = format!("/accounts/{SERVICE}/imports");
        if self
            .call(dice, (Method::POST, path.as_str()), Some(&body), None)
            .await
            .is_some()
        {
            self.done("imports");
        }
    }

    async fn look(&self, dice: &mut Dice) {
        let person = dice.below(u64::from(self.0.people));
        let explain = format!("/staff/e{person}/explain");
        let paths = [
            "/deliveries?state=failed",
            "/notifications",
            explain.as_str(),
            "/people?limit=50",
        ];
        if let Some(path) = dice.of_these(&paths).copied()
            && self
                .call(dice, (Method::GET, path), None, None)
                .await
                .is_some()
        {
            self.done("looks");
        }
    }
}

impl Told {
    /// Different examples of answers that must not be.
    pub(crate) fn examples(&self) -> BTreeSet<&str> {
        self.broken
            .iter()
            .take(EXAMPLES)
            .map(String::as_str)
            .collect()
    }
}
