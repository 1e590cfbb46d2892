//! How many results of sends are on their way, so that a test can wait for the last of them.

use std::sync::Arc;

use tokio::sync::watch;

/// Counts the results that are on their way.
pub(super) struct Results(Arc<watch::Sender<usize>>);

impl Default for Results {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Results {
    /// One more, until the guard is dropped.
    pub(super) fn set_out(&self) -> OnItsWay {
        self.0.send_modify(|count| *count += 1);
        OnItsWay(Arc::clone(&self.0))
    }

    /// Completes when none is on its way.
    pub(super) async fn all_arrived(&self) {
        // It fails only when the sender is gone, and that is ours.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// One result that is on its way.
pub(super) struct OnItsWay(Arc<watch::Sender<usize>>);

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
