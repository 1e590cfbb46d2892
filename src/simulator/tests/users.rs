//! Profiles and follower lists.

use super::*;
use crate::simulator::population::{openid, unionid};
use crate::simulator::{Origin, SubscribeScene};

async fn info(sim: &Sim, openid: &str) -> Value {
    let token = sim.token().await;
    sim.get(&format!(
        "/cgi-bin/user/info?access_token={token}&openid={openid}&lang=zh_CN"
    ))
    .await
}

#[tokio::test]
async fn a_profile_says_how_and_when_a_follower_came() {
    let sim = Sim::start().await;
    let follow = |people, origin| {
        let added = sim.world().add_followers(OFFICIAL, people, &origin);
        added.unwrap();
    };
    follow(0..1, Origin::qr("shop_12"));
    follow(1..2, Origin::qr("12"));
    let paid = Origin {
        subscribe_scene: SubscribeScene::AddScenePaid,
        qr_scene: None,
    };
    follow(2..3, paid);
    let profile = info(&sim, &openid(OFFICIAL, 0)).await;
    assert_eq!(profile["subscribe"], 1);
    assert_eq!(profile["unionid"], unionid(0));
    assert_eq!(profile["subscribe_scene"], "ADD_SCENE_QR_CODE");
    assert_eq!(
        (&profile["qr_scene"], &profile["qr_scene_str"]),
        (&json!(0), &json!("shop_12"))
    );
    let came = profile["subscribe_time"].as_i64().unwrap();
    assert!((sim.world().now() / 1000 - came).abs() < 60, "{came}");
    let numbered = info(&sim, &openid(OFFICIAL, 1)).await;
    assert_eq!(
        (&numbered["qr_scene"], &numbered["qr_scene_str"]),
        (&json!(12), &json!(""))
    );
    let paid = info(&sim, &openid(OFFICIAL, 2)).await;
    assert_eq!(paid["subscribe_scene"], "ADD_SCENE_PAID");
}

#[tokio::test]
async fn who_does_not_follow_is_only_an_openid_and_who_is_not_ours_is_refused() {
    let sim = Sim::start().await;
    let stranger = openid(OFFICIAL, 9);
    let profile = info(&sim, &stranger).await;
    assert_eq!(profile, json!({"subscribe": 0, "openid": stranger}));
    for foreign in [
        openid(MINI, 1),
        openid(OFFICIAL, 10),
        unionid(1),
        "oX".to_owned(),
    ] {
        assert_eq!(errcode(&info(&sim, &foreign).await), 40003, "{foreign}");
    }
    assert_eq!(errcode(&info(&sim, "").await), 41009);
}

#[tokio::test]
async fn without_the_open_platform_there_is_no_unionid() {
    let sim = Sim::start().await;
    sim.world()
        .add_followers(OFFICIAL, 0..1, &Origin::search())
        .unwrap();
    let unbind = |settings: &mut Settings| settings.bound_to_open_platform = false;
    sim.world().change_account(OFFICIAL, unbind).unwrap();
    let profile = info(&sim, &openid(OFFICIAL, 0)).await;
    assert_eq!(profile["subscribe"], 1);
    assert!(profile.get("unionid").is_none());
}

#[tokio::test]
async fn one_foreign_openid_fails_a_batch_of_up_to_a_hundred() {
    let sim = Sim::start().await;
    sim.world().add_people(200);
    sim.world()
        .add_followers(OFFICIAL, 0..2, &Origin::search())
        .unwrap();
    let path = format!(
        "/cgi-bin/user/info/batchget?access_token={}",
        sim.token().await
    );
    let batch = async |openids: Vec<String>| {
        let entry = |openid| json!({"openid": openid, "lang": "zh_CN"});
        let list: Vec<_> = openids.into_iter().map(entry).collect();
        sim.post(&path, &json!({ "user_list": list })).await
    };
    let three = batch((0..3).map(|person| openid(OFFICIAL, person)).collect()).await;
    let list = three["user_info_list"].as_array().unwrap();
    let seen: Vec<_> = list
        .iter()
        .map(|user| user["subscribe"].as_i64().unwrap())
        .collect();
    assert_eq!(seen, [1, 1, 0]);
    assert_eq!(list[1]["unionid"], unionid(1));
    assert!(three.get("errcode").is_none());

    let with_foreign = batch(vec![openid(OFFICIAL, 0), openid(MINI, 1)]).await;
    assert_eq!(errcode(&with_foreign), 40003);
    let of_size =
        async |size| batch((0..size).map(|person| openid(OFFICIAL, person)).collect()).await;
    assert_eq!(
        of_size(100).await["user_info_list"]
            .as_array()
            .unwrap()
            .len(),
        100
    );
    assert_eq!(errcode(&of_size(101).await), 40032);
    assert_eq!(errcode(&of_size(0).await), 40032);
    assert_eq!(errcode(&sim.post(&path, &json!({"x": 1})).await), 47001);
}

