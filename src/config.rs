//! Settings, one struct per concern. `defaults.toml` is both the defaults and their documentation.

mod api;
mod budgets;
mod environment;
mod server;
mod webhooks;

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::TimeDelta;
use config::{Config as Source, Environment, File, FileFormat};
use secrecy::SecretString;
use serde::Deserialize;
use thiserror::Error;
use url::Url;

pub use api::Api;
pub use budgets::{AccountBudgets, Budget, Budgets, CallBudgets, OwnBudget};
pub use server::Server;
pub use webhooks::Webhooks;

/// The defaults, as documented for operators.
pub const DEFAULTS: &str = include_str!("config/defaults.toml");

/// The longest wait for consent, seconds.
const MAX_CONSENT_WAIT: u64 = 86_400;

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the embedded database and the master key file live.
    pub data_dir: PathBuf,
    /// The HTTP server.
    pub server: Server,
    /// The API.
    pub api: Api,
    /// The database.
    pub database: Database,
    /// Calls to WeChat.
    pub wechat: Wechat,
    /// Taking callbacks in.
    pub intake: Intake,
    /// Processing events.
    pub process: Process,
    /// Fetching profiles.
    pub profile: Profile,
    /// Sending notifications.
    pub deliver: Deliver,
    /// How much each account may send.
    pub budgets: Budgets,
    /// Keeping up with the accounts' templates.
    pub templates: Templates,
    /// What WeChat allows of customer messages.
    pub customer: Customer,
    /// Telling the business's endpoints.
    pub webhooks: Webhooks,
}

/// The database.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Connections per process.
    pub pool_size: u32,
    /// Further ones for what the API reads: so many requests read at the same time.
    pub api_connections: u32,
    /// How long a request of the API may read, milliseconds.
    pub api_timeout_ms: u64,
    /// PostgreSQL: how long one statement may take, milliseconds.
    pub statement_timeout_ms: u64,
    /// How long it may wait for a lock, milliseconds.
    pub lock_timeout_ms: u64,
    /// How long a transaction may do nothing, milliseconds.
    pub idle_in_transaction_timeout_ms: u64,
}

/// Calls to WeChat.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wechat {
    /// Where WeChat's API is.
    pub base_url: Url,
    /// Milliseconds to connect.
    pub connect_timeout_ms: u64,
    /// Milliseconds for a whole call.
    pub timeout_ms: u64,
}

/// Taking callbacks in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intake {
    /// How far the time of a push may be from now, seconds; 0: any time will do.
    pub max_age_seconds: u64,
    /// Largest callback body, bytes.
    pub max_body_bytes: usize,
    /// Rows in one commit at the most.
    pub batch_rows: usize,
    /// Bytes of callbacks that may be read or wait for their commit.
    pub queue_bytes: usize,
    /// How long a callback waits for a database that takes nothing, milliseconds.
    pub hold_ms: u64,
    /// Bytes of the file in which callbacks are kept after that; 0: none.
    pub spool_bytes: u64,
}

/// Processing events.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Events taken in one transaction.
    pub batch_rows: i64,
    /// How often to look for work that came through another process, milliseconds.
    pub poll_ms: u64,
}

/// Fetching profiles.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// How long a profile may wait for others, milliseconds.
    pub linger_ms: u64,
    /// Calls in flight per account.
    pub concurrency: usize,
    /// How long a claim holds, seconds.
    pub lease_seconds: u64,
    /// First pause after a failed fetch, seconds.
    pub retry_first_seconds: u64,
    /// Longest pause after a failed fetch, seconds.
    pub retry_longest_seconds: u64,
    /// First pause where WeChat gives no unionid, seconds.
    pub reprobe_first_seconds: u64,
    /// Longest pause where WeChat gives no unionid, seconds.
    pub reprobe_longest_seconds: u64,
    /// Profiles that an import asks for again in a second.
    pub refresh_per_second: u64,
}

