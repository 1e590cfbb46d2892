//! One keep-alive connection with one request in flight. Lean, since it shares its processors with what it pushes.

use std::io::{Error, ErrorKind};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Larger answers than this are none to a push.
const MAX_ANSWER: usize = 64 * 1024;
const MAX_HEADERS: usize = 32;

pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(512),
        })
    }

    /// Sends a whole request and reads the whole answer: its status and its body.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if let Some(answer) = parse(&self.buffer)? {
                return Ok(answer);
            }
            if self.buffer.len() > MAX_ANSWER {
                return Err(not_http());
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

fn not_http() -> Error {
    Error::new(ErrorKind::InvalidData, "the answer is not HTTP/1.1")
}

fn parse(bytes: &[u8]) -> std::io::Result<Option<(u16, Vec<u8>)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes).map_err(|_| not_http())? else {
        return Ok(None);
    };
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok());
    let end = head.saturating_add(length.unwrap_or(0_usize));
    let body = bytes.get(head..end).map(<[u8]>::to_vec);
    Ok(body.map(|body| (response.code.unwrap_or_default(), body)))
}
