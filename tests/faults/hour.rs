//! All at once, for as long as is said: two replicas on PostgreSQL, apps that notify, cancel, retry and import,
//! people who write and tap, and whatever can go wrong at random moments. At the end everything has to agree.

mod app;
mod clock;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::cluster::Stop;
use super::context::{Context, Pass};
use super::delivery;
use super::dice::Dice;
use super::installation::{MINI, SERVICE};
use super::reconcile;
use super::report::Findings;
use super::wechat::WeChat;
use super::world::{World, WorldOptions};
use app::Apps;
use clock::Clocks;

/// How long it lasts in each pass, unless it is said.
const SHORT: u64 = 8;
const LONG: u64 = 300;
/// Apps at the same time, and pushes a second of strangers.
const APPS: u64 = 4;
const PUSHES: u64 = 20;
const STRANGERS: u64 = 200;
/// How far WeChat's clock may come to be ahead, seconds: what is more than five minutes ahead is not believed.
const AHEAD: u64 = 240;
/// The least time between two outages of the database.
const BETWEEN_OUTAGES: Duration = Duration::from_secs(45);
/// A consent has its time in seconds.
const BETWEEN_TAPS: Duration = Duration::from_millis(1_100);

/// Everything that goes on, and what was done.
struct Run {
    world: World,
    clocks: Clocks,
    /// When each person tapped last.
    tapped: HashMap<u32, Instant>,
    taps: u64,
    ahead: u64,
    outage: Instant,
    done: HashMap<&'static str, u64>,
}

/// How long it lasts.
pub(crate) fn length(context: &Context) -> Duration {
    let said = context.scale.length;
    Duration::from_secs(said.unwrap_or(context.scale.pick(SHORT, LONG)))
}

pub(crate) async fn hour(context: &mut Context, name: &'static str) -> Result<Findings> {
    let length = length(context);
    let people = context.scale.pick(40, 300);
    let consents = context.scale.pick(1, 3);
    let clocks = Clocks::new(&context.directory)?;
    let settings = clocks.settings();
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let wanted = WorldOptions {
        consents,
        bad_endpoint: true,
        ..WorldOptions::replicas(name, 2, people, &settings)
    };
    let world = World::new(context, wanted).await?;
    world.slow_sends(40).await?;
    let ports: Vec<u16> = world.servers.iter().map(|server| server.port).collect();
    let apps = Apps::new(&world.installation.key, ports.clone(), people)?;
    let wechat = WeChat::new(ports, context.seed, STRANGERS, 256);
    let mut load = JoinSet::new();
    load.spawn(wechat.clone().at_rate(context.scale.rate.unwrap_or(PUSHES)));
    for number in 0..APPS {
        load.spawn(
            apps.clone()
                .run(Dice::of(context.seed.wrapping_mul(1_000) + number)),
        );
    }
    let mut run = Run {
        world,
        clocks,
        tapped: HashMap::new(),
        taps: u64::from(consents) * u64::from(people),
        ahead: 0,
        outage: Instant::now(),
        done: HashMap::new(),
    };
    let started = Instant::now();
    while started.elapsed() < length {
        tokio::time::sleep(context.dice.millis(200, 1_200)).await;
        run.step(context).await?;
    }
    run.clocks.right()?;
    run.world
        .simulator
        .tell(Method::DELETE, "/faults", None)
        .await?;
    apps.stop();
    wechat.stop();
    while load.join_next().await.is_some() {}
    run.end(context, &apps, &wechat).await
}

