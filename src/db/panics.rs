//! Panics of work on the database: it runs on other threads, and its caller gets an error. Whoever runs a
//! step wants to know that it was none of the database's.

use std::cell::Cell;

tokio::task_local! {
    static SEEN: Cell<bool>;
}

/// Runs a step. Returns beside its answer whether work of its on the database panicked.
pub(crate) async fn watch<T>(step: impl Future<Output = T>) -> (T, bool) {
    let watched = async {
        let done = step.await;
        (done, SEEN.with(Cell::get))
    };
    SEEN.scope(Cell::new(false), watched).await
}

/// Notes a panic for the step that runs, if one does.
pub(super) fn note() {
    // Without a step there is nobody to tell.
    let _ = SEEN.try_with(|seen| seen.set(true));
}
