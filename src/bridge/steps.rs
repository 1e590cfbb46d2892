//! The steps of the data path, in one table: what each is called, what wakes it, how often it looks by itself, and what
//! it runs. The [worker](crate::worker) runs them in loops; tests run them one at a time.

use std::time::Duration;

use thiserror::Error;
use tokio::sync::Notify;

use super::deliver::receipts::{OverdueCloser, ReceiptError, ReceiptJoiner};
use super::deliver::{DeliverError, Scheduler, Sender};
use super::health::ends::EndLogger;
use super::health::stopped::StoppedSessions;
use super::people::erase::{EraseError, Eraser};
use super::people::import::{FollowerImporter, ImportError};
use super::people::one_staff::UndoneNotifier;
use super::people::profile::{ProfileError, ProfileFetcher};
use super::process::ledgers::LedgerFolder;
use super::process::{EventProcessor, ProcessError};
use super::signals::Signals;
use super::stats::StatsKeeper;
use super::templates::{SyncError, TemplateLister};
use super::webhooks::{WebhookError, WebhookPoster, WebhookPruner};
use super::{Bridge, Step};
use crate::config::Config;
use crate::db::DbError;

/// How often to look for what is due by the minute or the hour.
const SELDOM: Duration = Duration::from_secs(30);
/// How often to look for processes that stand still.
const EACH_SECOND: Duration = Duration::from_secs(1);
/// How often those look who are woken by others.
const WOKEN: Duration = Duration::from_secs(600);

/// How often a step looks whether there is something to do, if nothing wakes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Period {
    /// Every `process.poll_ms`: what other processes have stored is found then.
    Often,
    /// For what is due by the minute or the hour.
    Seldom,
    /// Every second.
    EachSecond,
    /// Hardly ever, as others look and wake it.
    Woken,
}

/// Why a step failed. What it was to do is done by a later run.
#[derive(Debug, Error)]
#[error(transparent)]
#[allow(missing_docs)] // one for each kind of step
pub enum StepError {
    Db(#[from] DbError),
    Deliver(#[from] DeliverError),
    Erase(#[from] EraseError),
    Import(#[from] ImportError),
    Process(#[from] ProcessError),
    Profile(#[from] ProfileError),
    Receipt(#[from] ReceiptError),
    Sync(#[from] SyncError),
    Webhook(#[from] WebhookError),
}

macro_rules! steps {
    ($($(#[$doc:meta])* $step:ident = $name:literal, $signal:ident, $period:ident, $part:ident: $type:ty, ($($argument:expr)?);)+) => {
        /// A step of the data path.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum StepName {
            $($(#[$doc])* $step,)+
        }

        impl StepName {
            /// Every step.
            pub const ALL: &[Self] = &[$(Self::$step),+];

            /// Its name in logs and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$step => $name),+ }
            }

            /// What wakes it.
            pub fn signal(self, signals: &Signals) -> &Notify {
                match self { $(Self::$step => &signals.$signal),+ }
            }

            fn period(self) -> Period {
                match self { $(Self::$step => Period::$period),+ }
            }
        }

        /// The steps, each with what it works with.
        pub struct Steps {
            $($part: $type,)+
        }

        impl Steps {
            /// All of them.
            pub fn of(bridge: &Bridge) -> Self {
                Self { $($part: <$type>::of(bridge),)+ }
            }

            /// Runs a step once.
            ///
            /// # Errors
            /// If it failed, mostly because of the database; see the step.
            pub async fn run(&self, step: StepName) -> Result<Step, StepError> {
                Ok(match step {
                    $(StepName::$step => self.$part.step($($argument)?).await?,)+
                })
            }
        }
    };
}

steps! {
    /// Stored events become effects.
    Process = "process", events, Often, processor: EventProcessor, ();
    /// Profiles that are due are fetched.
    Profile = "profile", profiles, Often, profiles: ProfileFetcher, ();
    /// Follower lists are walked over.
    Import = "import", imports, Often, importer: FollowerImporter, (None);
    /// People are erased.
    Erase = "erase", erasures, Often, eraser: Eraser, (None);
    /// Receipts close deliveries.
    Receipts = "receipts", receipts, Often, receipts: ReceiptJoiner, ();
    /// Templates are listed.
    Templates = "templates", templates, Seldom, templates: TemplateLister, ();
    /// Deliveries are closed whose receipt has not come.
    Overdue = "overdue", overdue, Seldom, overdue: OverdueCloser, ();
    /// Endpoints are told what happened.
    Webhooks = "webhooks", webhooks, Often, webhooks: WebhookPoster, ();
    /// What was told long ago is deleted.
    Prune = "prune", kept, Seldom, pruner: WebhookPruner, ();
    /// The ledgers of permissions are kept short.
    Ledgers = "ledgers", ledgers, Seldom, ledgers: LedgerFolder, ();
    /// Numbers by day are kept short.
    Stats = "stats", stats, Seldom, stats: StatsKeeper, ();
    /// What has grown due is found, and those who send are woken.
    Due = "due", due, Often, scheduler: Scheduler, ();
    /// Deliveries are sent.
    Deliver = "deliver", deliveries, Woken, sender: Sender, ();
    /// The log tells what did not arrive.
    Ends = "ends", ends, Seldom, ends: EndLogger, ();
    /// People are told that they were not bound after all.
    Undone = "undone bindings", due, Often, undone: UndoneNotifier, ();
    /// Sessions of processes that stand still are ended.
    Stopped = "stopped", due, EachSecond, stopped: StoppedSessions, ();
}

impl StepName {
    /// How often it looks by itself.
    pub fn poll(self, config: &Config) -> Duration {
        let often = Duration::from_millis(config.process.poll_ms);
        match self.period() {
            Period::Often => often,
            Period::Seldom => often.max(SELDOM),
            Period::EachSecond => EACH_SECOND,
            Period::Woken => WOKEN,
        }
    }

    /// In how many loops of a process it runs.
    pub fn loops(self, config: &Config) -> usize {
        let settings = &config.deliver;
        match self {
            Self::Deliver => settings.loops.saturating_add(settings.urgent_loops),
            _ => 1,
        }
    }
}

impl Steps {
    /// What a step still does when its loop has stopped.
    pub async fn finish(&self, step: StepName) {
        match step {
            StepName::Deliver => self.sender.finish().await,
            StepName::Webhooks => self.webhooks.finish().await,
            StepName::Stats => self.stats.finish().await,
            _ => {}
        }
    }
}

impl Bridge {
    /// Runs a step once.
    ///
    /// # Errors
    /// If it failed; see [`Steps::run`].
    pub async fn run(&self, step: StepName) -> Result<Step, StepError> {
        Steps::of(self).run(step).await
    }
}
