//! Every code of WeChat's that a send can return, on each channel where it can occur.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Matrix, WECHAT, path};
use crate::notify::routes::verdicts;
use crate::support::setup::{MP, OA};

/// What a code leads to.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// To the next route, for this reason.
    Moves(&'static str),
    /// To the end, for this reason.
    Fails(&'static str),
    /// To waiting, for this reason, with the account or one call paused.
    Waits(&'static str, Paused),
    /// To another try after a while.
    Again(Paused),
    /// To the same call with a new access token.
    NewToken,
    /// WeChat took it before.
    Taken,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Paused {
    Nothing,
    OneCall,
    Account,
}

use Paused::{Account, Nothing, OneCall};
use Then::{Again, Fails, Moves, NewToken, Taken, Waits};

const SUBSCRIBE: &[&str] = &["mp_subscribe", "oa_subscribe"];
const TEMPLATED: &[&str] = &["template", "mp_subscribe", "oa_subscribe"];

#[rustfmt::skip]
const CODES: &[(&[i64], &[&str], Then)] = &[
    (&[43004, 43005, 50005], &["template", "customer"], Moves("not_following")),
    (&[43019], &WECHAT, Moves("blocked")),
    (&[40003, 46004, 49003, -41000], &WECHAT, Moves("wrong_openid")),
    (&[43101], &["template"], Moves("refused_by_person")),
    (&[43101], SUBSCRIBE, Moves("refused_by_person")),
    (&[48002], &WECHAT, Moves("refused_by_person")),
    (&[45015], &["customer"], Moves("window_closed")),
    (&[45047], &["customer"], Moves("allowance_used")),
    (&[70000, 50002], &WECHAT, Moves("recipient_refused")),
    (&[40036, 40037, 40247, 43100, 48011], TEMPLATED, Moves("template_unknown")),
    (&[40165, 41030], TEMPLATED, Moves("page_not_released")),
    (&[43107, 43116], TEMPLATED, Moves("account_problem")),
    (&[40033, 40249, 40250, 40252, 45002, 45168, 47001, 87014], &WECHAT, Fails("refused_content")),
    (&[40039, 40246, 47003], TEMPLATED, Fails("refused_content")),
    (&[40035, 40038, 40066, 40097, 41001, 41009, 43001, 43002, 43003, 44002, 45103, 99999], &WECHAT, Fails("refused_request")),
    (&[45067], &["template"], Fails("refused_request")),
    (&[40004, 40007, 40008, 44004, 45008, 61451], &["customer"], Fails("refused_request")),
    (&[40164, 40200, 40251, 48017, 50001, 50007, 61004, 61007, 61024, 86000], &WECHAT, Waits("account_problem", Account)),
    (&[65400], &["customer"], Waits("account_problem", Account)),
    (&[48001, 48004, 48008], &WECHAT, Waits("account_problem", OneCall)),
    (&[40013, 40166, 43104], &WECHAT, Waits("account_problem", Nothing)),
    (&[45009], &WECHAT, Waits("quota_used_up", OneCall)),
    (&[45011], &WECHAT, Waits("too_frequent", Account)),
    (&[43117], &WECHAT, Moves("too_frequent")),
    (&[-1, 268487001, 268487002, 9001002], &WECHAT, Again(Account)),
    (&[61450], &["customer"], Again(Account)),
    (&[43108], SUBSCRIBE, Again(Nothing)),
    (&[45066], &["template"], Again(Nothing)),
    (&[40001, 40014, 42001], &WECHAT, NewToken),
    (&[45065], &["template"], Taken),
];

struct Case<'m> {
    all: &'m Matrix,
    channel: &'static str,
    code: i64,
    person: u32,
}

impl Case<'_> {
    fn app_id(&self) -> &'static str {
        if self.channel == "mp_subscribe" {
            MP
        } else {
            OA
        }
    }

    /// What is paused of the account.
    async fn paused(&self) -> Paused {
        let endpoint = &self.all.endpoint;
        let page = endpoint.app.get(&endpoint.key, "/accounts").await.ok(200);
        let mut items = page["items"].as_array().unwrap().iter();
        let account = items.find(|item| item["app_id"] == self.app_id()).unwrap();
        match account["pauses"].as_array().unwrap().first() {
            None => Nothing,
            Some(pause) if pause["call"].is_null() => Account,
            Some(_) => OneCall,
        }
    }

    /// Cancels what waits, and ends the pause of the account.
    async fn withdraw(&self, list: &str) {
        let endpoint = &self.all.endpoint;
        let cancel = list.replace("/deliveries", "/cancel");
        endpoint
            .app
            .post(&endpoint.key, &cancel, json!({}))
            .await
            .ok(200);
        let resume = format!("/accounts/{}/resume", self.app_id());
        let resumed = endpoint.app.call("POST", &endpoint.key, &resume, None);
        resumed.await.ok(200);
    }

    async fn run(&self, then: Then) {
        let Self {
            all,
            channel,
            code,
            person,
        } = *self;
        let what = format!("{channel} {code}");
        let endpoint = &all.endpoint;
        // What the person does again counts from the next second or minute.
        endpoint.app.advance(Duration::from_secs(61));
        all.permit(channel, person).await;
        let (shown, calls) = (all.shown(person), all.calls(channel));
        all.endpoint.refuse(path(channel), code);
        let list = endpoint.notify(&format!("s{person}")).await;
        endpoint.app.drain().await;
        let mut delivery = endpoint.delivery(&list).await;
        let paused = self.paused().await;
        let expected = match then {
            Moves(reason) => {
                assert_eq!(
                    verdicts(&delivery),
                    [(channel, reason), ("webhook", "taken")],
                    "{what}"
                );
                (json!("delivered"), Value::Null, 1, 1, Nothing)
            }
            Fails(reason) => (json!("failed"), json!(reason), 0, 1, Nothing),
            Waits(reason, paused) => (json!("queued"), json!(reason), 0, 1, paused),
            Again(paused) => (json!("queued"), json!("retrying"), 0, 1, paused),
            NewToken => (json!("delivered"), Value::Null, 1, 2, Nothing),
            Taken => (json!("sent"), Value::Null, 0, 1, Nothing),
        };
        let seen = |delivery: &Value, paused| {
            (
                delivery["state"].clone(),
                delivery["reason"].clone(),
                all.shown(person) - shown,
                all.calls(channel) - calls,
                paused,
            )
        };
        assert_eq!(seen(&delivery, paused), expected, "{what}: {delivery}");
        match then {
            Waits(..) => self.withdraw(&list).await,
            Again(_) => {
                endpoint.pass(130, 65).await;
                delivery = endpoint.delivery(&list).await;
                let expected = (json!("delivered"), Value::Null, 1, 2, Nothing);
                assert_eq!(
                    seen(&delivery, self.paused().await),
                    expected,
                    "{what}: {delivery}"
                );
            }
            _ => {}
        }
    }
}

