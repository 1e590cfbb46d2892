//! Access tokens: one refresh at a time, and only the refused token is thrown away.

use queqiao::models::account::access_token as token;

use super::fixture::{StorageFixture, at};

both_engines! {
    of_many_who_want_to_refresh_one_may,
    an_expired_lease_can_be_taken_and_its_old_owner_stores_nothing,
    a_lease_given_back_is_free_at_once,
    only_the_token_that_was_refused_is_thrown_away,
}

async fn of_many_who_want_to_refresh_one_may(storage: StorageFixture) {
    for generation in [0, 1] {
        let mut tasks = Vec::new();
        for number in 0..8 {
            let (db, account) = (storage.db().clone(), storage.official);
            tasks.push(tokio::spawn(async move {
                let owner = format!("replica{number}");
                db.write_once(move |conn| {
                    let won = token::take_lease(conn, account, generation, &owner, at(0), at(30))?;
                    Ok::<_, queqiao::db::DbError>(won.then_some(owner))
                })
                .await
                .unwrap()
            }));
        }
        let mut winners = Vec::new();
        for task in tasks {
            winners.extend(task.await.unwrap());
        }
        assert_eq!(winners.len(), 1, "generation {generation}");
        let account = storage.official;
        let stored = storage
            .write(move |conn| token::store(conn, account, &winners[0], b"t", at(7_200)))
            .await;
        assert_eq!(stored, Some(generation + 1));
    }
}

async fn an_expired_lease_can_be_taken_and_its_old_owner_stores_nothing(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let account = storage.official;
    assert!(token::take_lease(conn, account, 0, "a", at(0), at(30)).unwrap());
    assert!(!token::take_lease(conn, account, 0, "b", at(29), at(60)).unwrap());
    assert!(token::take_lease(conn, account, 0, "b", at(30), at(60)).unwrap());
    assert_eq!(
        token::store(conn, account, "a", b"late", at(7_200)).unwrap(),
        None
    );
    token::release_lease(conn, account, "a").unwrap();
    assert!(
        !token::take_lease(conn, account, 0, "c", at(31), at(90)).unwrap(),
        "b has it still"
    );
    assert_eq!(
        token::store(conn, account, "b", b"\0\xff", at(7_200)).unwrap(),
        Some(1)
    );
    let stored = token::find(conn, account).unwrap().unwrap();
    assert_eq!(
        (
            stored.sealed_token.as_deref(),
            stored.generation,
            stored.expires_at
        ),
        (Some(b"\0\xff".as_slice()), 1, at(7_200))
    );
    assert_eq!((stored.lease_owner, stored.lease_until), (None, None));
    assert_eq!(
        token::store(conn, account, "b", b"again", at(9_000)).unwrap(),
        None,
        "the lease is used up"
    );
    assert!(
        !token::take_lease(conn, account, 0, "c", at(90), at(99)).unwrap(),
        "of a generation long gone"
    );
}

async fn a_lease_given_back_is_free_at_once(storage: StorageFixture) {
    let conn = &mut storage.conn();
    assert!(token::take_lease(conn, storage.official, 0, "a", at(0), at(30)).unwrap());
    token::release_lease(conn, storage.official, "a").unwrap();
    assert!(token::take_lease(conn, storage.official, 0, "b", at(0), at(30)).unwrap());
    assert!(
        token::take_lease(conn, storage.second, 0, "a", at(0), at(30)).unwrap(),
        "another account's own"
    );
}

async fn only_the_token_that_was_refused_is_thrown_away(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let account = storage.official;
    assert!(
        !token::invalidate(conn, account, 0).unwrap(),
        "there is none"
    );
    token::take_lease(conn, account, 0, "a", at(0), at(30)).unwrap();
    token::store(conn, account, "a", b"one", at(7_200)).unwrap();
    assert!(!token::invalidate(conn, account, 0).unwrap());
    assert!(!token::invalidate(conn, account, 2).unwrap());
    assert!(token::invalidate(conn, account, 1).unwrap());
    assert!(
        !token::invalidate(conn, account, 1).unwrap(),
        "the second to notice changes nothing"
    );
    let gone = token::find(conn, account).unwrap().unwrap();
    assert_eq!((gone.sealed_token, gone.generation), (None, 2));
    assert!(token::take_lease(conn, account, 2, "b", at(1), at(30)).unwrap());
    assert_eq!(
        token::store(conn, account, "b", b"two", at(7_300)).unwrap(),
        Some(3)
    );
}
