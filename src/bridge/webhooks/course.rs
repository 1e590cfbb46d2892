//! How a turn goes on while it posts: what it has tried, and what ends it before its time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::outcome::Tried;

/// What the posts of a turn share, and whoever changes the endpoint meanwhile.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// No other post begins.
    is_stopped: AtomicBool,
    /// The endpoint took something in this turn.
    has_taken: AtomicBool,
    /// The endpoint was changed by this process.
    changed: Notify,
    tried: Mutex<Vec<Tried>>,
}

impl Course {
    /// Lets no other post begin, and wakes whoever looks whether the turn is over.
    pub(super) fn interrupt(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        self.changed.notify_one();
    }

    /// Whether another post may begin.
    pub(super) fn goes_on(&self) -> bool {
        !self.is_stopped.load(Ordering::SeqCst)
    }

    /// Completes when this process has changed the endpoint.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes down what came of a post. An endpoint that wants rest, is gone, or has only been silent so
    /// far gets nothing more in this turn.
    pub(super) fn add(&self, tried: Tried) {
        if tried.was_taken() {
            self.has_taken.store(true, Ordering::SeqCst);
        }
        let is_silent = tried.result.is_err() && !self.has_taken.load(Ordering::SeqCst);
        if is_silent || tried.says_gone() || tried.wishes_rest().is_some() {
            self.is_stopped.store(true, Ordering::SeqCst);
        }
        self.tried
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(tried);
    }

    /// What was tried, in the order of the answers.
    pub(super) fn take(&self) -> Vec<Tried> {
        std::mem::take(&mut *self.tried.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
