//! An answer that takes several reads shows one moment, whatever is written between them.

use queqiao::db::{Conn, DbError};
use queqiao::ids::EventId;
use queqiao::models::event::{self, Filter, Processed};
use queqiao::models::project;

use super::events::store;
use super::fixture::{StorageFixture, at};
use crate::support::{TestDb, files_below};

fn names(conn: &mut Conn) -> Result<Vec<String>, DbError> {
    let all = project::list(conn)?;
    Ok(all.into_iter().map(|project| project.name).collect())
}

both_engines! {
    what_is_written_between_two_reads_is_not_seen,
    an_event_that_is_processed_meanwhile_is_there_and_once,
}

async fn what_is_written_between_two_reads_is_not_seen(database: TestDb) {
    let db = database.db();
    db.write(|conn| project::create(conn, "before", at(0)))
        .await
        .unwrap();
    let mut other = db.connect().unwrap();
    let seen = db.snapshot(move |conn| {
        let first = names(conn)?;
        project::create(&mut other, "between", at(0))?;
        Ok::<_, DbError>((first, names(conn)?))
    });
    let (first, second) = seen.await.unwrap();
    assert_eq!(
        (first, second),
        (vec!["before".to_owned()], vec!["before".to_owned()])
    );
    let after = db.snapshot(names).await.unwrap();
    assert_eq!(after, ["before", "between"], "the next one sees it");
}

async fn an_event_that_is_processed_meanwhile_is_there_and_once(storage: StorageFixture) {
    let id = store(&mut storage.conn(), storage.official, 1)[0];
    let (mut reader, mut writer, account) = (storage.conn(), storage.conn(), storage.official);
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = std::sync::Arc::clone(&done);
    let back_and_forth = std::thread::spawn(move || {
        for _ in 0..300 {
            event::finish(
                &mut writer,
                &[Processed {
                    id,
                    identity_id: None,
                    stats_day: None,
                }],
            )
            .unwrap();
            event::requeue(&mut writer, account, id, None).unwrap();
        }
        told.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    let mut looks = 0;
    while !done.load(std::sync::atomic::Ordering::SeqCst) || looks < 50 {
        assert!(event::by_id(&mut reader, &[account], id).unwrap().is_some());
        let listed = event::list(&mut reader, &[account], &Filter::default(), 10).unwrap();
        let ids: Vec<EventId> = listed.found.iter().map(|event| event.id).collect();
        assert_eq!(ids, [id]);
        looks += 1;
    }
    back_and_forth.join().unwrap();
}

/// The API answers from snapshots alone: what is one query today may be two tomorrow.
#[test]
fn every_answer_of_the_api_is_a_snapshot() {
    for file in files_below("src/web/api", "rs") {
        let source = std::fs::read_to_string(&file).unwrap();
        let source: String = source.split_whitespace().collect();
        assert!(
            !source.contains(".db.read("),
            "{}: use Db::snapshot",
            file.display()
        );
    }
    let explain = std::fs::read_to_string("src/bridge/explain.rs").unwrap();
    assert!(explain.contains("db.snapshot("));
}
