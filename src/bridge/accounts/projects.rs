//! Projects: each is one unionid scope, the accounts under one Open Platform account.

use thiserror::Error;

use crate::bridge::Bridge;
use crate::bridge::limits::{self, PROJECT_NAME_MAX};
use crate::db::DbError;
use crate::models::project::{self, Project};

/// Why a project was not added.
#[derive(Debug, Error)]
pub enum ProjectError {
    /// The name cannot be one.
    #[error("NAME must be 1 to {PROJECT_NAME_MAX} printable characters")]
    InvalidName,
    /// The name is taken.
    #[error("there is a project '{0}' already")]
    Exists(String),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Bridge {
    /// Adds a project.
    ///
    /// # Errors
    /// If the name is none or is taken, or the database fails.
    pub async fn add_project(&self, name: String) -> Result<Project, ProjectError> {
        if name.trim().is_empty() || limits::text(&name, PROJECT_NAME_MAX).is_err() {
            return Err(ProjectError::InvalidName);
        }
        let now = self.clock.now();
        let added = self.db.write(move |conn| -> Result<_, ProjectError> {
            if project::by_name(conn, &name)?.is_some() {
                return Err(ProjectError::Exists(name.clone()));
            }
            Ok(project::create(conn, &name, now)?)
        });
        added.await
    }
}
