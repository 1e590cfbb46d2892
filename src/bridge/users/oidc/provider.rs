//! The identity provider: where its pages are and with which keys it signs, read when they are first needed and again after
//! an hour, or when a token is signed with a key that is not known.

use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType, CoreGenderClaim,
    CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
    CoreProviderMetadata, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AuthType, AuthorizationCode, ClaimsVerificationError, Client, ClientId, ClientSecret,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdToken, IdTokenClaims,
    IdTokenFields, IssuerUrl, Nonce, PkceCodeVerifier, RedirectUrl, RequestTokenError,
    SignatureVerificationError, StandardErrorResponse, StandardTokenResponse,
};
use secrecy::ExposeSecret as _;
use tokio::sync::{Mutex, Semaphore};

use super::claims::OtherClaims;
use super::http::Http;
use super::{CALLBACK, OidcError, refused};
use crate::bridge::limits::OIDC_AT_ONCE;
use crate::clock::Clock;
use crate::config::Config;

/// How long somebody waits for the provider in all.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long what was read of it counts.
const GOOD_FOR: TimeDelta = TimeDelta::hours(1);
/// How often it is read again for a key that is not known.
const KEYS_EVERY: TimeDelta = TimeDelta::seconds(60);
/// The ways of signing that are trusted: with keys of the provider's own, of which we know the public halves.
const TRUSTED: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// An ID token with the claims that we read.
pub(super) type Token = IdToken<
    OtherClaims,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// What the provider gives for a code.
pub(super) type Tokens = StandardTokenResponse<
    IdTokenFields<
        OtherClaims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

type OidcClient = Client<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The provider as it was read.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) client: Arc<OidcClient>,
    http: Http,
    read_at: NaiveDateTime,
}

/// The provider, as far as this process knows it.
pub(super) struct Providers {
    clock: Clock,
    /// Held while it is read, so that many who wait read it once.
    known: Mutex<Option<Known>>,
    /// For those who exchange a code: anybody can come with one that is made up.
    turns: Semaphore,
}

impl Providers {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            known: Mutex::default(),
            turns: Semaphore::new(OIDC_AT_ONCE),
        }
    }

    /// The provider; one that is newer than the given one, where its keys may have changed.
    pub(super) async fn client(
        &self,
        config: &Config,
        outdated: Option<&Known>,
    ) -> Result<Known, OidcError> {
        if !config.oidc.is_on() {
            return Err(OidcError::Off);
        }
        let read = async {
            let mut known = self.known.lock().await;
            let now = self.clock.now();
            let good_for = match (&*known, outdated) {
                (Some(known), Some(outdated)) if known.read_at == outdated.read_at => KEYS_EVERY,
                _ => GOOD_FOR,
            };
            let is_good = |known: &Known| (known.read_at..known.read_at + good_for).contains(&now);
            if let Some(known) = known.as_ref().filter(|known| is_good(known)) {
                return Ok(known.clone());
            }
            let read = discover(config, now).await?;
            *known = Some(read.clone());
            Ok(read)
        };
        patiently(read).await
    }

    /// What the provider gives for a code.
    pub(super) async fn tokens(
        &self,
        known: &Known,
        code: AuthorizationCode,
        verifier: PkceCodeVerifier,
    ) -> Result<Tokens, OidcError> {
        let request = known.client.exchange_code(code);
        let request = request.map_err(|error| OidcError::Unreachable(error.to_string()))?;
        let asked = async {
            let turn = self.turns.acquire().await;
            let _held = turn.map_err(|error| OidcError::Unreachable(error.to_string()))?;
            let asked = request
                .set_pkce_verifier(verifier)
                .request_async(&known.http);
            asked.await.map_err(|error| match error {
                RequestTokenError::ServerResponse(said) => refused(format!(
                    "The identity provider refuses the code: {}",
                    said.error()
                )),
                RequestTokenError::Parse(error, _) => OidcError::Unreachable(error.to_string()),
                error => OidcError::Unreachable(error.to_string()),
            })
        };
        patiently(asked).await
    }
}

async fn patiently<T>(asked: impl Future<Output = Result<T, OidcError>>) -> Result<T, OidcError> {
    let answered = tokio::time::timeout(PATIENCE, asked).await;
    answered.map_err(|_| OidcError::Unreachable("it takes too long".to_owned()))?
}

