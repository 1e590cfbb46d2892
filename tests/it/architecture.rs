//! Rules over the source itself, which no compiler checks.

mod circles;
mod codes;
mod files;
mod imports;
mod lists;
mod migrations;
mod paths;
mod printing;
mod schema;
mod statements;
mod states;
mod writes;
