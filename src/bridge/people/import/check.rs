//! Who is gone: those who were not on the whole list are asked about, since a list is behind while
//! people come and go.

use super::{FollowerImporter, ImportError, count, finished, log};
use crate::bridge::accounts::OpenAccount;
use crate::bridge::people::profile::batches;
use crate::bridge::token::TokenError;
use crate::bridge::webhooks::outbox::People;
use crate::ids::IdentityId;
use crate::models::identity::{self, Claimed};
use crate::models::import::Import;

/// How many are asked about in one step: should each of them spoil the answer for the others, that is
/// forty calls, which must be over before the lease is.
const ASKED_ABOUT: i64 = 20;

/// What came of asking about some.
#[derive(Default)]
struct Checked {
    gone: usize,
    unsettled: usize,
    unknown: Vec<IdentityId>,
    stopped: Option<TokenError>,
}

impl FollowerImporter {
    /// Asks about the next ones. What WeChat answers is stored like any profile.
    pub(super) async fn check_unlisted(
        &self,
        account: &OpenAccount,
        import: Import,
    ) -> Result<(), ImportError> {
        let whose = (account.project_id, account.id);
        let (id, after) = (import.id, import.checked_to.unwrap_or(IdentityId(0)));
        let started = import.started_at.and_utc().timestamp();
        let unlisted = self
            .db
            .read(move |conn| -> Result<_, ImportError> {
                let found = identity::unlisted(conn, whose, id, started, after, ASKED_ABOUT)?;
                Ok(found)
            })
            .await?;
        let now = self.clock.now();
        let Some(last) = unlisted.last().map(|one| one.id) else {
            let progress = finished(import.progress(), now);
            log(account, id, &progress, "import finished");
            return self.advance_import(import, progress).await;
        };
        let checked = self.ask_unlisted(account, unlisted).await?;
        let unknown = self.mark_unknown(checked.unknown, started).await?;
        let mut progress = import.progress();
        progress.gone += count(checked.gone) + count(unknown);
        if let Some(error) = checked.stopped {
            // Whoever was found to be gone is not asked about again.
            return self.put_import_off(account, import, progress, &error).await;
        }
        progress.unsettled += count(checked.unsettled);
        progress.checked_to = Some(last);
        progress.due_at = Some(now);
        log(
            account,
            id,
            &progress,
            "followers who are not on the list asked about",
        );
        self.advance_import(import, progress).await
    }

    async fn ask_unlisted(
        &self,
        account: &OpenAccount,
        unlisted: Vec<Claimed>,
    ) -> Result<Checked, ImportError> {
        let mut checked = Checked::default();
        for part in batches(unlisted) {
            let round = self.profiles.fetch_chunk(account, part).await?;
            checked.gone += round.gone;
            checked.unsettled += round.unsettled;
            checked.unknown.extend(round.unknown);
            if let Some((error, _)) = round.stopped {
                checked.stopped = Some(error);
                break;
            }
        }
        Ok(checked)
    }

    /// Whom WeChat neither lists nor knows does not follow.
    async fn mark_unknown(
        &self,
        mut ids: Vec<IdentityId>,
        started: i64,
    ) -> Result<usize, ImportError> {
        if ids.is_empty() {
            return Ok(0);
        }
        ids.sort_unstable();
        let now = self.clock.now();
        let (marked, published) = self
            .db
            .write(move |conn| -> Result<_, ImportError> {
                identity::hold(conn, ids.iter().copied())?;
                let people = People::before(conn, &ids)?;
                let marked = identity::mark_gone(conn, &ids, started, now)?;
                Ok((marked, people.after(conn, &ids, now)?))
            })
            .await?;
        if published > 0 {
            self.signals.webhooks.notify_one();
        }
        Ok(marked)
    }
}
