//! Receipts: WeChat's word on what became of each message closes its delivery, also where the word
//! came before the answer to the send.

use chrono::TimeDelta;
use thiserror::Error;

use super::{Bridge, Step};
use crate::db::DbError;
use crate::models::receipt;

/// Receipts joined in one transaction.
const BATCH: i64 = 500;

/// Why receipts could not be joined.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct ReceiptError(#[from] DbError);

impl From<diesel::result::Error> for ReceiptError {
    fn from(error: diesel::result::Error) -> Self {
        Self(error.into())
    }
}

impl Bridge {
    /// Joins one batch of receipts to their deliveries.
    ///
    /// # Errors
    /// If the database fails; the receipts keep waiting.
    pub async fn receipt_step(&self) -> Result<Step, ReceiptError> {
        let now = self.clock.now();
        let give_up = self.config.deliver.receipt_give_up_seconds;
        let give_up = i64::try_from(give_up)
            .ok()
            .and_then(TimeDelta::try_seconds)
            .unwrap_or(TimeDelta::MAX);
        let settled = self
            .db
            .write(move |conn| Ok::<_, ReceiptError>(receipt::settle(conn, now, give_up, BATCH)?))
            .await?;
        let full = i64::try_from(settled.looked_at).is_ok_and(|count| count >= BATCH);
        // Receipts that stay without a delivery are looked at later, not again at once.
        Ok(match settled.joined > 0 || full {
            true => Step::Worked,
            false => Step::Idle,
        })
    }
}
