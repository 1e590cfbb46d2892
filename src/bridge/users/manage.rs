//! Users are added, changed and deleted. There is always an owner who can act: the last one stays.

use chrono::NaiveDateTime;
use secrecy::SecretString;
use thiserror::Error;

use super::password::{self, PasswordError};
use super::session::SignedIn;
use crate::bridge::Bridge;
use crate::bridge::limits::{self, FieldError, NAME_MAX, USER_NAME_MAX, USERS_MAX};
use crate::db::{Conn, DbError, QueryResult};
use crate::ids::{ProjectId, UserId};
use crate::models::project::{self, Project};
use crate::models::user::{self, Membership, NewUser, Role, Session, User, UserSettings};

/// Somebody to add.
#[derive(Clone, Debug)]
pub struct UserDraft {
    /// What they sign in with.
    pub name: String,
    /// How they are called.
    pub display_name: Option<String>,
    /// Their password; none: they cannot sign in with one.
    pub password: Option<SecretString>,
    /// Whether they are an owner of all projects.
    pub is_owner: bool,
    /// What they are in which projects, each by its name or its number.
    pub roles: Vec<(String, Role)>,
}

/// What is to change of somebody; what is left out stays.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// How they are called; an empty text takes it away.
    pub display_name: Option<String>,
    /// Whether they are an owner of all projects.
    pub is_owner: Option<bool>,
    /// Whether they cannot sign in.
    pub is_disabled: Option<bool>,
    /// In place of all their roles.
    pub roles: Option<Vec<(String, Role)>>,
    /// Another password, which ends their sessions.
    pub password: Option<SecretString>,
}

/// Somebody with what they are where, and where they are signed in.
#[derive(Clone, Debug)]
pub struct UserDetails {
    /// The user.
    pub user: User,
    /// Their roles, without those that an owner has everywhere.
    pub roles: Vec<Membership>,
    /// Their sessions, newest first.
    pub sessions: Vec<Session>,
}

/// Why a user was not added, changed or deleted.
#[derive(Debug, Error)]
pub enum UserError {
    /// There is none.
    #[error("there is no such user")]
    Unknown,
    /// The name is somebody's.
    #[error("there is a user '{0}' already; names that differ only by case are one")]
    NameTaken(String),
    /// They are the last owner who can sign in.
    #[error("this is the last owner: make somebody else an owner first")]
    LastOwner,
    /// There are as many as there may be.
    #[error("there are {USERS_MAX} users already")]
    TooMany,
    /// A field is not valid.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The password was not hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Bridge {
    /// Adds somebody.
    ///
    /// # Errors
    /// If a field is not valid, the name is somebody's, or the database fails.
    pub async fn add_user(&self, draft: UserDraft) -> Result<UserDetails, UserError> {
        check_name("name", &draft.name)?;
        check_display_name(draft.display_name.as_deref())?;
        if let Some(password) = &draft.password {
            password::check("password", password, &draft.name)?;
        }
        let password_hash = match draft.password.clone() {
            Some(password) => Some(self.users.passwords.hash(password).await?),
            None => None,
        };
        let now = self.clock.now();
        let added = self.db.write(move |conn| -> Result<_, UserError> {
            let roles = resolve(conn, &draft.roles)?;
            if user::count(conn)? >= USERS_MAX {
                return Err(UserError::TooMany);
            }
            let row = NewUser {
                name: &draft.name,
                name_key: &user::name_key(&draft.name),
                display_name: draft.display_name.as_deref(),
                password_hash: password_hash.as_deref(),
                oidc_issuer: None,
                oidc_subject: None,
                is_owner: draft.is_owner,
                created_at: now,
                updated_at: now,
            };
            let added = user::create(conn, &row)?;
            let added = added.ok_or_else(|| UserError::NameTaken(draft.name.clone()))?;
            user::set_roles(conn, added.id, &roles)?;
            Ok(details(conn, added)?)
        });
        added.await
    }

    /// Changes somebody. Whoever is disabled or gets another password is signed out everywhere.
    ///
    /// # Errors
    /// If there is no such user, a field is not valid, they are the last owner, or the database fails.
    pub async fn change_user(
        &self,
        id: UserId,
        change: UserChange,
    ) -> Result<UserDetails, UserError> {
        let named = change.display_name.as_deref();
        check_display_name(named.filter(|name| !name.is_empty()))?;
        let found = self.db.read(move |conn| user::by_id(conn, id)).await?;
        let found = found.ok_or(UserError::Unknown)?;
        if let Some(password) = &change.password {
            password::check("password", password, &found.name)?;
        }
        let password_hash = match change.password.clone() {
            Some(password) => Some(self.users.passwords.hash(password).await?),
            None => None,
        };
        let now = self.clock.now();
        let changed = self.db.write(move |conn| {
            let password_hash = password_hash.as_deref();
            write_change(conn, id, &change, password_hash, now)
        });
        let changed = changed.await?;
        self.users
            .sessions
            .forget(|signed_in: &SignedIn| signed_in.user_id() == id);
        Ok(changed)
    }

    /// Deletes somebody, with their sessions. The keys that they made stay.
    ///
    /// # Errors
    /// If there is no such user, they are the last owner, or the database fails.
    pub async fn delete_user(&self, id: UserId) -> Result<(), UserError> {
        let deleted = self.db.write(move |conn| -> Result<_, UserError> {
            keep_an_owner(conn, id, false)?;
            let found = user::hold(conn, id)?;
            found.ok_or(UserError::Unknown)?;
            Ok(user::delete(conn, id)?)
        });
        deleted.await?;
        self.users
            .sessions
            .forget(|signed_in: &SignedIn| signed_in.user_id() == id);
        Ok(())
    }

