//! Faults, from the caller's side.

use super::*;
use crate::simulator::population::openid;
use crate::simulator::{Fault, FaultKind, Origin};

const GET: &str = "/cgi-bin/user/get";
const SEND: &str = "/cgi-bin/message/template/send";

#[tokio::test]
async fn a_fault_hits_the_next_calls_of_its_path_and_account() {
    let sim = Sim::start().await;
    let path = format!("{GET}?access_token={}", sim.token().await);
    let storm = Fault::at(GET, FaultKind::Errcode { errcode: 40001 }).times(2);
    sim.world().add_fault(storm).unwrap();
    let busy =
        json!({"path": GET, "app_id": OFFICIAL, "times": 1, "kind": "errcode", "errcode": -1});
    let elsewhere = json!({"path": GET, "app_id": MINI, "kind": "errcode", "errcode": 45009});
    for fault in [&busy, &elsewhere] {
        let added = sim.http.post(sim.url("/_sim/faults")).json(fault);
        assert_eq!(added.send().await.unwrap().status(), 204);
    }
    for expected in [40001, 40001, -1] {
        assert_eq!(errcode(&sim.get(&path).await), expected);
    }
    assert_eq!(sim.get(&path).await["count"], 0);
    assert_eq!(sim.get("/_sim/faults").await.as_array().unwrap().len(), 1);
    assert_eq!(sim.world().stats().faults, 3);
    let unknown = Fault::at("/cgi-bin/user/gte", FaultKind::Reset);
    assert!(sim.world().add_fault(unknown).is_err());
}

#[tokio::test]
async fn gateways_answer_html_and_connections_break() {
    let sim = Sim::start().await;
    let path = sim.url(&format!("{GET}?access_token={}", sim.token().await));
    let send = || sim.http.get(&path).send();
    sim.world()
        .add_fault(Fault::at(GET, FaultKind::HttpError { status: 502 }))
        .unwrap();
    let response = send().await.unwrap();
    assert_eq!(response.status(), 502);
    assert_eq!(response.headers()["content-type"], "text/html");
    assert!(response.text().await.unwrap().contains("502 Bad Gateway"));

    sim.world().clear_faults();
    sim.world()
        .add_fault(Fault::at(GET, FaultKind::Reset))
        .unwrap();
    let error = send().await.unwrap_err();
    assert!(
        error.is_request() && !error.is_connect() && !error.is_timeout(),
        "{error:?}"
    );
    sim.world().clear_faults();
    assert_eq!(send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_time_out_before_acceptance_does_nothing_and_one_after_it_shows_the_message() {
    let sim = Sim::start().await;
    sim.world()
        .add_followers(OFFICIAL, 0..1, &Origin::search())
        .unwrap();
    let template_id = sim.template("{{thing1.DATA}}");
    let url = sim.url(&format!("{SEND}?access_token={}", sim.token().await));
    let message = json!({
        "touser": openid(OFFICIAL, 0), "template_id": template_id, "client_msg_id": "a",
        "data": {"thing1": {"value": "x"}},
    });
    let send = || {
        sim.http
            .post(&url)
            .json(&message)
            .timeout(Duration::from_millis(150))
            .send()
    };
    for (kind, seen) in [(FaultKind::TimeOutBefore, 0), (FaultKind::TimeOutAfter, 1)] {
        sim.world()
            .add_fault(Fault::at(SEND, kind).times(1))
            .unwrap();
        assert!(send().await.unwrap_err().is_timeout());
        assert_eq!(sim.world().messages().len(), seen, "{kind:?}");
    }
    assert_eq!(sim.world().calls(SEND, None), Ok(2));
    let repeat: Value = send().await.unwrap().json().await.unwrap();
    assert_eq!(repeat["msgid"], sim.world().messages()[0].msgid);
    assert_eq!(sim.world().messages().len(), 1);

    sim.world()
        .add_fault(Fault::at(SEND, FaultKind::ResetAfter).times(1))
        .unwrap();
    assert!(send().await.unwrap_err().is_request());
    sim.simulator.stop().await.unwrap();
}

#[tokio::test]
async fn slow_answers_come() {
    let sim = Sim::start().await;
    let path = format!("{GET}?access_token={}", sim.token().await);
    sim.world()
        .add_fault(Fault::at(GET, FaultKind::Slow { millis: 30 }).times(1))
        .unwrap();
    let start = std::time::Instant::now();
    assert_eq!(sim.get(&path).await["count"], 0);
    assert!(start.elapsed() >= Duration::from_millis(30));
    sim.world()
        .set_latency(GET, Duration::from_millis(40))
        .unwrap();
    let start = std::time::Instant::now();
    assert_eq!(sim.get(&path).await["count"], 0);
    assert!(start.elapsed() >= Duration::from_millis(40));
}
