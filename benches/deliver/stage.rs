//! The stage: a simulated WeChat, Queqiao with staff who all follow, and the bare loop.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chrono::NaiveDateTime;
use diesel::prelude::*;
use queqiao::clock::Clock;
use queqiao::db::{Conn, Db, DbError};
use queqiao::models::account;
use queqiao::models::identity::{self, ProfileState, Sighting};
use queqiao::models::notification::message_type;
use queqiao::simulator::{Stats, population};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::notified::Notified;
use crate::support::cluster::Cluster;
use crate::support::{APP_ID, Installation, Running, SECRET, database, simulator};

/// Sends at the same time: `batch_rows` times `loops` of the default settings.
pub(crate) const IN_FLIGHT: u32 = 512;
const TEMPLATE: &str = "order-status-template";

/// Everything that a measurement needs.
pub(crate) struct Stage<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) http: reqwest::Client,
    wechat: Running,
    pub(crate) service: Running,
    pub(crate) key: String,
    pub(crate) db: Db,
    conn: RefCell<Conn>,
    /// After the processes that use it.
    _installation: Installation,
}

impl<'a> Stage<'a> {
    /// Starts everything, with so many staff.
    pub(crate) fn set(
        runtime: &'a Runtime,
        cluster: Option<&Cluster>,
        staff: u32,
        name: &str,
    ) -> Self {
        let wechat = simulator(staff, &["--record", "0", "--mode", "compatible"]);
        let url = cluster.map(|cluster| database(cluster, name));
        let installation = Installation::new(url, &format!("http://{}", wechat.address));
        let key = installation.run(&["keys", "add", "bench"]);
        let db = installation.db();
        prepare(runtime, &db, staff);
        let service = installation.serve("all");
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(IN_FLIGHT as usize)
            .build()
            .expect("a client");
        let stage = Self {
            runtime,
            http,
            wechat,
            service,
            key,
            conn: RefCell::new(db.connect().expect("the database answers")),
            db,
            _installation: installation,
        };
        let template = json!({
            "template_id": TEMPLATE,
            "title": "Order",
            "content": "Order: {{character_string1.DATA}}\nStatus: {{thing2.DATA}}",
        });
        stage.control(reqwest::Method::POST, "/templates", &template);
        stage
    }

    fn control(&self, method: reqwest::Method, what: &str, body: &Value) {
        let url = format!(
            "http://{}/_sim/accounts/{APP_ID}{what}",
            self.wechat.address
        );
        let request = self.http.request(method, url).json(body);
        let answer = self.runtime.block_on(request.send()).expect("an answer");
        assert!(answer.status().is_success(), "{what}: {}", answer.status());
    }

    /// From now on receipts come.
    pub(crate) fn want_receipts(&self) {
        let callback = format!("http://{}/callback/{APP_ID}", self.service.address);
        self.control(
            reqwest::Method::PATCH,
            "",
            &json!({ "callback_url": callback }),
        );
    }

    /// What the simulator has counted.
    pub(crate) fn seen(&self) -> Stats {
        let url = format!("http://{}/_sim/stats", self.wechat.address);
        let stats = async { self.http.get(url).send().await?.json().await };
        self.runtime.block_on(stats).expect("stats")
    }