async fn discover(config: &Config, now: NaiveDateTime) -> Result<Known, OidcError> {
    let unreachable = |error: &dyn std::fmt::Display| OidcError::Unreachable(error.to_string());
    let settings = &config.oidc;
    let http = Http::new(settings).map_err(|error| unreachable(&error))?;
    let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(|error| unreachable(&error))?;
    let found = CoreProviderMetadata::discover_async(issuer, &http).await;
    let found = found.map_err(|error| unreachable(&error))?;
    let client = client(config, found).map_err(|error| unreachable(&error))?;
    Ok(Known {
        client: Arc::new(client),
        http,
        read_at: now,
    })
}

/// What knows the provider's pages and keys, and as whom it knows us.
fn client(config: &Config, found: CoreProviderMetadata) -> Result<OidcClient, url::ParseError> {
    let settings = &config.oidc;
    // RFC 8414: where nothing is said, it is `client_secret_basic`.
    let by_body = found
        .token_endpoint_auth_methods_supported()
        .is_some_and(|known| {
            known.contains(&CoreClientAuthMethod::ClientSecretPost)
                && !known.contains(&CoreClientAuthMethod::ClientSecretBasic)
        });
    let secret = settings.client_secret.as_ref();
    let secret = secret.map(|secret| ClientSecret::new(secret.expose_secret().to_owned()));
    let public_url = config.server.public_url.trim_end_matches('/');
    let back = RedirectUrl::new(format!("{public_url}{CALLBACK}"))?;
    let client_id = ClientId::new(settings.client_id.clone());
    let client = Client::from_provider_metadata(found, client_id, secret);
    Ok(client.set_redirect_uri(back).set_auth_type(match by_body {
        true => AuthType::RequestBody,
        false => AuthType::BasicAuth,
    }))
}

/// The claims of a token that the provider signed, for us, in this sign-in, and that is good still.
pub(super) fn verify<'t>(
    known: &Known,
    clock: &Clock,
    token: &'t Token,
    nonce: &Nonce,
) -> Result<&'t IdTokenClaims<OtherClaims, CoreGenderClaim>, ClaimsVerificationError> {
    let verifier = known
        .client
        .id_token_verifier()
        .set_allowed_algs(TRUSTED)
        .set_time_fn(|| clock.now().and_utc());
    token.claims(&verifier, nonce)
}

