//! Addresses of their own for the API and the metrics, and the warning of what others can reach.

use queqiao::db::Engine;

use super::{CliFixture, OA};
use crate::callback::{signed, text};
use crate::support::Fixture as _;
use crate::support::program::Running;

const API: &str = "QUEQIAO_SERVER__API_BIND";
const METRICS: &str = "QUEQIAO_SERVER__METRICS_BIND";
const PUBLIC: &str = "QUEQIAO_SERVER__PUBLIC_URL";

/// Whether callbacks, the API and metrics are answered there; health always is.
async fn served(cli: &CliFixture, url: &str) -> [bool; 3] {
    let push = signed(&cli.official, &text(&cli.official, "hi"));
    let callback = cli.http.post(format!("{url}/callback/{OA}"));
    let requests = [
        callback.query(&push.query).body(push.body),
        cli.http
            .get(format!("{url}/api/v1/events"))
            .bearer_auth(&cli.key),
        cli.http.get(format!("{url}/metrics")),
        cli.http.get(format!("{url}/")),
        cli.http.get(format!("{url}/healthz")),
        cli.http.get(format!("{url}/readyz")),
    ];
    let mut statuses = Vec::new();
    for request in requests {
        statuses.push(request.send().await.unwrap().status().as_u16());
    }
    assert!(
        statuses.iter().all(|status| [200, 404].contains(status)),
        "{url}: {statuses:?}"
    );
    assert_eq!(statuses[1], statuses[3], "it says where the API is");
    assert_eq!(statuses[4..], [200, 200], "health");
    [statuses[0], statuses[1], statuses[2]].map(|status| status == 200)
}

fn stopped(running: Running) -> String {
    running.terminate();
    let said = running.ended();
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    said.err
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_and_the_metrics_answer_at_their_own_addresses_and_nowhere_else() {
    const ONE: &str = "127.0.0.2:0";
    const OTHER: &str = "127.0.0.3:0";
    let mut cli = CliFixture::on(Engine::Sqlite).await;
    let (both, api, metrics) = ("the API and /metrics", "the API", "/metrics");
    for (role, settings, at_bind, others) in [
        ("all", vec![], [true; 3], vec![]),
        (
            "all",
            vec![(API, ONE)],
            [true, false, true],
            vec![(api, [false, true, false])],
        ),
        (
            "web",
            vec![(METRICS, ONE)],
            [true, true, false],
            vec![(metrics, [false, false, true])],
        ),
        (
            "web",
            vec![(API, ONE), (METRICS, ONE)],
            [true, false, false],
            vec![(both, [false, true, true])],
        ),
        (
            "all",
            vec![(API, ONE), (METRICS, OTHER)],
            [true, false, false],
            vec![(api, [false, true, false]), (metrics, [false, false, true])],
        ),
        ("worker", vec![(API, ONE)], [false, false, true], vec![]),
        (
            "worker",
            vec![(API, ONE), (METRICS, OTHER)],
            [false; 3],
            vec![(metrics, [false, false, true])],
        ),
    ] {
        cli.program.settings = settings;
        let running = cli.program.serve(&["serve", "--role", role]);
        assert_eq!(served(&cli, &running.url).await, at_bind, "{role}");
        for what in [both, api, metrics] {
            let expected = others.iter().find(|(other, _)| *other == what);
            let url = running.url_for(what);
            assert_eq!(url.is_some(), expected.is_some(), "{role} {what}");
            if let (Some(url), Some((_, expected))) = (url, expected) {
                assert_eq!(served(&cli, url).await, *expected, "{role} {what}");
            }
        }
        stopped(running);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_none_is_named_with_its_setting() {
    let mut cli = CliFixture::on(Engine::Sqlite).await;
    for setting in [API, METRICS] {
        cli.program.settings = vec![(setting, "inside")];
        let said = cli.program.run(&["serve", "--bind", "127.0.0.1:0"]);
        assert!(!said.status.success(), "{said:?}");
        let name = setting.strip_prefix("QUEQIAO_SERVER__").unwrap();
        let name = format!("inside (server.{})", name.to_lowercase());
        assert!(said.err.contains(&name), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_can_reach_is_warned_of_unless_it_is_said_to_be_meant() {
    const INSIDE: &str = "127.0.0.1:0";
    const OUTSIDE: &str = "0.0.0.0:0";
    let mut cli = CliFixture::on(Engine::Sqlite).await;
    for (role, bind, settings, exposed) in [
        ("all", INSIDE, vec![], None),
        ("all", OUTSIDE, vec![], Some("the API and /metrics")),
        ("web", OUTSIDE, vec![], Some("the API and /metrics")),
        ("worker", OUTSIDE, vec![], Some("/metrics")),
        (
            "all",
            OUTSIDE,
            vec![(PUBLIC, "https://wx.example.com")],
            None,
        ),
        ("all", OUTSIDE, vec![(API, INSIDE)], Some("/metrics")),
        ("all", OUTSIDE, vec![(API, INSIDE), (METRICS, INSIDE)], None),
        ("all", INSIDE, vec![(API, OUTSIDE)], Some("the API")),
    ] {
        cli.program.settings = settings;
        let running = cli
            .program
            .serve(&["serve", "--role", role, "--bind", bind]);
        let err = stopped(running);
        let mut warnings = err.lines().filter(|line| line.contains("can be reached"));
        let warning = warnings.next();
        assert_eq!(warnings.next(), None, "{err}");
        match (warning, exposed) {
            (None, None) => {}
            (Some(line), Some(exposed)) => {
                assert!(
                    line.contains(&format!(" {exposed} can be reached from other machines")),
                    "{line}"
                );
                assert!(line.contains("server.public_url"), "{line}");
            }
            other => panic!("{role} at {bind}: {other:?}\n{err}"),
        }
    }
}
