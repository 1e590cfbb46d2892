//! Notifications and message types: keys that are taken, pages, and each project by itself.

use queqiao::ids::NotificationId;
use queqiao::models::notification::{self, message_type};

use super::fixture::{StorageFixture, at, new_notification};

both_engines! {
    an_idempotency_key_is_taken_once_in_each_project,
    of_requests_at_once_with_one_key_one_is_stored,
    the_pages_go_back_in_time_within_the_project,
    a_message_type_is_replaced_by_name,
}

async fn an_idempotency_key_is_taken_once_in_each_project(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let key = Some("k'\"1");
    let first = notification::create(conn, &new_notification(storage.project, key))
        .unwrap()
        .unwrap();
    assert_eq!(
        (first.nonce, first.request_hash.as_deref()),
        (i64::MIN, key.map(str::as_bytes))
    );
    assert!(
        notification::create(conn, &new_notification(storage.project, key))
            .unwrap()
            .is_none()
    );
    let theirs = notification::create(conn, &new_notification(storage.foreign_project, key))
        .unwrap()
        .unwrap();
    let found = |conn: &mut _, project| {
        notification::by_idempotency_key(conn, project, "k'\"1")
            .unwrap()
            .unwrap()
            .id
    };
    assert_eq!(found(conn, storage.project), first.id);
    assert_eq!(found(conn, storage.foreign_project), theirs.id);
    assert!(
        notification::by_idempotency_key(conn, storage.project, "K'\"1")
            .unwrap()
            .is_none()
    );
    for _ in 0..2 {
        assert!(
            notification::create(conn, &new_notification(storage.project, None))
                .unwrap()
                .is_some(),
            "no key is no clash"
        );
    }
    assert!(
        notification::by_id(conn, storage.project, theirs.id)
            .unwrap()
            .is_none()
    );
    assert!(
        notification::by_id(conn, storage.foreign_project, theirs.id)
            .unwrap()
            .is_some()
    );
}

async fn of_requests_at_once_with_one_key_one_is_stored(storage: StorageFixture) {
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let (db, project) = (storage.db().clone(), storage.project);
        tasks.push(tokio::spawn(async move {
            db.write(move |conn| {
                let made = notification::create(conn, &new_notification(project, Some("k")))?;
                let stored = notification::by_idempotency_key(conn, project, "k")?;
                Ok::<_, queqiao::db::DbError>((made.is_some(), stored.map(|stored| stored.id)))
            })
            .await
            .unwrap()
        }));
    }
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    assert_eq!(answers.iter().filter(|(made, _)| *made).count(), 1);
    let mut ids: Vec<NotificationId> = answers.iter().map(|(_, id)| id.unwrap()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "all see the same one");
}

async fn the_pages_go_back_in_time_within_the_project(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let mut made: Vec<NotificationId> = (0..10)
        .map(|_| {
            notification::create(conn, &new_notification(storage.foreign_project, None)).unwrap();
            storage.notification(conn)
        })
        .collect();
    made.reverse();
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = notification::list(conn, storage.project, before, 4).unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        seen.extend(page.iter().map(|notification| notification.id));
    }
    assert_eq!(seen, made);
    assert_eq!(notification::by_ids(conn, &made).unwrap().len(), 10);
    assert!(notification::by_ids(conn, &[]).unwrap().is_empty());
}

async fn a_message_type_is_replaced_by_name(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let (first, new) =
        message_type::put(conn, storage.project, "paid", Some("d"), "[1]", at(1)).unwrap();
    assert!(new);
    let (second, new) =
        message_type::put(conn, storage.project, "paid", None, "[2]", at(2)).unwrap();
    assert_eq!(
        (second.id, new, second.description, second.routes.as_str()),
        (first.id, false, None, "[2]")
    );
    assert_eq!((second.created_at, second.updated_at), (at(1), at(2)));
    let (theirs, new) =
        message_type::put(conn, storage.foreign_project, "paid", None, "[3]", at(3)).unwrap();
    assert!(new && theirs.id != first.id);
    assert_eq!(
        message_type::list(conn, storage.project, None, 9)
            .unwrap()
            .len(),
        1
    );
    assert!(
        message_type::list(conn, storage.project, Some(first.id), 9)
            .unwrap()
            .is_empty()
    );
    assert!(message_type::delete(conn, storage.project, "paid").unwrap());
    assert!(!message_type::delete(conn, storage.project, "paid").unwrap());
    assert!(
        message_type::find(conn, storage.foreign_project, "paid")
            .unwrap()
            .is_some()
    );
}
