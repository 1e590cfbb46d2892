//! A project with two service accounts, a simulated WeChat, and a clock that stands still.

use queqiao::bridge::steps::StepName;
use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveDate, NaiveDateTime};
use queqiao::bridge::notify::{Accepted, NotifyError, NotifyRequest, Recipients};
use queqiao::bridge::routes::{Manner, Params};
use queqiao::bridge::{Bridge, Step};
use queqiao::clock::Clock;
use queqiao::config::Config;
use queqiao::db::{Conn, Engine};
use queqiao::ids::{AccountId, IdentityId, NotificationId, ProjectId};
use queqiao::models::delivery::attempt::{self, Attempt};
use queqiao::models::delivery::receipt::{self, NewReceipt};
use queqiao::models::delivery::{self, Claim, Delivery, DeliveryState};
use queqiao::models::identity::{self, Sighting};
use queqiao::models::notification::Priority;
use queqiao::models::notification::message_type;
use queqiao::simulator::{Origin, Simulator, SimulatorOptions, World, population};
use serde_json::{Value, json};

use crate::support::setup::{Stored, template};
use crate::support::{Fixture, Setup, TestDb, rows};

/// The two service accounts.
pub(super) const APPS: [&str; 2] = ["wx00000000000000a1", "wx00000000000000b2"];
pub(super) const TYPE: &str = "order_created";
pub(super) const SEND: &str = "/cgi-bin/message/template/send";

/// Deliveries on their way out: no server, no people who answer.
pub(super) struct OutboxFixture {
    pub(super) bridge: Bridge,
    pub(super) clock: Clock,
    pub(super) project: ProjectId,
    pub(super) accounts: [AccountId; 2],
    simulator: Simulator,
    pub(super) database: TestDb,
}

impl Fixture for OutboxFixture {
    async fn on(engine: Engine) -> Self {
        Self::with(engine, |_| {}).await
    }
}

impl OutboxFixture {
    pub(super) async fn with(engine: Engine, settings: impl FnOnce(&mut Config)) -> Self {
        let options = SimulatorOptions {
            workers: 1,
            ..SimulatorOptions::default()
        };
        let listed = || template("TPL", "What:{{thing1.DATA}}");
        let (test, mut projects) = Setup::on(engine)
            .wechat(options)
            .settings(settings)
            .at(noon())
            .people(100)
            .project("shop")
            .official(APPS[0])
            .template(APPS[0], listed())
            .official(APPS[1])
            .template(APPS[1], listed())
            .message_type(TYPE, json!([route(APPS[0]), route(APPS[1])]))
            .bridge()
            .await;
        let Stored { project, accounts } = projects.remove(0);
        Self {
            bridge: test.bridge,
            clock: test.clock,
            project,
            accounts: accounts.try_into().unwrap(),
            simulator: test.simulator,
            database: test.database,
        }
    }

    pub(super) fn world(&self) -> &World {
        self.simulator.world()
    }

    pub(super) fn sends(&self) -> u64 {
        self.world().calls(SEND, None).unwrap()
    }

