//! Group commit: while one commit is in flight, further events gather into the next multi-row
//! insert. There is no artificial wait, and every caller is answered after its own row is durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::insert::Inserter;
use crate::config;
use crate::db::{Conn, Db, DbError};
use crate::models::event::NewEvent;

/// What a row costs beside its body, roughly: keeps the bound honest for small callbacks.
const ROW_OVERHEAD: usize = 512;

/// Why an event is not stored. WeChat is answered 5xx and will retry.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotStored {
    /// Too much is waiting already.
    #[error("too many callbacks are waiting for the database")]
    Overloaded,
    /// The commit failed.
    #[error("the database did not take the event")]
    Failed,
    /// The process is shutting down.
    #[error("shutting down")]
    Closed,
}

struct Waiting {
    event: NewEvent,
    stored: Caller,
}

/// Whoever waits for a row, and the room it takes: given back with the answer, also if nobody
/// waits any more.
struct Caller {
    answer: oneshot::Sender<bool>,
    _room: Room,
}

/// The way into the events table. Clones feed one writer.
#[derive(Clone)]
pub struct Intake {
    queue: mpsc::UnboundedSender<Waiting>,
    bytes: Arc<AtomicUsize>,
    most_bytes: usize,
}

impl Intake {
    /// Starts the writer: a thread with a connection of its own, since it writes all the time.
    /// It ends, after committing what is queued, when the last clone of the intake is dropped.
    ///
    /// # Errors
    /// If the thread cannot be started. Must be called within a tokio runtime.
    pub fn start(db: Db, settings: &config::Intake) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (queue, incoming) = mpsc::unbounded_channel();
        let writer = Writer {
            db,
            runtime: Handle::current(),
            connection: None,
            inserter: Inserter::default(),
        };
        let rows = settings.batch_rows;
        let thread = std::thread::Builder::new()
            .name("intake".into())
            .spawn(move || writer.run(incoming, rows))?;
        let intake = Self {
            queue,
            bytes: Arc::default(),
            most_bytes: settings.queue_bytes,
        };
        Ok((intake, thread))
    }

    /// Stores an event; returns once it is durable. One that is stored already counts as stored.
    ///
    /// # Errors
    /// If it is not.
    pub async fn store(&self, event: NewEvent) -> Result<(), NotStored> {
        let bytes = event.body.len() + ROW_OVERHEAD;
        let room = Room::take(&self.bytes, bytes, self.most_bytes)?;
        let (sender, answer) = oneshot::channel();
        let stored = Caller {
            answer: sender,
            _room: room,
        };
        self.queue
            .send(Waiting { event, stored })
            .map_err(|_| NotStored::Closed)?;
        match answer.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(NotStored::Failed),
            Err(_) => Err(NotStored::Closed),
        }
    }
}

/// A share of the queue's bytes.
struct Room {
    total: Arc<AtomicUsize>,
    bytes: usize,
}

impl Room {
    fn take(total: &Arc<AtomicUsize>, bytes: usize, most: usize) -> Result<Self, NotStored> {
        let room = Self {
            total: Arc::clone(total),
            bytes,
        };
        let before = total.fetch_add(bytes, Ordering::Relaxed);
        // The first event is let in whatever its size.
        if before > 0 && before + bytes > most {
            return Err(NotStored::Overloaded);
        }
        Ok(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Writer {
    db: Db,
    runtime: Handle,
    connection: Option<Conn>,
    inserter: Inserter,
}

impl Writer {
    fn run(mut self, mut incoming: mpsc::UnboundedReceiver<Waiting>, rows: usize) {
        let mut waiting = Vec::with_capacity(rows);
        while incoming.blocking_recv_many(&mut waiting, rows) > 0 {
            // In the order of their index, which is the fastest, and so that two replicas with the
            // same events cannot lock each other out.
            waiting.sort_unstable_by_key(|waiting| waiting.event.key());
            let (events, callers): (Vec<NewEvent>, Vec<Caller>) = waiting
                .drain(..)
                .map(|waiting| (waiting.event, waiting.stored))
                .unzip();
            match self.commit(&events) {
                Ok(()) => answer(callers, true),
                Err(error) if events.len() > 1 && error.is_about_data() => {
                    self.commit_singly(&events, callers);
                }
                Err(error) => {
                    tracing::error!(events.count = events.len(), %error, "events not stored");
                    answer(callers, false);
                }
            }
        }
    }

    /// Commits a batch. Where the connection has died meanwhile, it is tried once more on a new
    /// one: what was stored already is left as it is.
    fn commit(&mut self, events: &[NewEvent]) -> Result<(), DbError> {
        if let Some(connection) = self.connection.take() {
            match self.commit_on(connection, events) {
                Err(error) if !error.is_about_data() => {
                    tracing::warn!(%error, "database connection lost, connecting again");
                }
                done => return done,
            }
        }
        let connection = self.db.connect()?;
        self.commit_on(connection, events)
    }

    fn commit_on(&mut self, mut connection: Conn, events: &[NewEvent]) -> Result<(), DbError> {
        self.db
            .write_at_once(&self.runtime, &mut connection, |conn| {
                self.inserter.insert(conn, events).map_err(DbError::from)
            })?;
        // A connection on which a commit failed is not used again.
        self.connection = Some(connection);
        Ok(())
    }

    /// One event that the database refuses must not take the others of its batch with it.
    fn commit_singly(&mut self, events: &[NewEvent], callers: Vec<Caller>) {
        for (event, caller) in events.iter().zip(callers) {
            let stored = self.commit(std::slice::from_ref(event));
            if let Err(error) = &stored {
                tracing::error!(event.kind = %event.kind, %error, "event not stored");
            }
            answer(vec![caller], stored.is_ok());
        }
    }
}

fn answer(callers: Vec<Caller>, stored: bool) {
    for caller in callers {
        // A caller that went away has nobody to tell; WeChat will retry.
        let _ = caller.answer.send(stored);
    }
}
