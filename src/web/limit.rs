//! How many connections this process takes: fewer than it may have descriptors, since the database, the calls to WeChat
//! and the files need some. Others wait in the system's queue; an accept that fails would keep all waiting.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Descriptors beyond which the limit is not raised: no connections need them.
const DESCRIPTORS_MAX: u64 = 1 << 20;
/// Connections where the descriptors would do for more: each costs some memory.
const CONNECTIONS_MAX: u64 = 25_600;
/// Descriptors of the program itself: files, listeners and the log.
const OWN_DESCRIPTORS: u64 = 64;
/// Descriptors of each thread that serves.
const DESCRIPTORS_PER_THREAD: u64 = 4;
/// Descriptors of a pooled connection to the database: SQLite's file, its log and what it shares.
const DESCRIPTORS_PER_POOLED: u64 = 3;

/// Raises this process's limit of descriptors as far as it may.
pub fn raise_descriptors() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let target = maximum.unwrap_or(DESCRIPTORS_MAX).min(DESCRIPTORS_MAX);
    if current.is_some_and(|current| current < target) {
        let raised = Rlimit {
            current: Some(target),
            maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of descriptors stays as it was");
        }
    }
}

/// How many connections each of so many threads takes, and how many that are.
pub(super) fn connections(config: &Config, threads: usize) -> (usize, usize) {
    let descriptors = getrlimit(Resource::Nofile)
        .current
        .unwrap_or(DESCRIPTORS_MAX);
    let room = room(config, threads, descriptors);
    let configured = config.server.max_connections;
    let most = match configured as u64 {
        0 => room.min(CONNECTIONS_MAX),
        configured => configured.min(room),
    };
    let of_each = usize::try_from(most).unwrap_or(usize::MAX) / threads.max(1);
    let of_each = of_each.max(1);
    let most = of_each * threads;
    tracing::info!(connections = most, descriptors, "limits of this process");
    if most < configured && room < configured as u64 {
        tracing::warn!(
            connections = most,
            "server.max_connections is more than the limit of descriptors allows: raise that (ulimit -n, LimitNOFILE)"
        );
    }
    (of_each, most)
}

/// What is left of the descriptors for connections: at least half.
fn room(config: &Config, threads: usize, descriptors: u64) -> u64 {
    let database = &config.database;
    let pooled = u64::from(database.pool_size) + u64::from(database.api_connections);
    let deliver = &config.deliver;
    let loops = (deliver.loops + deliver.urgent_loops) as u64;
    let calls = loops.saturating_mul(deliver.batch_rows.unsigned_abs());
    let rest = (OWN_DESCRIPTORS + DESCRIPTORS_PER_POOLED * pooled)
        .saturating_add(DESCRIPTORS_PER_THREAD * threads as u64)
        .saturating_add(calls);
    descriptors.saturating_sub(rest).max(descriptors / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_keeps_what_it_needs_or_half() {
        let config = Config::default();
        let of = |descriptors| room(&config, 2, descriptors);
        assert_eq!(of(256), 128);
        assert_eq!(of(1024), 512);
        let need = 65_536 - of(65_536);
        assert!((1_800..2_000).contains(&need), "{need}");
    }

    #[test]
    fn connections_are_divided_and_never_more_than_there_is_room_for() {
        let mut config = Config::default();
        config.server.max_connections = 100;
        assert_eq!(connections(&config, 3), (33, 99));
        config.server.max_connections = 2;
        assert_eq!(connections(&config, 3), (1, 3));
        config.server.max_connections = usize::MAX;
        let (of_each, most) = connections(&config, 2);
        let descriptors = getrlimit(Resource::Nofile)
            .current
            .unwrap_or(DESCRIPTORS_MAX);
        assert!(of_each * 2 == most && (most as u64) < descriptors);
    }
}
