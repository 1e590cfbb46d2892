//! What the simulator can be told, as documented.

use std::collections::BTreeSet;

use queqiao::simulator::{Kind, Settings, Simulator, SimulatorOptions};
use serde_json::{Value, json};

const SIMULATOR: &str = include_str!("../../../docs/simulator.md");
const SIMULATOR_ZH: &str = include_str!("../../../docs/zh-CN/simulator.md");

/// The rows of the table of routes: the method, the path.
fn routes(document: &str) -> BTreeSet<(String, String)> {
    document
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let (method, path) = (cells.next()?, cells.next()?);
            let path = path.strip_prefix('`')?.strip_suffix('`')?;
            path.starts_with("/_sim")
                .then(|| (method.to_owned(), path.to_owned()))
        })
        .collect()
}

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
    let documented = routes(SIMULATOR);
    assert_eq!(routes(SIMULATOR_ZH), documented);
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

/// A page in a browser on this machine could otherwise read its accounts' secrets: by a name that leads here (DNS
/// rebinding), or post without reading.
#[tokio::test]
async fn the_control_api_takes_nothing_from_a_page() {
    let (simulator, url) = simulator().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let port = simulator.base_url().port().unwrap();
    let ask = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let method = method.parse().unwrap();
        let mut request = client.request(method, format!("{url}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let allowed = answer.headers().get("access-control-allow-origin");
        assert_eq!(allowed, None, "{path}");
        (status, answer.text().await.unwrap())
    };
    let faults = format!("{url}/_sim/faults");
    let fault = json!({"path": "/cgi-bin/user/info", "kind": "time_out_before"});
    let (status, said) = call("POST", &faults, Some(fault)).await;
    assert!(status < 300, "{said}");
    for host in [
        "evil.example",
        "evil.example:80",
        "localhost.evil.example",
        "",
    ] {
        for (method, path) in [
            ("GET", "/_sim/"),
            ("GET", "/_sim/accounts"),
            ("DELETE", "/_sim/faults"),
            ("GET", "/_sim/nothing"),
        ] {
            let (status, said) = ask(method, path, &[("host", host)]).await;
            assert_eq!(status, 403, "{host} {path}: {said}");
            assert!(!said.contains("wx00000000000000a1"), "{said}");
        }
    }
    let own = format!("127.0.0.1:{port}");
    for origin in ["https://evil.example", "null", &format!("http://{own}")] {
        let headers = [("host", own.as_str()), ("origin", origin)];
        for method in ["GET", "POST", "DELETE", "OPTIONS"] {
            let (status, said) = ask(method, "/_sim/faults", &headers).await;
            assert_eq!(status, 403, "{method} {origin}: {said}");
        }
    }
    let names = [
        &own,
        "127.0.0.1",
        "localhost",
        "LOCALHOST:9090",
        "[::1]:9090",
    ];
    for host in names {
        let (status, said) = ask("GET", "/_sim/accounts", &[("host", host)]).await;
        assert_eq!(status, 200, "{host}: {said}");
    }
    // What was refused was not done.
    let (_, kept) = call("GET", &faults, None).await;
    assert_eq!(kept.as_array().unwrap().len(), 1, "{kept}");
    // WeChat's own API is for any program, under any name.
    let (status, said) = ask("GET", "/nothing", &[("host", "api.weixin.qq.com")]).await;
    assert_eq!(status, 200, "{said}");
}
