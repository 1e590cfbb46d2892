//! The storage suite: what the models promise, on both engines, on a fresh database each.

mod batch;
mod credits;
mod events;
mod events_lookup;
mod folded;
mod follow;
mod ground;
mod imports;
mod lanes;
mod lists;
mod notifications;
mod outbox;
mod pauses;
mod people;
mod plans;
mod profiles;
mod progress;
mod receipts;
mod roster;
mod snapshots;
mod staff;
mod templates;
mod time;
mod tokens;
mod transactions;
mod windows;
