//! Numbers of params reach the person as the app wrote them, or are refused in words.

use reqwest::Method;
use serde_json::{Value, json};

use super::{ApiFixture, OA};
use crate::support::api::by_unionid;
use crate::support::app::Answer;
use crate::support::setup::template;

/// Numbers that a double does not hold, or shows otherwise.
const NUMBERS: [&str; 7] = [
    "12345678901234567890123",
    "99999999999999999.99",
    "100.00",
    "0.10",
    "-7",
    "1e3",
    "1234567890123456789012345678901234567890123",
];

impl ApiFixture {
    /// As it is written, which serde_json would not leave alone.
    async fn raw(&self, path: &str, body: String, key: Option<&str>) -> Answer {
        let request = self.app.request(Method::POST, &format!("/api/v1{path}"));
        let request = request
            .bearer_auth(&self.key)
            .header("Content-Type", "application/json");
        let request = match key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        };
        self.app.send(request.body(body)).await
    }

    async fn numbered(&self) {
        let content = "{{keyword1.DATA}} {{keyword2.DATA}} {{keyword3.DATA}}";
        let listed = template("TPL", content);
        self.world().add_template(OA, &listed).unwrap();
        self.new_follower(1).await;
        let routes = json!([{
            "account": OA, "template_id": "TPL", "url": "https://example.com/?n={{ params.n }}",
            "fields": {
                "keyword1": "{{ params.n }}元",
                "keyword2": "{{ (params.list | first) if params.n else 'none' }}",
                "keyword3": "{% if params.n > 99.5 %}more{% else %}less{% endif %}",
            },
        }]);
        self.message_type("bill", routes).await;
        self.staff("s1").bound_to(by_unionid(1)).await;
    }
}

both_engines! {
    the_digits_of_a_number_stay_as_they_were_written,
    a_number_that_is_too_long_is_refused_in_words,
}

async fn the_digits_of_a_number_stay_as_they_were_written(api: ApiFixture) {
    api.numbered().await;
    for (at, number) in NUMBERS.into_iter().enumerate() {
        let params = format!(r#"{{"list":[{number}],"n":{number}}}"#);
        let body = format!(r#"{{"params": {params}}}"#);
        let preview = api
            .raw("/message-types/bill/preview", body, None)
            .await
            .ok(200);
        let fields = preview["routes"][0]["fields"].clone();
        assert_eq!(fields["keyword1"], format!("{number}元"), "{preview}");
        assert_eq!(fields["keyword2"], number);
        let more = number.parse::<f64>().unwrap() > 99.5;
        assert_eq!(fields["keyword3"], if more { "more" } else { "less" });
        let ask = |number: &str| {
            format!(
                r#"{{"message_type": "bill", "staff_ids": ["s1"], "params": {{"n": {number}, "list": [{number}]}}}}"#
            )
        };
        let key = format!("k{at}");
        let first = api
            .raw("/notifications", ask(number), Some(&key))
            .await
            .ok(202);
        let again = api
            .raw("/notifications", ask(number), Some(&key))
            .await
            .ok(202);
        assert_eq!(
            (&again["id"], &again["replayed"]),
            (&first["id"], &json!(true))
        );
        let refused = api.raw("/notifications", ask("100.0"), Some(&key)).await;
        refused.refused(409, "idempotency_conflict", "Idempotency-Key");
        let path = format!("/notifications/{}", first["id"]);
        let stored = api.app.get(&api.key, &path).await;
        assert!(
            stored.text.contains(&format!("\"params\":{params}")),
            "{}",
            stored.text
        );
        api.app.drain().await;
        let messages = api.app.simulator.world().messages();
        let seen = messages.last().unwrap();
        // WeChat shows twenty characters.
        let shown: String = format!("{number}元").chars().take(20).collect();
        assert_eq!(seen.data["keyword1"], shown);
        assert_eq!(
            seen.url.as_deref(),
            Some(format!("https://example.com/?n={number}").as_str())
        );
        assert_eq!(messages.len(), at + 1);
    }
}

async fn a_number_that_is_too_long_is_refused_in_words(api: ApiFixture) {
    api.numbered().await;
    for (length, refused) in [(128, false), (129, true), (10_000, true)] {
        let number = "9".repeat(length);
        let params = format!(r#""params": {{"n": 1, "list": [1, {number}]}}"#);
        for (path, more) in [
            ("/message-types/bill/preview", ""),
            (
                "/notifications",
                r#""message_type": "bill", "staff_ids": ["s1"], "#,
            ),
        ] {
            let answer = api.raw(path, format!("{{{more}{params}}}"), None).await;
            if !refused {
                assert!(answer.status < 300, "{answer:?}");
                continue;
            }
            let problem = answer.refused(422, "invalid_field", "params.list[1]");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("at most 128, or a text"), "{detail}");
        }
    }
    let broken: Value = json!({"params": [1]});
    api.app
        .post(&api.key, "/message-types/bill/preview", broken)
        .await
        .refused(422, "invalid_body", "params");
}