impl Run {
    fn did(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    /// Something happens.
    async fn step(&mut self, context: &mut Context) -> Result<()> {
        match context.dice.below(20) {
            0..5 => {
                let channels = ["template", "mp", "customer", "chain"];
                let channel = context.dice.of_these(&channels).copied().unwrap_or("mp");
                // Accounts that fail are tried ever more rarely: faults would pile up, and never end.
                self.world
                    .simulator
                    .tell(Method::DELETE, "/faults", None)
                    .await?;
                delivery::fault(context, &self.world, channel).await?;
                self.did("faults of WeChat");
            }
            5 | 6 => {
                let time = context.dice.millis(300, 1_800);
                self.world.simulator.stand_still(time).await?;
                self.did("standstills of WeChat");
            }
            7 | 8 => self.kill(context).await?,
            9 | 10 => self.freeze(context).await?,
            11 => {
                self.world.lose_tokens().await?;
                self.did("token storms");
            }
            12 => self.outage(context).await?,
            13 => self.step_wechats_clock(context).await?,
            14 | 15 => {
                if self.clocks.step(&mut context.dice)? {
                    self.did("clock steps");
                }
            }
            16 => self.come_and_go(context).await?,
            _ => self.tap(context).await?,
        }
        Ok(())
    }

    async fn kill(&mut self, context: &mut Context) -> Result<()> {
        let which = context.dice.below(2) as usize;
        let server = self.world.servers.get_mut(which).context("no server")?;
        server.kill();
        tokio::time::sleep(context.dice.millis(0, 1_000)).await;
        server.up("/readyz").await?;
        self.did("kills");
        Ok(())
    }

    async fn freeze(&mut self, context: &mut Context) -> Result<()> {
        let which = context.dice.below(2) as usize;
        let time = context.dice.millis(300, 5_000);
        let server = self.world.servers.get(which).context("no server")?;
        server.freeze()?;
        tokio::time::sleep(time).await;
        server.thaw()?;
        self.did("freezes");
        Ok(())
    }

    async fn outage(&mut self, context: &mut Context) -> Result<()> {
        if self.outage.elapsed() < BETWEEN_OUTAGES {
            return Ok(());
        }
        let hows = [Stop::Fast, Stop::Immediate, Stop::Kill];
        let how = context.dice.of_these(&hows).copied().unwrap_or(Stop::Fast);
        context.stop_postgres(how)?;
        tokio::time::sleep(context.dice.millis(0, 4_000)).await;
        context.start_postgres()?;
        self.outage = Instant::now();
        self.did("outages of PostgreSQL");
        Ok(())
    }

    /// Forward only, as the simulator has it.
    async fn step_wechats_clock(&mut self, context: &mut Context) -> Result<()> {
        let seconds = 1 + context.dice.below(20);
        if self.ahead + seconds > AHEAD {
            return Ok(());
        }
        self.ahead += seconds;
        let body = json!({"seconds": seconds});
        self.world.simulator.post("/time/advance", body).await?;
        self.did("steps of WeChat's clock");
        Ok(())
    }

    /// Somebody stops following and comes back.
    async fn come_and_go(&mut self, context: &mut Context) -> Result<()> {
        let person = context.dice.below(u64::from(self.world.people));
        let path = format!("/accounts/{SERVICE}/people/{person}");
        let simulator = &self.world.simulator;
        simulator
            .tell(Method::POST, &format!("{path}/unfollow"), None)
            .await?;
        tokio::time::sleep(BETWEEN_TAPS).await;
        simulator.post(&format!("{path}/follow"), json!({})).await?;
        let text = json!({"content": "again"});
        simulator.post(&format!("{path}/text"), text).await?;
        self.did("people gone and back");
        Ok(())
    }

    /// Some people allow one more message.
    async fn tap(&mut self, context: &mut Context) -> Result<()> {
        for _ in 0..5 {
            let person = u32::try_from(context.dice.below(u64::from(self.world.people)))?;
            let last = self.tapped.get(&person);
            if last.is_none_or(|last| last.elapsed() > BETWEEN_TAPS) {
                self.world.allow(person).await?;
                self.tapped.insert(person, Instant::now());
                self.taps += 1;
            }
        }
        self.did("taps, five each");
        Ok(())
    }

    /// Everything comes to its end, and is compared.
    async fn end(
        mut self,
        context: &mut Context,
        apps: &Apps,
        wechat: &WeChat,
    ) -> Result<Findings> {
        for server in &mut self.world.servers {
            server.answers("/readyz").await?;
        }
        // Those whose receipt will never come wait a minute for it.
        let (open, patience): (&[&str], u64) = match context.scale.pass {
            Pass::Short => (&["queued"], 60),
            Pass::Long => (&["queued", "sent"], 300),
        };
        let states: Vec<String> = open.iter().map(|state| format!("'{state}'")).collect();
        let patience = Duration::from_secs(patience);
        let settled = self.world.settle(&states.join(", "), patience).await?;
        reconcile::arrived(&self.world.installation, wechat, patience).await?;
        let mut findings = Findings::default();
        let mut done: Vec<_> = self.done.iter().collect();
        done.sort_unstable();
        for (what, times) in done {
            findings.count(*what, times);
        }
        if let Some(why) = self.clocks.missing() {
            findings.count("clock steps", format_args!("0 ({why})"));
        }
        if let Some(settled) = settled {
            findings.seconds("settled after", settled);
        }
        let told = apps.told();
        findings.count("notifications", told.accepted.len());
        for (what, times) in &told.done {
            findings.count(*what, times);
        }
        let statuses = told
            .statuses
            .iter()
            .map(|(status, times)| format!("{status} × {times}"));
        findings.count("answers", statuses.collect::<Vec<_>>().join(" + "));
        findings.zero("5xx other than 503, or refused", told.broken.len() as u64);
        told.examples()
            .into_iter()
            .for_each(|example| findings.detail(example));
        findings.zero("requests without an answer", told.unanswered);
        findings.zero("notified twice for one key", told.doubled);
        reconcile::pushes(&self.world.installation, wechat, &mut findings)?;
        reconcile::deliveries(&self.world, open, &mut findings).await?;
        reconcile::notifications(&self.world.installation, &told.accepted, &mut findings)?;
        reconcile::permissions(&self.world, MINI, self.taps, &mut findings).await?;
        deadlocks(&context.log()?, &mut findings);
        for server in &self.world.servers {
            findings.detail(server.tail());
        }
        Ok(findings)
    }
}

const DEADLOCK: &str = "deadlock detected";
/// Deadlocks that are shown.
const DEADLOCKS: usize = 3;

/// Counts them in PostgreSQL's log, and shows which statements waited for each other: up to the hint.
fn deadlocks(log: &str, findings: &mut Findings) {
    let found: Vec<&str> = log.split(DEADLOCK).skip(1).collect();
    findings.zero("deadlocks in PostgreSQL's log", found.len() as u64);
    for after in found.into_iter().take(DEADLOCKS) {
        let shown = after.split("HINT:").next().unwrap_or_default();
        findings.detail(format!("{DEADLOCK}{shown}"));
    }
}
