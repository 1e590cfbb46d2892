//! A notification's progress: what is counted is what there is, whatever happened in which order.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use diesel::prelude::*;
use queqiao::db::schema::progress;
use queqiao::db::{Conn, DbError, QueryResult};
use queqiao::ids::{DeliveryId, NotificationId};
use queqiao::models::delivery::attempt::{self, AttemptOutcome, NewAttempt};
use queqiao::models::delivery::receipt::{self, NewReceipt};
use queqiao::models::delivery::transitions::{self, NewDelivery, Outcome, RetryRow};
use queqiao::models::delivery::{
    self, Delivery, DeliveryState, Due, Postponed, Reason, RoutesExhausted,
};
use queqiao::models::notification::Priority;

use super::fixture::{StorageFixture, at};
use super::outbox::{claiming, over, sent, to};

const STATES: [DeliveryState; 6] = [
    DeliveryState::Sent,
    DeliveryState::Sent,
    DeliveryState::Failed,
    DeliveryState::Unknown,
    DeliveryState::Queued,
    DeliveryState::Expired,
];

/// One process that does what processes do, in an order of its own.
#[derive(Clone)]
struct Player {
    random: u64,
    now: i64,
    account: queqiao::ids::AccountId,
    held: Vec<Due>,
    msgids: Vec<i64>,
}

impl Player {
    fn new(storage: &StorageFixture, seed: u64) -> Self {
        Self {
            random: seed,
            now: 0,
            account: storage.official,
            held: Vec::new(),
            msgids: Vec::new(),
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005);
        self.random = self.random.wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % end
    }

    fn step(&mut self, conn: &mut Conn, all: &[NotificationId]) -> QueryResult<()> {
        self.now += 1;
        let one = all[self.below(all.len())];
        match self.below(12) {
            0 if self.below(4) == 0 => delivery::cancel(conn, one, at(self.now)).map(drop),
            // Leases run out, and receipts do not come in time.
            1 => {
                self.now += 70;
                let before = at(self.now - 60);
                delivery::close_overdue(conn, before, at(self.now), 50).map(drop)
            }
            2 | 3 => self.receipts(conn),
            4 => self.again(conn, one),
            5 => self.onward(conn, one),
            6 => self.release(conn),
            7 | 8 => {
                let claim = claiming(conn, self.now, 60);
                self.held.extend(delivery::claim_due(conn, &claim)?);
                Ok(())
            }
            _ => self.record(conn),
        }
    }

    fn record(&mut self, conn: &mut Conn) -> QueryResult<()> {
        let count = self.below(80).min(self.held.len());
        // Some are recorded once more, and after another one has claimed them.
        let due: Vec<Due> = match self.below(3) {
            0 => self.held.iter().take(count).cloned().collect(),
            _ => self.held.drain(..count).collect(),
        };
        let state = STATES[self.below(STATES.len())];
        let outcomes: Vec<Outcome> = due.iter().map(|due| self.outcome(due, state)).collect();
        transitions::record(conn, &outcomes)?;
        let tried: Vec<NewAttempt> = due.iter().map(|due| self.tried(due, state)).collect();
        attempt::insert_many(conn, &tried).map(drop)
    }

    fn outcome(&mut self, due: &Due, state: DeliveryState) -> Outcome {
        let msgid = due.id.0 * 1_000 + i64::from(due.attempts);
        let (now, why) = (at(self.now), (Reason::Retrying, "played".to_owned()));
        match state {
            DeliveryState::Sent => {
                self.msgids.push(msgid);
                transitions::taken(due, now, Some(msgid))
            }
            DeliveryState::Failed => transitions::refused(due, why, now),
            DeliveryState::Unknown => transitions::perhaps_sent(due, why, now),
            DeliveryState::Expired => transitions::expired(due, why.1, now),
            _ => transitions::tried_again(due, (now, at(self.now + 5)), None, Some(why)),
        }
    }

