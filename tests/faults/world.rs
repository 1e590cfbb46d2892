//! An installation with a simulated WeChat, and staff who can be reached over every channel.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::stream::{self, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};

use super::context::Context;
use super::dice::Dice;
use super::endpoint::Endpoint;
use super::installation::{Installation, MINI, SERVICE};
use super::process::Process;
use super::simulator::Simulator;

/// What takes minutes by default takes seconds.
const QUICK: &[(&str, &str)] = &[
    ("QUEQIAO_DELIVER__LEASE_SECONDS", "3"),
    ("QUEQIAO_DELIVER__BATCH_ROWS", "40"),
    ("QUEQIAO_DELIVER__RETRY_FIRST_SECONDS", "1"),
    ("QUEQIAO_DELIVER__RETRY_LONGEST_SECONDS", "3"),
    ("QUEQIAO_DELIVER__RECEIPT_SECONDS", "60"),
    ("QUEQIAO_DELIVER__PROBE_SECONDS", "2"),
    ("QUEQIAO_DELIVER__PROBE_LONGEST_SECONDS", "4"),
    ("QUEQIAO_WECHAT__TIMEOUT_MS", "1500"),
    ("QUEQIAO_WEBHOOKS__TIMEOUT_MS", "1500"),
    ("QUEQIAO_WEBHOOKS__RETRY_FIRST_SECONDS", "1"),
    ("QUEQIAO_PROFILE__LEASE_SECONDS", "5"),
    ("QUEQIAO_TEMPLATES__SYNC_SECONDS", "0"),
    ("QUEQIAO_BUDGETS__TEMPLATE_SEND__PER_DAY", "100000000"),
];
/// How long an app asks again until its request is answered.
const PATIENCE: Duration = Duration::from_secs(60);
/// People who are made ready at the same time.
const AT_ONCE: usize = 8;

/// The calls by which messages are sent.
pub(crate) const SENDS: [(&str, &str); 3] = [
    ("template", "/cgi-bin/message/template/send"),
    ("mp", "/cgi-bin/message/subscribe/send"),
    ("customer", "/cgi-bin/message/custom/send"),
];

/// What is wanted of a world.
pub(crate) struct WorldOptions<'a> {
    pub(crate) name: &'a str,
    pub(crate) is_postgres: bool,
    pub(crate) people: u32,
    pub(crate) replicas: usize,
    /// How many subscription messages each has allowed.
    pub(crate) consents: u32,
    pub(crate) settings: &'a [(&'a str, &'a str)],
    /// Whether the business's endpoint fails now and then.
    pub(crate) bad_endpoint: bool,
}

impl<'a> WorldOptions<'a> {
    /// Replicas on one PostgreSQL that send to so many people, with nothing else in their way.
    pub(crate) fn replicas(
        name: &'a str,
        replicas: usize,
        people: u32,
        settings: &'a [(&'a str, &'a str)],
    ) -> Self {
        Self {
            name,
            is_postgres: true,
            people,
            replicas,
            consents: 0,
            settings,
            bad_endpoint: false,
        }
    }
}

pub(crate) struct World {
    pub(crate) installation: Installation,
    pub(crate) servers: Vec<Process>,
    pub(crate) simulator: Simulator,
    pub(crate) endpoint: Endpoint,
    pub(crate) people: u32,
    /// Whose openid it is, of either account.
    pub(crate) person_of: HashMap<String, u32>,
    templates: BTreeMap<&'static str, String>,
    orders: u32,
}

impl World {
    /// Every call that sends takes so long.
    pub(crate) async fn slow_sends(&self, millis: u64) -> Result<()> {
        for (_, path) in SENDS {
            self.simulator.latency(path, millis).await?;
        }
        Ok(())
    }

    /// The service account's token is none any more at WeChat.
    pub(crate) async fn lose_tokens(&self) -> Result<()> {
        let path = format!("/accounts/{SERVICE}/tokens");
        self.simulator.tell(Method::DELETE, &path, None).await?;
        Ok(())
    }

    /// Everybody follows, is bound, has written, and has allowed messages.
    pub(crate) async fn new(context: &mut Context, wanted: WorldOptions<'_>) -> Result<Self> {
        let storage = context.storage(wanted.is_postgres, wanted.name)?;
        let settings: Vec<(&str, &str)> = QUICK.iter().chain(wanted.settings).copied().collect();
        let mut installation = Installation::new(context, wanted.name, storage, &settings, true)?;
        // Its pushes go to the first server, whose port is not known before its settings are.
        let first = installation.server(context, "one")?.port;
        let simulator = Simulator::start(context, &installation, wanted.people, first).await?;
        let base = ("QUEQIAO_WECHAT__BASE_URL".to_owned(), simulator.url());
        installation.settings.push(base);
        let mut servers = Vec::new();
        for replica in ["one", "two", "three"]
            .into_iter()
            .take(wanted.replicas.max(1))
        {
            servers.push(installation.server(context, replica)?);
        }
        if let Some(one) = servers.first_mut() {
            one.listen_on(first);
        }
        for server in &mut servers {
            server.up("/readyz").await?;
        }
        let dice = wanted.bad_endpoint.then(|| Dice::of(context.seed));
        let mut world = Self {
            installation,
            servers,
            simulator,
            endpoint: Endpoint::start(dice).await?,
            people: wanted.people,
            person_of: HashMap::new(),
            templates: BTreeMap::new(),
            orders: 0,
        };
        world.templates().await?;
        world.message_types().await?;
        world.bind(wanted.consents).await?;
        Ok(world)
    }

    fn first_port(&self) -> u16 {
        self.servers.first().map_or(0, |server| server.port)
    }

