//! Permissions: whatever order and batches their news comes in, and however many take at once.

use std::sync::Barrier;

use diesel::Connection;
use queqiao::db::Conn;
use queqiao::ids::IdentityId;
use queqiao::models::credit::{self, Credit, CreditKey, LowFilter, Refusal, Said, Taken, Word};

use super::fixture::{StorageFixture, at};
use crate::support::Fixture;

pub(super) const TEMPLATE: &str = "tplA";
pub(super) const TIMED: Word = Word::Reported { timed: true };

/// Somebody in the mini-program.
pub(super) struct Somebody<'a> {
    storage: &'a StorageFixture,
    pub(super) id: IdentityId,
}

impl StorageFixture {
    pub(super) fn somebody(&self, openid: &str) -> Somebody<'_> {
        let id = self.seen(&mut self.conn(), self.mini, openid, 0, 0).id;
        Somebody { storage: self, id }
    }
}

impl Somebody<'_> {
    pub(super) fn said(&self, word: Word, time: i64) -> Said {
        Said {
            account_id: self.storage.mini,
            identity_id: self.id,
            template_id: TEMPLATE.to_owned(),
            word,
            time,
            long_term: false,
        }
    }

    /// Each word in a transaction of its own.
    pub(super) fn hear(&self, conn: &mut Conn, words: &[(Word, i64)]) {
        for (word, time) in words {
            let said = self.said(*word, *time);
            conn.transaction(|conn| credit::record(conn, &[said], at(0)))
                .unwrap();
        }
    }

    pub(super) fn credit(&self, conn: &mut Conn) -> Credit {
        credit::of_identities(conn, &[self.id]).unwrap().remove(0)
    }

    pub(super) fn left(&self, conn: &mut Conn) -> i32 {
        self.credit(conn).one_time_left
    }

    pub(super) fn take(&self, conn: &mut Conn, now: i64) -> Option<Taken> {
        let wanted = CreditKey {
            identity_id: self.id,
            template_id: TEMPLATE,
        };
        conn.transaction(|conn| credit::take(conn, &[wanted], now))
            .unwrap()
            .pop()
    }

    pub(super) fn refuse(&self, conn: &mut Conn, at: i64) {
        let refusal = Refusal {
            identity_id: self.id,
            template_id: TEMPLATE,
            at,
        };
        conn.transaction(|conn| credit::refuse(conn, &[refusal]))
            .unwrap();
    }
}

both_engines! {
    whatever_the_order_and_the_batches_the_ledger_ends_the_same,
    many_at_once_take_no_more_than_there_is,
    a_consent_that_comes_during_a_take_is_not_lost,
    what_is_given_back_is_given_back_once,
    a_refusal_corrects_what_was_and_not_what_comes,
    a_send_of_ours_and_its_report_are_one,
    a_long_term_permission_lasts_until_it_is_refused,
    only_ones_own_are_listed_and_long_term_ones_do_not_run_out,
}

async fn whatever_the_order_and_the_batches_the_ledger_ends_the_same(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let story = [
        (Word::Pushed, 1000),
        (TIMED, 1003),
        (Word::Pushed, 5000),
        (TIMED, 9000),
        (Word::Withdrawn, 4000),
        (Word::Rejected, 9500),
        (Word::Sent { msgid: 7 }, 6000),
        (Word::Banned, 100),
    ];
    let mut ends = Vec::new();
    for turn in 0..story.len() {
        let somebody = storage.somebody(&format!("turned{turn}"));
        let mut turned = story;
        turned.rotate_left(turn);
        somebody.hear(conn, &turned);
        somebody.hear(conn, &story);
        ends.push(somebody.credit(conn));
        let somebody = storage.somebody(&format!("backwards{turn}"));
        turned.reverse();
        somebody.hear(conn, &turned);
        ends.push(somebody.credit(conn));
    }
    let somebody = storage.somebody("at once");
    let all: Vec<Said> = story
        .iter()
        .map(|(word, time)| somebody.said(*word, *time))
        .collect();
    let twice = [all.clone(), all].concat();
    conn.transaction(|conn| credit::record(conn, &twice, at(0)))
        .unwrap();
    ends.push(somebody.credit(conn));
    for end in &ends {
        assert_eq!(end.one_time_left, 1, "5000 was used, 9000 is left: {end:?}");
        assert_eq!((end.event_time, end.api_time), (5000, 9000), "{end:?}");
        assert_eq!(
            (end.rejected_time, end.withdrawn_time, end.banned_time),
            (9500, 4000, 100)
        );
        assert!(end.allows() && !end.long_term);
    }
    assert_eq!(ends.len(), 17);
}