    fn tried(&self, due: &Due, state: DeliveryState) -> NewAttempt {
        NewAttempt {
            delivery_id: due.id,
            number: due.attempts,
            started_at: at(self.now),
            finished_at: at(self.now),
            outcome: match state {
                DeliveryState::Sent => AttemptOutcome::Accepted,
                _ => AttemptOutcome::Refused,
            },
            errcode: None,
            call: None,
            errmsg: None,
            rid: None,
            detail: None,
        }
    }

    fn receipts(&mut self, conn: &mut Conn) -> QueryResult<()> {
        let count = self.below(60).min(self.msgids.len());
        let delivered = self.below(3) > 0;
        let rows: Vec<NewReceipt> = self
            .msgids
            .drain(..count)
            .map(|msgid| NewReceipt {
                account_id: self.account,
                msgid,
                delivered,
                reason: None,
                create_time: 1,
                now: at(self.now),
                stats_day: queqiao::clock::Day(0),
            })
            .collect();
        receipt::insert_many(conn, &rows)?;
        receipt::settle(conn, at(self.now), TimeDelta::days(1), 100).map(drop)
    }

    fn again(&mut self, conn: &mut Conn, one: NotificationId) -> QueryResult<()> {
        let all = delivery::of_notification(conn, one, None, 1_000)?;
        let start = self.below(all.len());
        let some = all.iter().skip(start).take(40);
        let rows: Vec<RetryRow<'_>> = some.map(|delivery| self.retry(delivery)).collect();
        transitions::retried(conn, &rows).map(drop)
    }

    fn retry<'a>(&self, delivery: &'a Delivery) -> RetryRow<'a> {
        RetryRow {
            id: delivery.id,
            was: delivery.state,
            attempts: delivery.attempts,
            staff_id: delivery.staff_id.as_deref(),
            staff_name: None,
            account_id: Some(self.account),
            identity_id: Some(queqiao::ids::IdentityId(1)),
            openid: Some("o1"),
            route: 0,
            channel: Some("template"),
            considered: None,
            routes_id: None,
            first_answer: None,
            due_at: at(self.now),
        }
    }

    fn onward(&mut self, conn: &mut Conn, one: NotificationId) -> QueryResult<()> {
        let all = delivery::of_notification(conn, one, None, 1_000)?;
        let ids: Vec<_> = all.iter().map(|delivery| delivery.id).collect();
        let reroute_candidates = delivery::reroute_candidates(conn, &ids)?;
        let (ended, going) = reroute_candidates.split_at(reroute_candidates.len() / 3);
        let ended: Vec<RoutesExhausted> = ended
            .iter()
            .map(|reroute_candidates| RoutesExhausted {
                id: reroute_candidates.id,
                attempts: reroute_candidates.attempts,
                reason: Reason::NoCredit,
                detail: "played".to_owned(),
                considered: None,
            })
            .collect();
        let going: Vec<RetryRow<'_>> = going
            .iter()
            .map(|reroute_candidates| RetryRow {
                id: reroute_candidates.id,
                was: reroute_candidates.state,
                attempts: reroute_candidates.attempts,
                staff_id: reroute_candidates.staff_id.as_deref(),
                staff_name: None,
                account_id: Some(self.account),
                identity_id: Some(queqiao::ids::IdentityId(1)),
                openid: Some("o1"),
                route: 1,
                channel: Some("template"),
                considered: None,
                routes_id: None,
                first_answer: None,
                due_at: at(self.now),
            })
            .collect();
        delivery::end(conn, &ended)?;
        transitions::moved_on(conn, &going).map(drop)
    }

    fn release(&mut self, conn: &mut Conn) -> QueryResult<()> {
        let count = self.held.len().min(5);
        let (now, later) = (at(self.now), at(self.now + 3));
        let back = self.held.drain(..count);
        let rows: Vec<Postponed> = back.map(|due| Postponed::new(&due, now, later)).collect();
        delivery::release(conn, &rows)
    }
}

