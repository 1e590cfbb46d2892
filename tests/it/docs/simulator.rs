//! What the simulator can be told, as documented.

use std::collections::BTreeSet;

use queqiao::simulator::{Kind, Settings, Simulator, SimulatorOptions};
use serde_json::{Value, json};

const SIMULATOR: &str = include_str!("../../../docs/simulator.md");

/// A simulator with one account.
async fn simulator() -> (Simulator, String) {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let settings = Settings::new("wx00000000000000a1", Kind::OfficialAccount);
    simulator.world().add_account(settings);
    let url = simulator
        .base_url()
        .as_str()
        .trim_end_matches('/')
        .to_owned();
    (simulator, url)
}

async fn call(method: &str, url: &str, body: Option<Value>) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.request(method.parse().unwrap(), url);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

#[tokio::test]
async fn every_route_of_the_control_api_is_documented_and_there() {
    let (simulator, url) = simulator().await;
    let documented: BTreeSet<(String, String)> = SIMULATOR
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let (method, path) = (cells.next()?, cells.next()?);
            let path = path.strip_prefix('`')?.strip_suffix('`')?;
            path.starts_with("/_sim")
                .then(|| (method.to_owned(), path.to_owned()))
        })
        .collect();
    for path in ["/_sim", "/_sim/"] {
        let (status, answer) = call("GET", &format!("{url}{path}"), None).await;
        assert_eq!(status, 200, "{path}");
        let listed = answer["routes"].as_array().unwrap();
        let routes: BTreeSet<(String, String)> = listed
            .iter()
            .map(|route| {
                let text = |name: &str| route[name].as_str().unwrap().to_owned();
                assert!(text("does").ends_with('.'), "{route}");
                (text("method"), text("path"))
            })
            .collect();
        assert_eq!(routes.len(), listed.len(), "each once");
        assert_eq!(routes, documented);
    }
    for (method, path) in &documented {
        // With a number for every name: what is not there is said otherwise than that there is no such route.
        let path: Vec<&str> = path
            .split('/')
            .map(|part| if part.starts_with('{') { "7" } else { part })
            .collect();
        let (_, answer) = call(method, &format!("{url}{}", path.join("/")), None).await;
        assert!(
            !answer.to_string().contains("there is no route"),
            "{method} {path:?}: {answer}"
        );
    }
    drop(simulator);
}

#[tokio::test]
async fn what_is_no_route_of_the_control_api_is_a_clear_404() {
    let (simulator, url) = simulator().await;
    for (method, path, said) in [
        (
            "GET",
            "/_sim/nothing",
            "there is no route GET /_sim/nothing: GET /_sim/ lists the routes",
        ),
        (
            "POST",
            "/_sim/accounts/wx00000000000000a1/nothing",
            "GET /_sim/ lists the routes",
        ),
        (
            "GET",
            "/_sim/accounts/wx00000000000000a1/people/1/follow",
            "the path has POST",
        ),
        ("PUT", "/_sim/faults", "the path has GET, POST, DELETE"),
        ("DELETE", "/_sim/", "lists the routes"),
        ("POST", "/_sim/people/", "lists the routes"),
    ] {
        let (status, answer) = call(method, &format!("{url}{path}"), None).await;
        assert_eq!(status, 404, "{method} {path}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(said), "{answer}");
    }
    // WeChat's own API answers as WeChat does.
    let (status, answer) = call("GET", &format!("{url}/nothing"), None).await;
    assert_eq!((status, &answer["errcode"]), (200, &json!(40066)));
    drop(simulator);
}

#[tokio::test]
async fn a_test_account_has_plain_mode_only() {
    let (simulator, url) = simulator().await;
    let accounts = format!("{url}/_sim/accounts");
    let account = |mode: &str| json!({"app_id": "wxTEST", "kind": "official_account", "test_account": true, "mode": mode});
    let (status, answer) = call("POST", &accounts, Some(account("secure"))).await;
    assert_eq!(status, 400, "{answer}");
    assert!(
        answer["error"].as_str().unwrap().contains("接口测试号"),
        "{answer}"
    );
    let (status, answer) = call("POST", &accounts, Some(account("plain"))).await;
    assert_eq!((status, &answer["encoding_aes_key"]), (201, &json!("")));
    for change in [
        json!({"mode": "compatible"}),
        json!({"encoding_aes_key": "x".repeat(43)}),
    ] {
        let (status, answer) = call("PATCH", &format!("{accounts}/wxTEST"), Some(change)).await;
        assert_eq!(status, 400, "{answer}");
    }
    let (status, answer) = call(
        "PATCH",
        &format!("{accounts}/wxTEST"),
        Some(json!({"token": "t"})),
    )
    .await;
    assert_eq!(
        (status, &answer["mode"]),
        (200, &json!("plain")),
        "{answer}"
    );
    drop(simulator);
}
