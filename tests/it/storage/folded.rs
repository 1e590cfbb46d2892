//! Ledgers of permissions whose old entries were made one: whatever comes afterwards comes out the same.

use std::sync::Barrier;

use diesel::prelude::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use queqiao::db::schema::{credit_entries, credits};
use queqiao::db::{Conn, QueryResult};
use queqiao::models::credit::{self, Credit, Folded, Said, Word};
use tokio::runtime::Handle;

use super::credits::{Somebody, TIMED};
use super::fixture::{StorageFixture, at};

const DAY: i64 = 86_400;

/// The day of the fold.
fn today() -> i64 {
    at(0).and_utc().timestamp()
}

/// What happens to a permission; takes among it.
#[derive(Clone, Copy, Debug)]
enum Happened {
    Said(Word),
    /// A send takes one, and is settled under a msgid or not.
    Sent(Option<i64>),
    /// WeChat refuses a send.
    Refused,
}

fn anything() -> impl Strategy<Value = Happened> {
    let word = |word| Just(Happened::Said(word));
    prop_oneof![
        6 => word(Word::Pushed),
        3 => word(TIMED),
        2 => word(Word::Reported { timed: false }),
        1 => word(Word::Rejected),
        1 => (900_000_i64..999_999).prop_map(|msgid| Happened::Said(Word::Sent { msgid })),
        1 => (0_u32..5).prop_map(|left| Happened::Said(Word::Stated { left: Some(left) })),
        5 => (1_i64..900_000).prop_map(|msgid| Happened::Sent(Some(msgid))),
        1 => Just(Happened::Sent(None)),
    ]
}

/// Many of them between two times, in their order. Now and then everything is void.
fn story(from: i64, to: i64, many: usize) -> Vec<(i64, Happened)> {
    let mut runner = TestRunner::deterministic();
    let one = (from..to, anything());
    let told = prop::collection::vec(one, many..=many).new_tree(&mut runner);
    let mut told = told.unwrap().current();
    for (part, void) in [(3, Happened::Refused), (7, Happened::Said(Word::Withdrawn))] {
        told.push((from + (to - from) / part, void));
    }
    // Some a moment after others.
    let near: Vec<_> = told
        .iter()
        .step_by(5)
        .map(|(time, what)| (time + 55, *what))
        .collect();
    told.extend(near);
    told.sort_by_key(|(time, _)| *time);
    told
}

impl Somebody<'_> {
    fn live(&self, conn: &mut Conn, story: &[(i64, Happened)]) {
        conn.transaction(|conn| {
            for (time, what) in story {
                match what {
                    Happened::Said(word) => {
                        credit::record(conn, &[self.said(*word, *time)], at(0))?;
                    }
                    Happened::Refused => self.refuse(conn, *time),
                    Happened::Sent(msgid) => {
                        let entry = self.take(conn, *time).and_then(|taken| taken.entry);
                        let Some((entry, msgid)) = entry.zip(*msgid) else {
                            continue;
                        };
                        credit::settle(conn, &[(entry, msgid)])?;
                        let sent = self.said(Word::Sent { msgid }, time + 2);
                        credit::record(conn, &[sent], at(0))?;
                    }
                }
            }
            QueryResult::Ok(())
        })
        .unwrap();
    }

    fn entries(&self, conn: &mut Conn) -> i64 {
        let rows = credit_entries::table.inner_join(credits::table);
        let rows = rows.filter(credits::identity_id.eq(self.id));
        rows.count().get_result(conn).unwrap()
    }
}

fn same(one: &Credit, other: &Credit) -> bool {
    let all = |credit: &Credit| {
        (
            (credit.one_time_left, credit.long_term, credit.allows()),
            (credit.event_time, credit.api_time, credit.rejected_time),
            (credit.withdrawn_time, credit.refused_time),
        )
    };
    all(one) == all(other)
}

/// Folds until nothing is left to do; in how many rounds.
fn fold_all(conn: &mut Conn, now: i64) -> (usize, Folded) {
    let (mut rounds, mut most) = (0, Folded::default());
    loop {
        let folded = conn
            .transaction(|conn| credit::fold_old(conn, now))
            .unwrap();
        if folded == Folded::default() {
            assert!(!credit::has_old(conn, now).unwrap());
            return (rounds, most);
        }
        rounds += 1;
        most.passed = most.passed.max(folded.passed);
        most.gone = most.gone.max(folded.gone);
        assert!(rounds < 200);
    }
}

both_engines! {
    what_comes_after_a_fold_comes_out_as_without_it,
    a_round_is_bounded_and_passes_each_entry_once,
    a_clock_that_was_wrong_costs_no_permission,
    folding_beside_sends_and_consents_loses_nothing,
}

