//! Settings of the HTTP server.

use serde::Deserialize;

use super::ConfigError;

/// Threads that serve, which the server itself takes no more of.
const THREADS: u64 = 512;
/// Limits of time that are longer would be none.
const LONGEST: u64 = 600;

/// The HTTP server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port to listen on.
    pub bind: String,
    /// Where the API listens instead; empty: there too.
    pub api_bind: String,
    /// Where the metrics are served instead; empty: there too.
    pub metrics_bind: String,
    /// Under which address it is reached from outside; empty where that is not said.
    pub public_url: String,
    /// Threads; 0 means one per processor.
    pub workers: usize,
    /// How long a connection may stay on which nothing comes of what the client does, seconds.
    pub stalled_seconds: u64,
    /// How long the body of an API request may take, seconds.
    pub body_seconds: u64,
    /// Connections in all; 0: as many as the limit of descriptors allows.
    pub max_connections: usize,
    /// Connections of one address; 0: any number.
    pub max_connections_per_address: usize,
    /// How long a shutdown waits for what is in flight, seconds.
    pub shutdown_seconds: u64,
}

impl Server {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let threads = self.workers as u64;
        if threads > THREADS {
            return Err(ConfigError::Range {
                field: "server.workers",
                value: threads,
                rule: "must be at most 512; 0 means one per processor",
            });
        }
        let times = [
            ("server.stalled_seconds", self.stalled_seconds),
            ("server.body_seconds", self.body_seconds),
        ];
        for (field, value) in times {
            if !(1..=LONGEST).contains(&value) {
                let rule = "must be 1 to 600: without a limit, connections would be held for ever";
                return Err(ConfigError::Range { field, value, rule });
            }
        }
        let connections = self.max_connections as u64;
        if (1..16).contains(&connections) {
            return Err(ConfigError::Range {
                field: "server.max_connections",
                value: connections,
                rule: "must be at least 16; 0 means as many as the limit of descriptors allows",
            });
        }
        Ok(())
    }
}
