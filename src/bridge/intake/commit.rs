//! Group commit: while one commit is in flight, further events gather into the next multi-row
//! insert. There is no artificial wait, and every caller is answered after its own row is durable.
//!
//! While the database takes nothing, callers are held and the commit is repeated: an outage of a few
//! seconds costs no callback. Whoever has waited as long as WeChat can goes to the spool, if there is one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::insert::Inserter;
use super::room::{Room, Rooms};
use super::spool::Spool;
use crate::config::{self, DOUBTFUL, ROW_BYTES};
use crate::db::{Conn, Db, DbError};
use crate::metrics;
use crate::models::event::NewEvent;

/// How often a commit is repeated while the database takes nothing.
const AGAIN: Duration = Duration::from_millis(100);
/// How long a commit may take for a caller who has little time left.
const LEAST: Duration = Duration::from_millis(500);
/// At most one line of a kind in this time about a database that takes nothing.
const LOG_PERIOD: Duration = Duration::from_secs(1);

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
    event: Arc<NewEvent>,
    stored: Caller,
}

/// What became of a row.
enum Outcome {
    /// It is durable.
    Stored,
    /// The database refused it for what it says.
    Refused,
    /// The database takes nothing.
    Away,
}

/// Whoever waits for a row, and the room it takes: given back with the answer, also if nobody
/// waits any more.
struct Caller {
    answer: oneshot::Sender<Outcome>,
    _room: Arc<Room>,
}

/// The way into the events table. Clones feed one writer.
#[derive(Clone)]
pub struct Intake {
    queue: mpsc::UnboundedSender<Waiting>,
    rooms: Rooms,
    doubtful: Rooms,
    /// How long a caller is held.
    hold: Duration,
    spool: Option<Spool>,
}

impl Intake {
    /// Starts the writer: a thread with a connection of its own, since it writes all the time.
    /// It ends, after committing what is queued, when the last clone of the intake is dropped.
    ///
    /// # Errors
    /// If the thread cannot be started. Must be called within a tokio runtime.
    pub fn start(
        db: Db,
        settings: &config::Intake,
        spool: Option<Spool>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (queue, incoming) = mpsc::unbounded_channel();
        let hold = Duration::from_millis(settings.hold_ms);
        let writer = Writer {
            db,
            hold,
            logged: None,
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
            rooms: Rooms::of(settings.queue_bytes),
            doubtful: Rooms::of(settings.queue_bytes / DOUBTFUL),
            hold,
            spool,
        };
        Ok((intake, thread))
    }

    /// The spool, while the database is thought to take nothing.
    pub fn away(&self) -> Option<&Spool> {
        self.spool.as_ref().filter(|spool| spool.is_away())
    }

    /// The spool, if there is one.
    pub fn spool(&self) -> Option<&Spool> {
        self.spool.as_ref()
    }

    /// Room for so many bytes of a push, before any of them is read: what is being read and what waits for
    /// its commit share one bound. Of that, a part is for those whose query says already that they are
    /// WeChat's: others, whoever they are, never fill it.
    ///
    /// # Errors
    /// If there is none.
    pub fn room(&self, bytes: usize, is_trusted: bool) -> Result<Room, NotStored> {
        let bytes = bytes.saturating_add(ROW_BYTES);
        let room = self.rooms.take(bytes).ok_or(NotStored::Overloaded)?;
        if is_trusted {
            return Ok(room);
        }
        let doubtful = self.doubtful.take(bytes).ok_or(NotStored::Overloaded)?;
        Ok(room.and_of(doubtful))
    }

    /// Stores an event of the account with this AppID, whose callback came in at `since`; returns once it
    /// is durable, here or in the spool. One that is stored already counts as stored.
    ///
    /// # Errors
    /// If it is not.
    pub async fn store(
        &self,
        app_id: &str,
        event: NewEvent,
        mut room: Room,
        since: Instant,
    ) -> Result<Place, NotStored> {
        room.shrink(event.body.len() + ROW_BYTES);
        let room = Arc::new(room);
        if let Some(spool) = self.away() {
            return keep(spool, app_id, &event, room).await;
        }
        let event = Arc::new(event);
        let (sender, answer) = oneshot::channel();
        let waiting = Waiting {
            event: Arc::clone(&event),
            stored: Caller {
                answer: sender,
                _room: Arc::clone(&room),
            },
        };
        let begun = Instant::now();
        self.queue.send(waiting).map_err(|_| NotStored::Closed)?;
        // A body that came slowly says nothing of the database: the commit has its time all the same.
        let least = LEAST.min(self.hold);
        let left = self.hold.saturating_sub(since.elapsed()).max(least);
        match (tokio::time::timeout(left, answer).await, &self.spool) {
            (Ok(Ok(Outcome::Stored)), _) => Ok(Place::Database),
            (Ok(Ok(Outcome::Refused)), _) => Err(NotStored::Failed),
            (Ok(Err(_)), _) => Err(NotStored::Failed),
            // It may still be committed: then the spool has it a second time, and the database leaves that out.
            (Ok(Ok(Outcome::Away)), Some(spool)) => {
                spool.begin();
                keep(spool, app_id, &event, room).await
            }
            (Err(_), Some(spool)) => {
                // Whoever came so slowly that the commit had hardly any time says nothing of the database.
                if begun.elapsed() * 4 >= self.hold * 3 {
                    spool.begin();
                }
                keep(spool, app_id, &event, room).await
            }
            (Ok(Ok(Outcome::Away)) | Err(_), None) => Err(NotStored::Failed),
        }
    }
}

