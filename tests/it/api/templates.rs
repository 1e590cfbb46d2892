//! Templates as WeChat lists them: what changes or goes away is kept, shown, and told of the
//! message types that it breaks, before anyone sends.

mod listing;

use std::time::Duration;

use queqiao::simulator::{TemplateKind, TemplateSettings};
use serde_json::{Value, json};

use super::{ApiFixture, FOREIGN, MP, OA};
use crate::support::logs;

const HOUR: Duration = Duration::from_secs(3600);

fn template(id: &str, content: &str) -> TemplateSettings {
    TemplateSettings {
        template_id: id.to_owned(),
        title: format!("title of {id}"),
        content: content.to_owned(),
        ..TemplateSettings::default()
    }
}

fn route(id: &str, keys: &[&str]) -> Value {
    let fields: serde_json::Map<String, Value> = keys
        .iter()
        .map(|key| ((*key).to_owned(), json!("x")))
        .collect();
    json!({"routes": [{"account": OA, "template_id": id, "fields": fields}]})
}

/// Code and field of each problem.
fn brief(problems: &Value) -> Vec<(String, String)> {
    let problems = problems.as_array().unwrap().iter();
    problems
        .map(|problem| {
            let text = |name: &str| problem[name].as_str().unwrap().to_owned();
            assert!(!text("detail").is_empty());
            (text("code"), text("field"))
        })
        .collect()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(code, field): &(&str, &str)| ((*code).to_owned(), (*field).to_owned());
    pairs.iter().map(own).collect()
}

impl ApiFixture {
    async fn sync(&self, app_id: &str) -> Value {
        let path = format!("/accounts/{app_id}/templates/sync");
        self.app.call("POST", &self.key, &path, None).await.ok(200)
    }

    async fn templates(&self, app_id: &str) -> Value {
        let path = format!("/accounts/{app_id}/templates");
        self.app.get(&self.key, &path).await.ok(200)
    }

    async fn problems(&self, name: &str) -> Vec<(String, String)> {
        let found = self
            .app
            .get(&self.key, &format!("/message-types/{name}"))
            .await
            .ok(200);
        let listed = self.app.get(&self.key, "/message-types").await.ok(200);
        let listed = listed["items"].as_array().unwrap().iter();
        let same = listed.filter(|item| **item == found).count();
        assert_eq!(same, 1, "the list says the same");
        brief(&found["problems"])
    }

    async fn put_type(&self, name: &str, body: Value) -> Value {
        let answer = self
            .app
            .put(&self.key, &format!("/message-types/{name}"), body)
            .await;
        assert!([200, 201].contains(&answer.status), "{answer:?}");
        answer.json()["warnings"].clone()
    }
}

both_engines! {
    both_kinds_of_templates_are_listed_with_their_keys,
    what_changes_or_goes_away_is_kept_and_shown,
    a_template_that_is_as_it_was_at_first_has_not_drifted,
    message_types_that_a_template_breaks_are_flagged_before_anyone_sends,
    a_preview_knows_the_keys_and_the_listed_texts_of_a_subscription_template,
    another_projects_templates_do_not_exist,
}

