//! Notifications whose outcome somebody waits for in this process: a signal saves them from asking
//! the database again and again. It carries nothing, and another process may do the sending, so they
//! also look by themselves now and then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::ids::NotificationId;

/// How many may wait at the same time; others get their answer at once.
const MOST: usize = 256;

/// Who waits for what.
#[derive(Debug, Default)]
pub struct Awaited(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: usize,
    signals: HashMap<NotificationId, watch::Sender<()>>,
}

/// A place among those who wait, until it is dropped.
#[derive(Debug)]
pub(in crate::bridge) struct Watch {
    awaited: Arc<Awaited>,
    id: NotificationId,
    signal: watch::Receiver<()>,
}

impl Awaited {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place to wait for a notification, if there is one.
    pub(in crate::bridge) fn watch(self: &Arc<Self>, id: NotificationId) -> Option<Watch> {
        let mut state = self.state();
        if state.waiting >= MOST {
            return None;
        }
        state.waiting += 1;
        let signal = state.signals.entry(id).or_default().subscribe();
        Some(Watch {
            awaited: Arc::clone(self),
            id,
            signal,
        })
    }

    /// Something became known of these notifications.
    pub(in crate::bridge) fn notify(&self, ids: impl IntoIterator<Item = NotificationId>) {
        let state = self.state();
        if state.waiting == 0 {
            return;
        }
        for id in ids {
            if let Some(signal) = state.signals.get(&id) {
                signal.send_replace(());
            }
        }
    }
}

impl Watch {
    /// Something became known since the last time.
    pub(in crate::bridge) async fn notified(&mut self) {
        if self.signal.changed().await.is_err() {
            // Never: the sender stays as long as somebody waits.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.awaited.state();
        state.waiting = state.waiting.saturating_sub(1);
        // This receiver is still counted.
        if state
            .signals
            .get(&self.id)
            .is_some_and(|signal| signal.receiver_count() <= 1)
        {
            state.signals.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_come_free() {
        let awaited = Arc::new(Awaited::default());
        let mut taken: Vec<Watch> = (0..MOST as i64 / 2)
            .flat_map(|id| [NotificationId(id), NotificationId(id)])
            .map(|id| awaited.watch(id).unwrap())
            .collect();
        assert!(awaited.watch(NotificationId(0)).is_none());
        drop(taken.pop());
        assert!(awaited.watch(NotificationId(0)).is_some());
        taken.clear();
        assert!(awaited.state().signals.is_empty());
    }

    #[tokio::test]
    async fn what_was_told_before_one_waits_is_not_missed() {
        let awaited = Arc::new(Awaited::default());
        let mut one = awaited.watch(NotificationId(1)).unwrap();
        let mut two = awaited.watch(NotificationId(1)).unwrap();
        awaited.notify([NotificationId(2), NotificationId(1)]);
        one.notified().await;
        two.notified().await;
    }
}
