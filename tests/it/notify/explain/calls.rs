//! The calls that explain's next steps name, carried out as they are written.

use queqiao::simulator::{Origin, population};
use reqwest::Method;
use serde_json::{Value, json};

use super::super::routes::{RouteFixture, TEMPLATE_SEND};
use super::steps;
use crate::support::api::by_unionid;
use crate::support::setup::{MP, OA};

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

impl RouteFixture {
    /// Carries out the calls of all steps with these values for what a reader fills in. Returns
    /// how many those were.
    async fn follow_steps(&self, story: &Value, values: &[(&str, &str)]) -> usize {
        let mut count = 0;
        for call in steps(story).into_iter().flat_map(calls) {
            let (app, key) = (&self.app, &self.key);
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
        self.app.drain().await;
        count
    }
}

both_engines! {
    the_steps_of_somebody_unbound_work_as_written,
    the_steps_of_a_wrong_openid_work_as_written,
    the_steps_of_an_unknown_follower_work_as_written,
    the_steps_after_a_failure_work_as_written,
}

async fn the_steps_of_somebody_unbound_work_as_written(routes: RouteFixture) {
    let (app, key) = (&routes.app, &routes.key);
    app.put(key, "/staff/a%20b", json!({})).await.ok(201);
    // Creating an invitation is the first; while it is open, another one is offered.
    let story = routes.explain("a%20b").await;
    assert_eq!(routes.follow_steps(&story, &[]).await, 1, "{story}");
    let code = routes.world().log_in(MP, 1).unwrap();
    let story = routes.explain("a%20b").await;
    assert_eq!(
        routes.follow_steps(&story, &[("CODE", &code)]).await,
        2,
        "{story}"
    );
    // By now they are bound; what is left is to follow.
    let story = routes.explain("a%20b").await;
    assert_eq!(story["bindings"].as_array().unwrap().len(), 1, "{story}");
    assert!(routes.follow_steps(&story, &[]).await > 0, "{story}");
}

async fn the_steps_of_a_wrong_openid_work_as_written(routes: RouteFixture) {
    routes
        .staff("s1")
        .bound_to(json!({"app_id": OA, "openid": "oNobody"}))
        .await;
    routes.app.drain().await;
    let story = routes.explain("s1").await;
    let openid = population::openid(OA, 1);
    assert_eq!(
        routes.follow_steps(&story, &[("OPENID", &openid)]).await,
        2,
        "{story}"
    );
    let story = routes.explain("s1").await;
    assert_eq!(story["bindings"][0]["openid"], openid.as_str(), "{story}");
}

async fn the_steps_of_an_unknown_follower_work_as_written(routes: RouteFixture) {
    routes.staff("s1").bound_to(by_unionid(1)).await;
    routes
        .world()
        .add_followers(OA, 1..2, &Origin::search())
        .unwrap();
    let story = routes.explain("s1").await;
    assert!(routes.follow_steps(&story, &[]).await > 0, "{story}");
    let reach = routes.explain("s1").await;
    assert_eq!(
        reach["accounts"][0]["template"]["would_send"], true,
        "{reach}"
    );
}

async fn the_steps_after_a_failure_work_as_written(routes: RouteFixture) {
    routes.member("s1", 1).await;
    routes.channels(&["template"]).await;
    routes.refuse(TEMPLATE_SEND, 43019);
    let delivery = routes.sent("s1").await;
    assert_eq!(delivery["state"], "failed", "{delivery}");
    let story = routes.explain("s1").await;
    assert_eq!(routes.follow_steps(&story, &[]).await, 1, "{story}");
    assert_eq!(routes.seen(1), 1);
}
