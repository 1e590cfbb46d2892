//! Adding and changing endpoints.

use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use thiserror::Error;

use super::event::{self, PING};
use super::sign;
use crate::bridge::Bridge;
use crate::bridge::limits::ENDPOINTS_MAX;
use crate::db::{Conn, DbError};
use crate::ids::{ProjectId, WebhookId, WebhookMessageId};
use crate::models::webhook::{
    self, EndpointSettings, NewMessage, Range, Rotation, Webhook, WebhookState,
};
use crate::vault::{Vault, VaultError};

/// Events that one transaction touches.
const ROUND: i64 = 2_000;
/// How long the secret before signs too.
const OVERLAP: TimeDelta = TimeDelta::days(1);

/// Why an endpoint was not added or changed.
#[derive(Debug, Error)]
pub enum ManageError {
    /// The project has no such endpoint.
    #[error("there is no such endpoint")]
    Unknown,
    /// The endpoint was told no such event.
    #[error("the endpoint was told no such event")]
    UnknownMessage,
    /// The project has enough.
    #[error("a project has at most {ENDPOINTS_MAX} endpoints")]
    TooMany,
    /// Nothing is sent to it now.
    #[error("the endpoint is not enabled")]
    NotEnabled,
    /// Two rotations within a day: a third would end a secret that was promised to sign.
    #[error("two secrets before sign still, the older of them until {}", .0.and_utc().to_rfc3339())]
    Rotating(NaiveDateTime),
    /// The master key is another one.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Bridge {
    /// Adds an endpoint. Its secret is returned this once and never again.
    ///
    /// # Errors
    /// If there are too many, or it cannot be stored.
    pub async fn add_webhook(
        &self,
        project: ProjectId,
        settings: EndpointSettings,
        enabled: bool,
    ) -> Result<(Webhook, SecretString), ManageError> {
        let (vault, now) = (self.vault.clone(), self.clock.now());
        let secret = sign::new_secret();
        self.db
            .write_once(move |conn| {
                if webhook::count(conn, project)? >= ENDPOINTS_MAX {
                    return Err(ManageError::TooMany);
                }
                let state = match enabled {
                    true => WebhookState::Enabled,
                    false => WebhookState::Disabled,
                };
                let id = webhook::create(conn, project, &settings, state, now)?;
                let sealed = vault.seal(&place(id), secret.expose_secret())?;
                webhook::set_secret(conn, id, &sealed, now)?;
                Ok((find(conn, project, id)?, secret))
            })
            .await
    }

    /// Changes an endpoint. One that is enabled again, whoever disabled it, is sent what waits.
    ///
    /// # Errors
    /// If there is no such endpoint, or it cannot be stored.
    pub async fn change_webhook(
        &self,
        project: ProjectId,
        id: WebhookId,
        settings: EndpointSettings,
        enabled: bool,
    ) -> Result<Webhook, ManageError> {
        let now = self.clock.now();
        let known = self.db.read(move |conn| find(conn, project, id)).await?;
        let starts_over = starts_over(&known, &settings, enabled);
        if starts_over {
            // Before anything else: nobody claims what waits meanwhile, and if this breaks off, the
            // endpoint is as it was.
            self.make_webhook_due(id).await?;
        }
        let changed = self.db.write(move |conn| {
            webhook::hold(conn, id)?;
            let known = find(conn, project, id)?;
            if !webhook::change(conn, id, &settings, now)? {
                return Err(ManageError::Unknown);
            }
            match (enabled, known.state) {
                (false, WebhookState::Disabled) => {}
                (false, _) => webhook::turn_off(conn, id, now)?,
                (true, _) if self::starts_over(&known, &settings, enabled) => {
                    webhook::enable(conn, id, now)?;
                }
                (true, _) => {}
            }
            webhook::end_turn(conn, id)?;
            find(conn, project, id)
        });
        let changed = changed.await?;
        self.webhooks.interrupt(id);
        if starts_over {
            // What a turn to the old URL has recorded since.
            self.make_webhook_due(id).await?;
        }
        self.signals.webhooks.notify_one();
        Ok(changed)
    }

    /// What waits for an endpoint that is enabled again is due at once. Some at a time: a day's events may
    /// wait.
    async fn make_webhook_due(&self, id: WebhookId) -> Result<(), ManageError> {
        let now = self.clock.now();
        let mut after = Some(WebhookMessageId(0));
        while let Some(last) = after {
            let hastened = self
                .db
                .write(move |conn| Ok(webhook::make_due(conn, id, last, ROUND, now)?));
            after = hastened.await.map_err(|error: ManageError| error)?;
        }
        Ok(())
    }

    /// Deletes an endpoint: nothing is posted to it from now on.
    ///
    /// # Errors
    /// If there is no such endpoint, or it cannot be stored.
    pub async fn delete_webhook(
        &self,
        project: ProjectId,
        id: WebhookId,
    ) -> Result<(), ManageError> {
        let now = self.clock.now();
        let deleted = self
            .db
            .write(move |conn| match webhook::delete(conn, project, id, now)? {
                true => Ok(()),
                false => Err(ManageError::Unknown),
            });
        deleted.await?;
        self.webhooks.interrupt(id);
        Ok(())
    }