async fn what_comes_after_a_fold_comes_out_as_without_it(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let (one, twin) = (storage.somebody("o1"), storage.somebody("o2"));
    let old = story(today() - 700 * DAY, today() - 20 * DAY, 300);
    let later = story(today() - 20 * DAY, today() + 10 * DAY, 40);
    one.live(conn, &old);
    let (before, entries) = (one.credit(conn), one.entries(conn));
    assert!(entries > 300, "{entries}");
    fold_all(conn, today());
    assert!(
        same(&one.credit(conn), &before),
        "a fold changes nothing that is seen"
    );
    let kept = one.entries(conn);
    assert!(kept <= 200, "{kept} of {entries}");
    // The same once more, as replayed events and repeated reports are.
    let again: Vec<_> = old
        .iter()
        .filter(|(_, what)| matches!(what, Happened::Said(_)))
        .copied()
        .collect();
    one.live(conn, &again);
    twin.live(conn, &old);
    assert!(same(&one.credit(conn), &twin.credit(conn)));
    for step in later.chunks(5) {
        one.live(conn, step);
        twin.live(conn, step);
        let (one, twin) = (one.credit(conn), twin.credit(conn));
        assert!(same(&one, &twin), "{step:?}: {one:?} is not {twin:?}");
    }
    for refused in [today() - 20 * DAY, today()] {
        for somebody in [&one, &twin] {
            somebody.refuse(conn, refused);
        }
        assert!(same(&one.credit(conn), &twin.credit(conn)));
    }
    assert!(twin.entries(conn) > 300, "it was not folded");
}

async fn a_round_is_bounded_and_passes_each_entry_once(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let many = storage.somebody("many");
    let said = |n: i64| many.said(Word::Pushed, today() - 60 * DAY - n * 3_000);
    let said: Vec<Said> = (0..9_000).map(said).collect();
    conn.transaction(|conn| credit::record(conn, &said, at(0)))
        .unwrap();
    let few: Vec<Somebody<'_>> = (0..20)
        .map(|n| storage.somebody(&format!("few{n}")))
        .collect();
    for somebody in &few {
        let said = |n: i64| somebody.said(Word::Pushed, today() - 40 * DAY - n * 3_000);
        let said: Vec<Said> = (0..150).map(said).collect();
        conn.transaction(|conn| credit::record(conn, &said, at(0)))
            .unwrap();
    }
    let (rounds, most) = fold_all(conn, today());
    assert!(most.passed <= 1_000 && most.gone <= 8_000, "{most:?}");
    assert!(
        rounds <= 12 + 4,
        "{rounds} rounds for 12,000 entries and three times 4,000 of one"
    );
    assert_eq!((many.left(conn), few[0].left(conn)), (9_000, 150));
    assert!(many.entries(conn) <= 200, "{}", many.entries(conn));
    assert_eq!(few[0].entries(conn), 150, "a short ledger stays");
    let wanted = many.take(conn, today()).unwrap();
    assert!(wanted.entry.is_some());
    many.hear(conn, &[(TIMED, today() + 1)]);
    assert_eq!(many.left(conn), 9_000);
}

async fn a_clock_that_was_wrong_costs_no_permission(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let somebody = storage.somebody("o1");
    let said = |n: i64| somebody.said(Word::Pushed, today() - n * 3_000);
    let said: Vec<Said> = (0..300).map(said).collect();
    conn.transaction(|conn| credit::record(conn, &said, at(0)))
        .unwrap();
    // The clock is ahead: everything seems old, and a send is dated so.
    assert!(somebody.take(conn, today() + 70 * DAY).is_some());
    let (rounds, most) = fold_all(conn, today() + 70 * DAY);
    assert!(rounds > 0 && most.gone > 0, "{most:?}");
    somebody.hear(
        conn,
        &[(Word::Pushed, today() + 1), (TIMED, today() - 2_000)],
    );
    assert_eq!(
        somebody.left(conn),
        301,
        "what comes when it is right again counts"
    );
    // What was dated ahead does not hold up what is behind it.
    let others = storage.somebody("o2");
    let said = |n: i64| others.said(Word::Pushed, today() + n * 2_000);
    let said: Vec<Said> = (0..300).map(said).collect();
    conn.transaction(|conn| credit::record(conn, &said, at(0)))
        .unwrap();
    fold_all(conn, today() + 40 * DAY);
    assert!(others.entries(conn) < 300);
    assert_eq!(others.left(conn), 300);
    // It is far behind: what is taken is dated after what was folded.
    assert!(others.take(conn, today() - 400 * DAY).is_some());
    others.hear(conn, &[(TIMED, today() + 41 * DAY)]);
    assert_eq!(others.left(conn), 300);
}

async fn folding_beside_sends_and_consents_loses_nothing(storage: StorageFixture) {
    let somebody = storage.somebody("o1");
    let said = |n: i64| somebody.said(Word::Pushed, today() - 60 * DAY - n * 3_000);
    let said: Vec<Said> = (0..1_000).map(said).collect();
    storage
        .conn()
        .transaction(|conn| credit::record(conn, &said, at(0)))
        .unwrap();
    let (start, runtime) = (Barrier::new(3), Handle::current());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..4 {
                    // As a step does: on SQLite it takes the lock before it reads.
                    runtime.block_on(storage.write(|conn| credit::fold_old(conn, today())));
                }
            });
        }
        start.wait();
        let conn = &mut storage.conn();
        for n in 0..10 {
            assert!(somebody.take(conn, today() + n).is_some());
            somebody.hear(
                conn,
                &[(TIMED, today() + 10_000 + n), (TIMED, today() + 20_000 + n)],
            );
        }
    });
    let conn = &mut storage.conn();
    fold_all(conn, today());
    assert_eq!(somebody.left(conn), 1_010);
    assert!(somebody.entries(conn) <= 200);
}
