//! The person: identities with what depends on them, and the events that they caused.

use chrono::NaiveDateTime;
use diesel::dsl::{max, sql};
use diesel::sql_types::Bool;

use super::Subject;
use crate::db::Conn;
use crate::db::prelude::*;
use crate::db::schema::{
    bindings, credits, events, identities, openid_moves, replaced_bindings, unionid_changes,
};
use crate::ids::{EventId, IdentityId, ProjectId};
use crate::models::event::{self, counted};

/// Waits until nobody processes an event of these openids that came in before.
pub fn hold_waiting(conn: &mut Conn, subject: &Subject) -> QueryResult<()> {
    let Conn::Postgres(conn) = conn else {
        // One writer at a time.
        return Ok(());
    };
    let openids: Vec<&str> = subject.openids.iter().map(|one| &*one.openid).collect();
    events::table
        // PostgreSQL uses a partial index only for a query that repeats its condition.
        .filter(sql::<Bool>("state = 0"))
        .filter(events::openid.eq_any(openids))
        .order(events::id)
        .select(events::id)
        .for_update()
        .load::<EventId>(conn)
        .map(drop)
}

/// The unionids that these identities had before, where they changed.
pub fn former_unionids(conn: &mut Conn, ids: &[IdentityId]) -> QueryResult<Vec<String>> {
    unionid_changes::table
        .filter(unionid_changes::identity_id.eq_any(ids))
        .select(unionid_changes::old_unionid)
        .distinct()
        .load(conn)
}

/// The identities that these go on as, or went on from, in another account, and those that had one
/// of these unionids before theirs changed.
pub fn kin(
    conn: &mut Conn,
    project: ProjectId,
    ids: &[IdentityId],
    unionids: &[String],
) -> QueryResult<Vec<IdentityId>> {
    use openid_moves as m;
    use unionid_changes as c;
    let successors: Vec<Option<IdentityId>> = m::table
        .filter(m::identity_id.eq_any(ids))
        .filter(m::new_identity_id.is_not_null())
        .select(m::new_identity_id)
        .load(conn)?;
    let predecessors: Vec<IdentityId> = m::table
        .filter(m::new_identity_id.eq_any(ids.iter().copied().map(Some)))
        .select(m::identity_id)
        .load(conn)?;
    let changed: Vec<IdentityId> = c::table
        .filter(c::project_id.eq(project))
        .filter(c::old_unionid.eq_any(unionids))
        .select(c::identity_id)
        .distinct()
        .load(conn)?;
    let moved = successors.into_iter().flatten().chain(predecessors);
    Ok(moved.chain(changed).collect())
}

/// The newest CreateTime of anything that the person is known to have done; 0 for nothing.
pub fn newest_act(conn: &mut Conn, subject: &Subject) -> QueryResult<i64> {
    use identities as i;
    let acts: Vec<(i64, i64, i64, i64)> = i::table
        .filter(i::id.eq_any(subject.identity_ids()))
        .select((
            i::followed_time,
            i::unfollowed_time,
            i::spoke_time,
            i::acted_time,
        ))
        .load(conn)?;
    let openids: Vec<&str> = subject.openids.iter().map(|one| &*one.openid).collect();
    let newest: (Option<i64>, Option<NaiveDateTime>) = events::table
        .filter(sql::<Bool>("state = 0"))
        .filter(events::openid.eq_any(openids))
        .select((max(events::create_time), max(events::received_at)))
        .first(conn)?;
    // What is dated in the year 9999 must not make all that the person does from now on old.
    let waiting = match newest {
        (Some(create_time), Some(received_at)) => Some(counted(create_time, received_at)),
        _ => None,
    };
    let known = acts.into_iter().map(|(a, b, c, d)| a.max(b).max(c).max(d));
    Ok(known.chain(waiting).max().unwrap_or_default())
}

/// What went with the identities of a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Identities.
    pub identities: usize,
    /// Bindings to them, or to a unionid.
    pub bindings: usize,
    /// Permissions for subscription messages.
    pub permissions: usize,
}

/// Deletes a person's identities and bindings. What refers to an identity in the database goes with
/// it, or loses the reference.
pub fn remove(conn: &mut Conn, project: ProjectId, subject: &Subject) -> QueryResult<Removed> {
    let ids = subject.identity_ids();
    let bound: Vec<Option<IdentityId>> = ids.iter().copied().map(Some).collect();
    // One statement for each index: with both in one condition all bindings would be read.
    let of_project = || bindings::table.filter(bindings::project_id.eq(project));
    let by_identity = of_project().filter(bindings::identity_id.eq_any(bound));
    let by_unionid = of_project().filter(bindings::unionid.eq_any(&subject.unionids));
    let of_them = bindings::table.filter(bindings::project_id.eq(project));
    let replaced = replaced_bindings::table
        .filter(replaced_bindings::unionid.eq_any(&subject.unionids))
        .filter(replaced_bindings::binding_id.eq_any(of_them.select(bindings::id)));
    diesel::delete(replaced).execute(conn)?;
    let bindings =
        diesel::delete(by_identity).execute(conn)? + diesel::delete(by_unionid).execute(conn)?;
    let permissions: i64 = credits::table
        .filter(credits::identity_id.eq_any(&ids))
        .count()
        .get_result(conn)?;
    let identities = identities::table
        .filter(identities::project_id.eq(project))
        .filter(identities::id.eq_any(&ids));
    Ok(Removed {
        identities: diesel::delete(identities).execute(conn)?,
        bindings,
        permissions: usize::try_from(permissions).unwrap_or_default(),
    })
}

/// Empties up to `limit` events of these identities. Returns how many there were.
pub fn wipe_events(conn: &mut Conn, ids: &[IdentityId], limit: i64) -> QueryResult<usize> {
    let mut found: Vec<EventId> = Vec::new();
    for id in ids {
        let left = limit - i64::try_from(found.len()).unwrap_or(limit);
        if left <= 0 {
            break;
        }
        // The index has the events of each identity in order.
        let theirs: Vec<EventId> = events::table
            .filter(events::identity_id.eq(id))
            .order(events::id)
            .limit(left)
            .select(events::id)
            .load(conn)?;
        found.extend(theirs);
    }
    event::wipe(conn, &found)
}

/// Empties up to `limit` events of a person that know no identity, as they could not be processed.
/// Returns how many there were.
pub fn wipe_unnamed_events(conn: &mut Conn, subject: &Subject, limit: i64) -> QueryResult<usize> {
    let mut found: Vec<EventId> = Vec::new();
    for one in &subject.openids {
        let left = limit - i64::try_from(found.len()).unwrap_or(limit);
        if left <= 0 {
            break;
        }
        // The conditions of a partial index, word for word.
        let theirs: Vec<EventId> = events::table
            .filter(sql::<Bool>(
                "state <> 0 AND identity_id IS NULL AND openid IS NOT NULL",
            ))
            .filter(events::account_id.eq(one.account_id))
            .filter(events::openid.eq(&one.openid))
            .order(events::id)
            .limit(left)
            .select(events::id)
            .load(conn)?;
        found.extend(theirs);
    }
    event::wipe(conn, &found)
}
