//! How long tokens live and which call ends which.

use super::*;

const INFO: &str = "/cgi-bin/user/get?access_token=";

async fn outcome(sim: &Sim, token: &str) -> i64 {
    let answer = sim.get(&format!("{INFO}{token}")).await;
    match answer.get("errcode") {
        Some(_) => errcode(&answer),
        None => 0,
    }
}

fn token_of(grant: &Value) -> &str {
    grant["access_token"].as_str().unwrap()
}

async fn plain(sim: &Sim) -> Value {
    sim.get(&format!(
        "/cgi-bin/token?grant_type=client_credential&appid={OFFICIAL}&secret={SECRET}"
    ))
    .await
}

#[tokio::test]
async fn the_stable_token_stays_until_five_minutes_before_its_end() {
    let sim = Sim::start().await;
    let first = sim.stable_token(false).await;
    assert_eq!(first["expires_in"], 7200);
    assert!(first.get("errcode").is_none());
    sim.world().advance(Duration::from_secs(6000));
    let again = sim.stable_token(false).await;
    assert_eq!(token_of(&again), token_of(&first));
    let left = again["expires_in"].as_i64().unwrap();
    assert!((1190..=1200).contains(&left), "{left}");

    sim.world().advance(Duration::from_secs(901));
    let next = sim.stable_token(false).await;
    assert_ne!(token_of(&next), token_of(&first));
    assert_eq!(
        outcome(&sim, token_of(&first)).await,
        0,
        "both work for a while"
    );
    assert_eq!(outcome(&sim, token_of(&next)).await, 0);
    sim.world().advance(Duration::from_secs(300));
    assert_eq!(outcome(&sim, token_of(&first)).await, 42001);
    assert_eq!(outcome(&sim, token_of(&next)).await, 0);
}

#[tokio::test]
async fn forcing_ends_the_old_token_at_once_but_not_within_thirty_seconds_nor_all_day() {
    let sim = Sim::start().await;
    let first = sim.stable_token(false).await;
    let forced = sim.stable_token(true).await;
    assert_ne!(token_of(&forced), token_of(&first));
    assert_eq!(outcome(&sim, token_of(&first)).await, 40001);
    let too_soon = sim.stable_token(true).await;
    assert_eq!(token_of(&too_soon), token_of(&forced));
    for _ in 1..20 {
        sim.world().advance(Duration::from_secs(31));
        assert_eq!(sim.stable_token(true).await["expires_in"], 7200);
    }
    sim.world().advance(Duration::from_secs(31));
    assert_eq!(errcode(&sim.stable_token(true).await), 45009);
    assert!(sim.stable_token(false).await.get("errcode").is_none());
}

#[tokio::test]
async fn a_new_plain_token_ends_the_one_before_after_five_minutes_and_spares_the_stable_one() {
    let sim = Sim::start().await;
    let stable = sim.token().await;
    let first = plain(&sim).await;
    let second = plain(&sim).await;
    assert_ne!(token_of(&first), token_of(&second));
    assert_eq!(outcome(&sim, token_of(&first)).await, 0);
    sim.world().advance(Duration::from_secs(301));
    assert_eq!(outcome(&sim, token_of(&first)).await, 40001);
    assert_eq!(outcome(&sim, token_of(&second)).await, 0);
    assert_eq!(outcome(&sim, &stable).await, 0);
}

#[tokio::test]
async fn bad_tokens_are_told_apart() {
    let sim = Sim::start_with(|options| options.token_life = Duration::from_secs(600)).await;
    assert_eq!(outcome(&sim, "").await, 41001);
    assert_eq!(outcome(&sim, "invented").await, 40014);
    let token = sim.token().await;
    sim.world().invalidate_tokens(OFFICIAL).unwrap();
    assert_eq!(outcome(&sim, &token).await, 40001);
    let renewed = sim.token().await;
    assert_ne!(renewed, token, "a dead token is not handed out again");
    sim.world().advance(Duration::from_secs(600));
    assert_eq!(outcome(&sim, &renewed).await, 42001);
}

#[tokio::test]
async fn the_token_calls_check_who_asks() {
    let sim = Sim::start().await;
    let base = "/cgi-bin/token?grant_type=client_credential";
    for (query, expected) in [
        ("", 41002),
        ("&appid=wx99", 41004),
        ("&appid=wx99&secret=x", 40013),
        (&format!("&appid={OFFICIAL}&secret=x"), 40125),
    ] {
        assert_eq!(
            errcode(&sim.get(&format!("{base}{query}")).await),
            expected,
            "{query}"
        );
    }
    let grant_type = format!("/cgi-bin/token?grant_type=x&appid={OFFICIAL}&secret={SECRET}");
    assert_eq!(errcode(&sim.get(&grant_type).await), 40002);
    let form = sim
        .http
        .post(sim.url("/cgi-bin/stable_token"))
        .body("appid=x");
    let form: Value = form.send().await.unwrap().json().await.unwrap();
    assert_eq!(errcode(&form), 41002);

    let world = sim.world();
    let refuse = |settings: &mut Settings| settings.refused_ip = Some("203.0.113.7".to_owned());
    world.change_account(OFFICIAL, refuse).unwrap();
    let refused = sim.stable_token(false).await;
    assert_eq!(errcode(&refused), 40164);
    let errmsg = refused["errmsg"].as_str().unwrap();
    assert!(
        errmsg
            .starts_with("invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: ")
    );
}