async fn many_at_once_take_no_more_than_there_is(storage: StorageFixture) {
    let somebody = storage.somebody("o1");
    somebody.hear(
        &mut storage.conn(),
        &[(Word::Pushed, 1), (Word::Pushed, 2), (Word::Pushed, 3)],
    );
    let start = Barrier::new(8);
    let taken = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let conn = &mut storage.conn();
                    start.wait();
                    somebody.take(conn, 10).is_some()
                })
            })
            .collect();
        takers
            .into_iter()
            .map(|taker| taker.join().unwrap())
            .filter(|taken| *taken)
            .count()
    });
    assert_eq!(taken, 3);
    let conn = &mut storage.conn();
    assert_eq!(somebody.left(conn), 0);
    assert_eq!(somebody.take(conn, 11), None);
    somebody.hear(conn, &[(Word::Pushed, 3)]);
    assert_eq!(somebody.left(conn), 0, "the same tap again");
    somebody.hear(conn, &[(Word::Pushed, 12)]);
    assert_eq!(somebody.left(conn), 1);
}

async fn a_consent_that_comes_during_a_take_is_not_lost(storage: StorageFixture) {
    let somebody = storage.somebody("o1");
    somebody.hear(&mut storage.conn(), &[(Word::Pushed, 1)]);
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let conn = &mut storage.conn();
            start.wait();
            for round in 0..20 {
                if let Some(Taken {
                    entry: Some(entry), ..
                }) = somebody.take(conn, 10 + round)
                {
                    conn.transaction(|conn| credit::give_back(conn, &[entry]))
                        .unwrap();
                }
            }
        });
        scope.spawn(|| {
            let conn = &mut storage.conn();
            start.wait();
            for time in 2..22 {
                somebody.hear(conn, &[(Word::Pushed, time)]);
            }
        });
    });
    assert_eq!(
        somebody.left(&mut storage.conn()),
        21,
        "all that was taken was given back"
    );
}

async fn what_is_given_back_is_given_back_once(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let somebody = storage.somebody("o1");
    let other = storage.somebody("o2");
    assert_eq!(somebody.take(conn, 5), None, "nobody has said anything");
    somebody.hear(conn, &[(Word::Pushed, 1), (Word::Pushed, 2)]);
    other.hear(conn, &[(Word::Pushed, 1)]);
    let wanted = [&somebody, &other].map(|who| CreditKey {
        identity_id: who.id,
        template_id: TEMPLATE,
    });
    let taken = conn
        .transaction(|conn| credit::take(conn, &wanted, 5))
        .unwrap();
    assert_eq!(taken.len(), 2);
    assert_eq!((somebody.left(conn), other.left(conn)), (1, 0));
    let mine = taken
        .iter()
        .find(|taken| taken.identity_id == somebody.id)
        .unwrap();
    assert_eq!(mine.template_id, TEMPLATE);
    for _ in 0..2 {
        credit::give_back(conn, &[mine.entry.unwrap()]).unwrap();
        assert_eq!((somebody.left(conn), other.left(conn)), (2, 0));
    }
    let wrong = CreditKey {
        identity_id: somebody.id,
        template_id: "tplB",
    };
    assert_eq!(credit::take(conn, &[wrong], 5).unwrap(), []);
}

