//! What became of claims while they waited to be sent.

use diesel::sql_types::{BigInt, Bool};

use super::holds::{Named, astray_of};
use super::{Claimed, Due};
use crate::db::Conn;
use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::ids::DeliveryId;

/// Why a claimed delivery is not to be sent any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// It was cancelled.
    Cancelled,
    /// Whom it goes to is not whom it is for any more.
    Astray,
    /// The claim does not stand any more.
    NotOurs,
}

/// A claimed delivery that is about to be sent.
#[derive(Debug)]
pub struct Going {
    claimed: Claimed,
    named: Option<Named>,
}

impl Going {
    /// That of a claim.
    pub fn of(due: &Due) -> Self {
        Self {
            claimed: Claimed::of(due),
            named: Named::of(due),
        }
    }
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    id: DeliveryId,
    #[diesel(sql_type = Bool)]
    is_ours: bool,
    #[diesel(sql_type = Bool)]
    is_cancelled: bool,
}

/// Those of the claimed deliveries that are not to be sent any more, and why.
pub fn withdrawn(conn: &mut Conn, going: &[Going]) -> QueryResult<Vec<(DeliveryId, Withdrawn)>> {
    // A row that is gone is nobody's.
    const WITHDRAWN: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("attempt", Kind::Integer),
            ("leased_until", Kind::Timestamp),
        ],
        sql: concat!(
            "SELECT r.id, COALESCE(deliveries.state = 'queued' AND deliveries.attempts = r.attempt \
             AND deliveries.leased_until = r.leased_until, FALSE) AS is_ours, \
             deliveries.cancelled_at IS NOT NULL AS is_cancelled \
             FROM {rows} LEFT JOIN deliveries ON deliveries.id = r.id \
             WHERE deliveries.id IS NULL OR deliveries.state <> 'queued' \
             OR deliveries.attempts <> r.attempt OR deliveries.leased_until IS NULL \
             OR deliveries.leased_until <> r.leased_until OR deliveries.cancelled_at IS NOT NULL \
             OR deliveries.recipient IS NULL AND NOT ",
            include_str!("holds.sql")
        ),
    };
    let claims: Vec<&Claimed> = going.iter().map(|one| &one.claimed).collect();
    let found: Vec<Found> = WITHDRAWN.load(conn, &claims)?;
    let why = |found: &Found| match (found.is_ours, found.is_cancelled) {
        (false, _) => Withdrawn::NotOurs,
        (true, true) => Withdrawn::Cancelled,
        (true, false) => Withdrawn::Astray,
    };
    let mut withdrawn: Vec<_> = found.iter().map(|one| (one.id, why(one))).collect();
    let known = |id: &DeliveryId| withdrawn.iter().any(|(known, _)| known == id);
    let named: Vec<&Named> = going.iter().filter_map(|one| one.named.as_ref()).collect();
    let mut astray = astray_of(conn, &named)?;
    astray.retain(|id| !known(id));
    withdrawn.extend(astray.into_iter().map(|id| (id, Withdrawn::Astray)));
    Ok(withdrawn)
}
