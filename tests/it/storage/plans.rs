//! On PostgreSQL, with many rows: the hot statements go through an index, never over a whole table.
//! What counts is what the server counted while the models ran, not a plan of a copy of the text.

use chrono::TimeDelta;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, QueryableByName, RunQueryDsl, sql_query};
use queqiao::db::{Conn, DbError, Engine, QueryResult};
use queqiao::ids::{IdentityId, NotificationId};
use queqiao::models::delivery::{self, receipt};
use queqiao::models::delivery::{DeliveryState, Filter, Reason};
use queqiao::models::event::{self, Processed};
use queqiao::models::identity::{self, FollowState, Spot};
use queqiao::models::people;
use queqiao::models::people::{LinkState, PeopleFilter, Place};
use queqiao::models::staff;

use super::events::new_event;
use super::fixture::{StorageFixture, at, fetched, sighting};
use super::outbox::claiming;
use crate::support::{Fixture, postgres};

/// So many that reading a table whole costs more than looking a hundred rows up.
const ROWS: u32 = 50_000;

#[derive(QueryableByName)]
struct Scans {
    #[diesel(sql_type = BigInt)]
    scans: i64,
}

/// How often this transaction has read a whole table so far.
fn scans(conn: &mut Conn, table: &str) -> i64 {
    let query = sql_query(
        "SELECT seq_scan AS scans FROM pg_stat_xact_user_tables \
         WHERE schemaname = 'public' AND relname = $1",
    );
    query
        .bind::<Text, _>(table)
        .get_result::<Scans>(conn)
        .unwrap()
        .scans
}

/// Runs `work`, several times as a long-lived connection does, and counts the scans of `table`.
fn whole_reads<T>(
    storage: &StorageFixture,
    table: &str,
    work: impl Fn(&mut Conn) -> QueryResult<T>,
) -> i64 {
    let conn = &mut storage.conn();
    conn.transaction(|conn| {
        let before = scans(conn, table);
        for _ in 0..7 {
            work(conn)?;
        }
        Ok::<_, DbError>(scans(conn, table) - before)
    })
    .unwrap()
}

fn run(conn: &mut Conn, text: &str) {
    sql_query(text).execute(conn).unwrap();
}

/// Of each table a hundredth is due or waiting.
fn fill(storage: &StorageFixture) {
    let conn = &mut storage.conn();
    let (project, account) = (storage.project, storage.official);
    run(
        conn,
        &format!(
            "INSERT INTO events (account_id, create_time, received_at, state, dedup_key, kind, openid, body) \
         SELECT {account}, n, '2026-01-01', CASE WHEN n % 100 = 0 THEN 0 ELSE 1 END, \
         n, 'text', 'o' || n, 'x' FROM generate_series(1, {ROWS}) n"
        ),
    );
    run(
        conn,
        &format!(
            "INSERT INTO identities (project_id, account_id, openid, unionid, follow_state, followed_time, \
         unfollowed_time, profile_state, profile_attempts, profile_due_at, created_at, updated_at) \
         SELECT {project}, {account}, 'o' || n, 'u' || n, 'following', 1, 0, 'complete', 0, \
         CASE WHEN n % 100 = 0 THEN timestamp '2026-01-01' END, '2026-01-01', '2026-01-01' \
         FROM generate_series(1, {ROWS}) n"
        ),
    );
    let notification = storage.notification(conn);
    run(
        conn,
        &format!(
            "INSERT INTO deliveries (notification_id, project_id, staff_id, account_id, identity_id, openid, \
         route, priority, state, reason, attempts, spent, begun_at, due_at, msgid, sent_at, created_at) SELECT {notification}, {project}, 's' || n, \
         {account}, n, 'o' || n, 0, 1, CASE WHEN n % 100 = 0 THEN 'queued' WHEN n % 100 = 1 THEN 'failed' ELSE 'sent' END, \
         CASE WHEN n % 100 = 1 THEN 'refused' END, 0, 0, '2026-01-01', \
         CASE WHEN n % 100 = 0 THEN timestamp '2026-01-01' END, \
         CASE WHEN n % 100 <> 0 THEN n END, '2026-01-01', '2026-01-01' FROM generate_series(1, {ROWS}) n"
        ),
    );
    run(
        conn,
        &format!(
            "INSERT INTO attempts (delivery_id, number, started_at, finished_at, outcome) \
         SELECT n, 1, '2026-01-01', '2026-01-01', 'accepted' FROM generate_series(1, {ROWS}) n"
        ),
    );
    run(
        conn,
        &format!(
            "INSERT INTO receipts (account_id, msgid, delivered, create_time, tries, due_at, created_at) \
         SELECT {account}, n, TRUE, 1, 0, CASE WHEN n % 100 = 1 THEN timestamp '2026-01-01' END, \
         '2026-01-01' FROM generate_series(1, {ROWS}) n"
        ),
    );
    run(
        conn,
        &format!(
            "INSERT INTO staff (project_id, staff_id, created_at, updated_at) \
         SELECT {project}, 's' || n, '2026-01-01', '2026-01-01' FROM generate_series(1, {ROWS}) n"
        ),
    );
    run(
        conn,
        &format!(
            "INSERT INTO bindings (project_id, staff_row_id, identity_id, created_at) \
         SELECT {project}, s.id, i.id, '2026-01-01' FROM staff s \
         JOIN identities i ON i.openid = 'o' || substr(s.staff_id, 2)"
        ),
    );
    run(conn, "ANALYZE");
}

