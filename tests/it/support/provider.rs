//! An identity provider on a port of its own: it vouches for whoever the test says, with a key made for the test.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKeyId, PrivateSigningKey as _};
use queqiao::clock::Clock;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What the provider gives for a code.
struct Ticket {
    challenge: String,
    token: String,
}

struct Inner {
    issuer: String,
    clock: Mutex<Clock>,
    key: Mutex<Key>,
    tickets: Mutex<HashMap<String, Ticket>>,
    is_down: AtomicBool,
    discovered: AtomicUsize,
    /// What the token endpoint was sent in `Authorization`.
    authorization: Mutex<String>,
}

/// A key to sign with, under its name.
#[derive(Clone)]
pub(crate) struct Key {
    seed: [u8; 32],
    name: String,
}

impl Key {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            seed: rand::random(),
            name: name.to_owned(),
        }
    }

    /// As a PKCS #8 file has it (RFC 8410).
    fn signing(&self) -> CoreEdDsaPrivateSigningKey {
        let head = hex::decode("302e020100300506032b657004220420").unwrap();
        let der = STANDARD.encode([head.as_slice(), &self.seed].concat());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
        let name = JsonWebKeyId::new(self.name.clone());
        CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, Some(name)).unwrap()
    }

    /// A token with these claims (RFC 7515, 3.1).
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": self.name});
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let algorithm = CoreJwsSigningAlgorithm::EdDsa;
        let signature = self.signing().sign(&algorithm, signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

pub(crate) struct Provider {
    inner: Arc<Inner>,
    handle: ServerHandle,
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

/// Somebody whom the provider sends on to us, as their browser asks for it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) state: String,
    pub(crate) nonce: String,
    pub(crate) challenge: String,
    pub(crate) redirect_uri: String,
    pub(crate) scope: String,
}

impl Asked {
    /// What the address says to which somebody was sent.
    pub(crate) fn read(location: &str) -> Self {
        let url = reqwest::Url::parse(location).unwrap();
        let pairs: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(pairs["response_type"], "code");
        assert_eq!(pairs["client_id"], "queqiao");
        assert_eq!(pairs["code_challenge_method"], "S256");
        Self {
            state: pairs["state"].clone(),
            nonce: pairs["nonce"].clone(),
            challenge: pairs["code_challenge"].clone(),
            redirect_uri: pairs["redirect_uri"].clone(),
            scope: pairs["scope"].clone(),
        }
    }
}

impl Provider {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inner = Arc::new(Inner {
            issuer: format!("http://{}", listener.local_addr().unwrap()),
            clock: Mutex::new(Clock::system()),
            key: Mutex::new(Key::new("first")),
            tickets: Mutex::default(),
            is_down: AtomicBool::new(false),
            discovered: AtomicUsize::new(0),
            authorization: Mutex::default(),
        });
        let shared = web::Data::from(Arc::clone(&inner));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/.well-known/openid-configuration", web::get().to(discover))
                .route("/jwks", web::get().to(keys))
                .route("/token", web::post().to(exchange))
        });
        let server = server.workers(1).disable_signals();
        let server = server.listen(listener).unwrap().run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { inner, handle }
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.inner.issuer
    }

    /// What time it is there.
    pub(crate) fn follow(&self, clock: &Clock) {
        *self.inner.clock.lock().unwrap() = clock.clone();
    }

    /// The key that it signs with.
    pub(crate) fn key(&self) -> Key {
        self.inner.key.lock().unwrap().clone()
    }

    pub(crate) fn change_key(&self, key: Key) {
        *self.inner.key.lock().unwrap() = key;
    }

    pub(crate) fn be_down(&self, is_down: bool) {
        self.inner.is_down.store(is_down, Ordering::SeqCst);
    }

    /// How often it was asked where its pages are.
    pub(crate) fn discovered(&self) -> usize {
        self.inner.discovered.load(Ordering::SeqCst)
    }

    /// How we identified ourselves.
    pub(crate) fn authorization(&self) -> String {
        self.inner.authorization.lock().unwrap().clone()
    }

    /// The claims of somebody whom it knows, for that sign-in.
    pub(crate) fn claims(&self, asked: &Asked, subject: &str, groups: &[&str]) -> Value {
        let now = self.inner.clock.lock().unwrap().unix_seconds();
        json!({
            "iss": self.inner.issuer, "sub": subject, "aud": "queqiao", "nonce": asked.nonce,
            "iat": now, "exp": now + 300, "preferred_username": subject, "name": "王芳",
            "groups": groups,
        })
    }

    /// A code for a token.
    pub(crate) fn code(&self, asked: &Asked, token: String) -> String {
        let code = format!("code-{:x}", rand::random::<u64>());
        let ticket = Ticket {
            challenge: asked.challenge.clone(),
            token,
        };
        self.inner
            .tickets
            .lock()
            .unwrap()
            .insert(code.clone(), ticket);
        code
    }
}

async fn discover(inner: web::Data<Inner>) -> HttpResponse {
    inner.discovered.fetch_add(1, Ordering::SeqCst);
    if inner.is_down.load(Ordering::SeqCst) {
        return HttpResponse::ServiceUnavailable().finish();
    }
    let issuer = &inner.issuer;
    HttpResponse::Ok().json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "EdDSA"],
    }))
}

async fn keys(inner: web::Data<Inner>) -> HttpResponse {
    let key = inner.key.lock().unwrap().signing().as_verification_key();
    HttpResponse::Ok().json(json!({"keys": [key]}))
}

async fn exchange(
    inner: web::Data<Inner>,
    request: actix_web::HttpRequest,
    form: web::Form<HashMap<String, String>>,
) -> HttpResponse {
    let authorization = request.headers().get("authorization");
    let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
    *inner.authorization.lock().unwrap() = authorization.unwrap_or_default();
    let refused = || HttpResponse::BadRequest().json(json!({"error": "invalid_grant"}));
    // A code works once.
    let Some(ticket) = inner.tickets.lock().unwrap().remove(&form["code"]) else {
        return refused();
    };
    let verifier = Sha256::digest(form["code_verifier"].as_bytes());
    if URL_SAFE_NO_PAD.encode(verifier) != ticket.challenge {
        return refused();
    }
    HttpResponse::Ok().json(json!({
        "access_token": "for nothing", "token_type": "Bearer", "expires_in": 300,
        "id_token": ticket.token,
    }))
}
