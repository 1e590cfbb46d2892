//! An app that was there before Queqiao: its openids and consents are brought in, and its people are
//! notified without a login.

mod known;
mod moving;

use std::ops::Deref;

use queqiao::bridge::accounts::keys::Scope;
use queqiao::db::Engine;
use queqiao::simulator::{Choice, Settings, TemplateKind, TemplateSettings, population};
use serde_json::{Value, json};

use super::{FOREIGN, MP, OA};
use crate::support::app::Answer;
use crate::support::setup::{template, titled};
use crate::support::{ApiFixture, Fixture};

const ONCE: &str = "tpl-once";
const LASTING: &str = "tpl-lasting";

/// [`ApiFixture`] with a mini-program that has templates, a message type for it, and people who use
/// it, of whom Queqiao knows nothing.
struct MovingInFixture(ApiFixture);

impl Fixture for MovingInFixture {
    async fn on(engine: Engine) -> Self {
        let subscription = |template_id, kind| TemplateSettings {
            kind,
            ..template(template_id, "{{thing1.DATA}}")
        };
        let mut route = titled(MP, ONCE);
        route["channel"] = json!("mp_subscribe");
        route["page"] = json!("pages/index");
        let api = ApiFixture::with(engine, |first| {
            first
                .template(MP, subscription(ONCE, TemplateKind::SubscribeOnce))
                .template(MP, subscription(LASTING, TemplateKind::SubscribeLongTerm))
                .message_type("ping", json!([route]))
        });
        Self(api.await)
    }
}

impl Deref for MovingInFixture {
    type Target = ApiFixture;

    fn deref(&self) -> &ApiFixture {
        &self.0
    }
}

fn openid(person: u32) -> String {
    population::openid(MP, person)
}

fn row(person: u32) -> Value {
    json!({"openid": openid(person)})
}

/// A row with more than an openid.
fn with(person: u32, more: Value) -> Value {
    let mut row = row(person);
    let Value::Object(more) = more else {
        panic!("{more}");
    };
    for (name, value) in more {
        row[name] = value;
    }
    row
}

impl MovingInFixture {
    async fn post(&self, body: Value) -> Answer {
        let path = format!("/miniprogram/{MP}/identities");
        self.app.post(&self.key, &path, body).await
    }

    async fn bring(&self, rows: Value) -> Value {
        self.post(json!({"rows": rows})).await.ok(200)
    }

    /// Somebody allowed a template before WeChat pushed anything to Queqiao.
    async fn allowed_before(&self, person: u32, template: &str) {
        let url = self.world().settings(MP).unwrap().callback_url.clone();
        let set = |url: Option<url::Url>| {
            let change = |settings: &mut Settings| settings.callback_url = url.clone();
            self.world().change_account(MP, change).unwrap();
        };
        set(None);
        let choices = [(template, Choice::Accept)];
        self.world()
            .answer_popup(MP, person, &choices)
            .await
            .unwrap();
        set(url);
    }

    async fn notify(&self, whom: Value) -> Value {
        let mut body = json!({"message_type": "ping", "params": {"title": "hi"}});
        for (name, value) in whom.as_object().unwrap() {
            body[name] = value.clone();
        }
        let accepted = self.app.post(&self.key, "/notifications", body).await;
        let accepted = accepted.ok(202);
        self.app.drain().await;
        accepted
    }

    fn saw(&self, person: u32) -> usize {
        self.world().messages_to(&openid(person)).len()
    }

    async fn person(&self, person: u32) -> Value {
        let path = format!("/people?openid={}", openid(person));
        let page = self.app.get(&self.key, &path).await.ok(200);
        let people = page["items"].as_array().unwrap().clone();
        assert!(people.len() <= 1, "{people:?}");
        people.into_iter().next().unwrap_or_default()
    }

    async fn left(&self, staff_id: &str) -> Vec<(Value, Value)> {
        let path = format!("/staff/{staff_id}/credits");
        let credits = self.app.get(&self.key, &path).await.ok(200);
        let items = credits["items"].as_array().unwrap().iter();
        items
            .map(|credit| (credit["one_time_left"].clone(), credit["allowed"].clone()))
            .collect()
    }
}

/// Outcome and code of each row.
fn told(answer: &Value) -> Vec<String> {
    let rows = answer["rows"].as_array().unwrap().iter();
    rows.map(|row| {
        let code = row["code"].as_str().map(|code| format!(" {code}"));
        format!(
            "{}{}",
            row["outcome"].as_str().unwrap(),
            code.unwrap_or_default()
        )
    })
    .collect()
}