async fn a_refusal_corrects_what_was_and_not_what_comes(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let somebody = storage.somebody("o1");
    somebody.hear(conn, &[(Word::Pushed, 1000), (TIMED, 3000)]);
    let taken = somebody.take(conn, 5000).unwrap();
    somebody.refuse(conn, 5000);
    assert_eq!(somebody.left(conn), 0);
    assert_eq!(somebody.credit(conn).refused_time, 5000);
    credit::give_back(conn, &[taken.entry.unwrap()]).unwrap();
    assert_eq!(somebody.left(conn), 0, "nothing is left to give back");
    somebody.hear(conn, &[(Word::Pushed, 4000)]);
    assert_eq!(somebody.left(conn), 0, "of before, and late");
    somebody.hear(conn, &[(Word::Pushed, 5001)]);
    assert_eq!(somebody.left(conn), 1, "later consents count");
    somebody.refuse(conn, 100);
    assert_eq!(somebody.left(conn), 1, "a refusal of long ago is no news");
    assert_eq!(
        somebody.take(conn, 5000).map(|taken| taken.entry.is_some()),
        Some(true)
    );
    somebody.hear(conn, &[(Word::Pushed, 5002)]);
    assert_eq!(
        somebody.left(conn),
        1,
        "ours counted, although WeChat's clock is ahead"
    );
    let unknown = Refusal {
        identity_id: somebody.id,
        template_id: "tplB",
        at: 5,
    };
    credit::refuse(conn, &[unknown]).unwrap();
    assert_eq!(
        credit::of_identities(conn, &[somebody.id]).unwrap().len(),
        1
    );
}

async fn a_send_of_ours_and_its_report_are_one(storage: StorageFixture) {
    let conn = &mut storage.conn();
    for (settled_first, openid) in [(true, "o1"), (false, "o2")] {
        let somebody = storage.somebody(openid);
        somebody.hear(
            conn,
            &[(Word::Pushed, 1), (Word::Pushed, 2), (Word::Pushed, 3)],
        );
        let entry = somebody.take(conn, 1000).unwrap().entry.unwrap();
        let settle = |conn: &mut Conn| {
            conn.transaction(|conn| credit::settle(conn, &[(entry, 77)]))
                .unwrap();
        };
        if settled_first {
            settle(conn);
        }
        somebody.hear(conn, &[(Word::Sent { msgid: 77 }, 1001)]);
        assert_eq!(somebody.left(conn), 2);
        settle(conn);
        assert_eq!(somebody.left(conn), 2);
        somebody.hear(conn, &[(Word::Sent { msgid: 78 }, 1002)]);
        assert_eq!(somebody.left(conn), 1, "another system sent one too");
    }
}

async fn a_long_term_permission_lasts_until_it_is_refused(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let somebody = storage.somebody("o1");
    somebody.hear(conn, &[(Word::Pushed, 1000)]);
    assert_eq!(
        credit::mark_kind(conn, storage.official, &[TEMPLATE], true, 9).unwrap(),
        0
    );
    assert_eq!(
        credit::mark_kind(conn, storage.mini, &[TEMPLATE, "tplB"], true, 9).unwrap(),
        1
    );
    for now in [2000, 2001, 2002] {
        let taken = somebody.take(conn, now).unwrap();
        assert_eq!(taken.entry, None);
    }
    somebody.refuse(conn, 2002);
    assert!(
        somebody.take(conn, 2003).is_some(),
        "WeChat refuses in batches, for hours"
    );
    somebody.hear(conn, &[(Word::Rejected, 3000)]);
    assert_eq!(somebody.take(conn, 3001), None);
    somebody.hear(conn, &[(Word::Pushed, 3000)]);
    assert_eq!(
        somebody.take(conn, 3001),
        None,
        "nobody can tell which came last"
    );
    somebody.hear(conn, &[(Word::Pushed, 3001)]);
    assert!(somebody.take(conn, 3002).is_some());

    let newcomer = storage.somebody("o2");
    newcomer.hear(conn, &[(Word::Rejected, 10)]);
    assert!(newcomer.credit(conn).long_term, "as for everybody");
    assert_eq!(newcomer.take(conn, 20), None);
}

