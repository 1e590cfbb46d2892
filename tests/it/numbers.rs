//! Numbers by day: what is shown of them, and that they are what a count of the rows gives, whatever happens.

mod days;
mod folded;
mod later;
mod shown;
mod stories;
