//! What somebody is in a project.

use std::collections::HashMap;

use serde::Serialize;

use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::db::schema::{projects, user_roles};
use crate::db::{Conn, text_enum};
use crate::ids::{ProjectId, UserId};

text_enum! {
    /// What somebody may do in a project.
    pub enum Role {
        /// Everything in every project, and making users. It is stored with the user.
        Owner = "owner",
        /// Everything in one project.
        Operator = "operator",
        /// Looking everything up in one project.
        Viewer = "viewer",
    }
}

/// A project of somebody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Its number.
    pub project_id: ProjectId,
    /// Its name.
    pub project: String,
    /// What they are in it.
    pub role: Role,
}

/// The projects of each of these users, in the order of their numbers. Owners have no rows: see [`of_owner`].
pub fn memberships(
    conn: &mut Conn,
    users: &[UserId],
) -> QueryResult<HashMap<UserId, Vec<Membership>>> {
    let found: Vec<(UserId, ProjectId, String, Role)> = user_roles::table
        .inner_join(projects::table)
        .filter(user_roles::user_id.eq_any(users))
        .order((user_roles::user_id, user_roles::project_id))
        .select((
            user_roles::user_id,
            user_roles::project_id,
            projects::name,
            user_roles::role,
        ))
        .load(conn)?;
    let mut memberships: HashMap<UserId, Vec<Membership>> = HashMap::new();
    for (user, project_id, project, role) in found {
        memberships.entry(user).or_default().push(Membership {
            project_id,
            project,
            role,
        });
    }
    Ok(memberships)
}

/// The projects of every owner: all.
pub fn of_owner(conn: &mut Conn) -> QueryResult<Vec<Membership>> {
    let all: Vec<(ProjectId, String)> = projects::table
        .order(projects::id)
        .select((projects::id, projects::name))
        .load(conn)?;
    let member = |(project_id, project)| Membership {
        project_id,
        project,
        role: Role::Owner,
    };
    Ok(all.into_iter().map(member).collect())
}

#[derive(Serialize)]
struct NewRole {
    user_id: UserId,
    project_id: ProjectId,
    role: Role,
}

/// Replaces the roles of somebody.
pub fn set_roles(conn: &mut Conn, user: UserId, roles: &[(ProjectId, Role)]) -> QueryResult<()> {
    const INSERT: Batch = Batch {
        columns: &[
            ("user_id", Kind::BigInt),
            ("project_id", Kind::BigInt),
            ("role", Kind::Text),
        ],
        sql: "INSERT INTO user_roles (user_id, project_id, role) \
              SELECT r.user_id, r.project_id, r.role FROM {rows}",
    };
    diesel::delete(user_roles::table.filter(user_roles::user_id.eq(user))).execute(conn)?;
    let row = |(project_id, role): &(ProjectId, Role)| NewRole {
        user_id: user,
        project_id: *project_id,
        role: *role,
    };
    let rows: Vec<NewRole> = roles.iter().map(row).collect();
    INSERT.execute(conn, &rows).map(drop)
}
