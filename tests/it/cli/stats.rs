//! Numbers by day on the command line.

use queqiao::simulator::Origin;

use super::{CliFixture, OA};
use crate::support::program::eventually;

both_engines! {
    numbers_are_shown_as_a_table_and_as_csv,
}

async fn numbers_are_shown_as_a_table_and_as_csv(cli: CliFixture) {
    let serve = cli.program.serve(&["serve"]);
    cli.point_to(&serve);
    for person in [1, 2] {
        let push = cli.world().follow(OA, person, Origin::search()).await;
        assert!(push.unwrap().verdict.is_accepted());
    }
    eventually("two profiles, for which WeChat is called", async || {
        let people = cli.get(&serve, "/people?link_state=single").await;
        (people["items"].as_array().unwrap().len() == 2).then_some(())
    })
    .await;
    eventually("two follows that are counted", async || {
        let stats = cli
            .get(&serve, "/stats?from=2020-01-01&to=2020-01-01")
            .await;
        assert_eq!(stats["series"][0]["total"], 0);
        let stats = cli.get(&serve, "/stats").await;
        (stats["series"][0]["total"] == 2).then_some(())
    })
    .await;
    let stats = cli.get(&serve, "/stats").await;
    let today = stats["to"].as_str().unwrap();
    // The calls of a process are written at its end at the latest.
    serve.terminate();
    serve.ended();
    let table = cli.program.run(&["stats", "--from", today]).ok();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(
        lines[0].contains("follows") && lines[0].contains("no_receipt"),
        "{table}"
    );
    let cells = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(cells(lines[1])[..4], [today, "2", "0", "2"], "{table}");
    assert_eq!(cells(lines[2])[..4], ["total", "2", "0", "2"], "{table}");
    let csv = cli.program.run(&["stats", "--csv", "--account", OA]).ok();
    assert!(
        csv.starts_with("day,metric,name,channel,reason,app_id,count\n"),
        "{csv}"
    );
    let line = format!("{today},events,event.subscribe,,,{OA},2\n");
    assert!(csv.contains(&line), "{csv}");
    assert!(csv.contains(&format!("{today},calls,")), "{csv}");
    let counted = cli
        .program
        .run(&["stats", "recount", "--from", today, "--to", today])
        .ok();
    assert!(
        counted.starts_with("0 events, 0 deliveries and 0 receipts"),
        "{counted}"
    );
    for (arguments, said) in [
        (&["stats", "--from", "today"][..], "2026-11-30"),
        (
            &["stats", "--from", "2020-01-01", "--to", "2026-01-01"],
            "400",
        ),
        (
            &["stats", "--account", "wx00000000000000ff"],
            "wx00000000000000ff",
        ),
        (&["stats", "recount", "--from", today], "--to"),
    ] {
        let refused = cli.program.run(arguments);
        assert!(
            !refused.status.success() && refused.err.contains(said),
            "{refused:?}"
        );
    }
}
