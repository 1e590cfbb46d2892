//! A callback endpoint that answers as a test tells it and hands over what it received.

use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use crate::wechat::callback::Query;

/// What the stub received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Got {
    pub(super) query: String,
    pub(super) content_type: String,
    pub(super) user_agent: String,
    pub(super) body: String,
}

impl Got {
    pub(super) fn query(&self) -> Query {
        web::Query::<Query>::from_query(&self.query)
            .unwrap()
            .into_inner()
    }
}

/// Status and body, or no answer at all.
pub(super) type Reply = Option<(u16, String)>;
type Answer = Arc<dyn Fn(&Got) -> Reply + Send + Sync>;

pub(super) struct Stub {
    received: UnboundedReceiver<Got>,
    server: ServerHandle,
    pub(super) url: url::Url,
}

impl Stub {
    pub(super) async fn start(answer: impl Fn(&Got) -> Reply + Send + Sync + 'static) -> Self {
        let (sender, received) = unbounded_channel();
        let answer: Answer = Arc::new(answer);
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::new(sender.clone()))
                .app_data(web::Data::new(Arc::clone(&answer)))
                .default_service(web::to(serve))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
        let url = format!("http://{}/callback?id=7", server.addrs()[0]);
        let running = server.run();
        let server = running.handle();
        tokio::spawn(running);
        Self {
            received,
            server,
            url: url.parse().unwrap(),
        }
    }

    /// Always this body with HTTP 200.
    pub(super) async fn saying(body: &'static str) -> Self {
        Self::start(move |_| Some((200, body.to_owned()))).await
    }

    /// The next request, already made or still to come.
    pub(super) async fn next(&mut self) -> Got {
        let next = tokio::time::timeout(Duration::from_secs(10), self.received.recv());
        next.await.expect("no request came").unwrap()
    }

    /// What was received and not yet looked at.
    pub(super) fn rest(&mut self) -> Vec<Got> {
        std::iter::from_fn(|| self.received.try_recv().ok()).collect()
    }

    pub(super) async fn stop(self) {
        self.server.stop(false).await;
    }
}

async fn serve(
    request: HttpRequest,
    body: web::Bytes,
    sender: web::Data<UnboundedSender<Got>>,
    answer: web::Data<Answer>,
) -> HttpResponse {
    let header = |name: &str| {
        let value = request.headers().get(name);
        value
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default()
    };
    let got = Got {
        query: request.query_string().to_owned(),
        content_type: header("content-type"),
        user_agent: header("user-agent"),
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let reply = answer(&got);
    // The test may be over.
    let _ = sender.send(got);
    match reply {
        Some((status, body)) => {
            HttpResponse::build(StatusCode::from_u16(status).unwrap()).body(body)
        }
        None => std::future::pending().await,
    }
}

impl Sim {
    /// Sends the pushes of both accounts to the stub.
    pub(super) fn push_to(&self, stub: &Stub) {
        for app_id in [OFFICIAL, MINI] {
            let change = |settings: &mut Settings| settings.callback_url = Some(stub.url.clone());
            self.world().change_account(app_id, change).unwrap();
        }
    }
}