    /// Signs somebody out everywhere. Returns how many sessions there were.
    ///
    /// # Errors
    /// If there is no such user, or the database fails.
    pub async fn end_sessions(&self, id: UserId) -> Result<usize, UserError> {
        let ended = self.db.write(move |conn| -> Result<_, UserError> {
            let found = user::hold(conn, id)?;
            found.ok_or(UserError::Unknown)?;
            Ok(user::delete_sessions(conn, id, None)?)
        });
        let ended = ended.await?;
        self.users
            .sessions
            .forget(|signed_in: &SignedIn| signed_in.user_id() == id);
        Ok(ended)
    }

    /// Somebody, by their name.
    ///
    /// # Errors
    /// If there is no such user, or the database fails.
    pub async fn user_named(&self, name: String) -> Result<UserDetails, UserError> {
        let found = self.db.snapshot(move |conn| -> Result<_, UserError> {
            let found = user::by_name(conn, &name)?;
            Ok(details(conn, found.ok_or(UserError::Unknown)?)?)
        });
        found.await
    }
}

fn write_change(
    conn: &mut Conn,
    id: UserId,
    change: &UserChange,
    password_hash: Option<&str>,
    now: NaiveDateTime,
) -> Result<UserDetails, UserError> {
    let roles = change.roles.as_ref().map(|roles| resolve(conn, roles));
    let roles = roles.transpose()?;
    let stays = change.is_owner != Some(false) && change.is_disabled != Some(true);
    keep_an_owner(conn, id, stays)?;
    let found = user::hold(conn, id)?;
    let found = found.ok_or(UserError::Unknown)?;
    let settings = UserSettings {
        display_name: match &change.display_name {
            Some(name) => Some(name.clone()).filter(|name| !name.is_empty()),
            None => found.display_name,
        },
        is_owner: change.is_owner.unwrap_or(found.is_owner),
        disabled_at: match change.is_disabled {
            Some(true) => found.disabled_at.or(Some(now)),
            Some(false) => None,
            None => found.disabled_at,
        },
        updated_at: now,
    };
    let signs_out = settings.disabled_at.is_some() || password_hash.is_some();
    user::change(conn, id, &settings)?;
    if let Some(roles) = roles {
        user::set_roles(conn, id, &roles)?;
    }
    if password_hash.is_some() {
        user::set_password(conn, id, password_hash, now)?;
    }
    if signs_out {
        user::delete_sessions(conn, id, None)?;
    }
    let changed = user::by_id(conn, id)?;
    Ok(details(conn, changed.ok_or(UserError::Unknown)?)?)
}

/// Refuses what would leave no owner who can sign in. The owners are held, so that two of them do not go at the same
/// time; they are held before any other user is.
fn keep_an_owner(conn: &mut Conn, id: UserId, stays: bool) -> Result<(), UserError> {
    let owners = user::hold_owners(conn)?;
    match stays || owners != [id] {
        true => Ok(()),
        false => Err(UserError::LastOwner),
    }
}

/// Somebody with their roles and sessions.
pub fn details(conn: &mut Conn, user: User) -> QueryResult<UserDetails> {
    let roles = user::memberships(conn, &[user.id])?.remove(&user.id);
    Ok(UserDetails {
        roles: roles.unwrap_or_default(),
        sessions: user::sessions_of(conn, user.id)?,
        user,
    })
}

/// The projects that roles name.
fn resolve(conn: &mut Conn, roles: &[(String, Role)]) -> Result<Vec<(ProjectId, Role)>, UserError> {
    let projects = match roles.is_empty() {
        true => Vec::new(),
        false => project::list(conn)?,
    };
    let mut resolved: Vec<(ProjectId, Role)> = Vec::with_capacity(roles.len());
    for (at, (named, role)) in roles.iter().enumerate() {
        let field = |part: &str| format!("roles[{at}].{part}");
        if *role == Role::Owner {
            let problem = "is owner, which nobody is of one project: say owner: true of the user";
            return Err(FieldError::new(field("role"), problem).into());
        }
        let Some(found) = find_project(&projects, named) else {
            let problem = "is no project: give the name or the number of one";
            return Err(FieldError::new(field("project"), problem).into());
        };
        if resolved.iter().any(|(known, _)| *known == found.id) {
            let problem = "is named twice: give one role for each project";
            return Err(FieldError::new(field("project"), problem).into());
        }
        resolved.push((found.id, *role));
    }
    Ok(resolved)
}

fn find_project<'a>(projects: &'a [Project], named: &str) -> Option<&'a Project> {
    let by_name = projects.iter().find(|one| one.name == named);
    by_name.or_else(|| {
        let number: i64 = named.parse().ok()?;
        projects.iter().find(|one| one.id.0 == number)
    })
}

/// Checks what somebody is to sign in with.
pub(super) fn check_name(field: &str, name: &str) -> Result<(), FieldError> {
    limits::check_text(&field, name, USER_NAME_MAX)?;
    match name.contains(char::is_whitespace) {
        true => Err(FieldError::new(
            field,
            "contains a blank: leave it out, as the name is typed",
        )),
        false => Ok(()),
    }
}

fn check_display_name(name: Option<&str>) -> Result<(), FieldError> {
    name.map_or(Ok(()), |name| {
        limits::check_text(&"display_name", name, NAME_MAX)
    })
}
