//! Every function that writes a delivery's state, tried on a delivery in every state: it moves those that the list of
//! arrows says, and leaves all others as they are.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use diesel::prelude::*;
use queqiao::db::Conn;
use queqiao::db::schema::deliveries;
use queqiao::ids::IdentityId;
use queqiao::models::delivery::attempt::{self, AttemptOutcome, NewAttempt};
use queqiao::models::delivery::receipt::{self, NewReceipt};
use queqiao::models::delivery::transitions::{self, Arrow, Ending, RetryRow, Why};
use queqiao::models::delivery::{self, DeliveryState, Due, Reason};
use queqiao::models::erasure;

use super::fixture::{StorageFixture, at};
use super::outbox::{claiming, queued};

/// One function, and the arrows that it may make.
struct Case {
    name: &'static str,
    arrows: &'static [Arrow],
    act: fn(&mut Conn, &StorageFixture, &Tried),
}

/// A delivery that was claimed, and is in some state by now.
struct Tried {
    due: Due,
    state: DeliveryState,
}

const MSGID: i64 = 77;

fn why() -> Why {
    (Reason::Retrying, "tried".to_owned())
}

fn record(conn: &mut Conn, outcome: transitions::Outcome) {
    transitions::record(conn, &[outcome]).unwrap();
}

fn part(conn: &mut Conn, tried: &Tried, parted: fn(Ending) -> transitions::Parted) {
    let ending = Ending {
        id: tried.due.id,
        reason: Reason::NotBound,
        detail: "tried".to_owned(),
        considered: None,
        first_answer: "{}".to_owned(),
        now: at(9),
    };
    transitions::part(conn, &[parted(ending)]).unwrap();
}

fn again(tried: &Tried) -> RetryRow<'_> {
    RetryRow {
        id: tried.due.id,
        was: tried.state,
        attempts: tried.due.attempts,
        staff_id: tried.due.staff_id.as_deref(),
        staff_name: None,
        account_id: tried.due.account_id,
        identity_id: tried.due.identity_id,
        openid: Some("o1"),
        route: 0,
        channel: Some("template"),
        considered: None,
        routes_id: None,
        first_answer: None,
        due_at: at(9),
    }
}

fn receipt_says(conn: &mut Conn, storage: &StorageFixture, tried: &Tried, delivered: bool) {
    set_msgid(conn, tried);
    let receipt = NewReceipt {
        account_id: storage.official,
        msgid: MSGID + tried.due.id.0,
        delivered,
        reason: None,
        create_time: 1,
        now: at(9),
        stats_day: queqiao::clock::Day(0),
    };
    receipt::insert_many(conn, &[receipt]).unwrap();
    let settled = receipt::settle(conn, at(9), TimeDelta::days(1), 10).unwrap();
    assert_eq!(settled.joined, 1);
}

fn set_msgid(conn: &mut Conn, tried: &Tried) {
    diesel::update(deliveries::table.find(tried.due.id))
        .set(deliveries::msgid.eq(MSGID + tried.due.id.0))
        .execute(conn)
        .unwrap();
}

fn no_receipt_came(conn: &mut Conn, tried: &Tried) {
    let accepted = NewAttempt {
        delivery_id: tried.due.id,
        number: tried.due.attempts,
        started_at: at(1),
        finished_at: at(1),
        outcome: AttemptOutcome::Accepted,
        errcode: None,
        call: None,
        errmsg: None,
        rid: None,
        detail: None,
    };
    attempt::insert_many(conn, &[accepted]).unwrap();
    let round = delivery::close_overdue(conn, at(5), at(9), 10).unwrap();
    assert_eq!(round.looked_at, 1);
}

/// What is claimed cannot be taken back: the claim is given back first.
fn without_claim(conn: &mut Conn, tried: &Tried) {
    diesel::update(deliveries::table.find(tried.due.id))
        .set(deliveries::unsettled_since.eq(None::<chrono::NaiveDateTime>))
        .execute(conn)
        .unwrap();
}

