//! Pauses and budgets, as processes share them.

use diesel::Connection as _;
use queqiao::db::{DbError, Engine};
use queqiao::models::account::budget::{self, Uses};
use queqiao::models::account::pause::{
    self, ALL_CALLS, NewPause, PauseKind, PauseReason, Roomy, Worked,
};
use queqiao::models::account::resumption;

use super::fixture::{StorageFixture, at};
use crate::support::{Fixture as _, postgres};

fn pause(
    storage: &StorageFixture,
    call: &'static str,
    kind: PauseKind,
    started: i64,
    until: i64,
) -> NewPause {
    NewPause {
        account_id: storage.official,
        call,
        kind,
        reason: match kind {
            PauseKind::Stopped => PauseReason::AccountProblem,
            PauseKind::BackingOff => PauseReason::Busy,
            PauseKind::UsedUp => PauseReason::QuotaUsedUp,
        },
        detail: "it's so".to_owned(),
        until: at(until),
        probe_at: None,
        started_at: at(started),
        now: at(started + 1),
    }
}

fn worked(storage: &StorageFixture, call: &'static str, started: i64) -> Worked {
    Worked {
        account_id: storage.official,
        call,
        started_at: at(started),
    }
}

fn uses(storage: &StorageFixture, day: i64, second: i64, count: i64) -> Uses {
    Uses {
        account_id: storage.official,
        call: "template/send",
        day,
        second,
        minute: second / 60,
        count,
    }
}

both_engines! {
    a_pause_is_renewed_by_later_tries_only_and_told_once,
    a_pause_is_lifted_by_what_worked_after_it,
    a_pause_that_is_tried_before_its_time_is_renewed_and_lifted_by_that,
    uses_are_counted_by_day_minute_and_second,
    calls_given_back_for_yesterday_lift_no_pause_of_today,
    what_is_lifted_is_noted_once_until_it_is_done,
    of_a_budget_a_call_says_nothing_that_was_counted_before,
    those_who_reserve_at_once_never_see_the_same_count,
}

async fn a_pause_is_renewed_by_later_tries_only_and_told_once(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let first = pause(&storage, ALL_CALLS, PauseKind::BackingOff, 0, 10);
    pause::set(conn, std::slice::from_ref(&first)).unwrap();
    assert_eq!(
        pause::alert(conn, std::slice::from_ref(&first))
            .unwrap()
            .len(),
        1
    );
    assert!(pause::alert(conn, &[first]).unwrap().is_empty());
    let state = |conn: &mut _| {
        let all = pause::all(conn).unwrap();
        assert_eq!(all.len(), 1);
        (all[0].kind, all[0].until, all[0].failures, all[0].since)
    };
    // One that began before it was over.
    pause::set(
        conn,
        &[pause(&storage, ALL_CALLS, PauseKind::BackingOff, 9, 99)],
    )
    .unwrap();
    assert_eq!(state(conn), (PauseKind::BackingOff, at(10), 1, at(1)));
    pause::set(
        conn,
        &[pause(&storage, ALL_CALLS, PauseKind::BackingOff, 10, 20)],
    )
    .unwrap();
    assert_eq!(state(conn), (PauseKind::BackingOff, at(20), 2, at(1)));
    let worse = pause(&storage, ALL_CALLS, PauseKind::Stopped, 12, 70);
    pause::set(conn, std::slice::from_ref(&worse)).unwrap();
    assert_eq!(state(conn), (PauseKind::Stopped, at(70), 1, at(13)));
    let told = pause::alert(conn, &[worse]).unwrap();
    assert_eq!((told.len(), told[0].kind), (1, PauseKind::Stopped));
    pause::set(
        conn,
        &[pause(&storage, ALL_CALLS, PauseKind::BackingOff, 15, 99)],
    )
    .unwrap();
    assert_eq!(state(conn), (PauseKind::Stopped, at(70), 1, at(13)));
}

