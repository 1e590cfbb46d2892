//! `queqiao deliveries`: what became of messages, and sending once more what did not arrive.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use super::context;
use super::filter::CommonFilters;
use crate::bridge::Bridge;
use crate::bridge::limits::RETRIED_MAX;
use crate::bridge::notify::retriable;
use crate::cli::terminal::{note, say};
use crate::config::Config;
use crate::db::QueryResult;
use crate::ids::{DeliveryId, NotificationId, ProjectId};
use crate::models::delivery::{self, Delivery, DeliveryState, Filter};
use crate::models::project::Project;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List deliveries, newest first; without a state, those that did not arrive.
    List {
        #[command(flatten)]
        filters: Filters,
        /// How many at the most.
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// Send once more what did not arrive, on a way that is planned again.
    Retry {
        /// These deliveries; or give filters.
        ids: Vec<DeliveryId>,
        #[command(flatten)]
        filters: Filters,
        /// Also those that the person may have seen, and could see twice.
        #[arg(long)]
        even_if_sent: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Filters {
    /// In one of these states; several with commas.
    #[arg(long, value_delimiter = ',')]
    state: Vec<DeliveryState>,
    /// With this reason, for example `not_following`.
    #[arg(long)]
    reason: Option<String>,
    /// Of this message type.
    #[arg(long)]
    message_type: Option<String>,
    /// To this staff member.
    #[arg(long, value_name = "STAFF_ID", value_parser = context::staff_id)]
    staff: Option<String>,
    /// Of this notification.
    #[arg(long, value_name = "ID")]
    notification: Option<NotificationId>,
    #[command(flatten)]
    common: CommonFilters,
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    let bridge = context::open(config)?;
    match command {
        Command::List { filters, limit } => list(&bridge, filters, limit).await,
        Command::Retry {
            ids,
            filters,
            even_if_sent,
        } => retry(&bridge, &ids, filters, even_if_sent).await,
    }
}

impl Filters {
    /// The filter, and the project it is about.
    async fn resolve(self, bridge: &Bridge) -> Result<(Project, Filter)> {
        let project = self.common.project(bridge).await?;
        let filter = Filter {
            account_id: self.common.account(bridge, project.id).await?,
            states: self.state,
            reason: self.reason,
            message_type: self.message_type,
            staff_id: self.staff,
            notification_id: self.notification,
            since: self.common.since.map(|time| time.naive_utc()),
            until: self.common.until.map(|time| time.naive_utc()),
            ..Filter::default()
        };
        Ok((project, filter))
    }
}

async fn list(bridge: &Bridge, filters: Filters, limit: i64) -> Result<()> {
    let (project, mut filter) = filters.resolve(bridge).await?;
    if filter.states.is_empty() {
        filter.states = retriable().to_vec();
        // A reason also says why a delivery waits.
        if filter.reason.is_some() {
            filter.states.push(DeliveryState::Queued);
        }
    }
    let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
    let states = states.join(", ");
    let mut left = limit;
    loop {
        let asked = filter.clone();
        let look = bridge.db.snapshot(move |conn| -> QueryResult<_> {
            let found = delivery::search(conn, project.id, &asked, left)?;
            Ok(found)
        });
        let page = look.await?;
        show(&page.found);
        left -= i64::try_from(page.found.len()).unwrap_or(left);
        filter.before = page.next.map(DeliveryId);
        if filter.before.is_none() {
            if left == limit {
                let what = format!("deliveries that match and are {states}");
                context::note_empty(bridge, &what);
            }
            return Ok(());
        }
        if left <= 0 {
            note!("There may be more: give a larger --limit, or filters.");
            return Ok(());
        }
    }
}

fn show(found: &[Delivery]) {
    for delivery in found {
        let recipient = delivery.staff_id.as_ref().or(delivery.recipient.as_ref());
        let recipient = recipient.map(String::as_str);
        say!(
            "{:>8}  {}  notification {:<6}  {:20}  {:11}  {:22}  {}",
            delivery.id.0,
            delivery.created_at.format("%FT%TZ"),
            delivery.notification_id.0,
            recipient.unwrap_or_default(),
            delivery.state,
            delivery.reason.as_deref().unwrap_or("-"),
            delivery.detail.as_deref().unwrap_or_default()
        );
    }
}

async fn retry(
    bridge: &Bridge,
    ids: &[DeliveryId],
    filters: Filters,
    even_if_sent: bool,
) -> Result<()> {
    let (project, mut filter) = filters.resolve(bridge).await?;
    let mut summary = RetrySummary::default();
    if ids.is_empty() {
        if filter == Filter::default() {
            bail!("say which deliveries: their numbers, or a filter such as --since");
        }
        if filter.states.is_empty() {
            filter.states = retriable().to_vec();
        }
        while let Some(last) = summary
            .add(bridge, project.id, &filter, even_if_sent)
            .await?
        {
            filter.before = Some(last);
        }
    } else if filter != Filter::default() {
        bail!("give either the deliveries' numbers or filters, not both");
    }
    for id in ids {
        let one = Filter {
            id: Some(*id),
            ..Filter::default()
        };
        let before = summary.taken + summary.refused;
        summary.add(bridge, project.id, &one, even_if_sent).await?;
        if summary.taken + summary.refused == before {
            bail!("the project has no delivery {id}");
        }
    }
    say!(
        "{} are sent again by `queqiao serve`, {} are not",
        summary.taken,
        summary.refused
    );
    if summary.waiting > 0 {
        say!("{:>8}  wait for their send_at", summary.waiting);
    }
    for (reason, (count, detail)) in &summary.reasons {
        say!("{count:>8}  {reason}: {detail}");
    }
    Ok(())
}

/// What came of all rounds.
#[derive(Default)]
struct RetrySummary {
    taken: usize,
    waiting: usize,
    refused: usize,
    /// How many, and the sentence of one of them.
    reasons: BTreeMap<&'static str, (usize, String)>,
}

impl RetrySummary {
    /// One round; where to go on, if there may be more.
    async fn add(
        &mut self,
        bridge: &Bridge,
        project: ProjectId,
        filter: &Filter,
        even_if_sent: bool,
    ) -> Result<Option<DeliveryId>> {
        let retry = bridge.retry_deliveries(project, filter.clone(), RETRIED_MAX, even_if_sent);
        let retried = retry.await?;
        self.taken += retried.taken.len();
        self.waiting += retried.waiting;
        self.refused += retried.refused.len();
        for refused in retried.refused {
            let entry = self.reasons.entry(refused.reason.as_str());
            entry.or_insert((0, refused.detail)).0 += 1;
        }
        Ok(retried.last)
    }
}
