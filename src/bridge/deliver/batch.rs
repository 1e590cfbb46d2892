//! A batch of claimed deliveries, with what their tries need.

use std::collections::HashMap;

use super::lane::Probing;
use crate::bridge::availability::pause::Pause;
use crate::bridge::planning::prepared::Editions;
use crate::bridge::routes::Channel;
use crate::ids::DeliveryId;
use crate::models::account::budget::Uses;
use crate::models::account::pause::{AccountPause, Named, NewPause};
use crate::models::delivery::Due;

/// Deliveries that were claimed, with what they need.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) due: Vec<Due>,
    pub(super) notifications: Editions,
    /// Those that are not to be tried, and why.
    pub(super) held: HashMap<DeliveryId, Pause>,
    /// What was counted for them.
    pub(super) counted: Vec<Uses>,
    /// How many were claimed, with those given back at once.
    pub(super) claimed: usize,
    /// Whether some of them go another way, and are due there.
    pub(super) is_replanned: bool,
    /// Whether some of them were put off, as the rate of their call is used up.
    pub(super) is_put_off: bool,
    /// The paused calls that are tried with one of them, for as long as the batch is there.
    _probing: Vec<Probing>,
    /// A budget that was used up by this.
    pub(super) used_up: Option<UsedUp>,
}

#[derive(Debug)]
pub(super) struct UsedUp {
    pub(super) set: Vec<NewPause>,
    pub(super) begun: Vec<Named>,
    pub(super) now_paused: Vec<AccountPause>,
}

impl Batch {
    /// What was claimed, of which some are held.
    pub(super) fn new(
        due: Vec<Due>,
        notifications: Editions,
        (held, probing): (HashMap<DeliveryId, Pause>, Vec<Probing>),
    ) -> Self {
        Self {
            claimed: due.len(),
            due,
            notifications,
            held,
            counted: Vec::new(),
            is_replanned: false,
            is_put_off: false,
            _probing: probing,
            used_up: None,
        }
    }

    /// The name of the call that a delivery takes; empty if it cannot be made.
    pub(super) fn call(&self, due: &Due) -> &'static str {
        call(due, &self.notifications)
    }
}

pub(super) fn call(due: &Due, notifications: &Editions) -> &'static str {
    channel(due, notifications).map_or("", |channel| channel.traits().call)
}

pub(super) fn channel(due: &Due, notifications: &Editions) -> Option<Channel> {
    let prepared = notifications.get(&due.edition())?.prepared.as_ref().ok()?;
    let number = usize::try_from(due.route).ok()?;
    prepared.routes().get(number).map(|route| route.channel)
}