    /// Puts one event that an endpoint was told back into its outbox. Returns the endpoint.
    ///
    /// # Errors
    /// If there is no such endpoint, or it was told no such event.
    pub async fn retry_webhook_message(
        &self,
        project: ProjectId,
        id: WebhookId,
        message: WebhookMessageId,
    ) -> Result<Webhook, ManageError> {
        let now = self.clock.now();
        let retried = self.db.write(move |conn| {
            let known = find(conn, project, id)?;
            match webhook::retry(conn, id, message, now)? {
                true => Ok(known),
                false => Err(ManageError::UnknownMessage),
            }
        });
        let known = retried.await?;
        self.signals.webhooks.notify_one();
        Ok(known)
    }

    /// Puts what an endpoint was told in a time back into its outbox, some at a time, so that nobody
    /// waits for it. Returns how many events those are, and the endpoint.
    ///
    /// # Errors
    /// If there is no such endpoint, or the database fails in the middle: what is back stays back. The
    /// same call puts back the rest, and once more what the endpoint has taken meanwhile.
    pub async fn replay_webhook(
        &self,
        project: ProjectId,
        id: WebhookId,
        range: Range,
    ) -> Result<(usize, Webhook), ManageError> {
        let now = self.clock.now();
        let begin = range.since;
        let begun = self.db.read(move |conn| -> Result<_, ManageError> {
            let known = find(conn, project, id)?;
            Ok((known, webhook::begin(conn, id, begin)?))
        });
        let (known, first) = begun.await?;
        let (range, mut enqueued, mut after) = (Arc::new(range), 0, Some(first));
        while let Some(last) = after {
            let range = Arc::clone(&range);
            let window = self
                .db
                .read(move |conn| Ok(webhook::window(conn, id, last, ROUND, &range)?));
            let (ids, next) = window.await.map_err(|error: ManageError| error)?;
            if !ids.is_empty() {
                let back = self
                    .db
                    .write(move |conn| Ok(webhook::replay(conn, &ids, now)?));
                enqueued += back.await.map_err(|error: ManageError| error)?;
                self.signals.webhooks.notify_one();
            }
            after = next;
        }
        Ok((enqueued, known))
    }

    /// Gives an endpoint a new secret; the one before signs too for a day. Returns until when. The
    /// request that is repeated with its `key` is the same rotation.
    ///
    /// # Errors
    /// If there is no such endpoint, if two secrets before sign still, or if it cannot be stored.
    pub async fn rotate_webhook(
        &self,
        project: ProjectId,
        id: WebhookId,
        key: Option<String>,
    ) -> Result<(SecretString, NaiveDateTime), ManageError> {
        let (vault, now) = (self.vault.clone(), self.clock.now());
        let secret = sign::new_secret();
        self.db
            .write_once(move |conn| {
                webhook::hold(conn, id)?;
                let known = find(conn, project, id)?;
                let signing = |until: Option<NaiveDateTime>| until.filter(|until| now < *until);
                let old = signing(known.old_secret_until);
                if let Some(until) = old.filter(|_| key.is_some() && key == known.rotation_key) {
                    return Ok((vault.unseal(&place(id), &known.sealed_secret)?, until));
                }
                if let Some(until) = old.and(signing(known.older_secret_until)) {
                    return Err(ManageError::Rotating(until));
                }
                let until = now + OVERLAP;
                let rotation = Rotation {
                    sealed_secret: vault.seal(&place(id), secret.expose_secret())?,
                    sealed_old_secret: Some(known.sealed_secret),
                    old_secret_until: Some(until),
                    sealed_older_secret: known.sealed_old_secret.filter(|_| old.is_some()),
                    older_secret_until: old,
                    rotation_key: key,
                    updated_at: now,
                };
                webhook::rotate(conn, id, &rotation)?;
                Ok((secret, until))
            })
            .await
            .inspect(|_| self.webhooks.interrupt(id))
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
            let uid = event::new_uid();
            let body = event::body(PING, now.and_utc(), &json!({"webhook_id": id}))?;
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

/// Whether an endpoint begins as if it had never failed. Another URL has not failed yet.
fn starts_over(known: &Webhook, settings: &EndpointSettings, enabled: bool) -> bool {
    enabled && (known.state != WebhookState::Enabled || known.url != settings.url)
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
    let old = [
        (&webhook.sealed_old_secret, webhook.old_secret_until),
        (&webhook.sealed_older_secret, webhook.older_secret_until),
    ];
    for (sealed, until) in old {
        if let Some(sealed) = sealed
            .as_deref()
            .filter(|_| until.is_some_and(|until| now < until))
        {
            // One that was sealed under a master key that is lost must not keep the new one from
            // signing.
            secrets.extend(vault.unseal(&place, sealed).ok());
        }
    }
    Ok(secrets)
}
