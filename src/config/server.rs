//! Settings of the HTTP server.

use serde::Deserialize;

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
