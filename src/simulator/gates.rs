//! Calls whose answers are held until a test lets them go.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::oneshot;

use super::api::Endpoint;
use super::locks::lock;
use super::world::{World, WorldError};

/// The answer of one call is held until this is dropped.
#[derive(Debug)]
pub struct Held {
    _let_go: oneshot::Sender<()>,
}

/// The calls that are to be held, by path.
#[derive(Default)]
pub(super) struct Gates {
    /// Read by every call, so that a world without gates costs no lock.
    count: AtomicUsize,
    closed: Mutex<HashMap<&'static str, VecDeque<oneshot::Receiver<()>>>>,
}

impl Gates {
    fn close(&self, endpoint: Endpoint) -> Held {
        let (let_go, gate) = oneshot::channel();
        let mut closed = lock(&self.closed);
        closed.entry(endpoint.path()).or_default().push_back(gate);
        self.count.fetch_add(1, Ordering::Release);
        Held { _let_go: let_go }
    }

    /// Waits where the call is one of those that are held.
    pub(super) async fn pass(&self, endpoint: Endpoint) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let gate = lock(&self.closed)
            .get_mut(endpoint.path())
            .and_then(VecDeque::pop_front);
        if let Some(gate) = gate {
            self.count.fetch_sub(1, Ordering::Release);
            // It ends by an error: the sender is dropped, and sends nothing.
            let _ = gate.await;
        }
    }
}

impl World {
    /// Holds the answer of the next call to `path`, which takes effect, until the guard is dropped.
    pub fn hold_next(&self, path: &str) -> Result<Held, WorldError> {
        let endpoint =
            Endpoint::at(path).ok_or_else(|| WorldError::UnknownPath(path.to_owned()))?;
        Ok(self.gates().close(endpoint))
    }
}
