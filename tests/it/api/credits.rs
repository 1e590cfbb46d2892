//! Permissions: from the tap in the mini-program to what the API says is left.

mod reports;

use queqiao::bridge::steps::StepName;
use std::time::Duration;

use diesel::sql_types::BigInt;
use diesel::{QueryableByName, RunQueryDsl as _, sql_query};
use queqiao::bridge::Step;
use queqiao::simulator::{Choice, TemplateKind, TemplateSettings, population};
use queqiao::wechat::fields::Format;
use serde_json::{Value, json};

use super::{ApiFixture, MP, OA};
use crate::support::setup::template;

const ONCE: &str = "tpl-once";
const OTHER: &str = "tpl-other";
const LASTING: &str = "tpl-lasting";

impl ApiFixture {
    /// The mini-program has three subscription templates, and pushes in this format.
    fn subscriptions(&self, format: Format) {
        let world = self.app.simulator.world();
        for app_id in [MP, OA] {
            for (id, kind) in [
                (ONCE, TemplateKind::SubscribeOnce),
                (OTHER, TemplateKind::SubscribeOnce),
                (LASTING, TemplateKind::SubscribeLongTerm),
            ] {
                let settings = TemplateSettings {
                    kind,
                    ..template(id, "{{thing1.DATA}}")
                };
                world.add_template(app_id, &settings).unwrap();
            }
            let change = |settings: &mut queqiao::simulator::Settings| settings.format = format;
            world.change_account(app_id, change).unwrap();
        }
    }

    async fn popup(&self, app_id: &str, person: u32, choices: &[(&str, Choice)]) {
        let world = self.app.simulator.world();
        let popup = world.answer_popup(app_id, person, choices).await.unwrap();
        assert!(popup.push.unwrap().verdict.is_accepted());
        self.app.drain().await;
    }

    /// A staff member who logged in to the mini-program.
    async fn member(&self, staff_id: &str, person: u32) {
        let whom = json!({"app_id": MP, "code": self.code(person)});
        self.staff(staff_id).bound_to(whom).await;
    }

    async fn credits(&self, staff_id: &str) -> Vec<Value> {
        let path = format!("/staff/{staff_id}/credits");
        let answer = self.app.get(&self.key, &path).await.ok(200);
        assert_eq!(answer["staff_id"], staff_id);
        answer["items"].as_array().unwrap().clone()
    }

    async fn left(&self, staff_id: &str) -> Value {
        self.credits(staff_id).await[0]["one_time_left"].clone()
    }

    async fn report(&self, person: u32, results: Value, reported_at: Option<&str>) -> Value {
        let mut body = json!({"openid": population::openid(MP, person), "results": results});
        if let Some(reported_at) = reported_at {
            body["reported_at"] = json!(reported_at);
        }
        let path = format!("/miniprogram/{MP}/subscriptions");
        self.app.post(&self.key, &path, body).await.ok(200)
    }

    /// The moment now as the mini-program writes it.
    fn stamp(&self) -> String {
        self.app.clock.now().and_utc().to_rfc3339()
    }

    fn execute(&self, sql: &str) {
        let conn = &mut self.app.bridge.db.connect().unwrap();
        sql_query(sql).execute(conn).unwrap();
    }

    fn count(&self, table: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        let conn = &mut self.app.bridge.db.connect().unwrap();
        let query = sql_query(format!("SELECT count(*) AS count FROM {table}"));
        query.get_result::<Count>(conn).unwrap().count
    }

    fn wait(&self, seconds: u64) {
        self.app.advance(Duration::from_secs(seconds));
    }
}

both_engines! {
    taps_add_up_in_both_formats_and_a_change_of_mind_ends_them,
    one_tap_counts_once_however_often_it_is_told,
    a_template_is_long_term_where_wechat_lists_it_so,
    who_runs_out_is_listed,
    old_permissions_become_one_and_are_shown_and_erased_as_before,
}

