//! The audit trail: what was done that must not be done unseen, and by whom. Never a secret, and no
//! id by which WeChat knows a person.

use chrono::NaiveDateTime;

use crate::db::prelude::*;
use crate::db::{Conn, schema::audit, text_enum};
use crate::ids::{ApiKeyId, AuditId, ErasureId, IdentityId, ProjectId, UserId};
use crate::models::actor::{Actor, ActorKind};

text_enum! {
    /// What was done.
    pub enum Action {
        /// An access token was given to the key's holder.
        TokenLent = "access_token.lent",
        /// The key's holder reported an access token as bad.
        TokenReported = "access_token.reported",
        /// The session_key of a login was given to the key's holder.
        SessionKeyGiven = "session_key.given",
        /// Somebody was to be erased.
        PersonErased = "person.erased",
    }
}

/// An entry.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = audit)]
pub struct Entry {
    /// Row id.
    pub id: AuditId,
    /// The project.
    pub project_id: ProjectId,
    /// Who it was.
    pub actor: ActorKind,
    /// The key that was used, if it was its holder.
    pub api_key_id: ApiKeyId,
    /// Its name at that time.
    pub api_key_name: String,
    /// What was done.
    pub action: Action,
    /// The account it was done with.
    pub app_id: Option<String>,
    /// What came of it.
    pub outcome: Option<String>,
    /// The identity it was done to.
    pub identity_id: Option<IdentityId>,
    /// The erasure it is.
    pub erasure_id: Option<ErasureId>,
    /// UTC.
    pub created_at: NaiveDateTime,
    /// The user, if it was one.
    pub user_id: Option<UserId>,
    /// Their name at that time.
    pub user_name: Option<String>,
}

/// An entry to add.
#[derive(Insertable)]
#[diesel(table_name = audit)]
pub struct NewEntry<'a> {
    /// The project.
    pub project_id: ProjectId,
    /// Who it was.
    pub actor: ActorKind,
    /// The key that was used, if it was its holder.
    pub api_key_id: ApiKeyId,
    /// Its name.
    pub api_key_name: &'a str,
    /// What was done.
    pub action: Action,
    /// The account it was done with.
    pub app_id: Option<&'a str>,
    /// What came of it.
    pub outcome: Option<&'a str>,
    /// The identity it was done to.
    pub identity_id: Option<IdentityId>,
    /// The erasure it is.
    pub erasure_id: Option<ErasureId>,
    /// Now.
    pub created_at: NaiveDateTime,
    /// The user, if it was one.
    pub user_id: Option<UserId>,
    /// Their name.
    pub user_name: Option<&'a str>,
}

impl<'a> NewEntry<'a> {
    /// What somebody did, without what it was done to.
    pub fn new(project: ProjectId, by: &'a Actor, action: Action, now: NaiveDateTime) -> Self {
        let (api_key_id, api_key_name) = by.key().unwrap_or((ApiKeyId(0), ""));
        Self {
            project_id: project,
            actor: by.kind(),
            api_key_id,
            api_key_name,
            action,
            app_id: None,
            outcome: None,
            identity_id: None,
            erasure_id: None,
            created_at: now,
            user_id: by.user().map(|(id, _)| id),
            user_name: by.user().map(|(_, name)| name),
        }
    }
}

/// Adds an entry.
pub fn add(conn: &mut Conn, entry: &NewEntry<'_>) -> QueryResult<()> {
    diesel::insert_into(audit::table)
        .values(entry)
        .execute(conn)
        .map(drop)
}

/// A page of a project's entries, newest first, with ids below `before`.
pub fn list(
    conn: &mut Conn,
    project: ProjectId,
    before: Option<AuditId>,
    limit: i64,
) -> QueryResult<Vec<Entry>> {
    let mut query = audit::table
        .filter(audit::project_id.eq(project))
        .order(audit::id.desc())
        .limit(limit)
        .select(Entry::as_select())
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(audit::id.lt(before));
    }
    query.load(conn)
}
