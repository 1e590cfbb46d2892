//! What the benchmark of lists asks for, and of what.

#[path = "../../../benches/lists/cases.rs"]
mod cases;
#[path = "../../../benches/lists/fill.rs"]
mod filling;

pub(crate) use cases::LISTS;
pub(crate) use filling::fill;
