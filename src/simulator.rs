//! A fake WeChat over HTTP: its API with its own checks and error codes, people who follow and log in, and signed
//! callbacks with retries.
//!
//! It knows nothing of Queqiao but the wire: it is called over HTTP and pushes over HTTP, in tests, in the demo and in
//! benchmarks alike. What is true of WeChat here is written down in the guide that each room names.
//!
//! # Layout
//! - [`Simulator`]: the server; [`World`]: what it simulates, with a method for each thing to tell or ask it;
//! - `control`: the same over HTTP, under `/_sim`;
//! - `api`: WeChat's calls, one room for each family; `server`: where faults strike;
//! - `account`, `followers`, `late`, `lists`, `codes`, `tokens`, `template`, `grants`, `chats`, `budgets`, `sent`, `receipts`, `persons`, `migration`: what WeChat keeps, one room for each;
//! - `actions`, `cancellation`, `consent`, `sender`: what people and WeChat do, and the pushes that come of it;
//! - [`population`]: who the people are, computed by everybody for themselves.

mod account;
mod actions;
mod api;
mod budgets;
mod cancellation;
mod chats;
mod codes;
mod consent;
mod control;
mod damage;
mod faults;
mod followers;
mod gates;
mod grants;
mod late;
mod lists;
mod locks;
mod migration;
mod persons;
pub mod population;
mod qrcodes;
mod receipts;
mod record;
mod results;
mod scans;
mod sender;
mod sent;
mod server;
mod switches;
mod template;
mod time;
mod tokens;
mod url_text;
mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use url::Url;

pub use account::{Kind, Settings};
pub use actions::BulkOutcome;
pub use budgets::Budget;
pub use cancellation::{PLATFORM, Spelling, VerificationPush};
pub use consent::{Choice, Popup};
pub use faults::{Fault, FaultKind};
pub use followers::{Origin, SubscribeScene};
pub use gates::Held;
pub use grants::Grant;
pub use late::LateProfile;
pub use lists::ListRule;
pub use persons::ProfileDetails;
pub use receipts::{Arrival, Receipt};
pub use record::{MiniProgramPage, SeenMessage};
pub use sender::{Attempt, PushOrder, PushOutcome, PushRecord};
pub use template::{TemplateKind, TemplateSettings};
pub use world::{Stats, World, WorldError};

/// The longest body WeChat is sent.
const BODY_MAX: usize = 1 << 20;

/// Longer than clients keep an idle connection: else a request on one that is just closed has an unknown fate, which
/// should come from a fault and not by chance.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How the simulator behaves; [`Default`] is as WeChat does.
#[derive(Clone, Debug)]
pub struct SimulatorOptions {
    /// Where to listen; 127.0.0.1 on a free port.
    pub bind: SocketAddr,
    /// Server threads.
    pub workers: usize,
    /// Life of an access_token; 7200 s. The clock of expiry is the simulated one.
    pub token_life: Duration,
    /// Openids on a page of user/get; 10,000.
    pub page_size: usize,
    /// How long a callback may take to answer; 5 s.
    pub push_timeout: Duration,
    /// Pushes on their way at once; 256. Others wait for their turn, before their time-out runs.
    pub push_concurrency: usize,
    /// Retries of a push; 3.
    pub push_retries: u32,
    /// Pause before the retry of a push that was answered wrongly; 1 s. One that timed out is retried at once.
    pub push_retry_delay: Duration,
    /// Messages kept, and pushes kept; 0 for none, when only counters are wanted.
    pub record_limit: usize,
}

impl Default for SimulatorOptions {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            workers: 2,
            token_life: Duration::from_secs(7200),
            page_size: 10_000,
            push_timeout: Duration::from_secs(5),
            push_concurrency: 256,
            push_retries: 3,
            push_retry_delay: Duration::from_secs(1),
            record_limit: 10_000,
        }
    }
}

/// A running simulator. It stops when told to, or with the runtime it was started on.
#[derive(Debug)]
pub struct Simulator {
    world: World,
    base_url: Url,
    handle: ServerHandle,
    server: JoinHandle<io::Result<()>>,
}

impl Simulator {
    /// Starts on the current tokio runtime: requests are served by threads of the simulator's own, pushes are sent
    /// from the runtime. Fails if the address cannot be bound.
    pub async fn start(options: SimulatorOptions) -> io::Result<Self> {
        let world = World::new(&options, Handle::current()).map_err(io::Error::other)?;
        let data = web::Data::new(world.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .app_data(web::PayloadConfig::new(BODY_MAX))
                .service(
                    web::scope("/_sim")
                        .wrap(from_fn(control::only_local))
                        .configure(control::routes),
                )
                .default_service(web::to(server::answer))
        })
        .workers(options.workers)
        .keep_alive(KEEP_ALIVE)
        // Clients open connections ahead of need; a 408 on one would answer whatever comes next.
        .client_request_timeout(Duration::ZERO)
        .disable_signals()
        .bind(options.bind)?;
        let address = server.addrs().first().copied().unwrap_or(options.bind);
        let base_url = Url::parse(&format!("http://{address}/")).map_err(io::Error::other)?;
        let server = server.run();
        let handle = server.handle();
        Ok(Self {
            world,
            base_url,
            handle,
            server: tokio::spawn(server),
        })
    }

    /// Where WeChat's API is; the control API is under `/_sim`.
    pub fn base_url(&self) -> Url {
        self.base_url.clone()
    }

    /// What is simulated.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Stops at once, with whatever connections are open. Fails if the server had failed.
    pub async fn stop(self) -> io::Result<()> {
        self.handle.stop(false).await;
        self.server.await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests;