async fn every_code_of(all: &Matrix, channel: &'static str) {
    let mut person = 1;
    all.member(person).await;
    all.channels(&[channel, "webhook"]).await;
    for (codes, channels, then) in CODES {
        for &code in codes.iter().filter(|_| channels.contains(&channel)) {
            Case {
                all,
                channel,
                code,
                person,
            }
            .run(*then)
            .await;
            // Of some codes we remember who they were about.
            if matches!(then, Moves(_)) {
                person += 1;
                all.member(person).await;
                all.channels(&[channel, "webhook"]).await;
            }
        }
    }
}

both_engines! {
    every_code_of_template_messages,
    every_code_of_subscription_messages_of_mini_programs,
    every_code_of_subscription_messages_of_service_accounts,
    every_code_of_customer_messages,
}

async fn every_code_of_template_messages(all: Matrix) {
    every_code_of(&all, "template").await;
}

async fn every_code_of_subscription_messages_of_mini_programs(all: Matrix) {
    every_code_of(&all, "mp_subscribe").await;
}

async fn every_code_of_subscription_messages_of_service_accounts(all: Matrix) {
    every_code_of(&all, "oa_subscribe").await;
}

async fn every_code_of_customer_messages(all: Matrix) {
    every_code_of(&all, "customer").await;
}
