//! Signing in through an identity provider: OpenID Connect, the authorization code flow with PKCE. What was begun is kept in
//! the browser, sealed, so that any process can finish it. The provider is asked when somebody signs in and at no other
//! time, so that nothing else depends on it.

mod claims;
mod http;
mod provider;
mod record;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::CoreResponseType;
use openidconnect::{
    AuthenticationFlow, AuthorizationCode, CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier,
    Scope, TokenResponse as _,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use super::session::SignedIn;
use super::sign_in::From as SignedInFrom;
use crate::bridge::Bridge;
use crate::clock::Clock;
use crate::config::Config;
use crate::db::DbError;
use crate::vault::{Vault, VaultError};
use claims::Person;
use provider::Providers;
use record::Recorded;

/// Where the provider sends people back to, below the address from outside.
pub const CALLBACK: &str = "/api/v1/session/oidc/callback";
/// Seconds that somebody has for signing in at the provider.
pub const BEGUN_SECONDS: i64 = 600;
/// The place under which it is sealed what was begun.
const PLACE: &str = "oidc/sign-in";
/// Characters of the provider's own words that are repeated.
const WORDS_MAX: usize = 200;

/// Why somebody was not signed in.
#[derive(Debug, Error)]
pub enum OidcError {
    /// There is no provider.
    #[error("oidc.issuer is empty: there is no identity provider")]
    Off,
    /// The provider does not answer, or what it answers cannot be read.
    #[error("the identity provider cannot be asked: {0}")]
    Unreachable(String),
    /// What came back is not what was begun, or the provider says no.
    #[error("{0}")]
    Refused(String),
    /// None of their groups is anything here.
    #[error("none of the groups of '{0}' has a role here")]
    NoRole(String),
    /// They may not sign in.
    #[error("the user is disabled")]
    Disabled,
    /// It could not be sealed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
}

fn refused(words: impl Into<String>) -> OidcError {
    OidcError::Refused(words.into())
}

/// What was begun, as it is kept in the browser.
#[derive(Deserialize, Serialize)]
struct Begun {
    state: String,
    nonce: String,
    verifier: String,
    /// Seconds since 1970.
    at: i64,
}

/// The way to the provider, and what the browser keeps meanwhile.
#[derive(Debug)]
pub struct Way {
    /// Where to go.
    pub url: String,
    /// For a cookie.
    pub kept: SecretString,
}

/// What the provider sent somebody back with.
#[derive(Clone, Debug, Default)]
pub struct Back {
    /// A code, if it knows them.
    pub code: Option<String>,
    /// What was sent with them.
    pub state: Option<String>,
    /// Why not, otherwise.
    pub error: Option<String>,
    /// The same in more words.
    pub error_description: Option<String>,
}

/// The identity provider, as far as this process knows it.
pub(super) struct Oidc {
    clock: Clock,
    vault: Vault,
    config: Arc<Config>,
    providers: Providers,
}

impl Oidc {
    pub(super) fn new(clock: Clock, vault: Vault, config: Arc<Config>) -> Self {
        Self {
            providers: Providers::new(clock.clone()),
            clock,
            vault,
            config,
        }
    }

    /// Begins a sign-in.
    async fn begin(&self) -> Result<Way, OidcError> {
        let settings = &self.config.oidc;
        let client = self.providers.client(&self.config, None).await?.client;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let mut request = client.authorize_url(flow, CsrfToken::new_random, Nonce::new_random);
        for scope in settings.scopes.split_ascii_whitespace() {
            if scope != "openid" {
                request = request.add_scope(Scope::new(scope.to_owned()));
            }
        }
        let (url, state, nonce) = request.set_pkce_challenge(challenge).url();
        let begun = Begun {
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
            at: self.clock.unix_seconds(),
        };
        let text = serde_json::to_string(&begun).map_err(|error| refused(error.to_string()))?;
        let sealed = self.vault.seal(PLACE, &text)?;
        Ok(Way {
            url: url.into(),
            kept: SecretString::from(URL_SAFE_NO_PAD.encode(sealed)),
        })
    }

    /// What was begun in this browser, if it is what the provider answers.
    fn begun(&self, kept: Option<&SecretString>, state: &str) -> Result<Begun, OidcError> {
        let again = "Begin again: GET /api/v1/session/oidc";
        let begun = kept.and_then(|kept| {
            let sealed = URL_SAFE_NO_PAD.decode(kept.expose_secret()).ok()?;
            let text = self.vault.unseal(PLACE, &sealed).ok()?;
            serde_json::from_str::<Begun>(text.expose_secret()).ok()
        });
        let Some(begun) = begun else {
            let words = format!("No sign-in was begun in this browser. {again}");
            return Err(refused(words));
        };
        // One that is dated later than now was begun before the clock went back.
        let age = self.clock.unix_seconds() - begun.at;
        if age >= BEGUN_SECONDS {
            let words =
                format!("The sign-in was begun more than {BEGUN_SECONDS} seconds ago. {again}");
            return Err(refused(words));
        }
        if !bool::from(begun.state.as_bytes().ct_eq(state.as_bytes())) {
            let words =
                format!("The state is not that of the sign-in begun in this browser. {again}");
            return Err(refused(words));
        }
        Ok(begun)
    }

    /// Whom the provider vouches for.
    async fn person(&self, back: Back, kept: Option<&SecretString>) -> Result<Person, OidcError> {
        if !self.config.oidc.is_on() {
            return Err(OidcError::Off);
        }
        let begun = self.begun(kept, back.state.as_deref().unwrap_or_default())?;
        let code = back.code.ok_or_else(|| {
            let said = [back.error, back.error_description].into_iter().flatten();
            let said: Vec<String> = said.collect();
            let said: String = said.join(": ").chars().take(WORDS_MAX).collect();
            refused(format!("The identity provider says: {said}"))
        })?;
        let known = self.providers.client(&self.config, None).await?;
        let verifier = PkceCodeVerifier::new(begun.verifier);
        let tokens = self
            .providers
            .tokens(&known, AuthorizationCode::new(code), verifier);
        let tokens = tokens.await?;
        let Some(token) = tokens.id_token() else {
            return Err(refused("The identity provider gave no ID token"));
        };
        let nonce = Nonce::new(begun.nonce);
        let verified = match provider::verify(&known, &self.clock, token, &nonce) {
            // Its keys may have changed.
            Err(error) if provider::is_about_keys(&error) => {
                let newer = self.providers.client(&self.config, Some(&known)).await?;
                provider::verify(&newer, &self.clock, token, &nonce)
            }
            verified => verified,
        };
        let claims =
            verified.map_err(|error| refused(format!("The ID token is not valid: {error}")))?;
        Ok(Person::of(claims, &self.config.oidc))
    }
}

impl Bridge {
    /// The way to the identity provider.
    ///
    /// # Errors
    /// If there is none, or it cannot be asked.
    pub async fn begin_oidc(&self) -> Result<Way, OidcError> {
        self.users.oidc.begin().await
    }

    /// Signs in whom the provider sent back, adds them where they are new, and gives them the roles of their groups. The
    /// secret is for their cookie.
    ///
    /// # Errors
    /// If it is not what was begun, the provider does not vouch for them, they have no role, or the database fails.
    pub async fn finish_oidc(
        &self,
        back: Back,
        kept: Option<&SecretString>,
        from: SignedInFrom,
    ) -> Result<(SecretString, Arc<SignedIn>), OidcError> {
        let person = self.users.oidc.person(back, kept).await?;
        let recorded = self.record_person(person.clone()).await?;
        let id = match recorded {
            Recorded::User(id) => id,
            Recorded::Disabled => return Err(OidcError::Disabled),
            Recorded::NoRole(_) => return Err(OidcError::NoRole(person.name)),
        };
        let subject = person.subject;
        let is_same = move |user: &crate::models::user::User| {
            user.oidc_subject.as_deref() == Some(subject.as_str())
        };
        let started = self.start_session(id, from, is_same).await?;
        started.ok_or(OidcError::Disabled)
    }
}