#[tokio::test]
async fn the_last_page_names_its_own_last_openid_and_only_the_next_is_empty() {
    let sim = Sim::start().await;
    sim.world()
        .add_followers(OFFICIAL, 1..5, &Origin::search())
        .unwrap();
    let token = sim.token().await;
    let page = async |next: &str| {
        sim.get(&format!(
            "/cgi-bin/user/get?access_token={token}&next_openid={next}"
        ))
        .await
    };
    let ids: Vec<_> = (1..5).map(|person| openid(OFFICIAL, person)).collect();
    let first = page("").await;
    let expected =
        json!({"total": 4, "count": 3, "data": {"openid": ids[..3]}, "next_openid": ids[2]});
    assert_eq!(first, expected);
    let last = page(&ids[2]).await;
    let expected =
        json!({"total": 4, "count": 1, "data": {"openid": ids[3..]}, "next_openid": ids[3]});
    assert_eq!(last, expected);
    let after = page(&ids[3]).await;
    assert_eq!(after, json!({"total": 4, "count": 0, "next_openid": ""}));
    assert_eq!(errcode(&page(&openid(MINI, 1)).await), 40003);
}

#[tokio::test]
async fn a_person_may_have_details_and_come_with_another_unionid() {
    let sim = Sim::start().await;
    sim.world()
        .add_followers(OFFICIAL, 0..2, &Origin::default())
        .unwrap();
    let plain = info(&sim, &openid(OFFICIAL, 1)).await;
    assert_eq!((&plain["nickname"], &plain["sex"]), (&json!(""), &json!(0)));
    let details = json!({"nickname": "小王", "sex": 1, "city": "广州"});
    sim.control("PUT", "/people/1/profile", &details).await;
    let told = info(&sim, &openid(OFFICIAL, 1)).await;
    assert_eq!(
        (&told["nickname"], &told["country"]),
        (&json!("小王"), &json!(""))
    );
    sim.control("POST", "/unionids", &json!({"person": 1}))
        .await;
    let changed = info(&sim, &openid(OFFICIAL, 1)).await["unionid"].clone();
    assert_ne!(changed, unionid(1));
    assert_eq!(
        info(&sim, &openid(OFFICIAL, 0)).await["unionid"],
        unionid(0)
    );
    sim.control("POST", "/unionids", &json!({})).await;
    assert_ne!(
        info(&sim, &openid(OFFICIAL, 0)).await["unionid"],
        unionid(0)
    );
    assert_ne!(info(&sim, &openid(OFFICIAL, 1)).await["unionid"], changed);
    let before = info(&sim, &openid(OFFICIAL, 0)).await["unionid"].clone();
    let path = format!("/accounts/{OFFICIAL}");
    sim.control("PATCH", &path, &json!({"open_platform": "second"}))
        .await;
    assert_ne!(info(&sim, &openid(OFFICIAL, 0)).await["unionid"], before);
}

#[tokio::test]
async fn the_openids_of_an_account_that_was_taken_over_are_translated_for_fifteen_days() {
    let sim = Sim::start().await;
    let new = "wx00000000000000c1";
    let world = sim.world();
    world.add_account(Settings::new(new, Kind::OfficialAccount));
    world
        .add_followers(OFFICIAL, 0..3, &Origin::default())
        .unwrap();
    let secret = world.settings(new).unwrap().secret.clone();
    let call = async |from: &str, openids: &[String]| {
        let token = sim.token_of(new, &secret).await;
        let path = format!("/cgi-bin/changeopenid?access_token={token}");
        let body = json!({"from_appid": from, "openid_list": openids});
        sim.post(&path, &body).await
    };
    let old = |person| openid(OFFICIAL, person);
    assert_eq!(
        errcode(&call(OFFICIAL, &[old(0)]).await),
        63178,
        "no migration"
    );
    let path = format!("/accounts/{OFFICIAL}/migrate");
    sim.control("POST", &path, &json!({"to": new})).await;
    let answer = call(OFFICIAL, &[old(0), old(7), "oX".to_owned()]).await;
    assert_eq!(
        answer,
        json!({"errcode": 0, "errmsg": "ok", "result_list": [
            {"ori_openid": old(0), "new_openid": openid(new, 0), "err_msg": "ok"},
            {"ori_openid": old(7), "err_msg": "ori_openid error"},
            {"ori_openid": "oX", "err_msg": "ori_openid error"}]})
    );
    assert_eq!(errcode(&call(OFFICIAL, &[]).await), 63182);
    assert_eq!(errcode(&call(OFFICIAL, &vec![old(0); 101]).await), 40032);
    let original = world.settings(OFFICIAL).unwrap().original_id.clone();
    assert_eq!(errcode(&call(&original, &[old(0)]).await), 63178);
    let token = sim.token_of(new, &secret).await;
    let path = format!(
        "/cgi-bin/user/info?access_token={token}&openid={}",
        openid(new, 0)
    );
    let scene = sim.get(&path).await["subscribe_scene"].clone();
    assert_eq!(scene, "ADD_SCENE_ACCOUNT_MIGRATION");
    world.advance(Duration::from_secs(15 * 86_400 + 1));
    assert_eq!(errcode(&call(OFFICIAL, &[old(0)]).await), 63178, "too late");
}