async fn only_ones_own_are_listed_and_long_term_ones_do_not_run_out(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let (one, other) = (storage.somebody("o1"), storage.somebody("o2"));
    one.hear(conn, &[(Word::Pushed, 1)]);
    other.hear(conn, &[(Word::Rejected, 1)]);
    let filter = |below, before| LowFilter {
        template_id: TEMPLATE.to_owned(),
        below,
        before,
    };
    let low = |conn: &mut Conn, below, before, limit| -> Vec<IdentityId> {
        let found = credit::low(
            conn,
            storage.project,
            &[storage.mini],
            &filter(below, before),
            limit,
        );
        found
            .unwrap()
            .found
            .iter()
            .map(|(credit, ..)| credit.identity_id)
            .collect()
    };
    assert_eq!(low(conn, 1, None, 10), [other.id]);
    assert_eq!(low(conn, 2, None, 10), [other.id, one.id]);
    assert_eq!(low(conn, 2, None, 1), [other.id]);
    let last = other.credit(conn).id;
    assert_eq!(low(conn, 2, Some(last), 10), [one.id]);
    let foreign = credit::low(
        conn,
        storage.foreign_project,
        &[storage.mini],
        &filter(9, None),
        10,
    );
    assert_eq!(foreign.unwrap().found.len(), 0);
    credit::mark_kind(conn, storage.mini, &[TEMPLATE], true, 9).unwrap();
    assert_eq!(low(conn, 9, None, 10), []);
    // WeChat lists it as a one-time one after all.
    assert_eq!(
        credit::mark_kind(conn, storage.mini, &[TEMPLATE], false, 9).unwrap(),
        2
    );
    assert_eq!(low(conn, 2, None, 10), [other.id, one.id]);
}

/// Takes, holds, refuses, gives back and records permissions; how many of the transactions met a deadlock.
fn round_of_a_worker(
    connection: &mut Conn,
    order: &[&Somebody<'_>],
    is_reversed: bool,
    round: usize,
) -> usize {
    let now = 10_000 + i64::try_from(round).unwrap();
    let done = connection.transaction(|conn| {
        let wanted = |person: &&Somebody<'_>| CreditKey {
            identity_id: person.id,
            template_id: TEMPLATE,
        };
        let wanted: Vec<CreditKey<'_>> = order.iter().map(wanted).collect();
        credit::take(conn, &wanted, now)
    });
    let taken = match done {
        Ok(taken) => taken,
        Err(error) => {
            assert!(error.to_string().contains("deadlock"), "{error}");
            return 1;
        }
    };
    let mut entries: Vec<_> = taken.iter().filter_map(|taken| taken.entry).collect();
    if is_reversed {
        entries.reverse();
    }
    let half = entries.len() / 2;
    let refusal = |person: &&Somebody<'_>| Refusal {
        identity_id: person.id,
        template_id: TEMPLATE,
        at: 0,
    };
    let refused: Vec<Refusal<'_>> = order[..4].iter().map(refusal).collect();
    let given_back = connection.transaction(|conn| {
        credit::hold(conn, &entries, &refused)?;
        credit::refuse(conn, &refused)?;
        credit::give_back(conn, &entries[..half])?;
        credit::give_back(conn, &entries[half..])
    });
    let said: Vec<Said> = order
        .iter()
        .map(|one| one.said(Word::Rejected, now))
        .collect();
    let recorded = connection.transaction(|conn| credit::record(conn, &said, at(0)));
    usize::from(given_back.is_err()) + usize::from(recorded.is_err())
}

/// Two workers over the same permissions in both orders, in all the ways in which several are touched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_crosswise_for_permissions() {
    if !crate::support::postgres::is_there() {
        return;
    }
    const ROUNDS: usize = 60;
    let storage = StorageFixture::on(queqiao::db::Engine::Postgres).await;
    let people: Vec<Somebody<'_>> = (0..24)
        .map(|number| storage.somebody(&format!("o{number}")))
        .collect();
    let given = (0..4).map(|time| (TIMED, 10 * 60 * time));
    let given: Vec<(Word, i64)> = given.collect();
    for person in &people {
        person.hear(&mut storage.conn(), &given);
    }
    let barrier = Barrier::new(2);
    let work = |is_reversed: bool| {
        let mut connection = storage.conn();
        let mut order: Vec<&Somebody<'_>> = people.iter().collect();
        if is_reversed {
            order.reverse();
        }
        let mut deadlocks = 0;
        for round in 0..ROUNDS {
            barrier.wait();
            deadlocks += round_of_a_worker(&mut connection, &order, is_reversed, round);
        }
        deadlocks
    };
    let deadlocks = std::thread::scope(|scope| {
        let other = scope.spawn(|| work(true));
        work(false) + other.join().unwrap()
    });
    assert_eq!(deadlocks, 0);
}
