//! An endpoint of the business: takes webhooks, fails now and then, and keeps what it took.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::dice::Dice;

/// Larger requests than this are none.
const MAX_REQUEST: usize = 1 << 20;
/// How late a slow answer is: later than Queqiao waits here.
const SLOW: Duration = Duration::from_secs(2);

/// What it took: under which ids each notification's message to each staff member came.
pub(crate) type Taken = BTreeMap<(String, String), BTreeSet<String>>;

#[derive(Default)]
struct Inner {
    taken: Mutex<Taken>,
    dice: Option<Mutex<Dice>>,
}

pub(crate) struct Endpoint {
    pub(crate) url: String,
    inner: Arc<Inner>,
    _server: JoinSet<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What happens to one post.
#[derive(Clone, Copy)]
enum Fate {
    Taken,
    /// Not taken: 500.
    Refused,
    /// Taken, and the connection closed without an answer.
    CutOff,
    /// Taken, and answered too late.
    Slow,
}

impl Endpoint {
    /// On a free port. Of a hundred posts some three go wrong, if `dice` are given.
    pub(crate) async fn start(dice: Option<Dice>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let inner = Arc::new(Inner {
            taken: Mutex::default(),
            dice: dice.map(Mutex::new),
        });
        let mut server = JoinSet::new();
        server.spawn(accept(listener, Arc::clone(&inner)));
        Ok(Self {
            url,
            inner,
            _server: server,
        })
    }

    pub(crate) fn taken(&self) -> Taken {
        lock(&self.inner.taken).clone()
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let inner = Arc::clone(&inner);
        connections.spawn(async move {
            // Whoever closes the connection has had what it wanted.
            let _ = serve(stream, &inner).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut stream: TcpStream, inner: &Inner) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let Some((id, body)) = request(&mut stream, &mut buffer).await? else {
            return Ok(());
        };
        let fate = inner.fate();
        if !matches!(fate, Fate::Refused) {
            inner.take(id, &body);
        }
        match fate {
            Fate::CutOff => return Ok(()),
            Fate::Slow => tokio::time::sleep(SLOW).await,
            Fate::Taken | Fate::Refused => {}
        }
        let answer: &[u8] = match fate {
            Fate::Refused => b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
            _ => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        };
        stream.write_all(answer).await?;
    }
}

impl Inner {
    fn fate(&self) -> Fate {
        let Some(dice) = &self.dice else {
            return Fate::Taken;
        };
        match lock(dice).below(1000) {
            0..10 => Fate::Refused,
            10..25 => Fate::CutOff,
            25..30 => Fate::Slow,
            _ => Fate::Taken,
        }
    }

    fn take(&self, id: String, body: &[u8]) {
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return;
        };
        let text = |pointer: &str| {
            body.pointer(pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        if let (Some(order), Some(staff)) = (text("/data/fields/order"), text("/data/staff_id")) {
            lock(&self.taken)
                .entry((order, staff))
                .or_default()
                .insert(id);
        }
    }
}

/// The next request: its `webhook-id` and its body; none if there is no further one.
async fn request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> std::io::Result<Option<(String, Vec<u8>)>> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut parsed = httparse::Request::new(&mut headers);
        if let Ok(httparse::Status::Complete(head)) = parsed.parse(buffer) {
            let header = |name: &str| {
                let found = parsed
                    .headers
                    .iter()
                    .find(|header| header.name.eq_ignore_ascii_case(name));
                found.map(|header| String::from_utf8_lossy(header.value).into_owned())
            };
            let length = header("content-length").and_then(|length| length.trim().parse().ok());
            let end = head.saturating_add(length.unwrap_or(0_usize));
            let id = header("webhook-id").unwrap_or_default();
            if let Some(body) = buffer.get(head..end).map(<[u8]>::to_vec) {
                buffer.drain(..end);
                return Ok(Some((id, body)));
            }
        }
        if buffer.len() > MAX_REQUEST || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}