async fn both_kinds_of_templates_are_listed_with_their_keys(api: ApiFixture) {
    api.world()
        .add_template(
            OA,
            &template("A", "单号:{{character_string1.DATA}}\n{{keyword2.DATA}}"),
        )
        .unwrap();
    let long_term = TemplateSettings {
        kind: TemplateKind::SubscribeLongTerm,
        values: [("enum_string2".to_owned(), vec!["客厅".to_owned()])].into(),
        ..template("L", "{{thing1.DATA}}{{enum_string2.DATA}}")
    };
    api.world().add_template(MP, &long_term).unwrap();
    api.world()
        .add_template(MP, &template("S", "{{thing1.DATA}}"))
        .unwrap();
    let never = api.templates(OA).await;
    assert_eq!(
        never,
        json!({
            "sync": {"synced_at": null, "next_at": null, "problem": null}, "items": [], "next_cursor": null,
        })
    );
    let now = json!(api.app.clock.now().and_utc());
    assert_eq!(
        api.sync(OA).await,
        json!({
            "app_id": OA, "synced_at": now, "total": 1, "added": ["A"], "changed": [], "gone": [], "returned": [],
        })
    );
    assert_eq!(api.sync(MP).await["added"], json!(["L", "S"]));
    assert_eq!(
        api.templates(OA).await,
        json!({
            "sync": {"synced_at": now, "next_at": null, "problem": null}, "next_cursor": null,
            "items": [{
                "template_id": "A", "kind": "template", "title": "title of A",
                "content": "单号:{{character_string1.DATA}}\n{{keyword2.DATA}}",
                "keys": [{"key": "character_string1", "type": "character_string"}, {"key": "keyword2", "type": null}],
                "drift": null, "first_seen_at": now, "last_seen_at": now, "gone_at": null, "changed_at": null,
                "previous": null, "message_types": [],
            }],
        })
    );
    let mini = api
        .app
        .all_pages(&api.key, &format!("/accounts/{MP}/templates"), 1)
        .await;
    assert_eq!(
        (&mini[0]["template_id"], &mini[0]["kind"]),
        (&json!("S"), &json!("one_time"))
    );
    assert_eq!(
        (&mini[1]["template_id"], &mini[1]["kind"]),
        (&json!("L"), &json!("long_term"))
    );
    let key = json!({"key": "enum_string2", "type": "enum_string", "values": ["客厅"]});
    assert_eq!(mini[1]["keys"][1], key);
}

async fn what_changes_or_goes_away_is_kept_and_shown(api: ApiFixture) {
    logs::capture();
    let (a, b) = (format!("A{:016x}", rand::random::<u64>()), "B");
    for id in [a.as_str(), b] {
        api.world()
            .add_template(OA, &template(id, "{{thing1.DATA}}"))
            .unwrap();
    }
    api.put_type("named", route(&a, &["thing1"])).await;
    api.sync(OA).await;
    let first = api.app.clock.now().and_utc();
    api.app.advance(HOUR);
    let second = api.app.clock.now().and_utc();
    api.world()
        .change_template(OA, &a, &template(&a, "{{thing2.DATA}}"))
        .unwrap();
    api.world().remove_template(OA, b).unwrap();
    let synced = api.sync(OA).await;
    assert_eq!(
        (&synced["changed"], &synced["gone"]),
        (&json!([a]), &json!([b]))
    );
    assert_eq!(
        (&synced["total"], &synced["added"]),
        (&json!(1), &json!([]))
    );
    let items = api.templates(OA).await["items"].clone();
    let (gone, changed) = (&items[0], &items[1]);
    assert_eq!(
        (&gone["drift"], &gone["gone_at"]),
        (&json!("gone"), &json!(second))
    );
    assert_eq!(
        (&gone["last_seen_at"], &gone["content"]),
        (&json!(first), &json!("{{thing1.DATA}}"))
    );
    assert_eq!(
        (&changed["drift"], &changed["changed_at"]),
        (&json!("changed"), &json!(second))
    );
    assert_eq!(changed["content"], "{{thing2.DATA}}");
    assert_eq!(
        changed["previous"],
        json!({"title": format!("title of {a}"), "content": "{{thing1.DATA}}"})
    );
    assert_eq!(
        (&changed["first_seen_at"], &changed["message_types"]),
        (&json!(first), &json!(["named"]))
    );
    assert_eq!(
        logs::lines_with(&a).len(),
        1,
        "a named template that drifts is worth a line"
    );
    api.world()
        .add_template(OA, &template(b, "{{thing1.DATA}}"))
        .unwrap();
    let synced = api.sync(OA).await;
    assert_eq!(
        (&synced["returned"], &synced["changed"]),
        (&json!([b]), &json!([]))
    );
    assert_eq!(api.templates(OA).await["items"][0]["drift"], Value::Null);
}