/// The counts of many notifications.
fn fill_progress(conn: &mut Conn) {
    run(
        conn,
        &format!(
            "INSERT INTO progress (notification_id, state, count) \
             SELECT n / 10, 'sent', 1 FROM generate_series(1, {ROWS}) n"
        ),
    );
    run(conn, "ANALYZE progress");
}

async fn lists() -> Option<StorageFixture> {
    if !postgres::is_there() {
        return None;
    }
    let storage = StorageFixture::on(Engine::Postgres).await;
    fill(&storage);
    Some(storage)
}

fn run_scan(conn: &mut Conn) -> QueryResult<()> {
    let query = sql_query("SELECT 1 AS scans FROM events WHERE kind = 'none'");
    query.execute(conn)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_stored_claimed_and_closed_through_indexes() {
    let Some(storage) = lists().await else { return };
    let account = storage.official;
    let reads = |work: &dyn Fn(&mut Conn) -> QueryResult<()>| whole_reads(&storage, "events", work);
    assert_eq!(reads(&run_scan), 7, "a whole read is counted as one");
    assert_eq!(
        reads(&|conn| event::claim_waiting(conn, &event::Which::Oldest(100, Vec::new())).map(drop)),
        0
    );
    assert_eq!(reads(&|conn| event::waiting_count(conn).map(drop)), 0);
    let rows: Vec<_> = (0..500).map(|time| new_event(account, time, 1)).collect();
    let counted = reads(&|conn| event::insert_many(conn, &rows).map(drop));
    assert_eq!(counted, 0);
    let counted = reads(&|conn| {
        let waiting = event::claim_waiting(conn, &event::Which::Oldest(60, Vec::new()))?;
        let (last, others) = waiting.split_last().unwrap();
        let done: Vec<Processed> = others
            .iter()
            .map(|waiting| Processed {
                id: waiting.id,
                identity_id: None,
                stats_day: None,
            })
            .collect();
        event::finish(conn, &done)?;
        event::fail(conn, last.id, "broken")
    });
    assert_eq!(counted, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_is_found_through_indexes() {
    let Some(storage) = lists().await else { return };
    let account = storage.official;
    let reads = |table, work: &dyn Fn(&mut Conn) -> QueryResult<()>| {
        assert_eq!(whole_reads(&storage, table, work), 0, "{table}");
    };
    reads("identities", &|conn| {
        identity::due_accounts(conn, at(0), 2_000).map(drop)
    });
    reads("identities", &|conn| {
        identity::claim_due(conn, account, at(0), at(60), 10).map(drop)
    });
    reads("deliveries", &|conn| {
        let heads = delivery::heads(conn, at(0))?;
        assert_eq!(heads.len(), 1, "{heads:?}");
        Ok(())
    });
    let claim = claiming(&mut storage.conn(), 0, 10);
    assert_eq!(claim.lane, account);
    reads("deliveries", &|conn| {
        assert_eq!(delivery::claim_due(conn, &claim)?.len(), 10);
        Ok(())
    });
    reads("deliveries", &|conn| {
        delivery::make_due(conn, account, &[Reason::AccountProblem], at(0), 9).map(drop)
    });
    for table in ["events", "attempts", "deliveries"] {
        reads(table, &|conn| delivery::is_ahead(conn, at(0)).map(drop));
    }
    let dead = Filter {
        states: vec![DeliveryState::Failed, DeliveryState::Unreachable],
        ..Filter::default()
    };
    for filter in [Filter::default(), dead] {
        reads("deliveries", &|conn| {
            assert_eq!(
                delivery::search(conn, storage.project, &filter, 50)?
                    .found
                    .len(),
                50
            );
            Ok(())
        });
    }
    fill_progress(&mut storage.conn());
    reads("progress", &|conn| {
        delivery::counts(conn, NotificationId(77)).map(drop)
    });
    for table in ["attempts", "deliveries", "progress"] {
        reads(table, &|conn| {
            assert!(delivery::has_overdue(conn, at(0), at(0))?);
            let overdue = delivery::close_overdue(conn, at(0), at(0), 2_000)?;
            assert_eq!((overdue.looked_at, overdue.closed.len()), (2_000, 1_960));
            Ok(())
        });
    }
    for table in ["receipts", "deliveries"] {
        reads(table, &|conn| {
            receipt::settle(conn, at(0), TimeDelta::days(1), 10).map(drop)
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openids_are_found_and_sighted_through_indexes() {
    let Some(storage) = lists().await else { return };
    let (project, account) = (storage.project, storage.official);
    let reads = |work: &dyn Fn(&mut Conn) -> QueryResult<()>| {
        assert_eq!(whole_reads(&storage, "identities", work), 0);
    };
    let openids: Vec<String> = (0..200)
        .map(|number| format!("o{}", number * 7 + 1))
        .collect();
    let spots: Vec<Spot<'_>> = openids
        .iter()
        .map(|openid| Spot {
            account_id: account,
            openid,
        })
        .collect();
    reads(&|conn| identity::ids_of(conn, &spots).map(drop));
    let rows: Vec<_> = openids
        .iter()
        .map(|openid| sighting(project, account, openid))
        .collect();
    reads(&|conn| identity::record_sightings(conn, &rows).map(drop));
    reads(&|conn| {
        let known = identity::by_openid(conn, account, "o77")?.unwrap();
        identity::apply(conn, &[fetched(&known, Some("u77"))]).map(drop)
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_and_whom_staff_reach_are_found_through_indexes() {
    let Some(storage) = lists().await else { return };
    let project = storage.project;
    let none = PeopleFilter::default();
    let unionid = PeopleFilter {
        unionid: Some("u77".to_owned()),
        ..none.clone()
    };
    let single = PeopleFilter {
        link_state: Some(LinkState::Single),
        ..unionid.clone()
    };
    let openid = PeopleFilter {
        openid: Some("o77".to_owned()),
        ..none.clone()
    };
    let staff_id = PeopleFilter {
        staff_id: Some("s77".to_owned()),
        ..none.clone()
    };
    let mut filters = vec![none.clone(), unionid, single, openid, staff_id];
    for account in [None, Some(storage.official), Some(storage.mini)] {
        for follow_state in FollowState::ALL.iter().map(Some).chain([None]) {
            for link_state in LinkState::ALL.iter().map(Some).chain([None]) {
                filters.push(PeopleFilter {
                    account_id: account,
                    follow_state: follow_state.copied(),
                    link_state: link_state.copied(),
                    ..none.clone()
                });
            }
        }
    }
    // The first page, and one behind it.
    let places = [0, 700].map(|newest| {
        (newest > 0).then(|| Place {
            before: IdentityId(650),
            newest: IdentityId(newest),
            began: at(0).and_utc().timestamp_micros(),
        })
    });
    let filters = filters.iter().flat_map(|filter| {
        places.map(|place| PeopleFilter {
            place,
            ..filter.clone()
        })
    });
    for filter in filters {
        let work = |conn: &mut Conn| people::page(conn, project, &filter, 50, at(0));
        for table in ["identities", "people"] {
            assert_eq!(whole_reads(&storage, table, work), 0, "{table}: {filter:?}");
        }
    }
    let staff_ids: Vec<String> = (0..100)
        .map(|number| format!("s{}", number * 9 + 1))
        .collect();
    let staff_ids: Vec<&str> = staff_ids.iter().map(String::as_str).collect();
    for table in ["staff", "bindings", "identities"] {
        let work = |conn: &mut Conn| staff::reach(conn, project, &staff_ids);
        assert_eq!(whole_reads(&storage, table, work), 0, "{table}");
    }
}

/// Each filter alone and with a time, of which nothing, little and all is found.
#[allow(clippy::too_many_lines, reason = "a table of cases")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_and_deliveries_are_listed_through_indexes() {
    let Some(storage) = lists().await else { return };
    let accounts = [storage.official, storage.second, storage.mini];
    for kind in [None, Some("text"), Some("event.none")] {
        for openid in [None, Some("o77"), Some("nobody")] {
            for since in [None, Some(100)] {
                let filter = event::Filter {
                    kind: kind.map(str::to_owned),
                    openid: openid.map(str::to_owned),
                    since,
                    ..event::Filter::default()
                };
                let work = |conn: &mut Conn| event::list(conn, &accounts, &filter, 50);
                assert_eq!(whole_reads(&storage, "events", work), 0, "{filter:?}");
            }
        }
    }
    let text = |text: &str| Some(text.to_owned());
    let mut filters = Vec::new();
    for since in [None, Some(at(0))] {
        let none = Filter {
            since,
            ..Filter::default()
        };
        for state in DeliveryState::ALL {
            filters.push(Filter {
                states: vec![*state],
                ..none.clone()
            });
        }
        filters.extend([
            Filter {
                reason: text("refused"),
                ..none.clone()
            },
            Filter {
                account_id: Some(storage.mini),
                ..none.clone()
            },
            Filter {
                message_type: text("order_created"),
                ..none.clone()
            },
            Filter {
                message_type: text("none"),
                ..none.clone()
            },
            Filter {
                staff_id: text("s77"),
                ..none.clone()
            },
            Filter {
                openid: text("nobody"),
                ..none.clone()
            },
            Filter {
                unionid: text("u77"),
                ..none.clone()
            },
            Filter {
                notification_id: Some(NotificationId(1)),
                ..none.clone()
            },
            none,
        ]);
    }
    for filter in filters {
        let work = |conn: &mut Conn| delivery::search(conn, storage.project, &filter, 50);
        assert_eq!(whole_reads(&storage, "deliveries", work), 0, "{filter:?}");
    }
}
