//! Notifying: who is accepted, what is sent, and what is recorded when something goes wrong.

mod accept;
mod budgets;
mod clock;
mod consent_wait;
mod customer;
mod deliver;
mod endpoint;
mod ends;
mod explain;
mod fallback;
mod kept;
mod lanes;
mod late;
mod matrix;
mod pauses;
mod people;
mod prefer;
mod preflight;
mod rig;
mod silence;
mod there;
mod today;
mod trouble;
mod ways;
mod words;
