//! Windows for customer messages, from the push to the API.

use std::time::Duration;

use queqiao::bridge::token::TokenError;
use queqiao::bridge::windows::rules;
use queqiao::db::DbError;
use queqiao::models::identity::{self, windows};
use queqiao::simulator::{Origin, PushOutcome, population};
use queqiao::wechat::custom::{CustomText, RichText};
use serde_json::{Value, json};

use super::{ApiFixture, MP, OA};

const HOURS_48: i64 = 48 * 3600;

impl ApiFixture {
    /// What the API says of customer messages to this person in this account.
    async fn window(&self, app_id: &str, person: u32) -> Value {
        self.app.drain().await;
        let openid = population::openid(app_id, person);
        let found = self
            .app
            .get(&self.key, &format!("/people?openid={openid}"))
            .await
            .ok(200);
        let identities = found["items"][0]["identities"].as_array().unwrap();
        let identity = identities
            .iter()
            .find(|identity| identity["app_id"] == app_id);
        let window = &identity.unwrap_or_else(|| panic!("{found}"))["customer_window"];
        window.clone()
    }

    /// A push with this CreateTime; what is said of it is all that may differ.
    async fn push(&self, app_id: &str, person: u32, time: i64, rest: &str) {
        let openid = population::openid(app_id, person);
        let body = format!(
            "<xml><ToUserName>gh_1</ToUserName><FromUserName>{openid}</FromUserName>\
             <CreateTime>{time}</CreateTime>{rest}</xml>"
        );
        let world = self.app.simulator.world();
        let record = world.push_raw(app_id, &openid, &body).await.unwrap();
        assert_eq!(record.verdict, PushOutcome::Success);
    }

    /// Takes messages as sends do; how many there were.
    async fn take(&self, app_id: &str, person: u32, wanted: usize) -> usize {
        let now = self.app.clock.unix_seconds();
        let rules = rules(&self.app.bridge.config.customer);
        let (app_id, openid) = (app_id.to_owned(), population::openid(app_id, person));
        let taken = self.app.bridge.db.write(move |conn| {
            let account = queqiao::models::account::by_app_id(conn, &app_id)?.unwrap();
            let identity = identity::by_openid(conn, account.id, &openid)?.unwrap();
            let taken = windows::take(conn, &vec![identity.id; wanted], &rules, now)?;
            Ok::<_, DbError>(taken.into_iter().filter(Result::is_ok).count())
        });
        taken.await.unwrap()
    }
}

/// Something that a person does at WeChat.
#[derive(Clone, Copy, Debug)]
enum Act {
    Text,
    Click,
    MenuScan,
    MenuMessage,
    Scan,
    Follow,
    Enter,
}

impl ApiFixture {
    async fn act(&self, act: Act, person: u32) {
        let world = self.app.simulator.world();
        let pushed = match act {
            Act::Text => world.send_text(OA, person, "hi").await,
            Act::Click => world.click(OA, person, "k").await,
            Act::MenuScan => world.scan_from_menu(OA, person, "k", "r").await,
            Act::MenuMessage => world.tap_menu_message(OA, person, "101", "yes").await,
            Act::Scan => world.scan(OA, person, "s").await,
            Act::Follow => world.follow(OA, person, Origin::default()).await,
            Act::Enter => world.enter_chat(MP, person).await,
        };
        assert_eq!(pushed.unwrap().verdict, PushOutcome::Success);
        self.app.drain().await;
    }