/// Sending notifications.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deliver {
    /// Deliveries claimed, sent and recorded together.
    pub batch_rows: i64,
    /// Such batches at the same time.
    pub loops: usize,
    /// Of these, for one account at the most.
    pub loops_per_account: usize,
    /// Further ones, for urgent messages only.
    pub urgent_loops: usize,
    /// How long a claim holds, seconds.
    pub lease_seconds: u64,
    /// First pause after a failure, seconds.
    pub retry_first_seconds: u64,
    /// Longest pause after a failure, seconds.
    pub retry_longest_seconds: u64,
    /// Tries before giving up.
    pub max_attempts: i32,
    /// Age at which to give up, seconds.
    pub max_age_seconds: u64,
    /// How long a message waits for its receipt, seconds.
    pub receipt_seconds: u64,
    /// How long a receipt without a delivery is kept in mind, seconds.
    pub receipt_give_up_seconds: u64,
    /// First pause of an account that WeChat refuses, before one delivery is tried, seconds.
    pub probe_seconds: u64,
    /// Longest such pause, seconds.
    pub probe_longest_seconds: u64,
    /// How long a delivery waits for the person's consent where nothing else is missing, seconds; 0:
    /// not at all.
    pub consent_wait_seconds: u64,
    /// Staff ids in one request at the most.
    pub max_recipients: usize,
}

/// Keeping up with the accounts' templates.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Templates {
    /// Seconds between two listings of an account's templates; 0 for none but on demand.
    pub sync_seconds: u64,
}

/// What WeChat allows of customer messages: how many, and for how many seconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Customer {
    /// Messages after somebody wrote.
    pub spoke_messages: u32,
    /// For how long, seconds.
    pub spoke_seconds: u32,
    /// Messages after somebody followed a service account, scanned its code or tapped its menu.
    pub acted_messages: u32,
    /// For how long, seconds.
    pub acted_seconds: u32,
    /// Messages after somebody entered a mini-program's chat.
    pub entered_messages: u32,
    /// For how long, seconds.
    pub entered_seconds: u32,
    /// Longest text, bytes of UTF-8.
    pub text_bytes: usize,
}

/// What is wrong with the settings.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A value has the wrong type, a name is unknown, or the file cannot be read.
    #[error("configuration: {0}")]
    Source(#[from] config::ConfigError),
    /// A variable that begins like a setting is none.
    #[error("configuration: {name} is no setting{hint}")]
    Variable {
        /// The variable.
        name: String,
        /// What was probably meant, or where the settings are listed.
        hint: String,
    },
    /// A value is out of its range.
    #[error("configuration: {field} is {value}, {rule}")]
    Range {
        /// Its name, as in the file.
        field: &'static str,
        /// What it is.
        value: u64,
        /// What it must be.
        rule: &'static str,
    },
}

impl Config {
    /// Reads the defaults, then the file, then `QUEQIAO_…` variables, each over the one before.
    ///
    /// # Errors
    /// Names the setting that is unknown, malformed or out of range.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let variables = environment::settings()?;
        let environment = Environment::with_prefix("QUEQIAO")
            .prefix_separator("_")
            .separator("__")
            .try_parsing(true);
        let mut source = Source::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(file) = file {
            source = source.add_source(File::from(file).format(FileFormat::Toml));
        }
        let config: Self = source
            .add_source(environment.source(Some(variables)))
            .build()?
            .try_deserialize()?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.check_what_is_at_least_one()?;
        if self.deliver.lease_seconds > 300 {
            return Err(ConfigError::Range {
                field: "deliver.lease_seconds",
                value: self.deliver.lease_seconds,
                rule: "must be at most 300: WeChat remembers a client_msg_id for 10 minutes",
            });
        }
        if !(100..=4_500).contains(&self.intake.hold_ms) {
            return Err(ConfigError::Range {
                field: "intake.hold_ms",
                value: self.intake.hold_ms,
                rule: "must be 100 to 4500: WeChat waits 5 seconds",
            });
        }
        if self.deliver.receipt_seconds < 60 {
            return Err(ConfigError::Range {
                field: "deliver.receipt_seconds",
                value: self.deliver.receipt_seconds,
                rule: "must be at least 60: a receipt needs some seconds, more when WeChat is busy",
            });
        }
        if self.deliver.consent_wait_seconds > MAX_CONSENT_WAIT {
            return Err(ConfigError::Range {
                field: "deliver.consent_wait_seconds",
                value: self.deliver.consent_wait_seconds,
                rule: "must be at most 86400, a day; 0 switches it off",
            });
        }
        self.server.check()?;
        self.api.check()?;
        self.webhooks.check()
    }

    fn check_what_is_at_least_one(&self) -> Result<(), ConfigError> {
        let at_least_one = [
            ("database.pool_size", u64::from(self.database.pool_size)),
            (
                "database.api_connections",
                u64::from(self.database.api_connections),
            ),
            ("database.api_timeout_ms", self.database.api_timeout_ms),
            (
                "database.statement_timeout_ms",
                self.database.statement_timeout_ms,
            ),
            ("database.lock_timeout_ms", self.database.lock_timeout_ms),
            (
                "database.idle_in_transaction_timeout_ms",
                self.database.idle_in_transaction_timeout_ms,
            ),
            ("intake.batch_rows", self.intake.batch_rows as u64),
            ("process.batch_rows", self.process.batch_rows.unsigned_abs()),
            ("profile.concurrency", self.profile.concurrency as u64),
            ("deliver.batch_rows", self.deliver.batch_rows.unsigned_abs()),
            ("deliver.loops", self.deliver.loops as u64),
            ("customer.text_bytes", self.customer.text_bytes as u64),
            (
                "deliver.loops_per_account",
                self.deliver.loops_per_account as u64,
            ),
            ("deliver.urgent_loops", self.deliver.urgent_loops as u64),
            ("deliver.probe_seconds", self.deliver.probe_seconds),
        ];
        for (field, value) in at_least_one {
            if value == 0 {
                let rule = "must be at least 1";
                return Err(ConfigError::Range { field, value, rule });
            }
        }
        Ok(())
    }
}

