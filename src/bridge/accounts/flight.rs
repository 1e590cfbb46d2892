//! Reading an account once for all who wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::{AccountError, OpenAccount};
use crate::db::DbError;
use crate::vault::VaultError;

/// Readings that may be left behind by callers who went away.
const LEFT_BEHIND: usize = 1_000;

type Read = Result<Option<Arc<OpenAccount>>, AccountError>;

/// Accounts that are being read.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<String, Arc<OnceCell<Read>>>>);

impl Flights {
    /// What comes of reading the account: by this caller, or by one who has begun before. If that one
    /// goes away, another of them begins again.
    pub(super) async fn join<F>(&self, app_id: &str, read: impl FnOnce() -> F) -> Read
    where
        F: Future<Output = Read>,
    {
        let flight = self.board(app_id);
        let done = flight.get_or_init(|| async {
            let done = read().await;
            self.land(app_id);
            done
        });
        match done.await {
            Ok(account) => Ok(account.clone()),
            Err(error) => Err(again(error)),
        }
    }

    fn board(&self, app_id: &str) -> Arc<OnceCell<Read>> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.len() >= LEFT_BEHIND {
            flights.retain(|_, flight| Arc::strong_count(flight) > 1);
        }
        Arc::clone(flights.entry(app_id.to_owned()).or_default())
    }

    /// Whoever asks from now on reads again.
    fn land(&self, app_id: &str) {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flights.remove(app_id);
    }
}

/// The same error for another caller.
fn again(error: &AccountError) -> AccountError {
    match error {
        AccountError::Db(error) => AccountError::Db(DbError::Unavailable(error.to_string())),
        AccountError::Vault { app_id, .. } => AccountError::Vault {
            app_id: app_id.clone(),
            source: VaultError::DoesNotOpen,
        },
        AccountError::Malformed { app_id, field } => AccountError::Malformed {
            app_id: app_id.clone(),
            field,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn many_who_wait_cause_one_reading_and_share_its_error() {
        let (flights, readings) = (Flights::default(), AtomicUsize::new(0));
        let read = || async {
            readings.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Err(AccountError::Db(DbError::Interrupted))
        };
        let all = (0..100).map(|_| flights.join("wx1", read));
        for read in join_all(all).await {
            assert!(matches!(read, Err(AccountError::Db(_))));
        }
        assert_eq!(readings.load(Ordering::SeqCst), 1);
        // It is over: the next one reads again.
        assert!(flights.join("wx1", read).await.is_err());
        assert_eq!(readings.load(Ordering::SeqCst), 2);
        assert!(flights.0.lock().unwrap().is_empty());
    }
}