/// Where an event is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the database.
    Database,
    /// In the spool of this machine.
    Spool,
}

async fn keep(
    spool: &Spool,
    app_id: &str,
    event: &NewEvent,
    room: Arc<Room>,
) -> Result<Place, NotStored> {
    match spool.keep(app_id, event, room).await {
        Ok(()) => Ok(Place::Spool),
        // The spool has told it.
        Err(_) => Err(NotStored::Failed),
    }
}

struct Writer {
    db: Db,
    runtime: Handle,
    connection: Option<Conn>,
    inserter: Inserter,
    /// How long a commit is repeated.
    hold: Duration,
    /// When it was last told that the database takes nothing.
    logged: Option<Instant>,
}

impl Writer {
    fn run(mut self, mut incoming: mpsc::UnboundedReceiver<Waiting>, rows: usize) {
        let mut waiting = Vec::with_capacity(rows);
        while incoming.blocking_recv_many(&mut waiting, rows) > 0 {
            // Whoever has gone to the spool meanwhile needs no row here.
            waiting.retain(|waiting| !waiting.stored.answer.is_closed());
            // In the order of their index, which is the fastest, and so that two replicas with the
            // same events cannot lock each other out.
            waiting.sort_unstable_by_key(|waiting| waiting.event.key());
            let (events, callers): (Vec<Arc<NewEvent>>, Vec<Caller>) = waiting
                .drain(..)
                .map(|waiting| (waiting.event, waiting.stored))
                .unzip();
            if events.is_empty() {
                continue;
            }
            // A panic costs its own batch, whose callers are gone with it: WeChat tries again.
            let settled = AssertUnwindSafe(|| self.settle(events, callers));
            if catch_unwind(settled).is_err() {
                self.connection = None;
                metrics::step_panicked("intake");
                tracing::error!("the intake panicked, its callers are answered 503");
            }
        }
    }

    /// Commits a batch and answers everybody in it.
    fn settle(&mut self, mut events: Vec<Arc<NewEvent>>, mut callers: Vec<Caller>) {
        let until = Instant::now() + self.hold;
        loop {
            match self.commit(&events) {
                Ok(()) => return answer(callers, || Outcome::Stored),
                Err(error) if error.is_about_data() && events.len() > 1 => {
                    return self.commit_singly(events, callers);
                }
                Err(error) if error.is_about_data() => {
                    tracing::error!(%error, "event not stored");
                    return answer(callers, || Outcome::Refused);
                }
                Err(error) => self.log_failure(&error, events.len()),
            }
            if Instant::now() + AGAIN > until {
                return answer(callers, || Outcome::Away);
            }
            std::thread::sleep(AGAIN);
            // Whoever was answered meanwhile has no row to come.
            (events, callers) = events
                .into_iter()
                .zip(callers)
                .filter(|(_, caller)| !caller.answer.is_closed())
                .unzip();
            if events.is_empty() {
                return;
            }
        }
    }

    /// One line a second: callbacks come by the thousand.
    fn log_failure(&mut self, error: &DbError, count: usize) {
        if self
            .logged
            .is_none_or(|logged| logged.elapsed() >= LOG_PERIOD)
        {
            self.logged = Some(Instant::now());
            tracing::error!(events.count = count, %error, "the database takes no events, callers are held");
        }
    }

    /// Commits a batch. Where the connection has died meanwhile, it is tried once more on a new
    /// one: what was stored already is left as it is.
    fn commit(&mut self, events: &[Arc<NewEvent>]) -> Result<(), DbError> {
        if let Some(connection) = self.connection.take() {
            match self.commit_on(connection, events) {
                Err(error) if !error.is_about_data() => {
                    tracing::debug!(%error, "database connection lost, connecting again");
                }
                done => return done,
            }
        }
        let connection = self.db.connect()?;
        self.commit_on(connection, events)
    }

    fn commit_on(&mut self, mut connection: Conn, events: &[Arc<NewEvent>]) -> Result<(), DbError> {
        self.db
            .write_at_once(&self.runtime, &mut connection, |conn| {
                self.inserter.insert(conn, events)
            })?;
        // A connection on which a commit failed is not used again.
        self.connection = Some(connection);
        Ok(())
    }

    /// One event that the database refuses must not take the others of its batch with it.
    fn commit_singly(&mut self, events: Vec<Arc<NewEvent>>, callers: Vec<Caller>) {
        for (event, caller) in events.into_iter().zip(callers) {
            self.settle(vec![event], vec![caller]);
        }
    }
}

fn answer(callers: Vec<Caller>, outcome: impl Fn() -> Outcome) {
    for caller in callers {
        // A caller that went away has the answer from elsewhere, or nobody to tell: WeChat will retry.
        let _ = caller.answer.send(outcome());
    }
}
