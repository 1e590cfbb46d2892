//! Events that were put aside, replayed from the command line.

use diesel::connection::SimpleConnection as _;
use queqiao::db::{Conn, DbError, Engine};
use queqiao::simulator::Origin;
use serde_json::json;

use super::crash::{follow, send_again};
use super::{CliFixture, OA};
use crate::support::Fixture as _;
use crate::support::program::eventually;

/// As a fault puts them aside that was fixed meanwhile.
async fn put_aside(cli: &CliFixture) {
    let done = cli.program.database.db().write(|conn| {
        let sql = "UPDATE events SET state = 2, problem = 'the moon is full'";
        match conn {
            Conn::Postgres(conn) => conn.batch_execute(sql)?,
            Conn::Sqlite(conn) => conn.batch_execute(sql)?,
        }
        Ok::<_, DbError>(())
    });
    done.await.unwrap();
}

both_engines! {
    failed_events_are_replayed_by_number_and_by_filter,
}

async fn failed_events_are_replayed_by_number_and_by_filter(engine: Engine) {
    let cli = CliFixture::on(engine).await;
    cli.world()
        .add_followers(OA, 1..9, &Origin::search())
        .unwrap();
    let running = cli.program.serve(&["serve"]);
    for person in 1..=3 {
        assert_eq!(
            send_again(&cli, &running, &follow(&cli, person))
                .await
                .status(),
            200
        );
    }
    let in_state = async |state: &str, count: usize| {
        eventually(state, async || {
            let events = cli.get(&running, "/events").await;
            let mut found = events["items"].as_array().unwrap().clone();
            found.retain(|event| event["state"] == state);
            (found.len() == count).then_some(found)
        })
        .await
    };
    in_state("processed", 3).await;
    put_aside(&cli).await;
    let failed = in_state("failed", 3).await;
    assert_ne!(failed[0]["problem"], json!(null));
    let replay = |arguments: &[&str]| {
        cli.program
            .run(&[&["events", "replay"], arguments].concat())
    };
    for (arguments, said) in [
        (&[][..], "say which events"),
        (&["1", "--all"], "either the events' numbers or filters"),
        (&["999999"], "no event 999999"),
        (
            &["--account", "wx00000000000000ff"],
            "has no account wx00000000000000ff",
        ),
    ] {
        let refused = replay(arguments);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(refused.err.contains(said), "{refused:?}");
    }
    for nothing in [["--kind", "text"], ["--until", "2020-01-01T00:00:00Z"]] {
        assert!(
            replay(&nothing)
                .ok()
                .starts_with("0 are processed once more")
        );
    }
    let first = failed[0]["id"].to_string();
    assert!(
        replay(&[&first])
            .ok()
            .starts_with("1 are processed once more")
    );
    in_state("processed", 1).await;
    assert!(
        replay(&["--account", OA, "--kind", "event.subscribe"])
            .ok()
            .starts_with("2 are processed once more")
    );
    in_state("processed", 3).await;
}
