//! Whether to look for events that are stored already, or to take it that there are none.

use std::borrow::Borrow;

use crate::db::{Conn, QueryResult};
use crate::models::event::{self, NewEvent};

/// A smaller batch can afford to look.
const LARGE: usize = 16;
/// Batches that look after one has met an event that was stored already: what made WeChat push
/// one again made it push others.
const WATCHFUL: u32 = 64;

/// Inserts batches, large ones in good faith.
#[derive(Default)]
pub struct Inserter {
    watchful: u32,
}

impl Inserter {
    /// Stores those of a batch that are not stored yet, and all of them or none.
    ///
    /// # Errors
    /// Of the database; then none is stored, on SQLite once the transaction is rolled back.
    pub fn insert<E: Borrow<NewEvent>>(
        &mut self,
        conn: &mut Conn,
        events: &[E],
    ) -> QueryResult<()> {
        if self.watchful == 0 && events.len() >= LARGE {
            match event::insert_new(conn, events) {
                Err(error) if error.is_duplicate() => {}
                done => return done.map(drop),
            }
        }
        self.watchful = if event::insert_many(conn, events)? < events.len() {
            WATCHFUL
        } else {
            self.watchful.saturating_sub(1)
        };
        Ok(())
    }
}
