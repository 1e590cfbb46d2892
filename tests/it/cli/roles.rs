//! Split roles on one database, and the end of a process.

use queqiao::db::Engine;
use queqiao::simulator::{Origin, population};
use serde_json::json;
use tokio::net::TcpStream;

use super::{OA, Shop};
use crate::callback::outage::{begin, end};
use crate::support::program::eventually;
use crate::support::{Fixture, postgres};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_takes_in_what_another_works_on() {
    if !postgres::is_there() {
        return;
    }
    let shop = Shop::on(Engine::Postgres).await;
    let web = shop.program.serve(&["serve", "--role", "web"]);
    shop.point_to(&web);
    let push = shop.world().follow(OA, 1, Origin::search()).await.unwrap();
    assert!(push.verdict.is_accepted(), "{push:?}");
    let events = shop.get(&web, "/events").await;
    assert_eq!(events["items"][0]["state"], "waiting", "nobody works yet");
    let worker = shop.program.serve(&["serve", "--role", "worker"]);
    let people = eventually("the profile", async || {
        let people = shop.get(&web, "/people?link_state=single").await;
        (people["items"] != json!([])).then_some(people)
    })
    .await;
    assert_eq!(people["items"][0]["unionid"], population::unionid(1));
    let status = async |path: &str| {
        let request = shop.http.get(format!("{}{path}", worker.url));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status("/healthz").await, 200);
    assert_eq!(status("/readyz").await, 200);
    assert_eq!(status("/api/v1/events").await, 404, "a worker has no API");
    assert_eq!(status(&format!("/callback/{OA}")).await, 404);
    for running in [web, worker] {
        running.terminate();
        let said = running.ended();
        assert_eq!(said.status.code(), Some(0), "{said:?}");
    }
}

both_engines! {
    async fn what_is_on_its_way_at_sigterm_is_answered_and_the_exit_code_is_0(shop: Shop) {
        let running = shop.program.serve(&["serve"]);
        let mut begun = Vec::new();
        for number in 0..8 {
            begun.push(begin(&running.url, &shop.official, number).await);
        }
        running.terminate();
        let address = running.url.strip_prefix("http://").unwrap();
        eventually("the shutdown", async || TcpStream::connect(address).await.err()).await;
        for (stream, body) in begun {
            let answer = end(stream, &body).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.ends_with("\r\n\r\nsuccess"), "{answer}");
        }
        let said = running.ended();
        assert_eq!(said.status.code(), Some(0), "{said:?}");
        assert!(said.err.contains("stopped"), "{said:?}");
        let again = shop.program.serve(&["serve", "--role", "web"]);
        let events = shop.get(&again, "/events").await;
        assert_eq!(events["items"].as_array().unwrap().len(), 8);
    }
}