/// A notification with so many deliveries, each fifth of them to somebody who is not staff, and each
/// seventh unreachable.
fn accept(storage: &StorageFixture, conn: &mut Conn, count: usize) -> NotificationId {
    let notification = storage.notification(conn);
    let names: Vec<String> = (0..count).map(|number| format!("s{number:05}")).collect();
    let numbered = || names.iter().enumerate();
    let is_unreachable = |number: usize| number % 7 == 6;
    let rows: Vec<NewDelivery<'_>> = numbered()
        .map(|(number, name)| {
            let mut to = to(storage, notification, Priority::Normal, name);
            if number % 5 == 0 {
                to.recipient = to.staff_id.take();
            }
            match is_unreachable(number) {
                true => transitions::not_reached(to, (Reason::NotBound, "played".into())),
                false => transitions::accepted(to, over(storage), None),
            }
        })
        .collect();
    let states = numbered().map(|(number, _)| match is_unreachable(number) {
        true => DeliveryState::Unreachable,
        false => DeliveryState::Queued,
    });
    transitions::insert_many(conn, &rows).unwrap();
    delivery::begin_counting(conn, notification, states).unwrap();
    notification
}

type Counts = BTreeMap<&'static str, i64>;

fn counted(conn: &mut Conn, one: NotificationId) -> Counts {
    let counts = delivery::counts(conn, one).unwrap().into_iter();
    counts
        .map(|(state, count)| (state.as_str(), count))
        .collect()
}

fn there_are(conn: &mut Conn, one: NotificationId) -> Counts {
    let mut counts = Counts::new();
    for decided in delivery::verdicts(conn, one, DeliveryId(0), 20_000).unwrap() {
        *counts.entry(decided.state.as_str()).or_default() += 1;
    }
    counts
}

fn rows(conn: &mut Conn, one: NotificationId) -> i64 {
    let theirs = progress::table.filter(progress::notification_id.eq(one));
    theirs.count().get_result(conn).unwrap()
}

/// One step; one that the database refuses, by a deadlock for one, has not happened.
async fn step(storage: &StorageFixture, player: &mut Player, all: &[NotificationId]) -> bool {
    let (mut next, all) = (player.clone(), all.to_vec());
    let done = storage.db().write_once(move |conn| {
        next.step(conn, &all)?;
        Ok::<_, DbError>(next)
    });
    match done.await {
        Ok(next) => *player = next,
        Err(_) => return false,
    }
    true
}

both_engines! {
    two_processes_and_chance_are_counted_right_after_every_step,
    a_read_meets_few_rows_however_many_changes_there_were,
}

async fn two_processes_and_chance_are_counted_right_after_every_step(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let all = [300, 20, 700].map(|count| accept(&storage, conn, count));
    assert_eq!(all.map(|one| rows(conn, one) > 0), [true, false, true]);
    let seed: u64 = rand::random();
    let mut one = Player::new(&storage, seed);
    let mut other = Player::new(&storage, seed.wrapping_add(1));
    let (mut refused, mut met) = (0, Counts::new());
    for round in 0..200 {
        let (first, second) = tokio::join!(
            step(&storage, &mut one, &all),
            step(&storage, &mut other, &all)
        );
        refused += usize::from(!first) + usize::from(!second);
        for notification in all {
            let counts = there_are(conn, notification);
            assert_eq!(
                counted(conn, notification),
                counts,
                "seed {seed}, round {round}"
            );
            met.extend(counts);
        }
    }
    assert!(refused < 40, "seed {seed}: {refused} steps failed");
    assert!(
        met.len() >= 6,
        "seed {seed}: hardly anything was played: {met:?}"
    );
}

async fn a_read_meets_few_rows_however_many_changes_there_were(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let large = accept(&storage, conn, 1_000);
    let claim = claiming(conn, 0, 1_000);
    for due in delivery::claim_due(conn, &claim).unwrap() {
        transitions::record(conn, &[sent(&due, due.id.0)]).unwrap();
    }
    let counts = Counts::from([("sent", 858), ("unreachable", 142)]);
    assert_eq!(
        (counted(conn, large), there_are(conn, large)),
        (counts.clone(), counts)
    );
    // There were 1,718 of them.
    let met = rows(conn, large);
    assert!((2..1_000).contains(&met), "{met}");
}
