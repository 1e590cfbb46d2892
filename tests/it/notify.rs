//! Notifying: who is accepted, what is sent, and what is recorded when something goes wrong.

mod accept;
mod budgets;
mod deliver;
mod explain;
mod fallback;
mod lanes;
mod pauses;
mod people;
mod preflight;
mod rig;
mod silence;
mod trouble;
mod ways;
