//! Time: what is written comes back, and compares alike whichever way it was written.

use chrono::NaiveDateTime;
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use queqiao::db::schema::identities;
use queqiao::ids::IdentityId;
use queqiao::models::identity::{self, Sighting};
use queqiao::models::{import, project};

use super::fixture::{StorageFixture, at, micros, sighting};

/// In their order, each side by side with the shortest and the longest way of writing it.
fn moments() -> Vec<NaiveDateTime> {
    [
        0, 1, 10, 499_999, 500_000, 500_001, 500_010, 501_000, 999_000, 999_999, 1_000_000,
        1_000_001,
    ]
    .map(|step| micros(at(0), step))
    .to_vec()
}

/// One identity per moment, written by Diesel or by a batched statement.
fn store(storage: &StorageFixture, batched: bool) -> Vec<(IdentityId, NaiveDateTime)> {
    let conn = &mut storage.conn();
    let prefix = if batched { "batched" } else { "typed" };
    let mut stored = Vec::new();
    for (number, moment) in moments().into_iter().enumerate() {
        let openid = format!("{prefix}{number}");
        let row = Sighting {
            profile_due_at: batched.then_some(moment),
            ..sighting(storage.project, storage.official, &openid)
        };
        identity::record_sightings(conn, &[row]).unwrap();
        let found = identity::by_openid(conn, storage.official, &openid);
        let id = found.unwrap().unwrap().id;
        if !batched {
            diesel::update(identities::table.find(id))
                .set(identities::profile_due_at.eq(moment))
                .execute(conn)
                .unwrap();
        }
        stored.push((id, moment));
    }
    stored
}

both_engines! {
    a_moment_comes_back_as_it_was_written,
    moments_of_both_writers_compare_alike,
    a_due_time_is_met_to_the_microsecond,
}

async fn a_moment_comes_back_as_it_was_written(storage: StorageFixture) {
    for batched in [false, true] {
        for (id, moment) in store(&storage, batched) {
            let read = identity::by_id(&mut storage.conn(), storage.project, id);
            assert_eq!(
                read.unwrap().unwrap().profile_due_at,
                Some(moment),
                "{batched}"
            );
        }
    }
    for (number, moment) in moments().into_iter().enumerate() {
        let made = project::create(&mut storage.conn(), &format!("p{number}"), moment).unwrap();
        assert_eq!(made.created_at, moment);
    }
}

async fn moments_of_both_writers_compare_alike(storage: StorageFixture) {
    let mut stored = store(&storage, false);
    stored.extend(store(&storage, true));
    let conn = &mut storage.conn();
    for bound in moments() {
        let mut expected: Vec<_> = stored
            .iter()
            .filter(|(_, moment)| *moment <= bound)
            .map(|(id, _)| *id)
            .collect();
        expected.sort();
        let typed: Vec<IdentityId> = identities::table
            .filter(identities::profile_due_at.le(bound))
            .order(identities::id)
            .select(identities::id)
            .load(conn)
            .unwrap();
        assert_eq!(typed, expected, "{bound}");
        let due = identity::due_accounts(conn, bound, 1_000).unwrap();
        let waiting: i64 = due.iter().map(|account| account.waiting).sum();
        assert_eq!(waiting, i64::try_from(expected.len()).unwrap(), "{bound}");
        assert_eq!(due[0].oldest, at(0));
    }
}

async fn a_due_time_is_met_to_the_microsecond(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let due = micros(at(0), 500_000);
    let started = import::start(conn, storage.official, false, false, due).unwrap();
    let lease = micros(at(60), 1);
    for (now, claimed) in [
        (micros(due, -1), false),
        (due, true),
        (at(60), false),
        (lease, true),
    ] {
        let found = import::claim_due(conn, Some(started.id), now, lease).unwrap();
        assert_eq!(found.is_some(), claimed, "{now}");
    }
}
