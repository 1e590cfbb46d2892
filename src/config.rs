//! Settings, one struct per concern. `defaults.toml` is both the defaults and their documentation.

mod api;
mod budgets;
mod customer;
mod deliver;
mod environment;
mod oidc;
mod ranges;
mod server;
mod stats;
mod users;
mod webhooks;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Config as Source, Environment, File, FileFormat, Map};
use secrecy::SecretString;
use serde::Deserialize;
use thiserror::Error;
use url::Url;

pub use api::Api;
pub use budgets::{AccountBudgets, Budget, Budgets, CallBudgets, OwnBudget};
pub use customer::Customer;
pub use deliver::Deliver;
pub use oidc::Oidc;
pub use server::Server;
pub use stats::Stats;
pub use users::Users;
pub use webhooks::Webhooks;

/// The defaults, as documented for operators.
pub const DEFAULTS: &str = include_str!("config/defaults.toml");

/// What a callback takes of `intake.queue_bytes` beside its body, roughly: keeps the bound honest for small
/// ones.
pub const ROW_BYTES: usize = 512;
/// The part of `intake.queue_bytes` for those callbacks of which the query does not say that they are
/// WeChat's.
pub const DOUBTFUL: usize = 4;

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
    /// People who sign in.
    pub users: Users,
    /// Signing in through an identity provider.
    pub oidc: Oidc,
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
    /// Invitations.
    pub invitations: Invitations,
    /// What WeChat allows of customer messages.
    pub customer: Customer,
    /// Telling the business's endpoints.
    pub webhooks: Webhooks,
    /// Numbers by day.
    pub stats: Stats,
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

/// Keeping up with the accounts' templates.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Templates {
    /// Seconds between two listings of an account's templates; 0 for none but on demand.
    pub sync_seconds: u64,
}

/// Invitations.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitations {
    /// What somebody reads in the chat whose binding was undone; empty: nothing.
    pub undone_text: String,
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
    #[error("configuration: {field} is {value}, {rule}. {fix}")]
    Range {
        /// Its name, as in the file.
        field: String,
        /// What it is.
        value: String,
        /// What it must be.
        rule: String,
        /// Where it is set.
        fix: String,
    },
    /// A variable that matters is no text.
    #[error("configuration: the variable {0} is not UTF-8 text: set it again, or unset it")]
    NotText(String),
}

impl ConfigError {
    fn range(field: &str, value: impl Display, rule: impl Into<String>) -> Self {
        let variable = field.replace('.', "__").to_ascii_uppercase();
        Self::Range {
            field: field.to_owned(),
            value: format!("'{value}'"),
            rule: rule.into(),
            fix: format!("Change it in the file, or in QUEQIAO_{variable}"),
        }
    }
}

