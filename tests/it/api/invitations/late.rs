//! Who turns out to be another staff member already, once it is known who they are.

use queqiao::bridge::steps::StepName;
use queqiao::simulator::{Origin, population};
use serde_json::{Value, json};

use super::super::{ApiFixture, MP, OA};
use super::follower;

impl ApiFixture {
    /// Binds a staff member, who is put first.
    async fn put_and_bind(&self, staff_id: &str, whom: Value) -> Value {
        let path = format!("/staff/{staff_id}");
        assert!(self.app.put(&self.key, &path, json!({})).await.status < 300);
        self.bind(staff_id, whom).await
    }

    /// The staff ids of a person, by unionid.
    async fn staff_ids(&self, person: u32) -> Value {
        let path = format!("/people?unionid={}", population::unionid(person));
        let people = self.app.get(&self.key, &path).await.ok(200);
        people["items"][0]["staff_ids"].clone()
    }

    async fn explain(&self, staff_id: &str) -> Value {
        let path = format!("/staff/{staff_id}/explain");
        self.app.get(&self.key, &path).await.ok(200)
    }

    async fn bindings(&self, staff_id: &str) -> usize {
        let path = format!("/staff/{staff_id}");
        let whole = self.app.get(&self.key, &path).await.ok(200);
        whole["bindings"].as_array().unwrap().len()
    }

    /// What a person has read in the chat of the official account.
    fn read(&self, person: u32) -> Vec<String> {
        let world = self.app.simulator.world();
        let seen = world.messages_to(&follower(person)).into_iter();
        seen.filter_map(|message| message.text).collect()
    }
}

both_engines! {
    who_is_another_staff_member_already_is_not_bound_by_a_scan,
    a_rebinding_that_is_undone_gives_back_what_it_replaced,
    of_two_bindings_of_one_person_the_later_one_is_undone,
    what_wechat_says_of_somebody_outweighs_what_a_table_says,
    a_login_or_an_event_that_tells_who_it_is_undoes_the_later_binding_too,
    who_is_bound_while_their_profile_is_stored_is_one_staff_member_all_the_same,
}

async fn who_is_another_staff_member_already_is_not_bound_by_a_scan(api: ApiFixture) {
    api.put_and_bind("a1", json!({"app_id": MP, "code": api.code(1)}))
        .await;
    let invited = api.invite("b1", json!({})).await;
    assert!(api.scan(1, &invited).await);
    api.app.drain().await;
    assert_eq!(api.bound("b1").await, Vec::<String>::new());
    assert_eq!(api.bound("a1").await, [population::openid(MP, 1)]);
    assert_eq!(api.staff_ids(1).await, json!(["a1"]));
    // Nobody else can use what they have seen.
    assert_eq!(api.last_refusal("b1").await, "person_already_bound");
    assert_eq!(api.invitations("b1").await[0]["state"], "revoked");
    api.log_in_with(3, &invited["token"])
        .await
        .refused(422, "invitation_revoked", "invitation");
    let story = api.explain("b1").await;
    assert_eq!(story["undone"][0]["kept_staff_id"], "a1", "{story}");
    assert_eq!(story["undone"][0]["openid"], follower(1), "{story}");
    assert!(
        story["next_steps"][0]
            .as_str()
            .unwrap()
            .contains("bound to a1 already"),
        "{story}"
    );
    assert_eq!(api.explain("a1").await["undone"], json!([]));
    // The person reads it in the chat, once.
    let words = api.app.bridge.config.invitations.undone_text.clone();
    assert_eq!(api.read(1), [words]);
    api.app.drain().await;
    assert_eq!(api.read(1).len(), 1);
    // A push that comes again changes nothing.
    let events = api
        .app
        .get(&api.key, "/events?kind=event.subscribe")
        .await
        .ok(200);
    let replay = format!("/events/{}/replay", events["items"][0]["id"]);
    assert!(api.app.post(&api.key, &replay, json!({})).await.status < 300);
    api.app.drain().await;
    assert_eq!(api.bound("b1").await, Vec::<String>::new());
    // Once the wrong binding is gone, a new invitation binds.
    let whole = api.app.get(&api.key, "/staff/a1").await.ok(200);
    let wrong = format!("/staff/a1/bindings/{}", whole["bindings"][0]["id"]);
    assert_eq!(api.app.delete(&api.key, &wrong).await.status, 200);
    let again = api.invite("b1", json!({})).await;
    assert!(api.scan(1, &again).await);
    api.app.drain().await;
    assert_eq!(api.bound("b1").await, [follower(1)]);
    assert_eq!(api.staff_ids(1).await, json!(["b1"]));
    assert_eq!(api.read(1).len(), 1);
}

async fn a_rebinding_that_is_undone_gives_back_what_it_replaced(api: ApiFixture) {
    api.new_follower(7).await;
    api.put_and_bind("b1", json!({"app_id": OA, "openid": follower(7)}))
        .await;
    api.put_and_bind("a1", json!({"app_id": MP, "code": api.code(1)}))
        .await;
    let invited = api.invite("b1", json!({"rebind": true})).await;
    assert!(api.scan(1, &invited).await);
    api.app.drain().await;
    assert_eq!(api.bound("b1").await, [follower(7)]);
    assert_eq!(api.bound("a1").await, [population::openid(MP, 1)]);
    // Who is nobody else yet replaces them for good.
    let invited = api.invite("b1", json!({"rebind": true})).await;
    assert!(api.scan(2, &invited).await);
    api.app.drain().await;
    assert_eq!(api.bound("b1").await, [follower(2)]);
}