/// Whether another key of the provider's may fit.
pub(super) fn is_about_keys(error: &ClaimsVerificationError) -> bool {
    matches!(
        error,
        ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_)
        )
    )
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use chrono::DateTime;
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use serde_json::json;
    use sha2::Sha256;

    use super::*;

    /// A second in which the tokens are good.
    const SECOND: i64 = 1_764_000_010;
    const CLAIMS: &str = r#"{"iss":"https://id.example.com","sub":"u1","aud":"queqiao","nonce":"n","iat":1764000000,"exp":1764000300}"#;
    const RS256: &str = r#"{"alg":"RS256","kid":"rsa"}"#;
    const ES256: &str = r#"{"alg":"ES256","kid":"ec"}"#;
    // Public keys and signatures that OpenSSL made.
    const MODULUS: &str = "\
        3DWY5zJsamCLlvEQcOdeD6uvMKPZRWTlFPXxasa9bM-l4hnJFYQ9ZmjV-ETOZd-_i1B6cZYJAtU6LCUck8TgYx\
        vDPQiZsjTll0eoqcy0fOskTLg7UxwspIZwvuHkTPKPPOE_yRsugzRMjZ5sRXdM1BYUrlK6w2v863muTIRIDxei\
        B3rPYauSJ6WtuZqKbWs71Mqf9ggSDHEGoC-bCoEOmKw4mQqrV63M-MqvWB2sYM-tUm4mJb6cnWBGa3vfyW7Xzf\
        rOCef51fGWJ6L84cTR6Lk7C92wdqAup3WHVtMH8t3_Y-5XsmXr6czDofEFdeiA2fXQAvVw4OYDStAJfmYwlQ";
    const X: &str = "IPlSz_tMi9JyzkhUZZSQGqNnCsG8-WtdZ7v-IcVFzvs";
    const Y: &str = "66MWnEOh5qQIf44VULrnIM7hOMRZkompaU7zlN8X1RM";
    const SIGNED_BY_RSA: &str = "\
        f9y5K0_l017MGt6vpYFxiwKp3d5t9Qbp7MYo7YpfMnUr2tWr1g0gEAoQ44MKMNNPaQ0BTCYHX_NsSpKFKqdt0_\
        ho2yrDR9i724f6yiXotS16e4kjVufy9w8c9VCXUORgFxnOwwjXbZb-mXjtaMzl_j1gRgGeQkOa6obWbidCoenI\
        SFgK-I0_xJ0-T1xVy421eB62mGc24P_cIWLoRhsqc3_WbZC15g2Xw2oz384hT7vJemULAH4yBojTZzgDfUS6hE\
        tIXwtkLHu2lPDFy4UVNeExBjDRbmVW8_NOs1jfDFNeIMS0X_Pce0CumKH8U-JY7zZxf3fgtFBuggePNA8hIg";
    const SIGNED_BY_EC: &str = "\
        _vuF4HyAXdRRss0gQMCK6QZbMMuMuNAN_QhCDwth-_20oEVEWWulcENeDk5b0ha6fwyTtTH3H5AnHbYp44oA0Q";

    fn known() -> Known {
        let mut config = Config::default();
        config.server.public_url = "https://wx.example.com".to_owned();
        config.oidc.client_id = "queqiao".to_owned();
        config.oidc.client_secret = Some("s3cret".into());
        let found: CoreProviderMetadata = serde_json::from_value(json!({
            "issuer": "https://id.example.com",
            "authorization_endpoint": "https://id.example.com/authorize",
            "token_endpoint": "https://id.example.com/token",
            "jwks_uri": "https://id.example.com/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256"],
        }))
        .unwrap();
        let keys = serde_json::from_value(json!({"keys": [
            {"kty": "RSA", "use": "sig", "kid": "rsa", "n": MODULUS, "e": "AQAB"},
            {"kty": "EC", "use": "sig", "kid": "ec", "crv": "P-256", "x": X, "y": Y},
        ]}));
        let found = found.set_jwks(keys.unwrap());
        Known {
            client: Arc::new(client(&config, found).unwrap()),
            http: Http::new(&config.oidc).unwrap(),
            read_at: NaiveDateTime::default(),
        }
    }

    fn signed(header: &str, signature: &str) -> String {
        let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
        format!("{}.{}.{signature}", encode(header), encode(CLAIMS))
    }

    /// With the secret of the client, which is no key of the provider's.
    fn by_secret(header: &str) -> String {
        let token = signed(header, "");
        let mut mac = Hmac::<Sha256>::new_from_slice(b"s3cret").unwrap();
        mac.update(token.trim_end_matches('.').as_bytes());
        token + &URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }

    #[test]
    fn a_token_is_signed_by_a_key_of_the_provider_and_not_by_a_secret() {
        let known = known();
        let verified = |token: &str, second: i64| {
            let token: Token = token.parse().unwrap();
            let at = DateTime::from_timestamp(second, 0).unwrap();
            let clock = Clock::manual(at.naive_utc());
            let claims = verify(&known, &clock, &token, &Nonce::new("n".to_owned()));
            claims.map(|claims| claims.subject().to_string())
        };
        for (header, signature) in [(RS256, SIGNED_BY_RSA), (ES256, SIGNED_BY_EC)] {
            let token = signed(header, signature);
            assert_eq!(verified(&token, SECOND).unwrap(), "u1");
            verified(&token, SECOND + 300).unwrap_err();
        }
        for token in [
            signed(RS256, SIGNED_BY_EC),
            signed(ES256, SIGNED_BY_RSA),
            signed(r#"{"alg":"PS256","kid":"rsa"}"#, SIGNED_BY_RSA),
            signed(r#"{"alg":"none"}"#, ""),
            by_secret(r#"{"alg":"HS256","kid":"rsa"}"#),
            by_secret(r#"{"alg":"HS256"}"#),
        ] {
            let error = verified(&token, SECOND).unwrap_err();
            let is_signature = matches!(error, ClaimsVerificationError::SignatureVerification(_));
            assert!(is_signature, "{token}: {error}");
        }
    }
}
