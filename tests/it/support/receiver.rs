//! A business's endpoint on a port of its own: keeps what it is sent, and answers as it is told.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::sync::Notify;

/// One post.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) id: String,
    pub(crate) timestamp: i64,
    pub(crate) signatures: Vec<String>,
    pub(crate) body: String,
    /// What it was answered.
    pub(crate) status: u16,
}

impl Post {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }

    /// Which of the signatures that secret has made; written after the specification and not after
    /// our own code.
    pub(crate) fn signed_by(&self, secret: &str) -> Option<usize> {
        let key = STANDARD
            .decode(secret.strip_prefix("whsec_").unwrap())
            .unwrap();
        let content = format!("{}.{}.{}", self.id, self.timestamp, self.body);
        self.signatures.iter().position(|signature| {
            let bytes = STANDARD.decode(signature.strip_prefix("v1,").unwrap());
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            mac.update(content.as_bytes());
            mac.verify_slice(&bytes.unwrap()).is_ok()
        })
    }
}

/// How a post is answered, by its body.
type Script = Box<dyn Fn(&Value) -> (u16, String) + Send>;

struct Inner {
    posts: Mutex<Vec<Post>>,
    script: Mutex<Script>,
    /// Held back answers wait for this.
    gate: tokio::sync::Mutex<()>,
    arrived: Notify,
}

pub(crate) struct Receiver {
    pub(crate) url: String,
    inner: Arc<Inner>,
    handle: ServerHandle,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

impl Receiver {
    /// Answers 200 until told otherwise.
    pub(crate) fn start() -> Self {
        let inner = Arc::new(Inner {
            posts: Mutex::default(),
            script: Mutex::new(Box::new(|_| (200, "thanks".to_owned()))),
            gate: tokio::sync::Mutex::new(()),
            arrived: Notify::new(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let shared = Arc::clone(&inner);
        let server = HttpServer::new(move || {
            let shared = Arc::clone(&shared);
            let limit = web::PayloadConfig::new(8 << 20);
            App::new()
                .app_data(limit)
                .default_service(web::to(move |request, body| {
                    receive(Arc::clone(&shared), request, body)
                }))
        });
        let server = server
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { url, inner, handle }
    }

    /// Every status from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.script(move |_| (status, format!("status {status}\u{7}")));
    }

    /// How to answer from now on, by the body: status and text, for a 3xx the location, for a 429 the
    /// seconds of Retry-After.
    pub(crate) fn script(&self, script: impl Fn(&Value) -> (u16, String) + Send + 'static) {
        *self.inner.script.lock().unwrap() = Box::new(script);
    }

    pub(crate) fn posts(&self) -> Vec<Post> {
        self.inner.posts.lock().unwrap().clone()
    }

    /// What it answered 2xx.
    pub(crate) fn taken(&self) -> Vec<Post> {
        let mut posts = self.posts();
        posts.retain(|post| (200..300).contains(&post.status));
        posts
    }

    /// Holds all answers back until the guard is dropped.
    pub(crate) async fn hold(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.gate.lock().await
    }

    /// Waits until so many posts have come.
    pub(crate) async fn wait_for(&self, count: usize) {
        loop {
            let arrived = self.inner.arrived.notified();
            if self.posts().len() >= count {
                return;
            }
            arrived.await;
        }
    }
}

async fn receive(inner: Arc<Inner>, request: HttpRequest, body: String) -> HttpResponse {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(request.method(), "POST");
    assert_eq!(header("content-type"), "application/json");
    let (status, text) = (inner.script.lock().unwrap())(&serde_json::from_str(&body).unwrap());
    let post = Post {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp").parse().unwrap(),
        signatures: header("webhook-signature")
            .split(' ')
            .map(str::to_owned)
            .collect(),
        body,
        status,
    };
    inner.posts.lock().unwrap().push(post);
    inner.arrived.notify_one();
    let _gate = inner.gate.lock().await;
    let mut response = HttpResponse::build(status.try_into().unwrap());
    if (300..400).contains(&status) {
        response.insert_header(("location", text.clone()));
    }
    if status == 429 {
        response.insert_header(("retry-after", text.clone()));
    }
    response.body(text)
}