both_engines! {
    a_table_is_taken_in_once_however_often_it_comes,
    a_row_is_taken_whole_or_refused_in_words,
    ten_thousand_rows_are_one_request,
    only_a_mini_program_of_the_project_takes_them,
}

async fn a_table_is_taken_in_once_however_often_it_comes(moving: MovingInFixture) {
    let rows = json!([
        with(
            1,
            json!({"unionid": population::unionid(1), "staff_id": "s1", "consents": {ONCE: 2}})
        ),
        with(
            2,
            json!({"unionid": null, "staff_id": "", "consents": {LASTING: "long_term"}})
        ),
        row(3),
    ]);
    let table = json!({"rows": rows, "create_staff": true});
    let mut dry = table.clone();
    dry["dry_run"] = json!(true);
    let answer = moving.post(dry.clone()).await.ok(200);
    assert_eq!(
        answer["counts"],
        json!({"created": 3, "updated": 0, "unchanged": 0, "refused": 0})
    );
    assert_eq!(
        (&answer["dry_run"], &answer["rows"][0]["identity_id"]),
        (&json!(true), &json!(null))
    );
    assert_eq!(moving.person(1).await, json!(null));
    moving
        .app
        .get(&moving.key, "/staff/s1")
        .await
        .refused(404, "not_found", "");

    let answer = moving.post(table.clone()).await.ok(200);
    assert_eq!(told(&answer), ["created", "created", "created"]);
    let person = moving.person(1).await;
    assert_eq!(person["identity_id"], answer["rows"][0]["identity_id"]);
    assert_eq!(
        (&person["unionid"], &person["staff_ids"]),
        (&json!(population::unionid(1)), &json!(["s1"]))
    );
    assert_eq!(person["identities"][0]["profile_state"], "unconfirmed");
    assert_eq!(moving.left("s1").await, [(json!(2), json!(true))]);

    for body in [table, dry] {
        let answer = moving.post(body).await.ok(200);
        assert_eq!(told(&answer), ["unchanged", "unchanged", "unchanged"]);
        assert!(answer["rows"][0]["identity_id"].is_number(), "{answer}");
    }
    assert_eq!(moving.left("s1").await, [(json!(2), json!(true))]);
    let more = json!([
        with(1, json!({"consents": {ONCE: 3}})),
        with(3, json!({"unionid": population::unionid(3)}))
    ]);
    assert_eq!(told(&moving.bring(more).await), ["updated", "updated"]);
    assert_eq!(moving.left("s1").await, [(json!(3), json!(true))]);
    let audit = moving.app.get(&moving.key, "/staff/s1").await.ok(200);
    assert_eq!(audit["bindings"].as_array().unwrap().len(), 1, "{audit}");
}

