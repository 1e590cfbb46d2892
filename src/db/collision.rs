//! Transactions that the database ended because two of them waited for each other (SQLSTATE 40P01), or
//! could not both be (40001): whoever repeats one finds the other gone.
//!
//! What the closure of a transaction returns is an error of its caller's, so that it is the statement
//! itself that tells, on the thread on which all of the transaction runs.

use std::cell::Cell;
use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error};

use super::DbError;

/// How often a transaction is tried at most.
const TRIES: u32 = 4;
/// The longest pause before another try: whoever collides again should not do so in step.
const PAUSE_MS: f64 = 20.0;

thread_local! {
    static COLLIDED: Cell<bool> = const { Cell::new(false) };
}

/// Notes that a statement failed.
pub(super) fn note(error: &Error) {
    if is_collision(error) {
        COLLIDED.set(true);
    }
}

/// The failure of a transaction that finds itself overtaken by another one, and is to be repeated.
pub(crate) fn overtaken() -> DbError {
    COLLIDED.set(true);
    let message = "overtaken by another transaction".to_owned();
    Error::DatabaseError(DatabaseErrorKind::SerializationFailure, Box::new(message)).into()
}

fn is_collision(error: &Error) -> bool {
    match error {
        Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
        Error::DatabaseError(_, information) => {
            let message = information.message();
            message.contains("deadlock detected") || message.contains("could not serialize access")
        }
        _ => false,
    }
}

/// Does `work`, which is one transaction, and does it again where it collided with another one. Blocks.
pub(super) fn repeated<T, E>(mut work: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    for _ in 1..TRIES {
        COLLIDED.set(false);
        let done = work();
        if done.is_ok() || !COLLIDED.get() {
            return done;
        }
        tracing::warn!("a transaction collided with another one, and is repeated");
        let pause = PAUSE_MS * rand::random::<f64>();
        std::thread::sleep(Duration::from_secs_f64(pause / 1_000.0));
    }
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(message: &str) -> Error {
        Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(message.to_owned()))
    }

    /// How often what fails with these messages, one after another, is tried, and whether it works.
    fn tried(messages: &[&str]) -> (usize, bool) {
        let mut count = 0;
        let done = repeated(|| match messages.get(count) {
            Some(message) => {
                count += 1;
                note(&error(message));
                Err(())
            }
            None => Ok(()),
        });
        (count, done.is_ok())
    }

    #[test]
    fn what_collided_is_repeated_a_few_times_and_nothing_else_is() {
        assert_eq!(tried(&["deadlock detected"; 2]), (2, true));
        assert_eq!(tried(&["deadlock detected"; 9]), (4, false));
        let serialize = "could not serialize access due to concurrent update";
        assert_eq!(tried(&[serialize]), (1, true));
        assert_eq!(tried(&["duplicate key value"; 2]), (1, false));
        assert_eq!(tried(&["deadlock detected", "no such table"]), (2, false));
    }
}