async fn a_pause_is_lifted_by_what_worked_after_it(storage: StorageFixture) {
    let conn = &mut storage.conn();
    pause::set(
        conn,
        &[
            pause(&storage, ALL_CALLS, PauseKind::Stopped, 0, 60),
            pause(&storage, "template/send", PauseKind::UsedUp, 0, 90),
            pause(&storage, "subscribe/send", PauseKind::Stopped, 0, 60),
        ],
    )
    .unwrap();
    assert!(
        pause::lift(conn, &[worked(&storage, "template/send", 1)])
            .unwrap()
            .is_empty()
    );
    let lifted = pause::lift(conn, &[worked(&storage, "template/send", 60)]).unwrap();
    assert_eq!(
        lifted
            .iter()
            .map(|one| one.call.as_str())
            .collect::<Vec<_>>(),
        [""]
    );
    let lifted = pause::lift(conn, &[worked(&storage, "template/send", 90)]).unwrap();
    assert_eq!(
        lifted
            .iter()
            .map(|one| one.call.as_str())
            .collect::<Vec<_>>(),
        ["template/send"]
    );
    pause::set(
        conn,
        &[pause(&storage, "template/send", PauseKind::UsedUp, 91, 200)],
    )
    .unwrap();
    assert_eq!(
        resumption::forgive(conn, storage.official, at(1)).unwrap(),
        1
    );
    assert_eq!(pause::of_account(conn, storage.official).unwrap().len(), 1);
    assert_eq!(pause::clear(conn, storage.second).unwrap(), 0);
    assert_eq!(pause::clear(conn, storage.official).unwrap(), 1);
}

async fn a_pause_that_is_tried_before_its_time_is_renewed_and_lifted_by_that(
    storage: StorageFixture,
) {
    let conn = &mut storage.conn();
    let used_up = |started: i64, probe: i64, until: i64| NewPause {
        probe_at: Some(at(probe)),
        ..pause(&storage, "template/send", PauseKind::UsedUp, started, until)
    };
    let set = |conn: &mut _, row| {
        pause::set(conn, std::slice::from_ref(&row)).unwrap();
        let told = pause::alert(conn, &[row]).unwrap().len();
        let all = pause::all(conn).unwrap();
        (all[0].probe_at, all[0].until, all[0].failures, told)
    };
    assert_eq!(
        set(conn, used_up(0, 10, 100)),
        (Some(at(10)), at(100), 1, 1)
    );
    assert_eq!(
        set(conn, used_up(9, 19, 100)),
        (Some(at(10)), at(100), 1, 0)
    );
    assert_eq!(
        set(conn, used_up(10, 30, 100)),
        (Some(at(30)), at(100), 2, 0)
    );
    let found = pause::all(conn).unwrap().remove(0);
    let holds = [29, 30, 99, 100].map(|now| {
        (
            found.holds(at(now)),
            found.probes(at(now)),
            found.is_over(at(now)),
        )
    });
    assert_eq!(
        holds,
        [
            (true, false, false),
            (false, true, false),
            (false, true, false),
            (false, false, true)
        ]
    );
    // Another day's is another one.
    assert_eq!(
        set(conn, used_up(100, 110, 200)),
        (Some(at(110)), at(200), 1, 1)
    );
    assert!(
        pause::lift(conn, &[worked(&storage, "template/send", 101)])
            .unwrap()
            .is_empty()
    );
    let lifted = pause::lift(conn, &[worked(&storage, "template/send", 110)]).unwrap();
    assert_eq!((lifted.len(), lifted[0].until), (1, at(200)));
}

async fn uses_are_counted_by_day_minute_and_second(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let mut reserve = |day, second, count| {
        let used = budget::reserve(conn, &[uses(&storage, day, second, count)]).unwrap();
        assert_eq!((used.len(), used[0].call.as_str()), (1, "template/send"));
        (used[0].used, used[0].minute_used, used[0].second_used)
    };
    assert_eq!(reserve(7, 100, 5), (5, 5, 5));
    assert_eq!(reserve(7, 100, 3), (8, 8, 8));
    assert_eq!(reserve(7, 101, 2), (10, 10, 2));
    assert_eq!(reserve(7, 120, 1), (11, 1, 1));
    assert_eq!(reserve(8, 130, 4), (4, 4, 4));
    budget::give_back(conn, &[uses(&storage, 7, 119, 6)]).unwrap();
    let used = budget::reserve(conn, &[uses(&storage, 7, 121, 0)])
        .unwrap()
        .remove(0);
    assert_eq!((used.used, used.minute_used, used.second_used), (5, 1, 0));
}

