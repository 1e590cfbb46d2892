//! The numbers by day as the API shows them, and as they come out when the rows are counted.

use std::collections::BTreeMap;

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, JoinOnDsl as _,
    NullableExpressionMethods as _, QueryDsl as _, RunQueryDsl as _,
};
use queqiao::clock::{Day, TimeZone};
use queqiao::db::schema::{
    accounts, deliveries, events, message_type_versions, notifications, receipts,
};
use queqiao::db::{Conn, QueryResult};
use queqiao::ids::{ProjectId, VersionId};
use queqiao::models::project;
use serde_json::Value;

use super::TestProject;

/// Day, metric, name, channel, reason and AppID of a number.
pub(crate) type Number = [String; 6];
/// Numbers that are not zero.
pub(crate) type Numbers = BTreeMap<Number, i64>;

fn number(day: Day, words: [&str; 5]) -> Number {
    let [metric, name, channel, reason, app_id] = words.map(str::to_owned);
    [day.to_string(), metric, name, channel, reason, app_id]
}

/// Those of events, deliveries and receipts, counted from the rows, whatever they say of their days.
pub(crate) fn of_rows(conn: &mut Conn, project: ProjectId) -> QueryResult<Numbers> {
    let zone = project::time_zone(conn, project)?;
    let mut numbers = Numbers::new();
    let mut add = |number: Number| *numbers.entry(number).or_default() += 1;
    let known = events::table
        .inner_join(accounts::table)
        .filter(accounts::project_id.eq(project))
        // One that is replayed is counted already.
        .filter(events::state.eq(1).or(events::stats_day.is_not_null()))
        .select((accounts::app_id, events::kind, events::received_at));
    let known: Vec<(String, String, chrono::NaiveDateTime)> = known.load(conn)?;
    for (app_id, kind, at) in known {
        add(number(zone.day(at), ["events", &kind, "", "", &app_id]));
    }
    let known = receipts::table
        .inner_join(accounts::table.on(accounts::id.eq(receipts::account_id)))
        .filter(accounts::project_id.eq(project))
        .select((
            accounts::app_id,
            receipts::delivered,
            receipts::reason,
            receipts::created_at,
        ));
    let known: Vec<(String, bool, Option<String>, chrono::NaiveDateTime)> = known.load(conn)?;
    for (app_id, delivered, reason, at) in known {
        let result = if delivered { "delivered" } else { "failed" };
        let reason = reason.unwrap_or_default();
        add(number(
            zone.day(at),
            ["receipts", result, "", &reason, &app_id],
        ));
    }
    for one in rows_of_deliveries(conn, project)? {
        for number in one.numbers(zone) {
            add(number);
        }
    }
    Ok(numbers)
}

struct DeliveryRow {
    state: String,
    reason: Option<String>,
    route: Option<i32>,
    routes: String,
    app_id: Option<String>,
    first: chrono::NaiveDateTime,
}

fn rows_of_deliveries(conn: &mut Conn, project: ProjectId) -> QueryResult<Vec<DeliveryRow>> {
    let versions: Vec<(VersionId, String)> = message_type_versions::table
        .select((message_type_versions::id, message_type_versions::routes))
        .load(conn)?;
    let versions: BTreeMap<VersionId, String> = versions.into_iter().collect();
    let known = deliveries::table
        .inner_join(notifications::table)
        .left_join(accounts::table.on(deliveries::account_id.eq(accounts::id.nullable())))
        .filter(deliveries::project_id.eq(project))
        .select((
            (deliveries::state, deliveries::reason, deliveries::route),
            (notifications::routes, deliveries::routes_id),
            accounts::app_id.nullable(),
            (deliveries::created_at, notifications::send_at),
        ));
    type Row = (
        (String, Option<String>, Option<i32>),
        (String, Option<VersionId>),
        Option<String>,
        (chrono::NaiveDateTime, Option<chrono::NaiveDateTime>),
    );
    let known: Vec<Row> = known.load(conn)?;
    let row =
        |((state, reason, route), (own, version), app_id, (accepted, send_at)): Row| DeliveryRow {
            state,
            reason,
            route,
            routes: version.map_or(own, |version| versions[&version].clone()),
            app_id,
            first: send_at.unwrap_or(accepted).max(accepted),
        };
    Ok(known.into_iter().map(row).collect())
}