async fn taps_add_up_in_both_formats_and_a_change_of_mind_ends_them(api: ApiFixture) {
    for (format, person, staff) in [(Format::Xml, 1, "s1"), (Format::Json, 2, "s2")] {
        api.subscriptions(format);
        api.member(staff, person).await;
        assert_eq!(api.credits(staff).await, Vec::<Value>::new());
        for _ in 0..2 {
            api.wait(30);
            api.popup(
                MP,
                person,
                &[(ONCE, Choice::Accept), (OTHER, Choice::Reject)],
            )
            .await;
        }
        let credits = api.credits(staff).await;
        let [once, other] = credits.as_slice() else {
            panic!("{credits:?}")
        };
        assert_eq!(
            (&once["template_id"], &once["app_id"]),
            (&json!(ONCE), &json!(MP))
        );
        assert_eq!(
            (&once["one_time_left"], &once["allowed"]),
            (&json!(2), &json!(true))
        );
        assert_eq!(
            (&once["long_term"], &once["sources"]),
            (&json!(false), &json!(["event"]))
        );
        assert!(
            once["last_consent_at"].is_string() && once["rejected_at"].is_null(),
            "{once}"
        );
        assert_eq!(
            (&other["one_time_left"], &other["allowed"]),
            (&json!(0), &json!(false))
        );
        assert!(
            other["last_consent_at"].is_null() && other["rejected_at"].is_string(),
            "{other}"
        );

        api.wait(30);
        api.popup(MP, person, &[(ONCE, Choice::Reject)]).await;
        let credits = api.credits(staff).await;
        assert_eq!(
            credits[0]["one_time_left"], 2,
            "the pop-up asked for one more"
        );
        assert!(credits[0]["rejected_at"].is_string());
        api.wait(30);
        let world = api.app.simulator.world();
        let push = world.withdraw_consent(MP, person, &[ONCE]).await.unwrap();
        assert!(push.verdict.is_accepted());
        api.app.drain().await;
        assert_eq!(api.left(staff).await, 0);
        api.wait(30);
        api.popup(MP, person, &[(ONCE, Choice::Accept)]).await;
        let credits = api.credits(staff).await;
        assert_eq!(credits[0]["one_time_left"], 1);
        assert!(credits[0]["rejected_at"].is_null(), "not since then");
    }
}

async fn one_tap_counts_once_however_often_it_is_told(api: ApiFixture) {
    api.subscriptions(Format::Json);
    api.member("s1", 1).await;
    let world = api.app.simulator.world();
    world.set_push_copies(MP, 3).unwrap();
    api.popup(MP, 1, &[(ONCE, Choice::Accept)]).await;
    let accepted = json!({ONCE: "accept"});
    let tapped = api.stamp();
    api.wait(20);
    for _ in 0..2 {
        let told = api.report(1, accepted.clone(), Some(&tapped)).await;
        assert_eq!(told["credits"][0]["one_time_left"], 1, "{told}");
    }
    let credits = api.credits("s1").await;
    assert_eq!(credits[0]["sources"], json!(["event", "api"]));
    let events = api
        .app
        .get(&api.key, "/events?kind=event.subscribe_msg_popup_event")
        .await
        .ok(200);
    let replay = format!("/events/{}/replay", events["items"][0]["id"]);
    api.app.post(&api.key, &replay, json!({})).await;
    api.app.drain().await;
    assert_eq!(api.left("s1").await, 1);

    // The report before the event, and the event late.
    api.wait(3600);
    world.hold_pushes(MP).unwrap();
    world
        .answer_popup(MP, 1, &[(ONCE, Choice::Accept)])
        .await
        .unwrap();
    let told = api.report(1, accepted.clone(), Some(&api.stamp())).await;
    assert_eq!(told["credits"][0]["one_time_left"], 2);
    api.wait(1800);
    world
        .release_pushes(MP, queqiao::simulator::PushOrder::Given)
        .await
        .unwrap();
    api.app.drain().await;
    assert_eq!(api.left("s1").await, 2);

    // Without a time of its own, a repetition is one that comes soon.
    api.wait(3600);
    for (seconds, expected) in [(0, 3), (30, 3), (61, 4)] {
        api.wait(seconds);
        let told = api.report(1, accepted.clone(), None).await;
        assert_eq!(
            told["credits"][0]["one_time_left"], expected,
            "after {seconds} s"
        );
    }
}

async fn a_template_is_long_term_where_wechat_lists_it_so(api: ApiFixture) {
    api.subscriptions(Format::Xml);
    for (staff_id, person) in [("s1", 1), ("s2", 2)] {
        api.member(staff_id, person).await;
    }
    for template in [LASTING, ONCE] {
        api.popup(MP, 1, &[(template, Choice::Accept)]).await;
    }
    let kinds = |credits: &[Value]| -> Vec<(Value, Value)> {
        credits
            .iter()
            .map(|credit| (credit["template_id"].clone(), credit["long_term"].clone()))
            .collect()
    };
    let before = api.credits("s1").await;
    assert_eq!(
        kinds(&before),
        [(json!(LASTING), json!(false)), (json!(ONCE), json!(false))]
    );
    let sync = format!("/accounts/{MP}/templates/sync");
    api.app.call("POST", &api.key, &sync, None).await.ok(200);
    for template in [LASTING, ONCE] {
        api.popup(MP, 2, &[(template, Choice::Accept)]).await;
    }
    for staff_id in ["s1", "s2"] {
        let credits = api.credits(staff_id).await;
        assert_eq!(
            kinds(&credits),
            [(json!(LASTING), json!(true)), (json!(ONCE), json!(false))],
            "{staff_id}"
        );
    }
}

