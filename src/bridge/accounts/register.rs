//! Adding and changing accounts: what an operator gives is checked here, and sealed.

use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::{is_app_id, place};
use crate::bridge::Bridge;
use crate::bridge::limits::{ACCOUNT_NAME_MAX, APP_SECRET_MAX, CALLBACK_TOKEN_BYTES};
use crate::bridge::retry::turn;
use crate::db::DbError;
use crate::ids::{IdentityId, ProjectId};
use crate::models::account::pause::Resumed;
use crate::models::account::resumption;
use crate::models::account::{self, Account, AccountKind, AccountSettings, TokenSource};
use crate::models::identity::{self, Turn};
use crate::vault::VaultError;
use crate::wechat::callback::Mode;
use crate::wechat::crypto::AesKey;
use crate::wechat::reply;

/// Profiles that one transaction plans.
const CHUNK: i64 = 1_000;

/// An account as the operator describes it.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The project it belongs to.
    pub project_id: ProjectId,
    /// WeChat's id of the app.
    pub app_id: String,
    /// Official account or mini-program.
    pub kind: AccountKind,
    /// A name for people.
    pub name: String,
    /// Encryption mode of its callbacks.
    pub mode: Mode,
    /// The Token set in WeChat's console.
    pub callback_token: SecretString,
    /// The EncodingAESKey set in WeChat's console.
    pub aes_key: Option<SecretString>,
    /// The AppSecret.
    pub secret: Option<SecretString>,
    /// Where its access token comes from.
    pub token_source: TokenSource,
    /// What a new follower is answered.
    pub welcome_text: Option<String>,
}

/// What is wrong with an account.
#[derive(Debug, Error)]
pub enum RegisterError {
    /// A field breaks its rule.
    #[error("{field}: {rule}")]
    Field {
        /// Which one.
        field: &'static str,
        /// What it must be.
        rule: String,
    },
    /// The app id is taken.
    #[error("app_id: {0} is an account already; change it with `queqiao accounts set`")]
    Exists(String),
    /// There is no such account in the project.
    #[error("app_id: {0} is not an account of this project; add it with `queqiao accounts add`")]
    Missing(String),
    /// The secret could not be sealed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Bridge {
    /// Adds an account.
    ///
    /// # Errors
    /// Names the field that breaks its rule, or that the app id is taken.
    pub async fn add_account(&self, draft: Draft) -> Result<Account, RegisterError> {
        let settings = self.seal(&draft)?;
        self.db
            .write(move |conn| {
                if account::by_app_id(conn, &settings.app_id)?.is_some() {
                    return Err(RegisterError::Exists(settings.app_id.clone()));
                }
                Ok(account::create(conn, &settings)?)
            })
            .await
    }

    /// Replaces an account's settings. Running processes see them within seconds, and what waited
    /// for its owner to act is due at once.
    ///
    /// # Errors
    /// Names the field that breaks its rule, or that there is no such account.
    pub async fn change_account(&self, draft: Draft) -> Result<(Account, Resumed), RegisterError> {
        let (settings, now) = (self.seal(&draft)?, self.clock.now());
        let (changed, lifted) = self
            .db
            .write(move |conn| -> Result<_, RegisterError> {
                let known = account::by_app_id(conn, &settings.app_id)?
                    .filter(|known| known.project_id == settings.project_id);
                let missing = || RegisterError::Missing(settings.app_id.clone());
                let known = known.ok_or_else(missing)?;
                // This may be the fix for what WeChat refused.
                let lifted = resumption::forgive(conn, known.id, now)?;
                let changed = account::update(conn, known.id, &settings)?.ok_or_else(missing)?;
                Ok((changed, lifted))
            })
            .await?;
        let resumed = self.resume_after_change(changed.id, lifted).await?;
        self.ask_unlinked(&changed).await?;
        self.signals.wake_delivery();
        Ok((changed, resumed))
    }