impl DeliveryRow {
    fn channel(&self) -> String {
        let routes: Value = serde_json::from_str(&self.routes).unwrap();
        let route = self
            .route
            .map(|route| &routes[usize::try_from(route).unwrap()]);
        let channel = route.map(|route| route["channel"].as_str().unwrap_or("template"));
        channel.unwrap_or_default().to_owned()
    }

    fn numbers(&self, zone: TimeZone) -> [Number; 2] {
        let day = zone.day(self.first);
        let state = match self.state.as_str() {
            "queued" => ["deliveries", "queued", "", "", ""].map(str::to_owned),
            state => [
                "deliveries".to_owned(),
                state.to_owned(),
                self.channel(),
                self.reason.clone().unwrap_or_default(),
                self.app_id.clone().unwrap_or_default(),
            ],
        };
        [
            number(day, ["accepted", "", "", "", ""]),
            number(day, state.each_ref().map(String::as_str)),
        ]
    }
}

impl TestProject {
    /// What the API answers about these days, as `/stats` takes them.
    pub(crate) async fn stats(&self, query: &str) -> Value {
        let path = format!("/stats?{query}");
        self.app.get(&self.key, &path).await.ok(200)
    }

    /// All numbers that the API shows of some hundred days around today, told apart as far as can be.
    pub(crate) async fn numbers(&self) -> Numbers {
        let zone = TimeZone::named(self.stats("").await["time_zone"].as_str().unwrap()).unwrap();
        let today = zone.day(self.app.clock.now());
        let (from, to) = (today.later(-250), today.later(120));
        let shown = self
            .stats(&format!("from={from}&to={to}&group=channel,reason,account"))
            .await;
        let days = shown["days"].as_array().unwrap();
        let mut numbers = Numbers::new();
        for one in shown["series"].as_array().unwrap() {
            let word = |field: &str| one[field].as_str().unwrap_or_default().to_owned();
            let counts = one["counts"].as_array().unwrap();
            assert_eq!(counts.len(), days.len(), "{one}");
            let counts = counts.iter().map(|count| count.as_i64().unwrap());
            let total: i64 = counts.clone().sum();
            assert_eq!(one["total"], total, "{one}");
            for (day, count) in days.iter().zip(counts) {
                let day = day.as_str().unwrap().to_owned();
                let [metric, name, channel, reason, app_id] =
                    ["metric", "name", "channel", "reason", "app_id"].map(word);
                let number = [day, metric, name, channel, reason, app_id];
                if count != 0 {
                    assert_eq!(numbers.insert(number, count), None, "{one}");
                }
            }
        }
        numbers
    }

    /// Asserts that the numbers are what a count of the rows gives.
    pub(crate) async fn assert_counted(&self, when: &str) -> Numbers {
        let project = self.project;
        let of_rows = self
            .app
            .database
            .db()
            .snapshot(move |conn| of_rows(conn, project));
        let of_rows = of_rows.await.unwrap();
        let all = self.numbers().await;
        let mut shown = all.clone();
        let from_rows = ["events", "accepted", "deliveries", "receipts"];
        shown.retain(|[_, metric, ..], _| from_rows.contains(&metric.as_str()));
        let only = |one: &Numbers, other: &Numbers| -> Vec<_> {
            let differing = one
                .iter()
                .filter(|(number, count)| other.get(*number) != Some(count));
            differing
                .map(|(number, count)| (number.join(" "), *count))
                .collect()
        };
        assert!(
            shown == of_rows,
            "{when}: shown {:?}, rows {:?}",
            only(&shown, &of_rows),
            only(&of_rows, &shown)
        );
        all
    }
}
