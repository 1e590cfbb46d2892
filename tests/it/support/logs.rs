//! What this process logs, kept to be searched: all tests share it, so each looks for a text of
//! its own.

use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::EnvFilter;

static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Keep;

impl io::Write for Keep {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins to keep every line, from our own finest to the warnings of libraries.
pub(crate) fn capture() {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("warn,queqiao=trace"))
            .with_writer(|| Keep)
            .with_ansi(false)
            .init();
    });
}

/// The lines that hold this text, oldest first.
pub(crate) fn lines_with(text: &str) -> Vec<String> {
    let written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&written)
        .lines()
        .filter(|line| line.contains(text))
        .map(str::to_owned)
        .collect()
}
