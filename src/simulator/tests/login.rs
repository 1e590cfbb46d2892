//! Logins to a mini-program.

use super::*;
use crate::simulator::WorldError;
use crate::simulator::population::{openid, unionid};

async fn session(sim: &Sim, code: &str) -> Value {
    sim.get(&format!(
        "/sns/jscode2session?appid={MINI}&secret={SECRET}&js_code={code}&grant_type=authorization_code"
    ))
    .await
}

#[tokio::test]
async fn a_code_works_once_and_for_five_minutes() {
    let sim = Sim::start().await;
    let code = sim.world().log_in(MINI, 3).unwrap();
    let first = session(&sim, &code).await;
    assert_eq!(first["openid"], openid(MINI, 3));
    assert_eq!(first["unionid"], unionid(3));
    assert_eq!(first["session_key"].as_str().unwrap().len(), 24);
    assert_eq!(errcode(&session(&sim, &code).await), 40163);

    let late = sim.world().log_in(MINI, 3).unwrap();
    sim.world().advance(Duration::from_secs(299));
    let in_time = sim.world().log_in(MINI, 4).unwrap();
    sim.world().advance(Duration::from_secs(1));
    assert_eq!(errcode(&session(&sim, &late).await), 40029);
    let other = session(&sim, &in_time).await;
    assert_eq!(other["openid"], openid(MINI, 4));
    assert_ne!(other["session_key"], first["session_key"]);
}

#[tokio::test]
async fn a_login_is_checked() {
    let sim = Sim::start().await;
    assert_eq!(errcode(&session(&sim, "invented").await), 40029);
    assert_eq!(errcode(&session(&sim, "").await), 41008);
    for (query, expected) in [
        ("js_code=c", 41002),
        (&format!("appid={MINI}&js_code=c"), 41004),
        (&format!("appid={MINI}&secret={SECRET}&js_code=c"), 40002),
        (
            &format!("appid={MINI}&secret=x&js_code=c&grant_type=authorization_code"),
            40125,
        ),
        (
            &format!("appid={OFFICIAL}&secret={SECRET}&js_code=c&grant_type=authorization_code"),
            40013,
        ),
    ] {
        let answer = sim.get(&format!("/sns/jscode2session?{query}")).await;
        assert_eq!(errcode(&answer), expected, "{query}");
    }
    let unbind = |settings: &mut Settings| settings.bound_to_open_platform = false;
    sim.world().change_account(MINI, unbind).unwrap();
    let code = sim.world().log_in(MINI, 3).unwrap();
    assert!(session(&sim, &code).await.get("unionid").is_none());
    let wrong_kind = sim.world().log_in(OFFICIAL, 3);
    assert_eq!(wrong_kind, Err(WorldError::WrongKind(OFFICIAL.to_owned())));
    let unknown = sim.world().log_in(MINI, 10);
    assert_eq!(
        unknown,
        Err(WorldError::UnknownPerson {
            person: 10,
            people: 10
        })
    );
}