    async fn templates(&mut self) -> Result<()> {
        for (app_id, kind) in [(SERVICE, "template"), (MINI, "subscribe_once")] {
            let template =
                json!({"kind": kind, "title": "t", "content": "单号:{{character_string1.DATA}}"});
            let made = self
                .simulator
                .post(&format!("/accounts/{app_id}/templates"), template)
                .await?;
            let id = made
                .get("template_id")
                .and_then(Value::as_str)
                .context("no template_id")?;
            self.templates.insert(app_id, id.to_owned());
        }
        Ok(())
    }

    async fn message_types(&self) -> Result<()> {
        let port = self.first_port();
        let hook = json!({"url": self.endpoint.url, "events": ["webhook.disabled"]});
        let hook = self
            .installation
            .must(port, Method::POST, "/webhooks", hook)
            .await?;
        let order = "{{ params.order }}";
        let fields = json!({"character_string1": order});
        let template = json!({"channel": "template", "account": SERVICE,
            "template_id": self.templates.get(SERVICE), "fields": fields});
        let mini = json!({"channel": "mp_subscribe", "account": MINI,
            "template_id": self.templates.get(MINI), "fields": fields});
        let customer = json!({"channel": "customer", "account": SERVICE, "text": format!("new order #{order}")});
        let webhook =
            json!({"channel": "webhook", "endpoint": hook.get("id"), "fields": {"order": order}});
        let chain = json!([template, mini, customer, webhook]);
        for (name, routes) in [
            ("template", json!([template])),
            ("mp", json!([mini])),
            ("customer", json!([customer])),
            ("webhook", json!([webhook])),
            ("chain", chain),
        ] {
            let path = format!("/message-types/{name}");
            self.installation
                .must(port, Method::PUT, &path, json!({"routes": routes}))
                .await?;
        }
        Ok(())
    }

    async fn bind(&mut self, consents: u32) -> Result<()> {
        let everybody = json!({"from": 0, "to": self.people});
        self.simulator
            .post(&format!("/accounts/{SERVICE}/follow_many"), everybody)
            .await?;
        let world = &*self;
        let bound: Vec<Result<Vec<(String, u32)>>> = stream::iter(0..self.people)
            .map(|person| world.bind_one(person))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut person_of = HashMap::new();
        for openids in bound {
            person_of.extend(openids?);
        }
        for round in 0..consents {
            // A consent has its time in seconds: two taps in one are one.
            if round > 0 {
                tokio::time::sleep(Duration::from_millis(1_100)).await;
            }
            let allowed: Vec<Result<()>> = stream::iter(0..self.people)
                .map(|person| world.allow(person))
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            allowed.into_iter().collect::<Result<()>>()?;
        }
        let (ours, patience) = (&self.installation, PATIENCE);
        let processed = ours.until_none("events WHERE state = 0", patience).await?;
        let linked = ours
            .until_none("identities WHERE unionid IS NULL", patience)
            .await?;
        ensure!(
            processed.is_some() && linked.is_some(),
            "people are not linked in time"
        );
        self.person_of = person_of;
        Ok(())
    }

    async fn bind_one(&self, person: u32) -> Result<Vec<(String, u32)>> {
        let port = self.first_port();
        self.installation
            .must(port, Method::PUT, &format!("/staff/e{person}"), json!({}))
            .await?;
        let login = format!("/accounts/{MINI}/people/{person}/login");
        let code = self.simulator.tell(Method::POST, &login, None).await?;
        let binding = json!({"app_id": MINI, "code": code.get("js_code")});
        let path = format!("/staff/e{person}/bindings");
        self.installation
            .must(port, Method::POST, &path, binding)
            .await?;
        let text = format!("/accounts/{SERVICE}/people/{person}/text");
        self.simulator
            .post(&text, json!({"content": "hello"}))
            .await?;
        let shown = self.simulator.ask(&format!("/people/{person}")).await?;
        let openids = shown
            .get("openids")
            .and_then(Value::as_object)
            .context("no openids")?;
        let openids = openids.values().filter_map(Value::as_str);
        Ok(openids.map(|openid| (openid.to_owned(), person)).collect())
    }

    /// Somebody allows one more subscription message.
    pub(crate) async fn allow(&self, person: u32) -> Result<()> {
        let mut choices = serde_json::Map::new();
        let template = self.templates.get(MINI).cloned().unwrap_or_default();
        choices.insert(template, json!("accept"));
        let path = format!("/accounts/{MINI}/people/{person}/popup");
        self.simulator
            .post(&path, json!({"choices": choices}))
            .await?;
        Ok(())
    }

    /// Notifies these people through a server that is up, or will be; asks until it is answered, as an app does
    /// that has given its request a key. Gives the notification's id.
    pub(crate) async fn notify(
        &mut self,
        message_type: &str,
        people: Range<u32>,
        server: usize,
        priority: &str,
    ) -> Result<i64> {
        self.orders += 1;
        let staff: Vec<String> = people.map(|person| format!("e{person}")).collect();
        let body = json!({
            "message_type": message_type,
            "staff_ids": staff,
            "params": {"order": format!("R{:06}", self.orders)},
            "priority": priority,
        });
        let port = self.servers.get(server).map_or(0, |server| server.port);
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            match self
                .installation
                .api(port, Method::POST, "/notifications", Some(body.clone()))
                .await
            {
                Ok((202, answer)) => return answer.get("id").and_then(id).context("no id"),
                Ok((status @ 400..=499, answer)) => bail!("a notification: {status} {answer}"),
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        bail!("no answer to a notification")
    }

    /// Waits until no delivery is in one of these states; in which time.
    pub(crate) async fn settle(&self, states: &str, most: Duration) -> Result<Option<Duration>> {
        let of = format!("deliveries WHERE state IN ({states})");
        self.installation.until_none(&of, most).await
    }
}

/// An id, as a number or as text.
fn id(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}