async fn a_row_is_taken_whole_or_refused_in_words(moving: MovingInFixture) {
    for staff in ["s1", "s2"] {
        moving
            .app
            .put(&moving.key, &format!("/staff/{staff}"), json!({}))
            .await
            .ok(201);
    }
    // Person 8 is known through WeChat, and is staff member s2.
    let bind = json!({"app_id": MP, "code": moving.code(8)});
    moving.bind("s2", bind).await;
    moving.new_follower(9).await;
    let bind = json!({"app_id": OA, "openid": population::openid(OA, 9)});
    moving.bind("s2", bind).await;
    let union = |person| json!({"unionid": population::unionid(person)});
    let cases = [
        (json!({"openid": "undefined"}), "invalid_field", "openid"),
        (json!({"openid": " o1"}), "invalid_field", "openid"),
        (
            json!({"openid": "gh_0123456789ab"}),
            "invalid_field",
            "openid",
        ),
        (json!({"openid": 7}), "invalid_field", "openid"),
        (json!({"openid": ""}), "missing_field", "openid"),
        (json!({"unionid": "u1"}), "missing_field", "openid"),
        (json!("o1"), "invalid_field", ""),
        (
            with(1, json!({"open_id": "o1"})),
            "unknown_field",
            "open_id",
        ),
        (
            with(1, json!({"unionid": "NaN"})),
            "invalid_field",
            "unionid",
        ),
        (
            with(1, json!({"staff_id": "null"})),
            "invalid_field",
            "staff_id",
        ),
        (
            with(1, json!({"staff_id": "s9"})),
            "unknown_staff",
            "staff_id",
        ),
        (
            with(1, json!({"consents": {ONCE: true}})),
            "invalid_field",
            "consents.tpl-once",
        ),
        (
            with(1, json!({"consents": {ONCE: -1}})),
            "invalid_field",
            "consents.tpl-once",
        ),
        (
            with(1, json!({"consents": ["tpl"]})),
            "invalid_field",
            "consents",
        ),
        (with(8, union(1)), "unionid_conflict", "unionid"),
        (with(1, union(8)), "unionid_conflict", "unionid"),
        (
            with(8, json!({"staff_id": "s1"})),
            "already_bound",
            "staff_id",
        ),
        // The person who follows is s2 already, by the unionid that this row brings.
        (
            with(
                9,
                json!({"unionid": population::unionid(9), "staff_id": "s1"}),
            ),
            "already_bound",
            "staff_id",
        ),
    ];
    for (row, code, field) in &cases {
        let answer = moving.bring(json!([row])).await;
        let refused = &answer["rows"][0];
        assert_eq!(
            (&refused["outcome"], &refused["code"]),
            (&json!("refused"), &json!(code)),
            "{row}: {refused}"
        );
        assert_eq!(
            refused["field"].as_str().unwrap_or_default(),
            *field,
            "{row}: {refused}"
        );
        assert!(refused["detail"].as_str().unwrap().len() > 20, "{refused}");
    }
    assert_eq!(
        moving.person(1).await,
        json!(null),
        "nothing of a refused row is kept"
    );
    assert_eq!(moving.person(9).await, json!(null));
    // Refused rows do not hold the others up.
    let mixed = json!([
        row(1),
        cases[0].0,
        with(2, json!({"staff_id": "s1"})),
        row(1),
        with(3, json!({"unionid": "uX"})),
        with(4, json!({"unionid": "uX"}))
    ]);
    let answer = moving.bring(mixed).await;
    assert_eq!(
        told(&answer),
        [
            "created",
            "refused invalid_field",
            "created",
            "refused duplicate",
            "created",
            "refused duplicate"
        ]
    );
    assert_eq!(
        answer["counts"],
        json!({"created": 3, "updated": 0, "unchanged": 0, "refused": 3})
    );
    let joined = moving
        .bring(json!([with(
            9,
            json!({"unionid": population::unionid(9), "staff_id": "s2"})
        )]))
        .await;
    assert_eq!(
        told(&joined),
        ["created"],
        "the same staff member in another account"
    );
}

async fn ten_thousand_rows_are_one_request(moving: MovingInFixture) {
    let row = |at: u32| json!({"openid": format!("oOld{at:05}"), "unionid": format!("uOld{at:05}"), "staff_id": format!("e{at}"), "consents": {ONCE: 1}});
    let rows: Vec<Value> = (0..10_000).map(row).collect();
    let table = json!({"rows": rows, "create_staff": true});
    let started = std::time::Instant::now();
    let answer = moving.post(table.clone()).await.ok(200);
    let taken = started.elapsed();
    assert_eq!(answer["counts"]["created"], 10_000, "{}", answer["counts"]);
    assert_eq!(answer["rows"][9_999]["openid"], "oOld09999");
    let again = moving.post(table).await.ok(200);
    assert_eq!(again["counts"]["unchanged"], 10_000);
    // Far more than it takes in a release build, and far less than row by row.
    assert!(taken.as_secs() < 60, "{taken:?}");
    let mut more = rows;
    more.push(row(10_000));
    let problem = moving
        .post(json!({"rows": more}))
        .await
        .refused(422, "invalid_field", "rows");
    assert_eq!(problem["limit"], 10_000);
}

async fn only_a_mini_program_of_the_project_takes_them(moving: MovingInFixture) {
    let body = json!({"rows": [row(1)]});
    let post = async |key: &str, app_id: &str| {
        moving
            .app
            .post(
                key,
                &format!("/miniprogram/{app_id}/identities"),
                body.clone(),
            )
            .await
    };
    let problem = post(&moving.key, OA)
        .await
        .refused(422, "wrong_account_kind", "app_id");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("followers import"),
        "{problem}"
    );
    post(&moving.key, FOREIGN)
        .await
        .refused(404, "not_found", "");
    post(&moving.other, MP).await.refused(404, "not_found", "");
    let read = moving
        .app
        .key(moving.project, &[Scope::Read, Scope::Token])
        .await;
    post(&read, MP).await.refused(403, "missing_scope", "");
    let notify = moving.app.key(moving.project, &[Scope::Notify]).await;
    post(&notify, MP).await.ok(200);
    moving
        .post(json!({"rows": []}))
        .await
        .refused(422, "invalid_field", "rows");
    moving
        .post(json!({"rows": [row(1)], "dryrun": true}))
        .await
        .refused(422, "unknown_field", "dryrun");
    moving
        .post(json!({"dry_run": true}))
        .await
        .refused(422, "missing_field", "rows");
}