const CASES: &[Case] = &[
    Case {
        name: "tried_again",
        arrows: &[Arrow::TriedAgain],
        act: |conn, _, tried| {
            let times = (at(9), at(10));
            record(
                conn,
                transitions::tried_again(&tried.due, times, None, Some(why())),
            );
        },
    },
    Case {
        name: "taken",
        arrows: &[Arrow::Taken, Arrow::MsgidLearnt],
        act: |conn, _, tried| record(conn, transitions::taken(&tried.due, at(9), Some(7))),
    },
    Case {
        name: "taken, without a msgid",
        arrows: &[Arrow::Taken],
        act: |conn, _, tried| record(conn, transitions::taken(&tried.due, at(9), None)),
    },
    Case {
        name: "arrived",
        arrows: &[Arrow::Arrived, Arrow::ArrivalLearnt],
        act: |conn, _, tried| record(conn, transitions::arrived(&tried.due, at(9), None)),
    },
    Case {
        name: "refused",
        arrows: &[Arrow::Refused],
        act: |conn, _, tried| record(conn, transitions::refused(&tried.due, why(), at(9))),
    },
    Case {
        name: "perhaps_sent",
        arrows: &[Arrow::PerhapsSent],
        act: |conn, _, tried| record(conn, transitions::perhaps_sent(&tried.due, why(), at(9))),
    },
    Case {
        name: "expired",
        arrows: &[Arrow::Expired],
        act: |conn, _, tried| record(conn, transitions::expired(&tried.due, why().1, at(9))),
    },
    Case {
        name: "cancelled_while_tried",
        arrows: &[Arrow::CancelledWhileTried],
        act: |conn, _, tried| {
            record(
                conn,
                transitions::cancelled_while_tried(&tried.due, why().1, at(9)),
            );
        },
    },
    Case {
        name: "parted_unreachable",
        arrows: &[Arrow::PartedUnreachable],
        act: |conn, _, tried| part(conn, tried, transitions::parted_unreachable),
    },
    Case {
        name: "parted_failed",
        arrows: &[Arrow::PartedFailed],
        act: |conn, _, tried| part(conn, tried, transitions::parted_failed),
    },
    Case {
        name: "parted_unknown",
        arrows: &[Arrow::PartedUnknown],
        act: |conn, _, tried| part(conn, tried, transitions::parted_unknown),
    },
    Case {
        name: "moved_on",
        arrows: &[Arrow::MovedOn],
        act: |conn, _, tried| {
            transitions::moved_on(conn, &[again(tried)]).unwrap();
        },
    },
    Case {
        name: "retried",
        arrows: &[Arrow::Retried],
        act: |conn, _, tried| {
            transitions::retried(conn, &[again(tried)]).unwrap();
        },
    },
    Case {
        name: "receipt_arrived",
        arrows: &[Arrow::ReceiptArrived],
        act: |conn, storage, tried| receipt_says(conn, storage, tried, true),
    },
    Case {
        name: "receipt_failed",
        arrows: &[Arrow::ReceiptFailed],
        act: |conn, storage, tried| receipt_says(conn, storage, tried, false),
    },
    Case {
        name: "receipt_missing",
        arrows: &[Arrow::ReceiptMissing],
        act: |conn, _, tried| no_receipt_came(conn, tried),
    },
    Case {
        name: "cancelled",
        arrows: &[Arrow::Cancelled],
        act: |conn, _, tried| {
            without_claim(conn, tried);
            delivery::cancel(conn, tried.due.notification_id, at(9)).unwrap();
        },
    },
    Case {
        name: "erased",
        arrows: &[Arrow::Erased],
        act: |conn, storage, tried| {
            without_claim(conn, tried);
            let window = (tried.due.id.0 - 1, 1);
            let theirs = [IdentityId(1)];
            let wiped =
                erasure::wipe_deliveries_of(conn, storage.project, &theirs, window, at(9)).unwrap();
            assert_eq!(wiped.deliveries, 1);
        },
    },
];

both_engines! {
    each_function_leads_where_the_list_says_and_nowhere_else,
    what_is_claimed_is_not_taken_back,
}

async fn each_function_leads_where_the_list_says_and_nowhere_else(storage: StorageFixture) {
    let conn = &mut storage.conn();
    for case in CASES {
        for &state in DeliveryState::ALL {
            let tried = in_state(conn, &storage, state);
            (case.act)(conn, &storage, &tried);
            let mut arrows = case.arrows.iter();
            let arrow = arrows.find(|arrow| arrow.from().contains(&state));
            let expected = arrow.map_or(state, |arrow| arrow.to());
            assert_eq!(
                state_of(conn, &tried),
                expected,
                "{} of one that is {state}",
                case.name
            );
        }
    }
    // Each arrow was tried; the two that begin a delivery begin those of other tests.
    let tried: BTreeSet<&str> = CASES
        .iter()
        .flat_map(|case| case.arrows)
        .map(|arrow| arrow.name())
        .collect();
    let all = Arrow::ALL.iter().filter(|arrow| !arrow.from().is_empty());
    assert_eq!(tried, all.map(|arrow| arrow.name()).collect());
}

async fn what_is_claimed_is_not_taken_back(storage: StorageFixture) {
    let conn = &mut storage.conn();
    let tried = in_state(conn, &storage, DeliveryState::Queued);
    delivery::cancel(conn, tried.due.notification_id, at(9)).unwrap();
    assert_eq!(state_of(conn, &tried), DeliveryState::Queued);
    let window = (tried.due.id.0 - 1, 1);
    erasure::wipe_deliveries_of(conn, storage.project, &[IdentityId(1)], window, at(9)).unwrap();
    assert_eq!(state_of(conn, &tried), DeliveryState::Queued);
}

/// A claimed delivery of a notification of its own that was put into that state.
fn in_state(conn: &mut Conn, storage: &StorageFixture, state: DeliveryState) -> Tried {
    // What the last case has left is not claimed.
    diesel::update(deliveries::table)
        .set(deliveries::due_at.eq(None::<chrono::NaiveDateTime>))
        .execute(conn)
        .unwrap();
    let notification = storage.notification(conn);
    transitions::insert_many(conn, &[queued(storage, notification, "s1")]).unwrap();
    let claim = claiming(conn, 0, 1);
    let due = delivery::claim_due(conn, &claim).unwrap().remove(0);
    diesel::update(deliveries::table.find(due.id))
        .set((deliveries::state.eq(state), deliveries::sent_at.eq(at(1))))
        .execute(conn)
        .unwrap();
    Tried { due, state }
}

fn state_of(conn: &mut Conn, tried: &Tried) -> DeliveryState {
    deliveries::table
        .find(tried.due.id)
        .select(deliveries::state)
        .first(conn)
        .unwrap()
}
