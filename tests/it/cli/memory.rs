//! What a body costs in memory: no small multiple of its bytes, whatever it is made of.

use queqiao::db::Engine;

use super::CliFixture;
use crate::support::Fixture as _;

/// The largest body.
const MOST: usize = 16 << 20;
/// Memory that one request may take beside what the process has, KiB.
const PEAK: u64 = 64 << 10;

/// A body of the largest size that repeats a piece.
fn filled(head: &str, piece: &str, tail: &str) -> String {
    let room = MOST - head.len() - tail.len() - 1;
    let pieces = vec![piece; room / (piece.len() + 1)];
    format!("{head}{}{tail}", pieces.join(","))
}

/// The same of pieces that differ.
fn numbered(head: &str, piece: impl Fn(usize) -> String, tail: &str) -> String {
    let mut body = head.to_owned();
    for at in 0.. {
        let piece = piece(at);
        if body.len() + piece.len() + tail.len() + 1 > MOST {
            break;
        }
        body.push_str(if at == 0 { "" } else { "," });
        body.push_str(&piece);
    }
    body + tail
}

/// A body of the largest size, its kind, and where it is sent.
type Case = (&'static str, fn() -> String, &'static str);

const PREFLIGHT: &str = "/notifications/preflight";
const TABLE: &str = "/miniprogram/wx00000000000000b2/identities";
const MANY: &str = r#"{"a":"","b":"","c":"","d":"","e":"","f":"","g":"","h":"","i":"","j":""}"#;
const PEOPLE: &str = r#"{"message_type":"x","people":["#;

const BODIES: [Case; 18] = [
    (
        "objects in params",
        || filled(r#"{"params":{"a":["#, r#"{"":0}"#, "]}}"),
        PREFLIGHT,
    ),
    (
        "numbers in params",
        || filled(r#"{"params":{"a":["#, "0", "]}}"),
        PREFLIGHT,
    ),
    (
        "lists in params",
        || filled(r#"{"params":{"a":["#, "[]", "]}}"),
        PREFLIGHT,
    ),
    (
        "keys of params",
        || numbered(r#"{"params":{"#, |at| format!(r#""{at}":0"#), "}}"),
        PREFLIGHT,
    ),
    ("depth of params", deep, PREFLIGHT),
    (
        "empty people",
        || filled(r#"{"people":["#, "{}", "]}"),
        PREFLIGHT,
    ),
    (
        "answers of people",
        || filled(PEOPLE, &format!(r#"{{"results":{MANY}}}"#), "]}"),
        PREFLIGHT,
    ),
    (
        "people with an answer",
        || filled(PEOPLE, r#"{"results":{"a":""}}"#, "]}"),
        PREFLIGHT,
    ),
    (
        "empty ids",
        || filled(r#"{"staff_ids":["#, r#""""#, "]}"),
        PREFLIGHT,
    ),
    (
        "all ids",
        || {
            numbered(
                r#"{"message_type":"x","staff_ids":["#,
                |at| format!(r#""{at:0>165}""#),
                "]}",
            )
        },
        PREFLIGHT,
    ),
    (
        "keys of the body",
        || numbered("{", |at| format!(r#""{at}":0"#), "}"),
        PREFLIGHT,
    ),
    (
        "one key",
        || format!(r#"{{"{}":0}}"#, "x".repeat(MOST - 100)),
        PREFLIGHT,
    ),
    (
        "one text",
        || format!(r#"{{"tag":"\n{}"}}"#, "x".repeat(MOST - 100)),
        PREFLIGHT,
    ),
    (
        "control characters",
        || format!(r#"{{"all_staff":"{}"}}"#, "\u{80}".repeat(MOST / 2 - 100)),
        PREFLIGHT,
    ),
    ("rows", || filled(r#"{"rows":["#, "{}", "]}"), TABLE),
    (
        "rows of consents",
        || filled(r#"{"rows":["#, &format!(r#"{{"consents":{MANY}}}"#), "]}"),
        TABLE,
    ),
    (
        "long rows of consents",
        || filled(r#"{"rows":["#, &numbered_row(), "]}"),
        TABLE,
    ),
    (
        "one row",
        || filled(r#"{"rows":[{"consents":["#, "{}", "]}]}"),
        TABLE,
    ),
];

fn deep() -> String {
    let half = "[".repeat(MOST / 2 - 100);
    format!("{{\"params\": {half}{}}}", half.replace('[', "]"))
}

/// A row of as many bytes as ten thousand of them may have.
fn numbered_row() -> String {
    let members: Vec<String> = (0..150).map(|at| format!(r#""k{at}":0"#)).collect();
    format!(
        r#"{{"openid":{{"":[0]}},"consents":{{{}}}}}"#,
        members.join(",")
    )
}

#[tokio::test]
async fn no_body_takes_much_more_memory_than_its_bytes() {
    let cli = CliFixture::on(Engine::Sqlite).await;
    let mut costs = Vec::new();
    for (what, body, path) in BODIES {
        // A process of its own: what the allocator keeps of the body before is no cost of this one.
        let serve = cli.program.serve(&["serve", "--role", "web"]);
        let send = async |path: &str, body: String| {
            let url = format!("{}/api/v1{path}", serve.url);
            // A connection of its own: the last one may have been closed while the body was made.
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            let request = http.post(url).bearer_auth(&cli.key);
            let request = request.header("content-type", "application/json");
            let answer = request.body(body).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        send("/notifications/preflight", "{}".to_owned()).await;
        let body = body();
        assert!(body.len() <= MOST && body.len() > MOST / 100 * 99, "{what}");
        let idle = serve.forget_peak();
        let (status, answer) = send(path, body).await;
        let cost = serve.peak().saturating_sub(idle);
        let start: String = answer.chars().take(200).collect();
        assert!(
            [200, 400, 404, 422].contains(&status),
            "{what}: {status} {start}"
        );
        println!("{what}: {} MiB, {status} {start}", cost >> 10);
        costs.push((what, cost));
    }
    costs.retain(|(_, cost)| *cost > PEAK);
    assert!(costs.is_empty(), "beyond {PEAK} KiB: {costs:?}");
}
