//! Notifying: who is accepted, what is sent, and what is recorded when something goes wrong.

mod accept;
mod deliver;
mod fallback;
mod rig;
mod silence;
mod trouble;
mod ways;
