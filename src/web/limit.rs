//! How many connections this process takes: fewer than it may have descriptors, since the database, the calls to WeChat
//! and the files need some. Others wait in the system's queue; an accept that fails would keep all waiting.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Descriptors beyond which the limit is not raised: no connections need them.
const ENOUGH: u64 = 1 << 20;
/// Connections where the descriptors would do for more: each costs some memory.
const MOST: u64 = 25_600;
/// Files of the program itself, its listeners and its log.
const OWN: u64 = 64;
/// Of each thread that serves.
const OF_A_THREAD: u64 = 4;
/// Of a connection to the database: SQLite's file, its log and what it shares.
const OF_A_POOLED: u64 = 3;

/// Raises this process's limit of descriptors as far as it may.
pub fn raise_descriptors() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if current.is_some_and(|current| current < wanted) {
        let raised = Rlimit {
            current: Some(wanted),
            maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of descriptors stays as it was");
        }
    }
}

/// How many connections each of so many threads takes, and how many that are.
pub(super) fn connections(config: &Config, threads: usize) -> (usize, usize) {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH);
    let room = room(config, threads, descriptors);
    let wanted = config.server.max_connections;
    let most = match wanted as u64 {
        0 => room.min(MOST),
        wanted => wanted.min(room),
    };
    let of_each = usize::try_from(most).unwrap_or(usize::MAX) / threads.max(1);
    let of_each = of_each.max(1);
    let most = of_each * threads;
    tracing::info!(connections = most, descriptors, "limits of this process");
    if most < wanted && room < wanted as u64 {
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
    let rest = (OWN + OF_A_POOLED * pooled)
        .saturating_add(OF_A_THREAD * threads as u64)
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
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH);
        assert!(of_each * 2 == most && (most as u64) < descriptors);
    }
}
