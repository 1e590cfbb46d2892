//! A folder for each family of tables; every query lives here. Functions take a connection, never a pool, so
//! that they compose in a transaction, and return the error of [`crate::db`].

pub mod account;
pub mod actor;
pub mod api_key;
pub mod audit;
pub mod credit;
pub mod delivery;
pub mod erasure;
pub mod event;
pub mod identity;
pub mod import;
pub mod notification;
pub mod people;
pub mod project;
pub mod spool;
pub mod staff;
pub mod stats;
pub mod sweep;
pub mod user;
pub mod walk;
pub mod webhook;

/// Text from outside as both engines can hold it: PostgreSQL refuses U+0000 in a text, and the
/// other control characters have no business in an id, a scene or a name.
pub fn storable(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains(char::is_control) {
        text.replace(char::is_control, "").into()
    } else {
        text.into()
    }
}
