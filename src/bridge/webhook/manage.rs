//! Adding and changing endpoints.

use chrono::{NaiveDateTime, TimeDelta};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use thiserror::Error;

use super::news::{self, PING};
use super::sign;
use crate::bridge::Bridge;
use crate::db::{Conn, DbError};
use crate::ids::{ProjectId, WebhookId};
use crate::models::webhook::{self, NewMessage, Webhook, WebhookState, Wish};
use crate::vault::{Vault, VaultError};

/// Endpoints of one project.
pub const MOST: i64 = 50;
/// How long the secret before signs too.
const OVERLAP: TimeDelta = TimeDelta::days(1);

/// Why an endpoint was not added or changed.
#[derive(Debug, Error)]
pub enum ManageError {
    /// The project has no such endpoint.
    #[error("there is no such endpoint")]
    Unknown,
    /// The project has enough.
    #[error("a project has at most {MOST} endpoints")]
    TooMany,
    /// Nothing is sent to it now.
    #[error("the endpoint is not enabled")]
    NotEnabled,
    /// The master key is another one.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<diesel::result::Error> for ManageError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

impl Bridge {
    /// Adds an endpoint. Its secret is returned this once and never again.
    ///
    /// # Errors
    /// If there are too many, or it cannot be stored.
    pub async fn add_webhook(
        &self,
        project: ProjectId,
        wish: Wish,
        enabled: bool,
    ) -> Result<(Webhook, SecretString), ManageError> {
        let (vault, now) = (self.vault.clone(), self.clock.now());
        let secret = sign::new_secret();
        self.db
            .write(move |conn| {
                if webhook::count(conn, project)? >= MOST {
                    return Err(ManageError::TooMany);
                }
                let state = match enabled {
                    true => WebhookState::Enabled,
                    false => WebhookState::Disabled,
                };
                let id = webhook::create(conn, project, &wish, state, now)?;
                let sealed = vault.seal(&place(id), secret.expose_secret())?;
                webhook::set_secret(conn, id, &sealed, None, now)?;
                Ok((find(conn, project, id)?, secret))
            })
            .await
    }

    /// Changes an endpoint. One that is enabled anew, whoever disabled it, is sent what waits.
    ///
    /// # Errors
    /// If there is no such endpoint, or it cannot be stored.
    pub async fn change_webhook(
        &self,
        project: ProjectId,
        id: WebhookId,
        wish: Wish,
        enabled: bool,
    ) -> Result<Webhook, ManageError> {
        let now = self.clock.now();
        let changed = self.db.write(move |conn| {
            let known = find(conn, project, id)?;
            webhook::change(conn, id, &wish, now)?;
            let moved = known.url != wish.url;
            match (enabled, known.state) {
                (true, WebhookState::Enabled) if !moved => {}
                // Another URL has not failed yet.
                (true, _) => webhook::enable(conn, id, now)?,
                (false, WebhookState::Disabled) => {}
                (false, _) => webhook::turn_off(conn, id, now)?,
            }
            find(conn, project, id)
        });
        let changed = changed.await?;
        self.signals.webhooks.notify_one();
        Ok(changed)
    }

    /// Gives an endpoint a new secret; the one before signs too for a day. Returns until when.
    ///
    /// # Errors
    /// If there is no such endpoint, or it cannot be stored.
    pub async fn rotate_webhook(
        &self,
        project: ProjectId,
        id: WebhookId,
    ) -> Result<(SecretString, NaiveDateTime), ManageError> {
        let (vault, now) = (self.vault.clone(), self.clock.now());
        let secret = sign::new_secret();
        self.db
            .write(move |conn| {
                let known = find(conn, project, id)?;
                let sealed = vault.seal(&place(id), secret.expose_secret())?;
                let until = now + OVERLAP;
                let old = Some((known.sealed_secret.as_slice(), until));
                webhook::set_secret(conn, id, &sealed, old, now)?;
                Ok((secret, until))
            })
            .await
    }

    /// Puts a `ping` into an endpoint's outbox. Returns its webhook-id.
    ///
    /// # Errors
    /// If there is no such endpoint, or it is not enabled.
    pub async fn ping_webhook(
        &self,
        project: ProjectId,
        id: WebhookId,
    ) -> Result<String, ManageError> {
        let now = self.clock.now();
        let pinged = self.db.write(move |conn| {
            let known = find(conn, project, id)?;
            if known.state != WebhookState::Enabled {
                return Err(ManageError::NotEnabled);
            }
            let uid = news::new_uid();
            let body = news::body(PING, now.and_utc(), &json!({"webhook_id": id}))?;
            let row = NewMessage {
                webhook_id: id,
                uid: &uid,
                kind: PING,
                person: None,
                body: &body,
                now,
            };
            webhook::insert_many(conn, &[row])?;
            Ok(uid)
        });
        let uid = pinged.await?;
        self.signals.webhooks.notify_one();
        Ok(uid)
    }
}

fn find(conn: &mut Conn, project: ProjectId, id: WebhookId) -> Result<Webhook, ManageError> {
    webhook::find(conn, project, id)?.ok_or(ManageError::Unknown)
}

/// Where a secret belongs in the vault.
fn place(id: WebhookId) -> String {
    format!("webhooks/{id}/secret")
}

/// The secrets that sign now, the newest first.
pub(in crate::bridge) fn secrets(
    vault: &Vault,
    webhook: &Webhook,
    now: NaiveDateTime,
) -> Result<Vec<SecretString>, VaultError> {
    let place = place(webhook.id);
    let mut secrets = vec![vault.unseal(&place, &webhook.sealed_secret)?];
    let old = webhook.sealed_old_secret.as_deref();
    if let Some(old) = old.filter(|_| webhook.old_secret_until.is_some_and(|until| now < until)) {
        // One that was sealed under a master key that is lost must not keep the new one from signing.
        secrets.extend(vault.unseal(&place, old).ok());
    }
    Ok(secrets)
}