async fn calls_given_back_for_yesterday_lift_no_pause_of_today(storage: StorageFixture) {
    let conn = &mut storage.conn();
    for day in [7, 8] {
        budget::reserve(conn, &[uses(&storage, day, 100, 10)]).unwrap();
    }
    let mut stopped = pause(&storage, "template/send", PauseKind::UsedUp, 150, 200);
    stopped.reason = PauseReason::BudgetUsedUp;
    pause::set(conn, &[stopped]).unwrap();
    let mut lifted = |day, until| {
        budget::give_back(conn, &[uses(&storage, day, 100, 1)]).unwrap();
        let roomy = Roomy {
            account_id: storage.official,
            call: "template/send",
            day,
            until: at(until),
            most: 10,
        };
        pause::lift_roomy(conn, &[roomy]).unwrap().len()
    };
    assert_eq!(lifted(7, 100), 0);
    assert_eq!(lifted(8, 200), 1);
}

async fn what_is_lifted_is_noted_once_until_it_is_done(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let (quota, problem) = (PauseReason::QuotaUsedUp, PauseReason::AccountProblem);
    resumption::note(conn, storage.official, [quota, problem, quota], at(1)).unwrap();
    resumption::note(conn, storage.second, [quota], at(1)).unwrap();
    resumption::note(conn, storage.official, [quota], at(2)).unwrap();
    let noted = |conn: &mut _| {
        let all = resumption::all(conn).unwrap();
        all.iter()
            .map(|one| (one.account_id, one.reason, one.lifted_at))
            .collect::<Vec<_>>()
    };
    let (one, two) = (storage.official, storage.second);
    assert_eq!(
        noted(conn),
        [
            (one, problem, at(1)),
            (one, quota, at(2)),
            (two, quota, at(1))
        ]
    );
    let mut held = resumption::hold(conn, one).unwrap();
    assert_eq!(held.len(), 2);
    held.remove(0);
    assert_eq!(resumption::done(conn, &held).unwrap(), 1);
    assert_eq!(noted(conn), [(one, problem, at(1)), (two, quota, at(1))]);
}

async fn of_a_budget_a_call_says_nothing_that_was_counted_before(storage: StorageFixture) {
    let conn = &mut storage.conn();
    for (reason, lifted) in [
        (PauseReason::BudgetUsedUp, [0, 1]),
        (PauseReason::QuotaUsedUp, [1, 0]),
    ] {
        let used_up = NewPause {
            reason,
            probe_at: Some(at(50)),
            ..pause(&storage, "template/send", PauseKind::UsedUp, 0, 90)
        };
        pause::set(conn, &[used_up]).unwrap();
        let found = [2, 50].map(|started| {
            pause::lift(conn, &[worked(&storage, "template/send", started)])
                .unwrap()
                .len()
        });
        assert_eq!(found, lifted, "{reason}");
    }
}

async fn those_who_reserve_at_once_never_see_the_same_count(storage: StorageFixture) {
    let mut tasks = Vec::new();
    for _ in 0..12 {
        let (db, row) = (storage.db().clone(), uses(&storage, 7, 100, 5));
        tasks.push(tokio::spawn(async move {
            let reserve = move |conn: &mut _| budget::reserve(conn, &[row]);
            db.write_once(reserve).await.unwrap()[0].used
        }));
    }
    let mut seen = Vec::new();
    for task in tasks {
        seen.push(task.await.unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=12).map(|turn| turn * 5).collect::<Vec<i64>>());
}

/// Whoever counts takes the calls in their order; whoever gives back must not wait for one of them with
/// another one in hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn giving_back_several_calls_holds_one_at_a_time() {
    if !postgres::is_there() {
        return;
    }
    let storage = StorageFixture::on(Engine::Postgres).await;
    let of = |call: &'static str, count: i64| Uses {
        call,
        ..uses(&storage, 7, 100, count)
    };
    let calls = ["custom/send", "template/send"];
    let mut counting = storage.conn();
    budget::reserve(&mut counting, &calls.map(|call| of(call, 5))).unwrap();
    let unused = [of(calls[1], 2), of(calls[0], 2)];
    let mut other = storage.conn();
    let giving = counting.transaction(|counting| {
        budget::hold(counting, storage.official, calls[0], 7)?;
        let giving = std::thread::spawn(move || budget::give_back(&mut other, &unused));
        while !postgres::waits_for_a_lock(storage.database.text()) {
            std::thread::yield_now();
        }
        budget::reserve(counting, &[of(calls[1], 1)])?;
        Ok::<_, DbError>(giving)
    });
    giving.unwrap().join().unwrap().unwrap();
    let mut used = budget::of_day(&mut storage.conn(), &[storage.official], 7).unwrap();
    used.sort_unstable();
    let used: Vec<i64> = used.into_iter().map(|(_, _, used)| used).collect();
    assert_eq!(used, [3, 4]);
}
