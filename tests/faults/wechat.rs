//! WeChat's side of pushes: signed, repeated as it does, and a record of what each was answered. The simulator
//! pushes what its people do; this one pushes at a rate, whatever happens to the other side.

mod connection;
mod plan;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use connection::Connection;
use plan::{Plan, Push};

/// How long WeChat waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// One try and three retries.
const TRIES: usize = 4;
/// After a refusal it tries again soon, for all that is documented; the worst for who wants to lose nothing.
const PAUSE: Duration = Duration::from_secs(1);
/// A connection that lies idle for longer is not used again: Queqiao closes it after 5 seconds.
const FRESH: Duration = Duration::from_secs(3);

/// One push and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) openid: String,
    pub(crate) create_time: i64,
    /// One of its tries was answered `success`.
    pub(crate) acknowledged: bool,
    pub(crate) tries: u32,
    /// How long the slowest try took.
    pub(crate) slowest: Duration,
}

struct Inner {
    ports: Mutex<Vec<u16>>,
    /// From where pushes are taken.
    plan: Mutex<Plan>,
    record: Mutex<Vec<Record>>,
    answers: Mutex<BTreeMap<String, u64>>,
    idle: Mutex<BTreeMap<u16, Vec<(Connection, Instant)>>>,
    /// Connections at the same time.
    places: Semaphore,
    stopped: AtomicBool,
    begun: AtomicUsize,
}

/// A sender of pushes; clones are the same one.
#[derive(Clone)]
pub(crate) struct WeChat(Arc<Inner>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WeChat {
    /// Pushes of so many people to these ports: each try to the next one.
    pub(crate) fn new(ports: Vec<u16>, seed: u64, people: u64, connections: usize) -> Self {
        Self(Arc::new(Inner {
            ports: Mutex::new(ports),
            plan: Mutex::new(Plan::new(seed, people)),
            record: Mutex::default(),
            answers: Mutex::default(),
            idle: Mutex::default(),
            places: Semaphore::new(connections),
            stopped: AtomicBool::new(false),
            begun: AtomicUsize::new(0),
        }))
    }

    /// Where pushes go from now on.
    pub(crate) fn send_to(&self, ports: Vec<u16>) {
        *lock(&self.0.ports) = ports;
    }

    /// So many pushes at a time until [`WeChat::stop`], each with all its tries.
    pub(crate) async fn in_turn(self, senders: usize) {
        let mut tasks = JoinSet::new();
        for _ in 0..senders {
            let wechat = self.clone();
            tasks.spawn(async move {
                while !wechat.0.stopped.load(Ordering::Relaxed) {
                    wechat.push().await;
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    }

    /// So many pushes a second until [`WeChat::stop`], however slow the answers are.
    pub(crate) async fn at_rate(self, rate: u64) {
        let mut tasks = JoinSet::new();
        let started = Instant::now();
        let mut sent: u64 = 0;
        while !self.0.stopped.load(Ordering::Relaxed) {
            let due = (started.elapsed().as_secs_f64() * rate as f64) as u64;
            while sent < due {
                let wechat = self.clone();
                tasks.spawn(async move { wechat.push().await });
                sent += 1;
            }
            while tasks.try_join_next().is_some() {}
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        while tasks.join_next().await.is_some() {}
    }

    /// No further pushes; those on their way get all their tries.
    pub(crate) fn stop(&self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }

    /// Begins again after a stop.
    pub(crate) fn go_on(&self) {
        self.0.stopped.store(false, Ordering::Relaxed);
    }

    /// What became of all pushes.
    pub(crate) fn record(&self) -> Vec<Record> {
        lock(&self.0.record).clone()
    }

    /// Answers to all tries, by status or cause.
    pub(crate) fn answers(&self) -> BTreeMap<String, u64> {
        lock(&self.0.answers).clone()
    }

    async fn push(&self) {
        let push = lock(&self.0.plan).next();
        let number = self.0.begun.fetch_add(1, Ordering::Relaxed);
        let mut record = Record {
            openid: push.openid.clone(),
            create_time: push.create_time,
            acknowledged: false,
            tries: 0,
            slowest: Duration::ZERO,
        };
        for turn in 0..TRIES {
            let (answer, took) = self.attempt(&push, number + turn).await;
            record.tries += 1;
            record.slowest = record.slowest.max(took);
            record.acknowledged = answer == Answer::Success;
            *lock(&self.0.answers).entry(answer.name()).or_default() += 1;
            match answer {
                Answer::Success => break,
                Answer::Silence => {}
                _ if turn + 1 < TRIES => tokio::time::sleep(PAUSE).await,
                _ => {}
            }
        }
        lock(&self.0.record).push(record);
    }

    /// One try, and how long it took from when there was a connection for it.
    async fn attempt(&self, push: &Push, turn: usize) -> (Answer, Duration) {
        let Ok(_place) = self.0.places.acquire().await else {
            return (Answer::CutOff, Duration::ZERO);
        };
        let port = {
            let ports = lock(&self.0.ports);
            ports
                .get(turn % ports.len().max(1))
                .copied()
                .unwrap_or_default()
        };
        let started = Instant::now();
        let answer = tokio::time::timeout(PATIENCE, self.exchange(push, port)).await;
        (answer.unwrap_or(Answer::Silence), started.elapsed())
    }

    async fn exchange(&self, push: &Push, port: u16) -> Answer {
        let idle = {
            let mut idle = lock(&self.0.idle);
            let pool = idle.entry(port).or_default();
            pool.pop().filter(|(_, since)| since.elapsed() < FRESH)
        };
        let connection = match idle {
            Some((connection, _)) => Ok(connection),
            None => Connection::open(port).await,
        };
        let Ok(mut connection) = connection else {
            return Answer::Refused;
        };
        match connection.exchange(&push.request).await {
            Ok((200, body)) if body == b"success" => {
                let entry = (connection, Instant::now());
                lock(&self.0.idle).entry(port).or_default().push(entry);
                Answer::Success
            }
            Ok((status, _)) => Answer::Status(status),
            Err(_) => Answer::CutOff,
        }
    }
}

/// What came of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Success,
    /// Another status, or another body.
    Status(u16),
    /// None in time.
    Silence,
    /// Nobody listens.
    Refused,
    /// The connection was closed.
    CutOff,
}

impl Answer {
    fn name(self) -> String {
        match self {
            Self::Success => "success".to_owned(),
            Self::Status(status) => status.to_string(),
            Self::Silence => "no answer".to_owned(),
            Self::Refused => "no connection".to_owned(),
            Self::CutOff => "cut off".to_owned(),
        }
    }
}