impl Deliver {
    /// How long a delivery waits for consent.
    pub fn consent_wait(&self) -> TimeDelta {
        let seconds = self.consent_wait_seconds.min(MAX_CONSENT_WAIT);
        TimeDelta::seconds(seconds.cast_signed())
    }
}

/// Checks the names of `QUEQIAO_…` variables, for a command that reads no settings.
///
/// # Errors
/// Names a variable that is no setting.
pub fn check_variables() -> Result<(), ConfigError> {
    environment::settings().map(drop)
}

/// The master key, if the operator gives one in `QUEQIAO_MASTER_KEY`.
pub fn master_key() -> Option<SecretString> {
    std::env::var("QUEQIAO_MASTER_KEY")
        .ok()
        .filter(|key| !key.is_empty())
        .map(SecretString::from)
}

/// The database of `DATABASE_URL`, or the embedded file in the data directory.
pub fn database_url(data_dir: &Path) -> String {
    match std::env::var("DATABASE_URL") {
        Ok(url) if !url.is_empty() => url,
        _ => format!("sqlite://{}", data_dir.join("queqiao.db").display()),
    }
}

impl Default for Config {
    /// The documented defaults.
    #[allow(
        clippy::expect_used,
        reason = "the defaults are part of the program, and tested"
    )]
    fn default() -> Self {
        Source::builder()
            .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
            .build()
            .and_then(Source::try_deserialize)
            .expect("defaults.toml holds every setting")
    }
}

impl Wechat {
    /// The limits of a call.
    pub fn timeouts(&self) -> (Duration, Duration) {
        (
            Duration::from_millis(self.connect_timeout_ms),
            Duration::from_millis(self.timeout_ms),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_defaults_are_complete_and_in_range() {
        Config::default().check().unwrap();
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_rule() {
        let mut config = Config::default();
        config.deliver.lease_seconds = 601;
        let text = config.check().unwrap_err().to_string();
        assert!(text.contains("deliver.lease_seconds is 601"), "{text}");
        assert!(text.contains("at most 300"), "{text}");
    }

    #[test]
    fn the_limits_of_connections_are_limits() {
        let refused = |change: fn(&mut Server), name: &str| {
            let mut config = Config::default();
            change(&mut config.server);
            let text = config.check().unwrap_err().to_string();
            assert!(text.contains(name), "{text}");
        };
        refused(|server| server.workers = 513, "server.workers is 513");
        refused(
            |server| server.stalled_seconds = 0,
            "server.stalled_seconds is 0",
        );
        refused(
            |server| server.body_seconds = 601,
            "server.body_seconds is 601",
        );
        refused(
            |server| server.max_connections = 15,
            "server.max_connections is 15",
        );
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        let path = std::env::temp_dir().join(format!("queqiao-{:x}.toml", rand::random::<u64>()));
        std::fs::write(&path, "[server]\nbnid = \"x\"\n").unwrap();
        let text = Config::load(Some(&path)).unwrap_err().to_string();
        assert!(text.contains("bnid"), "{text}");
        std::fs::remove_file(path).unwrap();
    }
}
