//! Imports: one at a time for each purpose, leased to one replica, resumable.

use queqiao::db::Conn;
use queqiao::models::import::{self, ImportState, Progress};

use super::fixture::{StorageFixture, at};

fn progress() -> Progress {
    Progress {
        state: ImportState::Running,
        next_openid: Some("o\"9'".to_owned()),
        collected: 10_000,
        total: Some(i64::MAX),
        created: 7,
        gone: 0,
        problem: Some("busy".to_owned()),
        attempts: 2,
        due_at: Some(at(30)),
        finished_at: None,
        pages: 2,
        mark: Some("o'".to_owned()),
        checked_to: None,
        unsettled: 0,
        last_turn: None,
    }
}

both_engines! {
    a_running_import_is_joined_and_a_finished_one_is_not,
    a_page_is_leased_to_one,
    the_one_due_longest_or_the_named_one_is_taken,
    the_cursor_and_the_counts_are_stored_and_cleared,
}

async fn a_running_import_is_joined_and_a_finished_one_is_not(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let first = import::start(conn, storage.official, true, false, at(0)).unwrap();
    assert_eq!(
        (first.state, first.collected, first.due_at),
        (ImportState::Running, 0, Some(at(0)))
    );
    assert_eq!(
        import::start(conn, storage.official, true, false, at(1))
            .unwrap()
            .id,
        first.id
    );
    assert_ne!(
        import::start(conn, storage.official, false, false, at(1))
            .unwrap()
            .id,
        first.id,
        "another purpose"
    );
    assert_ne!(
        import::start(conn, storage.second, true, false, at(1))
            .unwrap()
            .id,
        first.id,
        "another account"
    );
    for state in [ImportState::Done, ImportState::Failed] {
        let running = import::start(conn, storage.official, true, false, at(1)).unwrap();
        import::advance(
            conn,
            &running,
            &Progress {
                state,
                due_at: None,
                ..progress()
            },
        )
        .unwrap();
        assert_ne!(
            import::start(conn, storage.official, true, false, at(2))
                .unwrap()
                .id,
            running.id
        );
    }
}

async fn a_page_is_leased_to_one(storage: StorageFixture) {
    let id = import::start(&mut storage.conn(), storage.official, true, false, at(0))
        .unwrap()
        .id;
    let take = |conn: &mut Conn| import::claim_due(conn, None, at(0), at(120));
    let one = take(&mut storage.conn()).unwrap().unwrap();
    assert_eq!((one.id, one.due_at), (id, Some(at(120))));
    assert!(take(&mut storage.conn()).unwrap().is_none());
    assert!(
        import::claim_due(&mut storage.conn(), None, at(119), at(300))
            .unwrap()
            .is_none()
    );
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let db = storage.db().clone();
        tasks.push(tokio::spawn(async move {
            db.write(move |conn| {
                let claimed = import::claim_due(conn, Some(id), at(120), at(240))?;
                Ok::<_, queqiao::db::DbError>(claimed.is_some())
            })
            .await
            .unwrap()
        }));
    }
    let mut winners = 0;
    for task in tasks {
        winners += u32::from(task.await.unwrap());
    }
    assert_eq!(winners, 1, "after the lease, again one");
}

async fn the_one_due_longest_or_the_named_one_is_taken(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let late = import::start(conn, storage.official, true, false, at(5)).unwrap();
    let early = import::start(conn, storage.second, true, false, at(3)).unwrap();
    let named = import::claim_due(conn, Some(late.id), at(9), at(99))
        .unwrap()
        .unwrap();
    assert_eq!(named.id, late.id);
    assert_eq!(
        import::claim_due(conn, None, at(9), at(99))
            .unwrap()
            .unwrap()
            .id,
        early.id
    );
    assert!(
        import::claim_due(conn, Some(late.id), at(9), at(99))
            .unwrap()
            .is_none()
    );
}

async fn the_cursor_and_the_counts_are_stored_and_cleared(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let started = import::start(conn, storage.official, true, false, at(0)).unwrap();
    let id = started.id;
    assert!(import::advance(conn, &started, &progress()).unwrap());
    let stored = import::by_id(conn, id).unwrap().unwrap();
    assert_eq!(stored.next_openid.as_deref(), Some("o\"9'"));
    assert_eq!(
        (
            stored.collected,
            stored.total,
            stored.created,
            stored.attempts
        ),
        (10_000, Some(i64::MAX), 7, 2)
    );
    assert!(
        import::claim_due(conn, None, at(29), at(99))
            .unwrap()
            .is_none()
    );
    let resumed = import::claim_due(conn, None, at(30), at(99))
        .unwrap()
        .unwrap();
    assert_eq!(resumed.next_openid.as_deref(), Some("o\"9'"));
    let done = Progress {
        state: ImportState::Done,
        problem: None,
        due_at: None,
        next_openid: None,
        finished_at: Some(at(31)),
        ..progress()
    };
    assert!(import::advance(conn, &resumed, &done).unwrap());
    let stored = import::by_id(conn, id).unwrap().unwrap();
    assert_eq!(
        (
            stored.state,
            stored.problem,
            stored.due_at,
            stored.next_openid,
            stored.finished_at
        ),
        (ImportState::Done, None, None, None, Some(at(31)))
    );
    assert!(
        import::claim_due(conn, None, at(999), at(1_000))
            .unwrap()
            .is_none()
    );
}
