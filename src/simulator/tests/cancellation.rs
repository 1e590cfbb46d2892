//! What a system account of WeChat's tells: people who leave WeChat, and how an account is verified.

use super::stub::Stub;
use super::*;
use crate::simulator::PLATFORM;
use crate::simulator::population::{openid, unionid};
use crate::wechat::message::{self, Content};

#[tokio::test]
async fn a_cancellation_names_the_person_inside_in_any_spelling() {
    let sim = Sim::start().await;
    let mut stub = Stub::saying("success").await;
    sim.push_to(&stub);
    let person = format!("/_sim/accounts/{OFFICIAL}/people/4");
    for (body, name) in [
        (json!({}), "OpenID"),
        (json!({"spelling": "lower"}), "openid"),
    ] {
        sim.post(&format!("{person}/follow"), &json!({})).await;
        stub.next().await;
        let record = sim.post(&format!("{person}/cancel"), &body).await;
        assert_eq!(record["verdict"]["kind"], "success", "{record}");
        let got = stub.next().await;
        assert!(got.body.contains(&format!("<{name}>")), "{}", got.body);
        let push = message::parse(got.body.as_bytes()).unwrap();
        assert_eq!(push.from_user_name, PLATFORM);
        assert_eq!(push.openid(), Some(openid(OFFICIAL, 4).as_str()));
        let Content::UserAuthorizationCancellation(told) = push.content else {
            panic!("{}", got.body);
        };
        assert_eq!(told.unionid, Some(unionid(4)));
        assert_eq!(told.app_id.as_deref(), Some(OFFICIAL));
        let followers = format!("/cgi-bin/user/get?access_token={}", sim.token().await);
        assert_eq!(sim.get(&followers).await["total"], 0, "they follow no more");
    }
}

#[tokio::test]
async fn verification_is_told_as_it_is_given() {
    let sim = Sim::start().await;
    let mut stub = Stub::saying("success").await;
    sim.push_to(&stub);
    let path = format!("/_sim/accounts/{OFFICIAL}/verification");
    let told = json!({"event": "naming_verify_fail", "fail_time": 7, "fail_reason": "no"});
    sim.post(&path, &told).await;
    let push = message::parse(stub.next().await.body.as_bytes()).unwrap();
    assert_eq!(
        (push.kind().as_ref(), push.openid()),
        ("event.naming_verify_fail", None)
    );
    let Content::AccountVerification(news) = push.content else {
        panic!("not a verification");
    };
    assert_eq!(
        (news.fail_time, news.fail_reason.as_deref()),
        (Some(7), Some("no"))
    );
}