    /// Asks again about everybody in an account of whom no unionid is known, `profile.refresh_per_second`
    /// at a time: its kind may have been corrected, or it may have been bound to an Open Platform account.
    async fn ask_unlinked(&self, account: &Account) -> Result<(), RegisterError> {
        let whose = (account.project_id, account.id);
        let (kind, first) = (account.kind, self.clock.now());
        let per_second = self.config.profile.refresh_per_second;
        let (mut after, mut place) = (IdentityId(0), 0_u64);
        loop {
            let planned = self.db.write(move |conn| -> Result<_, RegisterError> {
                let ids = identity::unlinked(conn, whose, after, CHUNK)?;
                let turns: Vec<Turn> = ids
                    .iter()
                    .zip(place..)
                    .map(|(id, place)| Turn {
                        id: *id,
                        at: match kind {
                            AccountKind::OfficialAccount => Some(turn(first, place, per_second)),
                            AccountKind::MiniProgram => None,
                        },
                    })
                    .collect();
                // Openids of a mini-program stay what they are, unless they were taken for followers.
                identity::plan(conn, &turns)?;
                Ok(turns.last().map(|last| (last.id, turns.len())))
            });
            match planned.await? {
                Some((last, asked)) => {
                    after = last;
                    place += u64::try_from(asked).unwrap_or_default();
                }
                None => return Ok(()),
            }
        }
    }

    fn seal(&self, draft: &Draft) -> Result<AccountSettings, RegisterError> {
        check(draft)?;
        let seal = |field: &str, secret: &SecretString| {
            self.vault
                .seal(&place(&draft.app_id, field), secret.expose_secret())
        };
        let maybe = |field: &str, secret: &Option<SecretString>| {
            secret
                .as_ref()
                .map(|secret| seal(field, secret))
                .transpose()
        };
        Ok(AccountSettings {
            project_id: draft.project_id,
            app_id: draft.app_id.clone(),
            kind: draft.kind,
            name: draft.name.clone(),
            mode: draft.mode.as_str().to_owned(),
            sealed_callback_token: seal("callback_token", &draft.callback_token)?,
            sealed_aes_key: maybe("aes_key", &draft.aes_key)?,
            sealed_secret: maybe("secret", &draft.secret)?,
            token_source: draft.token_source,
            welcome_text: draft.welcome_text.clone(),
            updated_at: self.clock.now(),
        })
    }
}

fn check(draft: &Draft) -> Result<(), RegisterError> {
    let refuse = |field, rule: &str| {
        Err(RegisterError::Field {
            field,
            rule: rule.to_owned(),
        })
    };
    if !is_app_id(&draft.app_id) {
        return refuse(
            "app_id",
            "must be wx and 16 hex digits, as in WeChat's console",
        );
    }
    if draft.name.trim().is_empty() || draft.name.chars().count() > ACCOUNT_NAME_MAX {
        return refuse(
            "name",
            &format!("must be 1 to {ACCOUNT_NAME_MAX} characters"),
        );
    }
    let token = draft.callback_token.expose_secret();
    if !CALLBACK_TOKEN_BYTES.contains(&token.len())
        || !token.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return refuse(
            "token",
            &format!(
                "must be {} to {} letters and digits, the same as in WeChat's console",
                CALLBACK_TOKEN_BYTES.start(),
                CALLBACK_TOKEN_BYTES.end()
            ),
        );
    }
    match &draft.aes_key {
        Some(key) => {
            if let Err(error) = AesKey::parse(key.expose_secret()) {
                return refuse("aes_key", &error.to_string());
            }
        }
        None if draft.mode != Mode::Plain => {
            return refuse("aes_key", "is needed in compatible and secure mode");
        }
        None => {}
    }
    let secret = draft.secret.as_ref().map(ExposeSecret::expose_secret);
    let is_secret = |text: &str| (1..=APP_SECRET_MAX).contains(&text.len()) && text.is_ascii();
    if secret.is_some_and(|secret| !is_secret(secret)) {
        let rule = format!("must be the AppSecret, 1 to {APP_SECRET_MAX} ASCII characters");
        return refuse("secret", &rule);
    }
    if draft
        .welcome_text
        .as_ref()
        .is_some_and(|text| text.len() > reply::MAX_TEXT_BYTES)
    {
        let rule = format!("must be at most {} bytes of UTF-8", reply::MAX_TEXT_BYTES);
        return refuse("welcome_text", &rule);
    }
    Ok(())
}