impl Config {
    /// Reads the defaults, then the file, then `QUEQIAO_…` variables, each over the one before.
    ///
    /// # Errors
    /// Names the setting that is unknown, malformed or out of range.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::read(file, environment::settings()?)
    }

    fn read(file: Option<&Path>, variables: Map<String, String>) -> Result<Self, ConfigError> {
        // Not parsed here: each setting knows what it is, and a directory `007` is no number.
        let environment = Environment::with_prefix("QUEQIAO")
            .prefix_separator("_")
            .separator("__");
        let mut source = Source::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(file) = file {
            source = source.add_source(File::from(file).format(FileFormat::Toml));
        }
        let source = source
            .add_source(environment.source(Some(variables)))
            .build()?;
        ranges::check(&source)?;
        let mut config: Self = source.try_deserialize()?;
        config.oidc.read_secret()?;
        config.check()?;
        Ok(config)
    }

    /// What settings must be beside others; the range of each is in [`ranges`].
    fn check(&self) -> Result<(), ConfigError> {
        let (timeout, lease) = (self.wechat.timeout_ms, self.deliver.lease_seconds);
        if timeout > lease.saturating_mul(500) {
            let rule = format!(
                "must be at most half of deliver.lease_seconds, which is {lease}: a call that takes longer \
                 could come to its end after its claim did"
            );
            return Err(ConfigError::range("wechat.timeout_ms", timeout, rule));
        }
        let lease = self.profile.lease_seconds;
        if timeout > lease.saturating_mul(1_000) {
            let rule = format!(
                "must be at most profile.lease_seconds, which is {lease}: another process would fetch the \
                 same profiles meanwhile"
            );
            return Err(ConfigError::range("wechat.timeout_ms", timeout, rule));
        }
        let (body, queue) = (self.intake.max_body_bytes, self.intake.queue_bytes);
        let least = body.saturating_add(ROW_BYTES).saturating_mul(DOUBTFUL);
        if queue < least {
            let rule = format!(
                "must be at least {least}: a callback of intake.max_body_bytes, which is {body}, takes up to \
                 a quarter of it"
            );
            return Err(ConfigError::range("intake.queue_bytes", queue, rule));
        }
        let spool = self.intake.spool_bytes;
        if spool > 0 && spool < body as u64 {
            let rule =
                format!("must be at least intake.max_body_bytes, which is {body}, or 0: no spool");
            return Err(ConfigError::range("intake.spool_bytes", spool, rule));
        }
        self.oidc.check(&self.server.public_url)?;
        let (days, age) = (self.webhooks.retention_days, self.webhooks.max_age_seconds);
        if days.saturating_mul(86_400) <= age {
            let rule = format!(
                "must be longer than webhooks.max_age_seconds, which is {age}: what is still being retried \
                 must not be deleted"
            );
            return Err(ConfigError::range("webhooks.retention_days", days, rule));
        }
        Ok(())
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

/// The password of a user on the command line, if the operator gives one in `QUEQIAO_USER_PASSWORD`.
pub fn user_password() -> Option<SecretString> {
    std::env::var("QUEQIAO_USER_PASSWORD")
        .ok()
        .filter(|password| !password.is_empty())
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

    fn read(variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables = variables
            .iter()
            .map(|(name, value)| (format!("QUEQIAO_{name}"), (*value).to_owned()));
        Config::read(None, variables.collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_rule_and_where_it_is_set() {
        let text = read(&[("DELIVER__LEASE_SECONDS", "601")]).unwrap_err();
        for part in [
            "deliver.lease_seconds is '601'",
            "from 1 to 300",
            "QUEQIAO_DELIVER__LEASE_SECONDS",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn what_two_settings_say_together_is_checked() {
        for (variables, part) in [
            (
                [
                    ("DELIVER__LEASE_SECONDS", "19"),
                    ("PROCESS__POLL_MS", "100"),
                ],
                "wechat.timeout_ms is '10000'",
            ),
            (
                [
                    ("WECHAT__TIMEOUT_MS", "60000"),
                    ("DELIVER__LEASE_SECONDS", "119"),
                ],
                "half of deliver.lease_seconds",
            ),
            (
                [
                    ("INTAKE__QUEUE_BYTES", "2000000"),
                    ("INTAKE__MAX_BODY_BYTES", "1000000"),
                ],
                "intake.queue_bytes is",
            ),
            (
                [
                    ("INTAKE__SPOOL_BYTES", "2000000"),
                    ("INTAKE__MAX_BODY_BYTES", "3000000"),
                ],
                "intake.spool_bytes is",
            ),
            (
                [
                    ("WEBHOOKS__MAX_AGE_SECONDS", "172800"),
                    ("WEBHOOKS__RETENTION_DAYS", "2"),
                ],
                "webhooks.retention_days is",
            ),
        ] {
            let text = read(&variables).unwrap_err();
            assert!(text.contains(part), "{text}");
        }
        read(&[
            ("WECHAT__TIMEOUT_MS", "60000"),
            ("DELIVER__LEASE_SECONDS", "120"),
        ])
        .unwrap();
    }

    #[test]
    fn variables_are_read_as_what_their_settings_are() {
        let config = read(&[
            ("DATA_DIR", "007"),
            ("SERVER__PUBLIC_URL", "1e3"),
            ("WEBHOOKS__ALLOW_PRIVATE_ADDRESSES", "true"),
            ("DELIVER__BATCH_ROWS", "40"),
            ("CUSTOMER__ACTED_SECONDS", "61"),
            ("WECHAT__BASE_URL", "http://127.0.0.1:9090"),
        ])
        .unwrap();
        assert_eq!(config.data_dir, Path::new("007"));
        assert_eq!(config.server.public_url, "1e3");
        assert!(config.webhooks.allow_private_addresses);
        assert_eq!(
            (config.deliver.batch_rows, config.customer.acted_seconds),
            (40, 61)
        );
        assert_eq!(config.wechat.base_url.port(), Some(9090));
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
