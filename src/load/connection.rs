//! One keep-alive HTTP/1.1 connection with one request in flight.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_native_tls::{TlsConnector, native_tls};
use url::Url;

use super::LoadError;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub(super) struct Connection {
    stream: Box<dyn Stream>,
    /// What was read and not yet used up.
    buffer: Vec<u8>,
}

/// Larger answers than this are no answers to a callback.
const MAX_ANSWER: usize = 64 * 1024;
const MAX_HEADERS: usize = 32;

impl Connection {
    pub(super) async fn open(url: &Url) -> Result<Self, LoadError> {
        let host = url.host_str().ok_or(LoadError::Url("it has no host"))?;
        let port = url
            .port_or_known_default()
            .ok_or(LoadError::Url("it has no port"))?;
        let tcp = TcpStream::connect((host, port)).await?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match url.scheme() {
            "http" => Box::new(tcp),
            "https" => {
                let connector = TlsConnector::from(native_tls::TlsConnector::new()?);
                Box::new(connector.connect(host, tcp).await?)
            }
            _ => return Err(LoadError::Url("it must begin with http:// or https://")),
        };
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(1024),
        })
    }

    /// Sends a whole request and reads the whole answer; returns its status.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<u16, LoadError> {
        self.stream.write_all(request).await?;
        loop {
            if let Some((status, length)) = parse(&self.buffer)?
                && self.buffer.len() >= length
            {
                self.buffer.drain(..length);
                return Ok(status);
            }
            if self.buffer.len() > MAX_ANSWER {
                return Err(LoadError::NotHttp("it does not end".into()));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                let closed = std::io::ErrorKind::UnexpectedEof;
                return Err(std::io::Error::new(closed, "the connection was closed").into());
            }
        }
    }
}

/// The status of an answer and its length in bytes, headers included, once the headers are whole.
fn parse(bytes: &[u8]) -> Result<Option<(u16, usize)>, LoadError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let not_http = |what: String| LoadError::NotHttp(what);
    match response
        .parse(bytes)
        .map_err(|error| not_http(error.to_string()))?
    {
        httparse::Status::Partial => Ok(None),
        httparse::Status::Complete(head) => {
            let status = response.code.unwrap_or_default();
            let length = response
                .headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case("content-length"))
                .and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok());
            let body: usize = match (length, status) {
                (Some(length), _) => length,
                (None, 204 | 304) => 0,
                (None, _) => return Err(not_http("it has no Content-Length".into())),
            };
            Ok(Some((status, head.saturating_add(body))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_length_says_so() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsuccess";
        assert_eq!(parse(answer).unwrap(), Some((200, answer.len())));
        assert_eq!(parse(&answer[..20]).unwrap(), None);
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(parse(b"SSH-2.0\r\n").is_err());
    }
}
