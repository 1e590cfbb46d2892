//! Who signs in through the identity provider is a user like any other: added the first time, and what their groups give
//! and take is written each time.

use chrono::NaiveDateTime;

use super::claims::{Grants, Person};
use crate::bridge::Bridge;
use crate::bridge::limits::{USER_NAME_MAX, USERS_MAX};
use crate::bridge::users::session::SignedIn;
use crate::db::{Conn, DbError, QueryResult};
use crate::ids::{ProjectId, UserId};
use crate::models::project;
use crate::models::user::{self, NewUser, Role, User, UserSettings};

/// Names that are tried where others have the first.
const NAMES: usize = 50;

/// What became of somebody.
pub(super) enum Recorded {
    /// They may sign in.
    User(UserId),
    /// They may not.
    Disabled,
    /// Their groups give them nothing; what they had, if they were known, is taken away.
    NoRole(Option<UserId>),
}

impl Bridge {
    pub(super) async fn record_person(&self, person: Person) -> Result<Recorded, DbError> {
        let now = self.clock.now();
        let recorded = self
            .db
            .write(move |conn| record(conn, &person, now))
            .await?;
        // What they may do has changed in the sessions that they have.
        if let Recorded::User(id) | Recorded::NoRole(Some(id)) = recorded {
            let is_theirs = |signed_in: &SignedIn| signed_in.user_id() == id;
            self.users.sessions.forget(is_theirs);
        }
        Ok(recorded)
    }
}

fn record(conn: &mut Conn, person: &Person, now: NaiveDateTime) -> QueryResult<Recorded> {
    let known = user::by_subject(conn, &person.issuer, &person.subject)?;
    let gets_nothing = person.grants.as_ref().is_some_and(Grants::is_empty);
    let Some(known) = known else {
        if gets_nothing {
            return Ok(Recorded::NoRole(None));
        }
        if user::count(conn)? >= USERS_MAX {
            tracing::warn!(
                limit = USERS_MAX,
                "there are as many users as there may be: nobody is added"
            );
            return Ok(Recorded::NoRole(None));
        }
        let Some(added) = add(conn, person, now)? else {
            return Ok(Recorded::NoRole(None));
        };
        give(conn, &added, person, now)?;
        return Ok(Recorded::User(added.id));
    };
    let Some(held) = user::hold(conn, known.id)? else {
        return Ok(Recorded::Disabled);
    };
    give(conn, &held, person, now)?;
    if gets_nothing {
        user::delete_sessions(conn, held.id, None)?;
        return Ok(Recorded::NoRole(Some(held.id)));
    }
    Ok(match held.disabled_at {
        Some(_) => Recorded::Disabled,
        None => Recorded::User(held.id),
    })
}

/// Adds somebody under a name that nobody has: the provider's names are not ours, and who has one there is not who has it
/// here.
fn add(conn: &mut Conn, person: &Person, now: NaiveDateTime) -> QueryResult<Option<User>> {
    for at in 1..=NAMES {
        let name = match at {
            1 => person.name.clone(),
            _ => {
                let mark = format!("-{at}");
                let room = USER_NAME_MAX - mark.len();
                let begin: String = person.name.chars().take(room).collect();
                begin + &mark
            }
        };
        let row = NewUser {
            name: &name,
            name_key: &user::name_key(&name),
            display_name: person.display_name.as_deref(),
            password_hash: None,
            oidc_issuer: Some(&person.issuer),
            oidc_subject: Some(&person.subject),
            is_owner: false,
            created_at: now,
            updated_at: now,
        };
        if let Some(added) = user::create(conn, &row)? {
            return Ok(Some(added));
        }
        // Somebody else may have added them meanwhile.
        let known = user::by_subject(conn, &person.issuer, &person.subject)?;
        if known.is_some() {
            return Ok(known);
        }
    }
    Ok(None)
}

/// Writes what is known of somebody, and what their groups give and take.
fn give(conn: &mut Conn, held: &User, person: &Person, now: NaiveDateTime) -> QueryResult<()> {
    let settings = UserSettings {
        display_name: person.display_name.clone().or(held.display_name.clone()),
        is_owner: match &person.grants {
            Some(grants) => grants.is_owner,
            None => held.is_owner,
        },
        disabled_at: held.disabled_at,
        updated_at: now,
    };
    user::change(conn, held.id, &settings)?;
    let Some(grants) = &person.grants else {
        return Ok(());
    };
    let projects = project::list(conn)?;
    let mut roles: Vec<(ProjectId, Role)> = Vec::with_capacity(grants.roles.len());
    for (named, role) in &grants.roles {
        match projects.iter().find(|one| one.name == *named) {
            Some(found) => roles.push((found.id, *role)),
            None => tracing::warn!(
                project = named,
                "the groups of [oidc] name a project that there is not"
            ),
        }
    }
    user::set_roles(conn, held.id, &roles)
}
