//! Sending again after a pause: by itself when a call works, or by hand.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::NaiveDateTime;

use crate::bridge::Bridge;
use crate::bridge::accounts::AccountError;
use crate::bridge::availability::resumptions::Resumptions;
use crate::bridge::signals::Signals;
use crate::clock::Clock;
use crate::db::{Conn, Db, DbError, QueryResult, ROUND};
use crate::ids::{AccountId, ProjectId};
use crate::models::account::pause::{self, Named, PauseReason, Resumed};
use crate::models::account::{self, resumption};
use crate::models::delivery::{self, Reason};

impl Bridge {
    /// Lifts all pauses of an account of a project; none if there is no such account.
    ///
    /// # Errors
    /// If the database does not do it.
    pub async fn resume_account(
        &self,
        project: ProjectId,
        app_id: &str,
    ) -> Result<Option<Resumed>, AccountError> {
        let (app_id, now) = (app_id.to_owned(), self.clock.now());
        let lifted = self.db.write(move |conn| -> QueryResult<_> {
            let found = account::by_app_id(conn, &app_id)?;
            let Some(found) = found.filter(|found| found.project_id == project) else {
                return Ok(None);
            };
            let lifted = pause::clear(conn, found.id)?;
            resumption::note(conn, found.id, PauseReason::ALL.iter().copied(), now)?;
            account::clear_problem(conn, found.id)?;
            tracing::info!(account.app_id = app_id, "account resumed by hand");
            Ok(Some((found.id, lifted)))
        });
        let Some((id, lifted)) = lifted.await? else {
            return Ok(None);
        };
        let words = PauseReason::ALL.iter().copied();
        let hastened = Resumer::of(self).make_due(id, words.collect()).await?;
        self.signals.wake_delivery();
        Ok(Some(Resumed { lifted, hastened }))
    }

    /// Makes due what waited for an account's owner to act, because they have changed the account.
    pub(in crate::bridge) async fn resume_after_change(
        &self,
        account: AccountId,
        lifted: usize,
    ) -> Result<Resumed, DbError> {
        Resumer::of(self).after_change(account, lifted).await
    }

    /// Completes when this process makes nothing due any more that waited for a pause.
    pub async fn hastened(&self) {
        Resumer::of(self).settled().await;
    }
}

/// Makes due what waited for a pause that is over.
#[derive(Clone)]
pub(in crate::bridge) struct Resumer {
    db: Db,
    clock: Clock,
    resumptions: Arc<Resumptions>,
    signals: Arc<Signals>,
}

impl Resumer {
    pub(in crate::bridge) fn of(bridge: &Bridge) -> Self {
        let resumptions = Arc::clone(bridge.lanes.resumptions());
        wire!(bridge => Self { db, clock, signals; resumptions })
    }

    /// Makes due what waited for an account's owner to act, because they have changed the account: the
    /// pauses are [lifted](forgive).
    async fn after_change(&self, account: AccountId, lifted: usize) -> Result<Resumed, DbError> {
        let words = HashSet::from([PauseReason::AccountProblem]);
        let hastened = self.make_due(account, words).await?;
        Ok(Resumed { lifted, hastened })
    }

    /// Makes due what waited for pauses that were lifted, and that waits long.
    pub(in crate::bridge) fn lifted(&self, account: AccountId, lifted: &[Named]) {
        let now = self.clock.now();
        let far = lifted.iter().filter(|pause| pause.is_far(now));
        self.waiting(account, far.map(|pause| pause.reason).collect());
    }

    /// The same for what waits for these reasons. Beside the steps: there may be any number, and whoever
    /// sends holds leases and turns meanwhile. See [`Resumer::settled`]. What fails, or is not done when
    /// the process ends, is noted, and done later.
    pub(in crate::bridge) fn waiting(&self, account: AccountId, words: HashSet<PauseReason>) {
        let Some(mut turn) = self.resumptions.begin(account, words) else {
            return;
        };
        let resumer = self.clone();
        tokio::spawn(async move {
            while let Some(words) = turn.go_on() {
                if let Err(error) = resumer.make_due(account, words).await {
                    tracing::warn!(%error, "what waited for a pause that is over waits a little longer");
                    resumer.resumptions.failed(resumer.clock.now());
                }
                resumer.signals.wake_delivery();
            }
        });
    }

    /// Completes when this process makes nothing due any more that waited for a pause.
    pub(in crate::bridge) async fn settled(&self) {
        self.resumptions.settled().await;
    }

    /// Makes due what waits for these reasons, as far as they are noted. After the pause is lifted, and not
    /// with it: there may be any number.
    async fn make_due(
        &self,
        account: AccountId,
        words: HashSet<PauseReason>,
    ) -> Result<usize, DbError> {
        let now = self.clock.now();
        self.db
            .in_rounds(move |conn| round(conn, account, &words, now))
            .await
    }
}

/// One of those rounds; the last one removes the note.
fn round(
    conn: &mut Conn,
    account: AccountId,
    words: &HashSet<PauseReason>,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    // One at a time: what another round has in hand is passed over, and may come to nothing.
    let mut noted = resumption::hold(conn, account)?;
    noted.retain(|one| words.contains(&one.reason));
    if noted.is_empty() {
        return Ok(0);
    }
    let reasons: Vec<Reason> = noted.iter().map(|one| one.reason.into()).collect();
    let count = delivery::make_due(conn, account, &reasons, now, ROUND)?;
    if i64::try_from(count).is_ok_and(|count| count < ROUND) {
        resumption::done(conn, &noted)?;
    }
    Ok(count)
}