#[tokio::test]
async fn one_person_can_spoil_an_answer() {
    let sim = Sim::start().await;
    let added = sim.world().add_followers(OFFICIAL, 0..3, &Origin::search());
    added.unwrap();
    let token = sim.token().await;
    let path = "/cgi-bin/user/info/batchget";
    let ask = async |people: &[u32]| {
        let users = people
            .iter()
            .map(|one| json!({"openid": openid(OFFICIAL, *one)}));
        let body = json!({"user_list": users.collect::<Vec<_>>()});
        let url = sim.url(&format!("{path}?access_token={token}"));
        let answer = sim.http.post(url).json(&body).send().await.unwrap();
        answer.bytes().await.unwrap()
    };
    let spoil = async |kind: Value| {
        sim.world().clear_faults();
        let mut fault = json!({"path": path, "openid": openid(OFFICIAL, 1)});
        fault
            .as_object_mut()
            .unwrap()
            .extend(kind.as_object().unwrap().clone());
        let added = sim.http.post(sim.url("/_sim/faults")).json(&fault);
        assert_eq!(added.send().await.unwrap().status(), 204);
    };
    for kind in ["unescaped_quote", "broken_utf8", "broken_unionid"] {
        spoil(json!({ "kind": kind })).await;
        assert!(
            serde_json::from_slice::<Value>(&ask(&[0, 1, 2]).await).is_err(),
            "{kind}"
        );
        assert!(
            serde_json::from_slice::<Value>(&ask(&[0, 2]).await).is_ok(),
            "{kind}"
        );
    }
    spoil(json!({"kind": "no_openid"})).await;
    let answer: Value = serde_json::from_slice(&ask(&[0, 1, 2]).await).unwrap();
    let openids: Vec<bool> = answer["user_info_list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["openid"].is_string())
        .collect();
    assert_eq!(openids, [true, false, true]);
    spoil(json!({"kind": "errcode", "errcode": 49003})).await;
    assert_eq!(
        errcode(&serde_json::from_slice(&ask(&[0, 1]).await).unwrap()),
        49003
    );
    assert!(serde_json::from_slice::<Value>(&ask(&[0, 2]).await).unwrap()["errcode"].is_null());
}

#[tokio::test]
async fn a_profile_can_be_behind_a_follow() {
    let sim = Sim::start().await;
    let added = sim.world().add_followers(OFFICIAL, 0..2, &Origin::search());
    added.unwrap();
    let set = async |rule: Value| {
        let url = sim.url(&format!("/_sim/accounts/{OFFICIAL}/profiles/late"));
        let set = sim.http.post(url).json(&rule).send().await.unwrap();
        assert_eq!(set.status(), 204);
    };
    let subscribe = async |person| info(&sim, &openid(OFFICIAL, person)).await["subscribe"].clone();
    set(json!({"asks": 2})).await;
    for expected in [0, 0, 1] {
        assert_eq!(
            (subscribe(0).await, subscribe(1).await),
            (json!(expected), json!(expected))
        );
    }
    set(json!({"person": 1, "seconds": 30})).await;
    assert_eq!(
        (subscribe(0).await, subscribe(1).await),
        (json!(1), json!(0))
    );
    sim.world().advance(Duration::from_secs(31));
    assert_eq!(subscribe(1).await, 1);
}

#[tokio::test]
async fn a_list_is_odd_while_people_come_and_go() {
    let sim = Sim::start_with(|options| options.page_size = 2).await;
    let added = sim.world().add_followers(OFFICIAL, 0..3, &Origin::search());
    added.unwrap();
    let token = sim.token().await;
    let page = async |rule: Value, after: &str| {
        let url = sim.url(&format!("/_sim/accounts/{OFFICIAL}/list"));
        assert_eq!(
            sim.http.put(url).json(&rule).send().await.unwrap().status(),
            204
        );
        sim.get(&format!(
            "/cgi-bin/user/get?access_token={token}&next_openid={after}"
        ))
        .await
    };
    let (first, second, third) = (
        openid(OFFICIAL, 0),
        openid(OFFICIAL, 1),
        openid(OFFICIAL, 2),
    );
    let odd = page(json!({"total": 9, "empty_first": true, "leaving": [2]}), "").await;
    assert_eq!(
        (&odd["total"], &odd["data"]["openid"]),
        (&json!(9), &json!(["", first, second]))
    );
    let after = page(json!({}), &second).await;
    assert_eq!(
        (&after["total"], &after["count"], &after["data"]),
        (&json!(2), &json!(0), &Value::Null)
    );
    let added = sim.world().add_followers(OFFICIAL, 2..3, &Origin::search());
    added.unwrap();
    assert_eq!(
        page(json!({"no_successor": true}), &second).await["next_openid"],
        ""
    );
    assert_eq!(
        page(json!({"circle": true}), &second).await["next_openid"],
        first.as_str()
    );
    assert_eq!(
        page(json!({}), &second).await["next_openid"],
        third.as_str()
    );
    sim.world().remove_followers(OFFICIAL, 0..3).unwrap();
    assert_eq!(page(json!({}), "").await["count"], 0);
}