    /// Moves our clock and WeChat's.
    pub(super) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.world().advance(Duration::from_secs(seconds));
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Conn) -> queqiao::db::QueryResult<T> + Send + 'static,
    ) -> T {
        self.bridge.db.write_once(work).await.unwrap()
    }

    pub(super) async fn set_routes(&self, routes: Value) {
        let (project, now) = (self.project, self.clock.now());
        let put = move |conn: &mut Conn| {
            message_type::put(conn, project, TYPE, None, &routes.to_string(), now)
        };
        self.write(put).await;
    }

    /// A staff member, bound to a person whom we believe to follow that account, or not.
    pub(super) async fn bound(
        &self,
        staff_id: &str,
        app: usize,
        person: u32,
        follows: bool,
    ) -> IdentityId {
        let openid = population::openid(APPS[app], person);
        let (project, account, now) = (self.project, self.accounts[app], self.clock.now());
        let staff_id = staff_id.to_owned();
        if follows {
            let origin = Origin::search();
            let people = person..person + 1;
            self.world()
                .add_followers(APPS[app], people, &origin)
                .unwrap();
        }
        self.write(move |conn| {
            let sighting = Sighting {
                followed_time: if follows { 1_767_000_000 } else { 0 },
                unfollowed_time: if follows { 0 } else { 1_767_000_000 },
                profile_due_at: None,
                ..rows::sighting(project, account, &openid, now)
            };
            identity::record_sightings(conn, &[sighting])?;
            let identity = identity::by_openid(conn, account, &openid)?.unwrap();
            rows::bind(conn, project, &staff_id, identity.id, now)?;
            Ok(identity.id)
        })
        .await
    }

    pub(super) async fn notify(&self, staff_ids: &[&str]) -> Accepted {
        self.try_notify(staff_ids, json!({"title": "已发货"}), None)
            .await
            .unwrap()
    }

    /// So many staff, `p1` and so on, who follow an account.
    pub(super) async fn crowd(&self, app: usize, count: u32) -> Vec<String> {
        let mut staff_ids = Vec::new();
        for person in 1..=count {
            let staff_id = format!("p{person}");
            self.bound(&staff_id, app, person, true).await;
            staff_ids.push(staff_id);
        }
        staff_ids
    }

    pub(super) async fn notify_as(&self, priority: &str, staff_ids: &[String]) -> NotificationId {
        let staff_ids: Vec<&str> = staff_ids.iter().map(String::as_str).collect();
        let mut asked = request(&staff_ids, json!({"title": priority}), None);
        asked.priority = Some(priority.to_owned());
        let accepted = self.bridge.notify(self.project, asked).await.unwrap();
        accepted.notification_id
    }

    /// Another process on the same database.
    pub(super) fn replica(&self) -> Bridge {
        self.replica_with(|_| {})
    }

    /// Another one with other settings.
    pub(super) fn replica_with(&self, settings: impl FnOnce(&mut Config)) -> Bridge {
        let mut config = Config::clone(&self.bridge.config);
        settings(&mut config);
        Bridge::new(
            self.bridge.db.clone(),
            self.clock.clone(),
            self.bridge.wechat.clone(),
            self.bridge.vault.clone(),
            Arc::new(config),
        )
    }

    /// Steps until nothing is to be done.
    pub(super) async fn settle(&self) {
        let mut idle = 0;
        // One that finds nothing may make something due.
        while idle < 2 {
            match self.deliver().await {
                Step::Worked => idle = 0,
                _ => idle += 1,
            }
        }
    }

    /// How many deliveries of a notification are in a state.
    pub(super) async fn count(&self, id: NotificationId, state: DeliveryState) -> usize {
        let all = self.deliveries(id).await;
        all.iter()
            .filter(|delivery| delivery.state == state)
            .count()
    }

    pub(super) async fn try_notify(
        &self,
        staff_ids: &[&str],
        params: Value,
        key: Option<&str>,
    ) -> Result<Accepted, NotifyError> {
        let request = request(staff_ids, params, key);
        self.bridge.notify(self.project, request).await
    }

    pub(super) async fn deliver(&self) -> Step {
        let step = self.bridge.run(StepName::Deliver).await.unwrap();
        self.bridge.hastened().await;
        step
    }

    /// As another process would claim from the first account.
    pub(super) fn claim(&self, now: NaiveDateTime) -> Claim {
        Claim {
            lane: self.accounts[0],
            priority: Priority::Normal,
            now,
            lease: chrono::TimeDelta::seconds(120),
            limit: 10,
            ended: None,
        }
    }

    /// The only delivery of a notification, with its attempts as (number, outcome, errcode).
    pub(super) async fn only(
        &self,
        id: NotificationId,
    ) -> (Delivery, Vec<(i32, String, Option<i64>)>) {
        let mut all = self.deliveries(id).await;
        assert_eq!(all.len(), 1);
        let delivery = all.remove(0);
        let wanted = delivery.id;
        let attempts = self
            .write(move |conn| attempt::of_deliveries(conn, &[wanted]))
            .await;
        let short =
            |attempt: Attempt| (attempt.number, attempt.outcome.to_string(), attempt.errcode);
        (delivery, attempts.into_iter().map(short).collect())
    }

    pub(super) async fn deliveries(&self, id: NotificationId) -> Vec<Delivery> {
        self.write(move |conn| delivery::of_notification(conn, id, None, 1_000))
            .await
    }

    /// What WeChat says of a message, as the event of it is stored.
    pub(super) async fn receipt(&self, app: usize, msgid: i64, delivered: bool) {
        let row = NewReceipt {
            account_id: self.accounts[app],
            msgid,
            delivered,
            reason: (!delivered).then(|| "user block".to_owned()),
            create_time: self.clock.unix_seconds(),
            now: self.clock.now(),
            stats_day: queqiao::clock::Day(0),
        };
        self.write(move |conn| receipt::insert_many(conn, &[row]))
            .await;
    }
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "it is written down where it is given"
)]
pub(super) fn request(staff_ids: &[&str], params: Value, key: Option<&str>) -> NotifyRequest {
    NotifyRequest {
        message_type: TYPE.to_owned(),
        brought: Vec::new(),
        manner: Manner::default(),
        recipients: Recipients::Staff {
            staff_ids: staff_ids.iter().map(|&id| id.to_owned()).collect(),
        },
        params: Params::read(&params.to_string()).unwrap(),
        priority: None,
        send_at: None,
        expires_at: None,
        idempotency_key: key.map(str::to_owned),
    }
}

pub(super) fn route(app_id: &str) -> Value {
    json!({
        "account": app_id, "template_id": "TPL",
        "fields": {"thing1": "{{ params.title }}"}, "url": "https://example.com/orders",
    })
}

/// 12:00 in Beijing.
fn noon() -> NaiveDateTime {
    let day = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
    day.and_hms_opt(4, 0, 0).unwrap()
}