async fn who_runs_out_is_listed(api: ApiFixture) {
    api.subscriptions(Format::Xml);
    for person in 1..4 {
        api.member(&format!("s{person}"), person).await;
    }
    for person in [1, 2, 3, 3] {
        api.wait(30);
        api.popup(
            MP,
            person,
            &[(ONCE, Choice::Accept), (OTHER, Choice::Reject)],
        )
        .await;
    }
    api.popup(OA, 4, &[(ONCE, Choice::Accept)]).await;
    let low = async |query: &str| -> Vec<String> {
        let page = api
            .app
            .get(&api.key, &format!("/credits/low?{query}"))
            .await
            .ok(200);
        let items = page["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| item["staff_ids"][0].as_str().unwrap_or("-").to_owned())
            .collect()
    };
    assert_eq!(
        low(&format!("template_id={ONCE}")).await,
        Vec::<String>::new()
    );
    assert_eq!(
        low(&format!("template_id={OTHER}")).await,
        ["s3", "s2", "s1"]
    );
    assert_eq!(
        low(&format!("template_id={ONCE}&below=2")).await,
        ["-", "s2", "s1"]
    );
    assert_eq!(
        low(&format!("template_id={ONCE}&below=2&app_id={MP}")).await,
        ["s2", "s1"]
    );
    assert_eq!(
        low("template_id=unknown&below=9").await,
        Vec::<String>::new()
    );
    let first = format!("/credits/low?template_id={ONCE}&below=3&limit=3");
    let page = api.app.get(&api.key, &first).await.ok(200);
    let item = &page["items"][1];
    assert_eq!(
        (&item["staff_ids"], &item["one_time_left"]),
        (&json!(["s3"]), &json!(2))
    );
    assert_eq!(
        (&item["openid"], &item["app_id"]),
        (&json!(population::openid(MP, 3)), &json!(MP))
    );
    let next = format!("{first}&cursor={}", page["next_cursor"].as_str().unwrap());
    let page = api.app.get(&api.key, &next).await.ok(200);
    assert_eq!(
        (&page["items"][0]["staff_ids"], &page["next_cursor"]),
        (&json!(["s1"]), &json!(null))
    );
    for (query, code, field) in [
        ("below=1", "invalid_query", "template_id"),
        ("template_id=t&below=0", "invalid_query", "below"),
        ("template_id=t&below=many", "invalid_query", "below"),
        ("template_id=t&cursor=x", "invalid_cursor", "cursor"),
        (
            "template_id=t&app_id=wxffffffffffffffff",
            "invalid_query",
            "app_id",
        ),
    ] {
        let refused = api
            .app
            .get(&api.key, &format!("/credits/low?{query}"))
            .await;
        refused.refused(400, code, field);
    }
    let theirs = api.app.get(&api.other, &first).await.ok(200);
    assert_eq!(theirs["items"], json!([]));
}

async fn old_permissions_become_one_and_are_shown_and_erased_as_before(api: ApiFixture) {
    api.subscriptions(Format::Json);
    api.member("s1", 1).await;
    api.popup(MP, 1, &[(ONCE, Choice::Accept)]).await;
    let before = api.credits("s1").await;
    api.wait(31 * 86_400);
    let explained = api.app.get(&api.key, "/staff/s1/explain").await.ok(200);
    // A consent, a send and its report for each of 1,000 days.
    let now = api.app.clock.now().and_utc().timestamp();
    for (kind, later) in [("event", 0), ("taken", 100), ("sent", 101)] {
        let sql = format!(
            "WITH RECURSIVE day(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM day WHERE n < 1000) \
                 INSERT INTO credit_entries (credit_id, kind, happened_time, mark) \
                 SELECT c.id, '{kind}', {now} - (1001 - n) * 86400 - 500 + {later}, \
                 CASE WHEN '{kind}' = 'event' THEN 0 ELSE n END FROM day, credits c"
        );
        api.execute(&sql);
    }
    while api.app.bridge.run(StepName::Ledgers).await.unwrap() == Step::Worked {}
    assert_eq!(api.credits("s1").await, before);
    assert_eq!(
        api.app.get(&api.key, "/staff/s1/explain").await.ok(200),
        explained
    );
    assert!(
        api.count("credit_entries") < 300,
        "{}",
        api.count("credit_entries")
    );
    api.wait(30);
    api.popup(MP, 1, &[(ONCE, Choice::Accept)]).await;
    assert_eq!(api.left("s1").await, 2);
    let person = before[0]["identity_id"].clone();
    api.app.delete(&api.key, &format!("/people/{person}")).await;
    api.app.drain().await;
    assert_eq!((api.count("credits"), api.count("credit_entries")), (0, 0));
}
