//! A WeChat of one exchange, for tests: takes one request, answers canned bytes, hands the request back.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{AccessToken, Client, ClientOptions};

/// The token of all tests; no error may show it.
pub(in crate::wechat) const TOKEN: &str = "57_token-that_nobody-may-see";

/// What happens once the request is in.
pub(in crate::wechat) enum Then {
    /// These bytes, then the connection is closed.
    Answer(Vec<u8>),
    /// These bytes, and the connection stays open.
    AnswerAndSilence(Vec<u8>),
}

/// A request as it came over the wire.
pub(in crate::wechat) struct Request {
    /// `POST /path?query`.
    pub(in crate::wechat) target: String,
    /// The header lines in lower case.
    pub(in crate::wechat) headers: String,
    pub(in crate::wechat) body: String,
}

pub(in crate::wechat) struct Stub {
    /// A client that has the stub for WeChat.
    pub(in crate::wechat) client: Client,
    exchange: JoinHandle<Request>,
}

impl Stub {
    pub(in crate::wechat) async fn new(then: Then) -> Self {
        Self::with_timeout(then, super::DEFAULT_TIMEOUT).await
    }

    pub(in crate::wechat) async fn with_timeout(then: Then, timeout: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let exchange = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = receive(&mut stream).await;
            match then {
                Then::Answer(bytes) => stream.write_all(&bytes).await.unwrap(),
                Then::AnswerAndSilence(bytes) => {
                    stream.write_all(&bytes).await.unwrap();
                    while stream.read_u8().await.is_ok() {}
                }
            }
            request
        });
        Self {
            client: Client::new(ClientOptions {
                timeout,
                ..ClientOptions::new(base.parse().unwrap())
            })
            .unwrap(),
            exchange,
        }
    }

    /// Answers 200 with this body and WeChat's content type.
    pub(in crate::wechat) async fn json(body: impl AsRef<[u8]>) -> Self {
        Self::new(Then::Answer(response(
            "200 OK",
            "application/json; encoding=utf-8",
            body.as_ref(),
        )))
        .await
    }

    pub(in crate::wechat) async fn request(self) -> Request {
        self.exchange.await.unwrap()
    }
}

pub(in crate::wechat) fn token() -> AccessToken {
    AccessToken::new(TOKEN)
}

pub(in crate::wechat) fn response(status: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

async fn receive(stream: &mut TcpStream) -> Request {
    let mut bytes = Vec::new();
    loop {
        stream.read_buf(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let (line, headers) = head.split_once("\r\n").unwrap();
        let headers = headers.to_ascii_lowercase();
        let length = headers
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        if body.len() >= length {
            return Request {
                target: line.strip_suffix(" HTTP/1.1").unwrap().to_owned(),
                headers,
                body: body.to_owned(),
            };
        }
    }
}