async fn of_two_bindings_of_one_person_the_later_one_is_undone(api: ApiFixture) {
    let world = api.app.simulator.world();
    world.add_followers(OA, 1..3, &Origin::search()).unwrap();
    // By a unionid first, then by an openid whose profile is not known; and the other way round.
    api.put_and_bind("e1", json!({"unionid": population::unionid(1)}))
        .await;
    api.put_and_bind("e2", json!({"app_id": OA, "openid": follower(1)}))
        .await;
    api.put_and_bind("f2", json!({"app_id": OA, "openid": follower(2)}))
        .await;
    api.put_and_bind("f1", json!({"unionid": population::unionid(2)}))
        .await;
    api.app.drain().await;
    assert_eq!((api.bindings("e1").await, api.bindings("e2").await), (1, 0));
    assert_eq!((api.bindings("f2").await, api.bindings("f1").await), (1, 0));
    assert_eq!(api.explain("e2").await["undone"][0]["kept_staff_id"], "e1");
    assert_eq!(api.explain("f1").await["undone"][0]["openid"], follower(2));
    // The business bound them, so the person has nothing to read.
    assert_eq!((api.read(1), api.read(2)), (vec![], vec![]));
    // The right one can be bound again, and the wrong one is refused at once.
    api.put_and_bind("e1", json!({"app_id": OA, "openid": follower(1)}))
        .await;
    let wrong = json!({"app_id": OA, "openid": follower(1)});
    let refused = api.app.post(&api.key, "/staff/e2/bindings", wrong).await;
    refused.refused(409, "already_bound", "");
}

async fn what_wechat_says_of_somebody_outweighs_what_a_table_says(api: ApiFixture) {
    let world = api.app.simulator.world();
    world.add_followers(OA, 1..2, &Origin::search()).unwrap();
    let claimed = population::openid(MP, 2);
    let rows = json!({"rows": [{"openid": claimed, "unionid": population::unionid(1)}]});
    let path = format!("/miniprogram/{MP}/identities");
    api.app.post(&api.key, &path, rows).await.ok(200);
    api.put_and_bind("b1", json!({"app_id": MP, "openid": claimed}))
        .await;
    api.put_and_bind("a1", json!({"app_id": OA, "openid": follower(1)}))
        .await;
    api.app.drain().await;
    assert_eq!((api.bindings("a1").await, api.bindings("b1").await), (1, 0));
    assert_eq!(api.explain("b1").await["undone"][0]["kept_staff_id"], "a1");
}

async fn a_login_or_an_event_that_tells_who_it_is_undoes_the_later_binding_too(api: ApiFixture) {
    let world = api.app.simulator.world();
    for (person, by_login) in [(1, true), (2, false)] {
        let openid = population::openid(MP, person);
        let (first, second) = (format!("first{person}"), format!("second{person}"));
        api.new_follower(person).await;
        api.put_and_bind(&first, json!({"app_id": OA, "openid": follower(person)}))
            .await;
        world.send_text(MP, person, "hello").await.unwrap();
        api.app.drain().await;
        api.put_and_bind(&second, json!({"app_id": MP, "openid": openid}))
            .await;
        assert_eq!(api.bindings(&second).await, 1, "nobody knows yet");
        if by_login {
            let path = format!("/miniprogram/{MP}/sessions");
            let login = api
                .app
                .post(&api.key, &path, json!({"code": api.code(person)}))
                .await
                .ok(200);
            assert_eq!(login["staff_ids"], json!([first]));
        } else {
            let now = world.now() / 1_000;
            let body = json!({
                "ToUserName": "gh_1", "FromUserName": openid, "CreateTime": now, "MsgType": "event",
                "Event": "user_info_modified", "OpenID": openid,
                "UnionID": population::unionid(person), "RevokeInfo": "1",
            });
            world
                .push_raw(MP, &openid, &body.to_string())
                .await
                .unwrap();
        }
        api.app.drain().await;
        assert_eq!(
            (api.bindings(&first).await, api.bindings(&second).await),
            (1, 0),
            "{person}"
        );
        assert_eq!(api.staff_ids(person).await, json!([first]));
    }
}

async fn who_is_bound_while_their_profile_is_stored_is_one_staff_member_all_the_same(
    api: ApiFixture,
) {
    let world = api.app.simulator.world();
    world.add_followers(OA, 0..8, &Origin::search()).unwrap();
    let (other, _server) = api.app.replica();
    for person in 0..8 {
        api.put_and_bind(
            &format!("u{person}"),
            json!({"unionid": population::unionid(person)}),
        )
        .await;
        let openid = json!({"app_id": OA, "openid": follower(person)});
        // Known, with a profile that is due.
        api.put_and_bind(&format!("v{person}"), openid.clone())
            .await;
        let (late, path) = (format!("w{person}"), format!("/staff/v{person}"));
        assert_eq!(api.app.delete(&api.key, &path).await.status, 200);
        assert!(
            api.app
                .put(&api.key, &format!("/staff/{late}"), json!({}))
                .await
                .status
                < 300
        );
        api.app.advance(std::time::Duration::from_millis(200));
        let path = format!("/staff/{late}/bindings");
        let (bound, step) = tokio::join!(
            api.app.post(&api.key, &path, openid),
            other.run(StepName::Profile)
        );
        step.unwrap();
        assert!([201, 409].contains(&bound.status), "{bound:?}");
        api.app.drain().await;
        assert_eq!(api.bindings(&late).await, 0, "{person}: {bound:?}");
        assert_eq!(api.staff_ids(person).await, json!([format!("u{person}")]));
    }
}
