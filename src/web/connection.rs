//! The limits of a connection, below HTTP: whatever a client does, or does not do, on whatever route, its socket is
//! closed seconds after its last answer. actix looks at the first head of a connection and at idle ones only: an unread
//! chunked body, a second head that drips and an answer that nobody reads would hold theirs for ever.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{IoSlice, Result};
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use crate::logging;

/// Bytes of an answer that have to be taken before the time begins again: one that is taken byte by byte is not taken.
const PROGRESS_BYTES: usize = 16 << 10;

/// What a connection is at: shared by its socket, by the service above, which knows when a request is worked on, and by
/// the watch beside both.
#[derive(Debug)]
pub(super) struct Phase {
    /// A handler has the request. Whoever reads a body limits the time for it.
    is_busy: Cell<bool>,
    /// Since when nobody here has had anything to do for it.
    since: Cell<Instant>,
    /// Bytes of answers taken since then.
    taken: Cell<usize>,
    /// The client takes no more of the answers for now.
    is_clogged: Cell<bool>,
    /// Nothing has come of it for too long.
    is_over: Cell<bool>,
}

impl Phase {
    fn new() -> Rc<Self> {
        Rc::new(Self {
            is_busy: Cell::new(false),
            since: Cell::new(Instant::now()),
            taken: Cell::new(0),
            is_clogged: Cell::new(false),
            is_over: Cell::new(false),
        })
    }

    /// A handler has the request.
    pub(super) fn begin(&self) {
        self.is_busy.set(true);
    }

    /// The answer is there. Behind answers that nobody takes it is no reason to wait longer.
    pub(super) fn end(&self) {
        self.is_busy.set(false);
        if !self.is_clogged.get() {
            self.restart(Instant::now());
        }
    }

    fn restart(&self, now: Instant) {
        self.since.set(now);
        self.taken.set(0);
    }

    /// So many bytes of an answer were taken.
    fn take(&self, bytes: usize) {
        let taken = self.taken.get().saturating_add(bytes);
        if taken < PROGRESS_BYTES {
            self.taken.set(taken);
        } else {
            self.restart(Instant::now());
        }
    }

    /// When to look again; none if it has been too long.
    fn next_look(&self, now: Instant, limit: Duration) -> Option<Instant> {
        if self.is_busy.get() {
            return Some(now + limit);
        }
        let deadline = self.since.get() + limit;
        (deadline > now).then_some(deadline)
    }

    /// Completes once nothing has come of the connection for so long. It is awaited beside what serves the connection,
    /// and not looked at by its reads and writes: what waits for neither would never be asked.
    pub(super) async fn stalled(&self, limit: Duration) {
        while let Some(next) = self.next_look(Instant::now(), limit) {
            sleep_until(next).await;
        }
        self.is_over.set(true);
    }
}

/// The connections that there are, in all and of each address.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    open: Arc<AtomicUsize>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    /// How many there may be, for a line in the log: the server sees to it that there are no more.
    most: usize,
    /// Of one address; 0: any number.
    most_of_one: usize,
}

/// Counts one of them until it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionGuard {
    connections: Connections,
    address: Option<IpAddr>,
}

impl Connections {
    pub(super) fn new(most: usize, most_of_one: usize) -> Self {
        Self {
            open: Arc::default(),
            by_address: Arc::default(),
            most,
            most_of_one,
        }
    }

    /// Counts a connection, unless its address has as many as it may.
    pub(super) fn count(&self, peer: IpAddr) -> Option<ConnectionGuard> {
        let address = (self.most_of_one > 0).then(|| owner(peer));
        if let Some(address) = address {
            let mut counts = self.counts();
            let count = counts.entry(address).or_default();
            if *count >= self.most_of_one {
                drop(counts);
                if let Some(unsaid) = logging::now_and_then("connections of one address") {
                    let most = self.most_of_one;
                    tracing::warn!(%address, most, unsaid, "connection refused: its address has as many as it may");
                }
                return None;
            }
            *count += 1;
        }
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        if open >= self.most
            && let Some(unsaid) = logging::now_and_then("connections")
        {
            let most = self.most;
            tracing::warn!(
                most,
                unsaid,
                "as many connections as there may be: others wait"
            );
        }
        Some(ConnectionGuard {
            connections: self.clone(),
            address,
        })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who has an address: of IPv6, anybody has 2⁶⁴ of them.
fn owner(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.address else {
            return;
        };
        let mut counts = self.connections.counts();
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

/// A socket that notes what is taken of the answers. Bytes that arrive do not count, or one a second would do.
/// While none are taken, no more requests are read: their answers would be kept in memory, one behind the other.
pub(super) struct Connection {
    stream: TcpStream,
    phase: Rc<Phase>,
    /// Who wants to read when answers are taken again.
    reader: Option<Waker>,
    _guard: ConnectionGuard,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, guard: ConnectionGuard) -> Self {
        Self {
            stream,
            phase: Phase::new(),
            reader: None,
            _guard: guard,
        }
    }

    pub(super) fn phase(&self) -> Rc<Phase> {
        Rc::clone(&self.phase)
    }

    fn note(&mut self, written: &Poll<Result<usize>>) {
        self.phase.is_clogged.set(written.is_pending());
        if let Poll::Ready(Ok(bytes)) = written {
            self.phase.take(*bytes);
        }
        if written.is_ready()
            && let Some(reader) = self.reader.take()
        {
            reader.wake();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.phase.is_over.get() {
            // What was not taken in all this time is not kept for another while by the system.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        if self.phase.is_clogged.get() {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
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
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.note(&written);
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn the_time_begins_again_with_an_answer_and_with_what_is_taken_of_it() {
        let phase = Phase::new();
        let start = phase.since.get();
        assert_eq!(phase.next_look(start, LIMIT), Some(start + LIMIT));
        assert_eq!(phase.next_look(start + LIMIT, LIMIT), None);
        phase.begin();
        let late = start + 3 * LIMIT;
        assert_eq!(phase.next_look(late, LIMIT), Some(late + LIMIT));
        phase.end();
        let since = phase.since.get();
        assert!(since >= start);
        for _ in 1..PROGRESS_BYTES {
            phase.take(1);
        }
        assert_eq!(phase.since.get(), since, "byte by byte");
        phase.take(1);
        assert_eq!(phase.taken.get(), 0);
        // The answers before it are not taken.
        let since = phase.since.get();
        phase.is_clogged.set(true);
        phase.begin();
        phase.end();
        assert_eq!(phase.since.get(), since);
    }

    #[test]
    fn an_address_has_so_many_and_a_network_of_ipv6_counts_as_one() {
        let connections = Connections::new(100, 2);
        let count = |text: &str| connections.count(text.parse().unwrap());
        for [first, second, third] in [
            ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"],
            ["2001:db8::1", "2001:db8::ffff:0:0:1", "2001:db8::2"],
        ] {
            let held = [count(first).unwrap(), count(second).unwrap()];
            assert!(count(third).is_none());
            let [one, _other] = held;
            drop(one);
            assert!(count(third).is_some());
        }
        assert!(count("192.0.2.2").is_some());
        assert!(connections.counts().is_empty());
        assert_eq!(connections.open.load(Ordering::Relaxed), 0);
    }
}