    /// Messages per second of a loop that does nothing but post them.
    pub(crate) fn bare(&self, messages: u32) -> f64 {
        let token = self.token();
        let url: Arc<str> = format!(
            "http://{}/cgi-bin/message/template/send?access_token={token}",
            self.wechat.address
        )
        .into();
        let (next, before) = (Arc::new(AtomicU32::new(0)), self.seen());
        let run: u32 = rand::random();
        let started = Instant::now();
        let tasks: Vec<_> = (0..IN_FLIGHT)
            .map(|_| {
                let (http, url, next) = (self.http.clone(), Arc::clone(&url), Arc::clone(&next));
                self.runtime.spawn(async move {
                    loop {
                        let person = next.fetch_add(1, Ordering::Relaxed);
                        if person >= messages {
                            return;
                        }
                        post(&http, &url, person, run).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            self.runtime.block_on(task).expect("every message is taken");
        }
        let elapsed = started.elapsed().as_secs_f64();
        assert_eq!(self.seen().messages - before.messages, u64::from(messages));
        f64::from(messages) / elapsed
    }

    fn token(&self) -> String {
        let base_url = format!("http://{}", self.wechat.address).parse();
        let options = queqiao::wechat::client::ClientOptions::new(base_url.expect("a URL"));
        let client = queqiao::wechat::client::Client::new(options).expect("a client");
        let secret = SecretString::from(SECRET);
        let grant = client.stable_token(APP_ID, &secret, false);
        let grant = self.runtime.block_on(grant).expect("a token");
        grant.access_token.expose().to_owned()
    }

    /// Asks for one notification to the first so many of the staff.
    pub(crate) fn notify(&self, recipients: u32) -> Notified<'_> {
        self.notify_as(recipients, "normal")
    }

    /// The same with a priority.
    pub(crate) fn notify_as(&self, recipients: u32, priority: &str) -> Notified<'_> {
        let staff_ids: Vec<String> = (0..recipients).map(staff_id).collect();
        let body = json!({
            "message_type": "order_created",
            "priority": priority,
            "staff_ids": staff_ids,
            "params": { "order": "SF1234567", "status": "已发货" },
        });
        let body = serde_json::to_vec(&body).expect("JSON");
        let before = self.seen();
        let url = format!("http://{}/api/v1/notifications", self.service.address);
        let request = self
            .http
            .post(url)
            .bearer_auth(&self.key)
            .header("Content-Type", "application/json")
            .body(body);
        let started = Instant::now();
        let answer = async {
            let answer = request.send().await?;
            let status = answer.status();
            Ok::<_, reqwest::Error>((status, answer.bytes().await?))
        };
        let (status, body) = self.runtime.block_on(answer).expect("an answer");
        let took = started.elapsed();
        assert_eq!(status.as_u16(), 202, "{}", String::from_utf8_lossy(&body));
        let accepted: Accepted = serde_json::from_slice(&body).expect("the answer is JSON");
        assert_eq!(accepted.counts.queued, recipients);
        Notified {
            stage: self,
            id: accepted.id,
            recipients,
            started,
            accept: took,
            peak_mib: self.peak_mib(),
            before,
        }
    }

    /// The service's resident memory at its highest.
    pub(crate) fn peak_mib(&self) -> f64 {
        self.service.peak_mib()
    }

    /// What the service has used of the processors.
    pub(crate) fn processor_time(&self) -> Duration {
        self.service.processor_time()
    }

    /// Transactions in the database so far, where it counts them.
    pub(crate) fn transactions(&self) -> Option<i64> {
        let mut conn = self.conn.borrow_mut();
        let Conn::Postgres(_) = *conn else {
            return None;
        };
        let sql = "SELECT xact_commit + xact_rollback AS n FROM pg_stat_database \
                   WHERE datname = current_database()";
        Some(one(&mut conn, sql))
    }
}

#[derive(Deserialize)]
struct Accepted {
    id: i64,
    counts: Counts,
}

#[derive(Deserialize)]
struct Counts {
    queued: u32,
}

fn one(conn: &mut Conn, sql: &str) -> i64 {
    #[derive(QueryableByName)]
    struct Number {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        n: i64,
    }
    let numbers: Vec<Number> = diesel::sql_query(sql).load(conn).expect("a number");
    numbers.first().map_or(0, |number| number.n)
}

/// One message of the bare loop, like those that Queqiao sends.
async fn post(http: &reqwest::Client, url: &str, person: u32, run: u32) {
    #[derive(Deserialize)]
    struct Answer {
        errcode: i64,
    }
    let body = json!({
        "touser": population::openid(APP_ID, person),
        "template_id": TEMPLATE,
        "url": "https://example.com/orders/SF1234567",
        "client_msg_id": format!("{run:016x}-{person:x}"),
        "data": {
            "character_string1": { "value": "SF1234567" },
            "thing2": { "value": "已发货" },
        },
    });
    let answer = http.post(url).json(&body).send().await.expect("an answer");
    let answer: Answer = answer.json().await.expect("the answer is JSON");
    assert_eq!(answer.errcode, 0);
}

fn staff_id(person: u32) -> String {
    format!("staff-{person:06}")
}

/// Staff who are bound to followers, and a message type.
fn prepare(runtime: &Runtime, db: &Db, staff: u32) {
    let now = Clock::system().now();
    let people: Vec<u32> = (0..staff).collect();
    for chunk in people.chunks(5_000) {
        let chunk = chunk.to_vec();
        let stored = runtime.block_on(db.write(move |conn| {
            let account = account::by_app_id(conn, APP_ID)?.expect("the service account");
            let rows: Vec<Sighting> = chunk
                .iter()
                .map(|person| Sighting {
                    project_id: account.project_id,
                    account_id: account.id,
                    openid: population::openid(APP_ID, *person),
                    followed_time: 1_767_000_000,
                    unfollowed_time: 0,
                    qr_scene: None,
                    profile_state: ProfileState::Complete,
                    profile_due_at: None,
                    now,
                })
                .collect();
            identity::record_sightings(conn, &rows)?;
            bind(conn, &chunk, now)
        }));
        stored.expect("staff");
    }
    let stored = runtime.block_on(db.write(move |conn| {
        let project = account::by_app_id(conn, APP_ID)?
            .expect("the account")
            .project_id;
        let routes = json!([{
            "account": APP_ID,
            "template_id": TEMPLATE,
            "fields": {
                "character_string1": "{{ params.order }}",
                "thing2": "{{ params.status }}",
            },
            "url": "https://example.com/orders/{{ params.order }}",
        }]);
        message_type::put(
            conn,
            project,
            "order_created",
            None,
            &routes.to_string(),
            now,
        )?;
        Ok::<_, DbError>(())
    }));
    stored.expect("a message type");
    // As a database in use would have it.
    let mut conn = db.connect().expect("the database answers");
    diesel::sql_query("ANALYZE")
        .execute(&mut conn)
        .expect("statistics");
}

/// Staff with bindings, many rows in a statement.
fn bind(conn: &mut Conn, people: &[u32], now: NaiveDateTime) -> Result<(), DbError> {
    let now = now.format("%F %T%.6f");
    let known: Vec<String> = people
        .iter()
        .map(|person| {
            let openid = population::openid(APP_ID, *person);
            format!("('{}', '{openid}')", staff_id(*person))
        })
        .collect();
    let known = format!(
        "WITH known (staff_id, openid) AS (VALUES {})",
        known.join(", ")
    );
    let identity = format!(
        "FROM known JOIN identities i ON i.openid = known.openid \
         JOIN accounts a ON a.id = i.account_id AND a.app_id = '{APP_ID}'"
    );
    diesel::sql_query(format!(
        "{known} INSERT INTO staff (project_id, staff_id, created_at, updated_at) \
         SELECT i.project_id, known.staff_id, i.created_at, i.created_at {identity}"
    ))
    .execute(conn)?;
    diesel::sql_query(format!(
        "{known} INSERT INTO bindings (project_id, staff_row_id, identity_id, created_at) \
         SELECT i.project_id, s.id, i.id, i.created_at {identity} \
         JOIN staff s ON s.project_id = i.project_id AND s.staff_id = known.staff_id \
         WHERE i.created_at <= '{now}'"
    ))
    .execute(conn)?;
    Ok(())
}
