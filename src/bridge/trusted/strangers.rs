//! Looking up what is not known to be a secret of ours. Whoever has none can ask as often as they like, so this takes
//! one connection of its own, one statement at a time for all who wait, and memory up to a limit. A secret
//! that was just made is found in the same way, in the next statement.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Find, Hash, ReadAt};
use crate::db::{Db, DbError};

/// How long one statement after another has to wait.
const PAUSE: Duration = Duration::from_millis(20);
/// How many may wait at the same time; one more, and one of them is answered that it takes too long.
const WAITING: usize = 2_000;
/// What is remembered not to be a secret.
const REMEMBERED: usize = 10_000;

type Answer<V> = Result<Option<Arc<V>>, String>;
type Waiting<V> = (Hash, oneshot::Sender<Answer<V>>);

/// Those of whom no secret is known.
pub(super) struct Strangers<V> {
    db: Db,
    find: Find<V>,
    waiting: Arc<Mutex<Vec<Waiting<V>>>>,
    /// Held during a statement and the pause after it.
    turn: Arc<tokio::sync::Mutex<()>>,
    unknown: Mutex<HashMap<Hash, ReadAt>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<V: Send + Sync + 'static> Strangers<V> {
    /// With a handle that nobody else uses.
    pub(super) fn new(db: Db, find: Find<V>) -> Self {
        Self {
            db,
            find,
            waiting: Arc::default(),
            turn: Arc::default(),
            unknown: Mutex::default(),
        }
    }

    /// What the secret with that hash stands for, if there is one, as it is `now` or was a moment ago.
    ///
    /// # Errors
    /// If it cannot be read, or too many ask.
    pub(super) async fn look_up(&self, hash: Hash, now: ReadAt) -> Result<Option<Arc<V>>, DbError> {
        let unknown = lock(&self.unknown).get(&hash).copied();
        if unknown.is_some_and(|read| read.is_fresh(now.at)) {
            return Ok(None);
        }
        let found = self.ask(hash).await?;
        if found.is_none() {
            let mut unknown = lock(&self.unknown);
            if unknown.len() >= REMEMBERED {
                unknown.clear();
            }
            unknown.insert(hash, now);
        }
        Ok(found)
    }

    async fn ask(&self, hash: Hash) -> Result<Option<Arc<V>>, DbError> {
        let (sender, mut answer) = oneshot::channel();
        {
            let mut waiting = lock(&self.waiting);
            waiting.retain(|(_, sender)| !sender.is_closed());
            if waiting.len() >= WAITING {
                // Whoever it is makes room, so that a secret which this process has not seen yet gets its
                // turn among many that are none.
                let unlucky = rand::random_range(0..waiting.len());
                waiting.swap_remove(unlucky);
            }
            waiting.push((hash, sender));
        }
        let turn = Arc::clone(&self.turn).lock_owned();
        let answer = tokio::select! {
            biased;
            answered = &mut answer => answered,
            turn = turn => {
                let (db, find, waiting) = (self.db.clone(), self.find, Arc::clone(&self.waiting));
                // Whoever asked first may go away; the others wait for its statement.
                tokio::spawn(async move {
                    let _turn = turn;
                    let begun = Instant::now();
                    let all = std::mem::take(&mut *lock(&waiting));
                    if !all.is_empty() {
                        answer_all(&db, find, all).await;
                        tokio::time::sleep(PAUSE.saturating_sub(begun.elapsed())).await;
                    }
                });
                answer.await
            }
        };
        match answer {
            Ok(answer) => answer.map_err(DbError::Unavailable),
            Err(_) => Err(DbError::TooSlow),
        }
    }
}

async fn answer_all<V: Send + Sync + 'static>(db: &Db, find: Find<V>, all: Vec<Waiting<V>>) {
    let hashes: Vec<Vec<u8>> = all.iter().map(|(hash, _)| hash.to_vec()).collect();
    let read = db.snapshot(move |conn| find(conn, &hashes));
    let read = read.await.map_err(|error| error.to_string());
    let found = read.map(|found| {
        let shared = found
            .into_iter()
            .map(|(hash, value)| (hash, Arc::new(value)));
        shared.collect::<HashMap<Vec<u8>, Arc<V>>>()
    });
    for (hash, sender) in all {
        let answer = found
            .as_ref()
            .map(|found| found.get(hash.as_slice()).cloned())
            .map_err(Clone::clone);
        // Whoever went away needs none.
        drop(sender.send(answer));
    }
}
