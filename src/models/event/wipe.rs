//! Events whose person is erased.

use super::{FAILED, PROCESSED};
use crate::db::prelude::*;
use crate::db::{Conn, schema::events};
use crate::ids::{EventId, IdentityId};

/// What stands with an event in the place of what it said.
const ERASED: &str = "erased with the person";

/// Empties events. Kind and times stay, and the key by which a repeated push is recognised. Returns
/// how many there were.
pub fn wipe(conn: &mut Conn, ids: &[EventId]) -> QueryResult<usize> {
    if ids.is_empty() {
        return Ok(0);
    }
    if let Conn::Postgres(conn) = conn {
        events::table
            .filter(events::id.eq_any(ids))
            .order(events::id)
            .select(events::id)
            .for_update()
            .execute(conn)?;
    }
    let emptied = diesel::update(events::table.filter(events::id.eq_any(ids)))
        .set((
            events::openid.eq(None::<String>),
            events::identity_id.eq(None::<IdentityId>),
            events::body.eq(Vec::<u8>::new()),
            events::problem.eq(ERASED),
        ))
        .execute(conn)?;
    // There is nothing left that could be replayed.
    diesel::update(
        events::table
            .filter(events::id.eq_any(ids))
            .filter(events::state.eq(FAILED)),
    )
    .set(events::state.eq(PROCESSED))
    .execute(conn)?;
    Ok(emptied)
}
