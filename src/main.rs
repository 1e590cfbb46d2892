//! The `queqiao` program: parse the command line, run it, say in one line what went wrong.

use std::process::ExitCode;

use clap::Parser as _;

use queqiao::cli::{self, Cli};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Whoever reads our output may stop reading, as `| head` does: that is no failure to report.
fn end_quietly_when_nobody_reads() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or_default();
        if message.starts_with("failed printing to stdout") && message.contains("Broken pipe") {
            std::process::exit(0);
        }
        report(panic);
    }));
}

fn main() -> ExitCode {
    end_quietly_when_nobody_reads();
    queqiao::files::keep_to_ourselves();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            cli::note_error(&error.into());
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(cli::run(cli));
    // Threads that wait for a database that hangs would be waited for otherwise.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::note_error(&error);
            ExitCode::FAILURE
        }
    }
}
