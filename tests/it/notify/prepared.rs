//! What is being sent stays ready, however many newer notifications come meanwhile.

use std::sync::Arc;

use queqiao::ids::NotificationId;

use super::outbox::OutboxFixture;

/// More than are kept ready.
const MANY: usize = 80;

both_engines! {
    what_is_used_all_the_time_is_compiled_once,
}

async fn what_is_used_all_the_time_is_compiled_once(outbox: OutboxFixture) {
    outbox.bound("a", 0, 1, true).await;
    let large = outbox.notify(&["a"]).await.notification_id;
    let cache = Arc::clone(&outbox.bridge.notifications);
    let ready = async |id: NotificationId| {
        let cache = Arc::clone(&cache);
        let gathered = outbox
            .write(move |conn| cache.gather(conn, [(id, None)]))
            .await;
        Arc::clone(&gathered[&(id, None)])
    };
    let first = ready(large).await;
    let mut newer = Vec::new();
    for _ in 0..MANY {
        newer.push(outbox.notify(&["a"]).await.notification_id);
        ready(newer[newer.len() - 1]).await;
        assert!(
            Arc::ptr_eq(&first, &ready(large).await),
            "after {} newer ones",
            newer.len()
        );
    }
    // What was used last is there, and what was not used for long is not.
    let last = newer[MANY - 1];
    assert!(Arc::ptr_eq(&ready(last).await, &ready(last).await));
    let oldest = Arc::downgrade(&ready(newer[0]).await);
    assert!(oldest.upgrade().is_some(), "read again, and kept");
    for id in &newer[1..] {
        ready(*id).await;
    }
    assert!(oldest.upgrade().is_none(), "what is kept has a limit");
}
