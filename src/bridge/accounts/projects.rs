//! Projects: each is one unionid scope, the accounts under one Open Platform account.

use thiserror::Error;

use crate::bridge::Bridge;
use crate::bridge::limits::{self, PROJECT_NAME_MAX};
use crate::clock::TimeZone;
use crate::db::DbError;
use crate::models::project::{self, Project};

/// Why a project was not added.
#[derive(Debug, Error)]
pub enum ProjectError {
    /// The name cannot be one.
    #[error("NAME must be 1 to {PROJECT_NAME_MAX} printable characters")]
    InvalidName,
    /// There is no such time zone.
    #[error(
        "'{0}' is no time zone: give a name of the IANA time zone database, letter by letter, such as \
         Asia/Shanghai, Asia/Tokyo, Europe/Berlin or UTC"
    )]
    UnknownTimeZone(String),
    /// There is no such project.
    #[error("there is no project '{0}'; see: queqiao projects list")]
    Unknown(String),
    /// The name is taken.
    #[error("there is a project '{0}' already")]
    Exists(String),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Bridge {
    /// Adds a project whose days begin in that time zone; without one, in Beijing's.
    ///
    /// # Errors
    /// If the name is none or is taken, there is no such time zone, or the database fails.
    pub async fn add_project(
        &self,
        name: String,
        time_zone: Option<&str>,
    ) -> Result<Project, ProjectError> {
        let time_zone = time_zone.map(zone).transpose()?.unwrap_or_default();
        if name.trim().is_empty() || limits::text(&name, PROJECT_NAME_MAX).is_err() {
            return Err(ProjectError::InvalidName);
        }
        let now = self.clock.now();
        let added = self.db.write(move |conn| -> Result<_, ProjectError> {
            if project::by_name(conn, &name)?.is_some() {
                return Err(ProjectError::Exists(name.clone()));
            }
            Ok(project::create_in(conn, &name, time_zone, now)?)
        });
        added.await
    }

    /// Sets the time zone in which a project's days begin. What is counted stays on the day on which it was counted.
    ///
    /// # Errors
    /// If there is no such project or time zone, or the database fails.
    pub async fn set_time_zone(
        &self,
        project: String,
        time_zone: &str,
    ) -> Result<TimeZone, ProjectError> {
        let time_zone = zone(time_zone)?;
        let set = self.db.write(move |conn| -> Result<_, ProjectError> {
            match project::set_time_zone(conn, &project, time_zone)? {
                true => Ok(time_zone),
                false => Err(ProjectError::Unknown(project.clone())),
            }
        });
        set.await
    }
}

fn zone(name: &str) -> Result<TimeZone, ProjectError> {
    TimeZone::named(name).ok_or_else(|| ProjectError::UnknownTimeZone(name.to_owned()))
}
