//! The calls that explain's next steps name, carried out as they are written.

use queqiao::simulator::{Origin, population};
use reqwest::Method;
use serde_json::{Value, json};

use super::super::ways::{TEMPLATE_SEND, Ways};
use super::steps;
use crate::invariants::{MP, OA};

/// A call in a sentence: method, path, and the body where one is written behind it.
#[derive(Debug)]
struct Call {
    method: Method,
    path: String,
    body: Option<Value>,
}

/// The calls of a sentence, in their order.
fn calls(step: &str) -> Vec<Call> {
    let mut found = Vec::new();
    for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
        for (at, word) in step.match_indices(&format!("{method} /")) {
            let rest = &step[at + word.len() - 1..];
            let end = rest.find([' ', ';', ')', ',']).unwrap_or(rest.len());
            let path = rest[..end].trim_end_matches(['.', ':']).to_owned();
            let body = rest[end..]
                .strip_prefix(' ')
                .filter(|body| body.starts_with('{'));
            let body = body.map(|body| {
                let mut values = serde_json::Deserializer::from_str(body).into_iter();
                values.next().unwrap().unwrap()
            });
            found.push((
                at,
                Call {
                    method: method.clone(),
                    path,
                    body,
                },
            ));
        }
    }
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, call)| call).collect()
}

impl Ways {
    /// Carries out the calls of all steps with these values for what a reader fills in. Returns
    /// how many those were.
    async fn follow_steps(&self, story: &Value, values: &[(&str, &str)]) -> usize {
        let mut count = 0;
        for call in steps(story).into_iter().flat_map(calls) {
            let (app, key) = (&self.stage.app, &self.stage.key);
            let path = format!("/api/v1{}", call.path);
            let mut request = app.request(call.method.clone(), &path).bearer_auth(key);
            if let Some(body) = &call.body {
                let mut text = body.to_string();
                let missing = |text: &str| {
                    values
                        .iter()
                        .all(|(name, _)| !text.contains(&format!("\"{name}\"")))
                };
                if missing(&text)
                    && ["CODE", "UNIONID", "OPENID", "APPID"]
                        .iter()
                        .any(|name| text.contains(&format!("\"{name}\"")))
                {
                    continue;
                }
                for (name, value) in values {
                    text = text.replace(&format!("\"{name}\""), &format!("\"{value}\""));
                }
                request = request
                    .header("content-type", "application/json")
                    .body(text);
            }
            let answer = app.send(request).await;
            assert!((200..300).contains(&answer.status), "{call:?}: {answer:?}");
            count += 1;
        }
        self.stage.app.drain().await;
        count
    }
}

both_engines! {
    the_steps_of_somebody_unbound_work_as_written,
    the_steps_of_a_wrong_openid_work_as_written,
    the_steps_of_an_unknown_follower_work_as_written,
    the_steps_after_a_failure_work_as_written,
}

async fn the_steps_of_somebody_unbound_work_as_written(ways: Ways) {
    let (app, key) = (&ways.stage.app, &ways.stage.key);
    app.put(key, "/staff/a%20b", json!({})).await.ok(201);
    // Creating an invitation is the first; while it is open, another one is offered.
    let story = ways.explain("a%20b").await;
    assert_eq!(ways.follow_steps(&story, &[]).await, 1, "{story}");
    let code = ways.stage.world().log_in(MP, 1).unwrap();
    let story = ways.explain("a%20b").await;
    assert_eq!(
        ways.follow_steps(&story, &[("CODE", &code)]).await,
        2,
        "{story}"
    );
    // By now they are bound; what is left is to follow.
    let story = ways.explain("a%20b").await;
    assert_eq!(story["bindings"].as_array().unwrap().len(), 1, "{story}");
    assert!(ways.follow_steps(&story, &[]).await > 0, "{story}");
}

async fn the_steps_of_a_wrong_openid_work_as_written(ways: Ways) {
    ways.bound("s1", json!({"app_id": OA, "openid": "oNobody"}))
        .await;
    ways.stage.app.drain().await;
    let story = ways.explain("s1").await;
    let openid = population::openid(OA, 1);
    assert_eq!(
        ways.follow_steps(&story, &[("OPENID", &openid)]).await,
        2,
        "{story}"
    );
    let story = ways.explain("s1").await;
    assert_eq!(story["bindings"][0]["openid"], openid.as_str(), "{story}");
}

async fn the_steps_of_an_unknown_follower_work_as_written(ways: Ways) {
    ways.bound("s1", json!({"unionid": population::unionid(1)}))
        .await;
    ways.stage
        .world()
        .add_followers(OA, 1..2, &Origin::search())
        .unwrap();
    let story = ways.explain("s1").await;
    assert!(ways.follow_steps(&story, &[]).await > 0, "{story}");
    let reach = ways.explain("s1").await;
    assert_eq!(
        reach["accounts"][0]["template"]["would_send"], true,
        "{reach}"
    );
}

async fn the_steps_after_a_failure_work_as_written(ways: Ways) {
    ways.member("s1", 1).await;
    ways.routes(&["template"]).await;
    ways.refuse(TEMPLATE_SEND, 43019);
    let delivery = ways.sent("s1").await;
    assert_eq!(delivery["state"], "failed", "{delivery}");
    let story = ways.explain("s1").await;
    assert_eq!(ways.follow_steps(&story, &[]).await, 1, "{story}");
    assert_eq!(ways.seen(1), 1);
}
