//! Why a staff member is reached or not: everything that is known of it, gathered in one look and
//! told in words, with what to do next.

mod account;
mod account_steps;
mod candidate_route;
mod delivery;
mod facts;
mod last_delivery;
mod message_type;
mod moved;
mod next_steps;
mod person;
mod refusal;
mod steps;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use super::Bridge;
use super::windows;
use crate::db::DbError;
use crate::ids::ProjectId;

pub use account::{
    AccountStory, ChannelStory, CustomerStory, IdentityStory, SubscriptionStory, SwitchStory,
};
pub use delivery::DeliveryStory;
pub use message_type::{TypeStory, TypeVerdict};
pub use person::{BindingStory, InvitationStory, UndoneStory, UnionidStory};
pub use refusal::Refusal;

use facts::Facts;

/// The whole story of one staff member.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Explanation {
    /// The business's own id.
    pub staff_id: String,
    /// A name for people.
    pub name: Option<String>,
    /// Their tags.
    pub tags: Vec<String>,
    /// When it was looked, by our clock.
    pub now: DateTime<Utc>,
    /// What to do next to reach the person, in order, in plain sentences.
    pub next_steps: Vec<String>,
    /// To whom they are bound, oldest first.
    pub bindings: Vec<BindingStory>,
    /// Bindings that were undone, newest first.
    pub undone: Vec<UndoneStory>,
    /// Invitations that can still be used, or that somebody was refused, newest first.
    pub invitations: Vec<InvitationStory>,
    /// The person's unionid, or why there is none.
    pub unionid: UnionidStory,
    /// What each account of the project can send them now, oldest first.
    pub accounts: Vec<AccountStory>,
    /// What would become of a message of the type that was asked about.
    pub message_type: Option<TypeStory>,
    /// The last deliveries, newest first.
    pub deliveries: Vec<DeliveryStory>,
}

/// Why nothing can be explained.
#[derive(Debug, Error)]
pub enum ExplainError {
    /// There is no such staff member.
    #[error("the project has no staff member of this id")]
    UnknownStaff,
    /// There is no such message type.
    #[error("the project has no message type {0:?}")]
    UnknownMessageType(String),
    /// The database did not answer.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Bridge {
    /// Tells the story of a staff member, and of a message type if one is named.
    ///
    /// # Errors
    /// If there is no such staff member or message type, or the database fails.
    pub async fn explain(
        &self,
        project: ProjectId,
        staff_id: String,
        message_type: Option<String>,
    ) -> Result<Explanation, ExplainError> {
        let (now, config) = (self.clock.now(), Arc::clone(&self.config));
        let rules = windows::rules(&self.config.customer);
        let gather = self.db.snapshot(move |conn| -> Result<_, ExplainError> {
            let mut facts = Facts::gather(conn, project, &staff_id, config, now)?;
            if let Some(name) = message_type {
                facts.ask(conn, project, name)?;
            }
            Ok(facts)
        });
        let facts = gather.await?;
        let mut story = Explanation {
            staff_id: facts.staff.staff_id.clone(),
            name: facts.staff.name.clone(),
            tags: facts.tags.clone(),
            now: now.and_utc(),
            next_steps: Vec::new(),
            bindings: person::bindings(&facts),
            undone: person::undone(&facts),
            invitations: person::invitations(&facts),
            unionid: person::unionid(&facts),
            accounts: account::stories(&facts, &rules),
            message_type: message_type::of_type(&facts),
            deliveries: delivery::stories(&facts),
        };
        story.next_steps = next_steps::next(&facts, &story);
        Ok(story)
    }
}