async fn a_template_that_is_as_it_was_at_first_has_not_drifted(api: ApiFixture) {
    let listed = |content: &str, rooms: &[&str]| TemplateSettings {
        kind: TemplateKind::SubscribeOnce,
        values: [(
            "enum_string2".to_owned(),
            rooms.iter().map(|&room| room.to_owned()).collect(),
        )]
        .into(),
        ..template("S", content)
    };
    let (first, second, third) = (
        "{{thing1.DATA}}{{enum_string2.DATA}}",
        "{{thing3.DATA}}{{enum_string2.DATA}}",
        "{{thing4.DATA}}{{enum_string2.DATA}}",
    );
    api.world()
        .add_template(MP, &listed(first, &["客厅"]))
        .unwrap();
    api.sync(MP).await;
    let steps: [(&str, &[&str], Value, &str); 7] = [
        (second, &["客厅"], json!("changed"), first),
        (first, &["客厅"], Value::Null, second),
        (first, &["客厅", "车库"], json!("changed"), first),
        (first, &["客厅"], Value::Null, first),
        (second, &["客厅"], json!("changed"), first),
        (third, &["客厅"], json!("changed"), second),
        (first, &["客厅"], Value::Null, third),
    ];
    for (content, rooms, drift, before) in steps {
        api.app.advance(HOUR);
        api.world()
            .change_template(MP, "S", &listed(content, rooms))
            .unwrap();
        assert_eq!(
            api.sync(MP).await["changed"],
            json!(["S"]),
            "each change is told"
        );
        let found = api.templates(MP).await["items"][0].clone();
        assert_eq!(
            (&found["drift"], &found["previous"]["content"]),
            (&drift, &json!(before)),
            "{found}"
        );
        assert_eq!(found["changed_at"], json!(api.app.clock.now().and_utc()));
    }
    // What is gone and comes back is measured by what it was at first, too.
    api.world().remove_template(MP, "S").unwrap();
    api.sync(MP).await;
    assert_eq!(api.templates(MP).await["items"][0]["drift"], "gone");
    for (content, drift) in [(second, json!("changed")), (first, Value::Null)] {
        api.world()
            .add_template(MP, &listed(content, &["客厅"]))
            .unwrap();
        api.sync(MP).await;
        assert_eq!(api.templates(MP).await["items"][0]["drift"], drift);
        api.world().remove_template(MP, "S").unwrap();
    }
}

async fn message_types_that_a_template_breaks_are_flagged_before_anyone_sends(api: ApiFixture) {
    api.world()
        .add_template(
            OA,
            &template("A", "{{first.DATA}}{{thing1.DATA}}{{remark.DATA}}"),
        )
        .unwrap();
    assert_eq!(
        api.put_type("ping", route("A", &["thing9"])).await,
        json!([]),
        "nothing is known yet"
    );
    assert_eq!(api.problems("ping").await, []);
    api.sync(OA).await;
    let wrong = owned(&[
        ("key_missing", "routes[0].fields"),
        ("key_unknown", "routes[0].fields.thing9"),
    ]);
    assert_eq!(api.problems("ping").await, wrong);
    assert_eq!(
        api.put_type("ping", route("A", &["thing1"])).await,
        json!([])
    );
    assert_eq!(api.problems("ping").await, []);
    // It is warned of when it is put, and not refused: what is known may be old.
    let unknown = owned(&[("template_unknown", "routes[0].template_id")]);
    assert_eq!(
        brief(&api.put_type("pong", route("Z", &["thing1"])).await),
        unknown
    );
    assert_eq!(api.problems("pong").await, unknown);
    api.world()
        .change_template(OA, "A", &template("A", "{{thing1.DATA}}{{time2.DATA}}"))
        .unwrap();
    api.sync(OA).await;
    assert_eq!(
        api.problems("ping").await,
        owned(&[("key_missing", "routes[0].fields")])
    );
    let found = api.app.get(&api.key, "/message-types/ping").await.ok(200);
    let detail = found["problems"][0]["detail"].as_str().unwrap();
    assert!(
        detail.contains("time2") && detail.contains("47003"),
        "{detail}"
    );
    // WeChat does what was said.
    api.new_follower(0).await;
    api.staff("s1").await;
    let unionid = queqiao::simulator::population::unionid(0);
    api.bind("s1", json!({"unionid": unionid})).await;
    let asked = json!({"message_type": "ping", "staff_ids": ["s1"]});
    let id = api
        .app
        .post(&api.key, "/notifications", asked)
        .await
        .ok(202)["id"]
        .clone();
    api.app.drain().await;
    let sent = api
        .app
        .get(&api.key, &format!("/notifications/{id}/deliveries"))
        .await
        .ok(200);
    assert_eq!(sent["items"][0]["attempts"][0]["errcode"], 47003, "{sent}");
    api.world().remove_template(OA, "A").unwrap();
    api.sync(OA).await;
    let gone = owned(&[("template_gone", "routes[0].template_id")]);
    assert_eq!(api.problems("ping").await, gone);
    assert_eq!(
        brief(&api.put_type("ping", route("A", &["thing1"])).await),
        gone
    );
}

