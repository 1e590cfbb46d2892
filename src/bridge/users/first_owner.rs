//! The first owner: whoever starts Queqiao for the first time has to be able to sign in.

use secrecy::SecretString;

use super::manage::UserError;
use super::password::generated_password;
use crate::bridge::Bridge;
use crate::db::{DbError, QueryResult};
use crate::models::user::{self, NewUser};

/// What the first owner signs in with.
pub const FIRST_OWNER: &str = "admin";

impl Bridge {
    /// Adds an owner where there is no user at all. Returns their password, which nobody else knows; none where there is
    /// somebody. Of replicas that start together, one does it: the name can be there once.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn add_first_owner(&self) -> Result<Option<SecretString>, UserError> {
        let is_anybody = self.db.read(user::any);
        if is_anybody.await? {
            return Ok(None);
        }
        let password = generated_password();
        let hash = self.users.passwords.hash(password.clone()).await?;
        let now = self.clock.now();
        let added = self.db.write(move |conn| -> QueryResult<bool> {
            if user::any(conn)? {
                return Ok(false);
            }
            let row = NewUser {
                name: FIRST_OWNER,
                name_key: FIRST_OWNER,
                display_name: None,
                password_hash: Some(&hash),
                oidc_issuer: None,
                oidc_subject: None,
                is_owner: true,
                created_at: now,
                updated_at: now,
            };
            Ok(user::create(conn, &row)?.is_some())
        });
        let added: Result<bool, DbError> = added.await;
        Ok(added?.then_some(password))
    }
}