    /// Sends one text as it goes to WeChat; its errcode.
    async fn say(&self, app_id: &str, person: u32, text: &str) -> i64 {
        let bridge = &self.app.bridge;
        let account = bridge.accounts.get(app_id).await.unwrap().unwrap();
        let openid = population::openid(app_id, person);
        let mut content = RichText::default();
        content.words(text);
        let message = CustomText {
            touser: &openid,
            content: &content,
        };
        let wechat = &bridge.wechat;
        let send = |token| async move { wechat.send_custom_text(&token, &message).await };
        match bridge.tokens.call(&account, "custom/send", send).await {
            Ok(()) => 0,
            Err(TokenError::Call(error)) => error.errcode().unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
}

fn open(until: i64, left: i32) -> Value {
    let until = chrono::DateTime::from_timestamp(until, 0).unwrap();
    json!({"open_until": until, "left": left})
}

fn text(msgid: i64) -> String {
    format!("<MsgType>text</MsgType><Content>hi</Content><MsgId>{msgid}</MsgId>")
}

fn event(name: &str) -> String {
    format!("<MsgType>event</MsgType><Event>{name}</Event><EventKey>k</EventKey>")
}

both_engines! {
    what_a_person_does_opens_a_window,
    a_window_is_shown_wherever_the_identity_is,
    only_something_newer_opens_a_window_anew,
    wechat_takes_what_is_taken_and_no_more,
}

async fn what_a_person_does_opens_a_window(api: ApiFixture) {
    let world = api.app.simulator.world();
    world.add_followers(OA, 0..10, &Origin::default()).unwrap();
    for person in 0..10 {
        api.push(OA, person, 1, &event("VIEW")).await;
    }
    api.app.drain().await;
    // Their follow was long ago.
    api.app.advance(Duration::from_secs(100));
    let now = api.app.clock.unix_seconds();
    for (person, (rest, expected)) in [
        (event("CLICK"), open(now + 60, 3)),
        (event("SCAN"), open(now + 60, 3)),
        (event("scancode_push"), open(now + 60, 3)),
        (event("scancode_waitmsg"), open(now + 60, 3)),
        (event("subscribe"), open(now + 60, 3)),
        (text(1), open(now + HOURS_48, 5)),
        (
            "<MsgType>image</MsgType><MediaId>m</MediaId><MsgId>2</MsgId>".to_owned(),
            open(now + HOURS_48, 5),
        ),
        (
            text(3) + "<bizmsgmenuid>101</bizmsgmenuid>",
            open(now + 60, 3),
        ),
        (event("VIEW"), json!(null)),
        (event("unsubscribe"), json!(null)),
    ]
    .into_iter()
    .enumerate()
    {
        let person = u32::try_from(person).unwrap();
        api.push(OA, person, now, &rest).await;
        assert_eq!(api.window(OA, person).await, expected, "{rest}");
    }
    for (person, rest, expected) in [
        (0, text(11), open(now + HOURS_48, 5)),
        (1, event("user_enter_tempsession"), open(now + 60, 2)),
        (2, event("CLICK"), json!(null)),
    ] {
        api.push(MP, person, now, &rest).await;
        assert_eq!(api.window(MP, person).await, expected, "{rest}");
    }
    api.app.advance(Duration::from_secs(61));
    assert_eq!(api.window(OA, 0).await, json!(null));
    assert_eq!(api.window(OA, 5).await, open(now + HOURS_48, 5));
    api.app.advance(Duration::from_secs(48 * 3600));
    assert_eq!(api.window(OA, 5).await, json!(null));
}

async fn a_window_is_shown_wherever_the_identity_is(api: ApiFixture) {
    api.new_follower(1).await;
    let staff = json!({"app_id": OA, "openid": population::openid(OA, 1)});
    api.staff("s1").await;
    api.bind("s1", staff).await;
    let window = api.window(OA, 1).await;
    assert_eq!(window["left"], 3);
    let staff = api.app.get(&api.key, "/staff/s1").await.ok(200);
    assert_eq!(staff["identities"][0]["customer_window"], window);
    let id = &staff["identities"][0]["id"];
    let person = api
        .app
        .get(&api.key, &format!("/people/{id}"))
        .await
        .ok(200);
    assert_eq!(person["identities"][0]["customer_window"], window);
}

async fn only_something_newer_opens_a_window_anew(api: ApiFixture) {
    let now = api.app.clock.unix_seconds();
    api.new_follower(1).await;
    api.app.advance(Duration::from_secs(100));
    api.push(OA, 1, now + 50, &text(1)).await;
    assert_eq!(api.window(OA, 1).await, open(now + 50 + HOURS_48, 5));
    assert_eq!(api.take(OA, 1, 2).await, 2);
    let used = open(now + 50 + HOURS_48, 3);
    assert_eq!(api.window(OA, 1).await, used);
    api.push(OA, 1, now + 50, &text(1)).await;
    assert_eq!(api.window(OA, 1).await, used, "the same push again");
    api.push(OA, 1, now + 40, &text(2)).await;
    assert_eq!(api.window(OA, 1).await, used, "an older one, late");
    api.push(OA, 1, now + 60, &text(3)).await;
    assert_eq!(api.window(OA, 1).await, open(now + 60 + HOURS_48, 5));
    assert_eq!(api.take(OA, 1, 9).await, 5);
    assert_eq!(api.window(OA, 1).await, json!(null));
    api.push(OA, 1, now + 95, &event("CLICK")).await;
    assert_eq!(api.window(OA, 1).await, open(now + 155, 3));
}
async fn wechat_takes_what_is_taken_and_no_more(api: ApiFixture) {
    for (person, (app_id, act, messages)) in [
        (OA, Act::Text, 5),
        (OA, Act::Click, 3),
        (OA, Act::MenuScan, 3),
        (OA, Act::MenuMessage, 3),
        (OA, Act::Scan, 3),
        (OA, Act::Follow, 3),
        (MP, Act::Enter, 2),
    ]
    .into_iter()
    .enumerate()
    {
        let person = u32::try_from(person).unwrap();
        api.app
            .simulator
            .world()
            .add_followers(OA, person..person + 1, &Origin::default())
            .unwrap();
        api.act(act, person).await;
        let taken = api.take(app_id, person, 9).await;
        assert!(taken >= messages, "{act:?}");
        for _ in 0..messages {
            assert_eq!(
                api.say(app_id, person, "<a href=\"x\">").await,
                0,
                "{act:?}"
            );
        }
        assert_eq!(api.say(app_id, person, "more").await, 45047, "{act:?}");
        let seen = api
            .app
            .simulator
            .world()
            .messages_to(&population::openid(app_id, person));
        assert_eq!(seen.len(), messages);
        assert_eq!(seen[0].text.as_deref(), Some("＜a href=\"x\"＞"));
        api.app.advance(Duration::from_secs(60));
    }
}