async fn a_preview_knows_the_keys_and_the_listed_texts_of_a_subscription_template(api: ApiFixture) {
    let listed = TemplateSettings {
        kind: TemplateKind::SubscribeOnce,
        values: [("enum_string3".to_owned(), vec!["客厅".to_owned()])].into(),
        ..template("S", "{{thing1.DATA}}{{time2.DATA}}{{enum_string3.DATA}}")
    };
    api.world().add_template(MP, &listed).unwrap();
    api.sync(MP).await;
    let fields = json!({"thing1": "x", "enum_string3": "{{ params.room }}"});
    let route =
        json!({"channel": "mp_subscribe", "account": MP, "template_id": "S", "fields": fields});
    let missing = owned(&[("key_missing", "routes[0].fields")]);
    assert_eq!(
        brief(&api.put_type("ping", json!({"routes": [route]})).await),
        missing
    );
    for (room, unlisted) in [("客厅", false), ("车库", true)] {
        let body = json!({"params": {"room": room}});
        let shown = api
            .app
            .post(&api.key, "/message-types/ping/preview", body)
            .await
            .ok(200);
        let warnings = shown["routes"][0]["warnings"].as_array().unwrap();
        let rules: Vec<&str> = warnings
            .iter()
            .filter_map(|one| one["rule"].as_str())
            .collect();
        assert!(rules.contains(&"key_missing"), "{shown}");
        assert_eq!(rules.contains(&"value_unlisted"), unlisted, "{shown}");
    }
    // The templates of bizsend are not listed with the account's others.
    api.sync(OA).await;
    let route = json!({"channel": "oa_subscribe", "account": OA, "template_id": "S", "fields": {"thing1": "x"}});
    assert_eq!(
        api.put_type("pong", json!({"routes": [route]})).await,
        json!([])
    );
}

async fn another_projects_templates_do_not_exist(api: ApiFixture) {
    api.world()
        .add_template(FOREIGN, &template("F", "{{thing1.DATA}}"))
        .unwrap();
    let path = format!("/accounts/{FOREIGN}/templates");
    api.app
        .call("POST", &api.other, &format!("{path}/sync"), None)
        .await
        .ok(200);
    assert_eq!(
        api.app.get(&api.other, &path).await.ok(200)["items"][0]["template_id"],
        "F"
    );
    api.app
        .get(&api.key, &path)
        .await
        .refused(404, "not_found", "");
    let sync = api
        .app
        .call("POST", &api.key, &format!("{path}/sync"), None)
        .await;
    sync.refused(404, "not_found", "");
    let unknown = api
        .app
        .get(&api.key, "/accounts/wx00000000000000ff/templates")
        .await;
    unknown.refused(404, "not_found", "");
}
