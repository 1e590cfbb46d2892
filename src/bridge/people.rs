//! People: their profiles and the unionids that link their openids, logins, staff and bindings, imports and consent.

pub mod adopt;
pub mod bind;
pub mod consent;
pub mod erase;
pub mod import;
pub(super) mod link;
pub mod login;
pub mod migrate;
pub mod moved;
pub(super) mod one_staff;
pub mod profile;
pub mod staff;
pub mod staff_list;
pub mod staff_table;
pub mod table;
