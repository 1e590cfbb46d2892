//! The limits of a connection, below HTTP: whatever a client does, or does not do, on whatever route, its socket is
//! closed seconds after its last answer. actix looks at the first head of a connection and at idle ones only: an unread
//! chunked body, a second head that drips and an answer that nobody reads would hold theirs for ever.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// What a connection is at: shared by its socket and by the service above, which knows when a request is worked on.
#[derive(Debug)]
pub(super) struct Phase {
    /// A handler has the request. Whoever reads a body limits the time for it.
    is_busy: Cell<bool>,
    /// Since when nobody here has had anything to do for it.
    since: Cell<Instant>,
}

impl Phase {
    fn new() -> Rc<Self> {
        Rc::new(Self {
            is_busy: Cell::new(false),
            since: Cell::new(Instant::now()),
        })
    }

    /// A handler has the request.
    pub(super) fn begin(&self) {
        self.is_busy.set(true);
    }

    /// The answer is there.
    pub(super) fn end(&self) {
        self.is_busy.set(false);
        self.since.set(Instant::now());
    }
}

/// How many connections each address has.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of an address, until it is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    addresses: Addresses,
    address: IpAddr,
}

impl Addresses {
    /// Counts a connection, unless its address has as many as it may.
    pub(super) fn count(&self, address: IpAddr, most: usize) -> Option<Counted> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Counted {
            addresses: self.clone(),
            address,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let counts = &self.addresses.0;
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// A socket that fails once nothing has come of it for too long: no request was begun and no byte of an answer taken.
/// Bytes that arrive do not count, or one a second would do.
pub(super) struct Connection {
    stream: TcpStream,
    phase: Rc<Phase>,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    _counted: Option<Counted>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, limit: Duration, counted: Option<Counted>) -> Self {
        Self {
            stream,
            phase: Phase::new(),
            limit,
            timer: None,
            _counted: counted,
        }
    }

    pub(super) fn phase(&self) -> Rc<Phase> {
        Rc::clone(&self.phase)
    }

    /// Fails if it has been too long, and wakes the task when it will be.
    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if self.phase.is_busy.get() {
            return Ok(());
        }
        let deadline = self.phase.since.get() + self.limit;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        match timer.as_mut().poll(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => Err(Error::new(ErrorKind::TimedOut, "the client does nothing")),
        }
    }

    /// Bytes were taken.
    fn progress(&self, written: &Poll<Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.phase.since.set(Instant::now());
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        self.poll_limit(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.progress(&written);
        if written.is_pending() {
            self.poll_limit(cx)?;
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.progress(&written);
        if written.is_pending() {
            self.poll_limit(cx)?;
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
