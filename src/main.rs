//! The `queqiao` program: parse the command line, run it, say in one line what went wrong.

use std::process::ExitCode;

use clap::Parser as _;
use queqiao::cli::{self, Cli};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match cli::run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("queqiao: {error:#}");
            ExitCode::FAILURE
        }
    }
}
