//! Wake signals: one per step that something can wake. They save time; what is to be done is in the
//! tables, where a step also looks now and then by itself.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// The signals, and what those who send have to know.
#[derive(Debug, Default)]
pub struct Signals {
    /// Events were stored.
    pub events: Notify,
    /// Profiles became due.
    pub profiles: Notify,
    /// Deliveries became due.
    pub deliveries: Notify,
    /// Whether what is known of due deliveries is not all any more.
    enqueued: AtomicBool,
    /// Never given: what is due by time alone.
    pub due: Notify,
    /// Receipts came in, or the msgids they wait for.
    pub receipts: Notify,
    /// Never given: messages grow old by time alone.
    pub overdue: Notify,
    /// Somebody is to be erased.
    pub erasures: Notify,
    /// An import was started.
    pub imports: Notify,
    /// Events were recorded for endpoints.
    pub webhooks: Notify,
    /// Never given: what was recorded grows old by time alone.
    pub kept: Notify,
    /// Never given: entries of ledgers grow old by time alone.
    pub ledgers: Notify,
    /// Never given: what is counted is folded now and then.
    pub stats: Notify,
    /// Deliveries failed for good, and the log is to tell of them.
    pub ends: Notify,
    /// The templates of an account are to be listed.
    pub templates: Notify,
}

impl Signals {
    /// Something was enqueued, or may be sent again: wakes those who send, and lets them look first.
    pub(super) fn wake_delivery(&self) {
        self.enqueued.store(true, Ordering::Release);
        self.deliveries.notify_one();
    }

    /// Whether something was enqueued since this was last asked.
    pub(super) fn take_enqueued(&self) -> bool {
        self.enqueued.swap(false, Ordering::AcqRel)
    }
}
