//! What each number among the settings may be: one range per setting, all of them in one table. They are
//! checked as they were written, before they become unsigned, rounded or cut.

use config::{Config as Source, Map, Value, ValueKind};

use super::ConfigError;

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;
const MINUTE_MS: u64 = 60_000;
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
const MONTH: u64 = 31 * DAY;
/// Calls of WeChat: nobody has as many.
const ANY_BUDGET: u64 = 1_000_000_000_000;

/// What a setting may be.
#[derive(Debug)]
struct Range {
    /// Its name; `*` stands for anything.
    name: &'static str,
    /// Whether 0 will do besides, and what it means then.
    zero: Option<&'static str>,
    least: u64,
    most: u64,
    /// Why it may be nothing else, where that is not plain.
    why: &'static str,
}

const fn range(name: &'static str, least: u64, most: u64) -> Range {
    Range {
        name,
        zero: None,
        least,
        most,
        why: "",
    }
}

impl Range {
    const fn or_zero(mut self, meaning: &'static str) -> Self {
        self.zero = Some(meaning);
        self
    }

    const fn because(mut self, why: &'static str) -> Self {
        self.why = why;
        self
    }

    fn is_of(&self, name: &str) -> bool {
        match self.name.split_once('*') {
            None => self.name == name,
            Some((before, after)) => name.starts_with(before) && name.ends_with(after),
        }
    }

    fn has(&self, value: i128) -> bool {
        (self.zero.is_some() && value == 0)
            || (i128::from(self.least)..=i128::from(self.most)).contains(&value)
    }

    fn rule(&self) -> String {
        let mut rule = format!(
            "must be a whole number from {} to {}",
            self.least, self.most
        );
        if let Some(meaning) = self.zero {
            rule.push_str(&format!(", or 0: {meaning}"));
        }
        if !self.why.is_empty() {
            rule.push_str(&format!(" ({})", self.why));
        }
        rule
    }
}

const NO_LIMIT: &str = "no limit";
const OFF: &str = "switched off";
const HELD: &str = "without a limit, connections would be held for ever";
const WAITS: &str = "WeChat waits 5 seconds";

const RANGES: &[Range] = &[
    range("server.workers", 1, 512).or_zero("one per processor"),
    range("server.stalled_seconds", 1, 600).because(HELD),
    range("server.body_seconds", 1, 600).because(HELD),
    range("server.max_connections", 16, 1_000_000)
        .or_zero("as many as the limit of descriptors allows"),
    range("server.max_connections_per_address", 1, 1_000_000).or_zero(NO_LIMIT),
    range("server.shutdown_seconds", 1, HOUR).or_zero("nothing is waited for"),
    range("api.large_body_bytes", 16 * MIB, u32::MAX as u64)
        .because("the largest body has 16777216 bytes"),
    range("api.large_bodies_at_once", 1, 1_000),
    range("api.token_reports_per_minute", 1, 1_000_000).or_zero(NO_LIMIT),
    range("api.invitations_per_minute", 1, 1_000_000).or_zero(NO_LIMIT),
    range("api.webhook_tests_per_minute", 1, 1_000_000).or_zero(NO_LIMIT),
    range("users.session_idle_seconds", 300, MONTH)
        .because("when a session was last used is known to about a minute"),
    range("users.session_seconds", 300, 12 * MONTH),
    range("database.pool_size", 1, 1_000),
    range("database.api_connections", 1, 1_000),
    range("database.api_timeout_ms", 100, 10 * MINUTE_MS),
    range("database.statement_timeout_ms", 100, 60 * MINUTE_MS),
    range("database.lock_timeout_ms", 100, 10 * MINUTE_MS),
    range(
        "database.idle_in_transaction_timeout_ms",
        100,
        10 * MINUTE_MS,
    ),
    range("wechat.connect_timeout_ms", 1, MINUTE_MS),
    range("wechat.timeout_ms", 1, MINUTE_MS),
    range("intake.max_age_seconds", 1, MONTH).or_zero("any time will do"),
    range("intake.max_body_bytes", 16_384, 64 * MIB)
        .because("WeChat's callbacks have up to some kilobytes"),
    range("intake.batch_rows", 1, 5_000),
    range("intake.queue_bytes", MIB, TIB),
    range("intake.hold_ms", 100, 4_500).because(WAITS),
    range("intake.spool_bytes", MIB, 64 * TIB).or_zero("no spool"),
    range("process.batch_rows", 1, 5_000),
    range("process.poll_ms", 10, MINUTE_MS),
    range("profile.linger_ms", 1, MINUTE_MS).or_zero("nobody is waited for"),
    range("profile.concurrency", 1, 1_000),
    range("profile.lease_seconds", 1, HOUR),
    range("profile.retry_first_seconds", 1, DAY),
    range("profile.retry_longest_seconds", 1, MONTH),
    range("profile.reprobe_first_seconds", 1, MONTH),
    range("profile.reprobe_longest_seconds", 1, 12 * MONTH),
    range("profile.refresh_per_second", 1, 100_000),
    range("deliver.batch_rows", 1, 5_000),
    range("deliver.loops", 1, 1_000),
    range("deliver.loops_per_account", 1, 1_000),
    range("deliver.urgent_loops", 1, 1_000),
    range("deliver.lease_seconds", 1, 300)
        .because("WeChat remembers a client_msg_id for 10 minutes"),
    range("deliver.retry_first_seconds", 1, DAY),
    range("deliver.retry_longest_seconds", 1, DAY),
    range("deliver.max_attempts", 1, 1_000),
    range("deliver.max_age_seconds", 60, MONTH),
    range("deliver.receipt_seconds", 60, MONTH)
        .because("a receipt needs some seconds, more when WeChat is busy"),
    range("deliver.receipt_give_up_seconds", 60, MONTH),
    range("deliver.consent_wait_seconds", 1, DAY).or_zero(OFF),
    range("deliver.max_recipients", 1, 1_000_000),
    range("deliver.probe_seconds", 1, DAY),
    range("deliver.probe_longest_seconds", 1, DAY),
    range("budgets.*.per_day", 1, ANY_BUDGET).or_zero(NO_LIMIT),
    range("budgets.*.per_minute", 1, ANY_BUDGET).or_zero(NO_LIMIT),
    range("budgets.*.per_second", 1, ANY_BUDGET).or_zero(NO_LIMIT),
    range("templates.sync_seconds", 60, MONTH).or_zero("only when asked"),
    range("customer.spoke_messages", 1, 10_000).or_zero("none"),
    range("customer.spoke_seconds", 1, MONTH),
    range("customer.acted_messages", 1, 10_000).or_zero("none"),
    range("customer.acted_seconds", 1, MONTH),
    range("customer.entered_messages", 1, 10_000).or_zero("none"),
    range("customer.entered_seconds", 1, MONTH),
    range("customer.text_bytes", 1, 65_536),
    range("webhooks.connect_timeout_ms", 1, MINUTE_MS),
    range("webhooks.timeout_ms", 1, MINUTE_MS)
        .because("an endpoint answers first and works afterwards"),
    range("webhooks.batch_rows", 1, 1_000),
    range("webhooks.concurrency", 1, 1_000),
    range("webhooks.retry_first_seconds", 1, DAY),
    range("webhooks.retry_longest_seconds", 1, DAY),
    range("webhooks.max_age_seconds", 60, MONTH),
    range("webhooks.disable_after_seconds", 60, 12 * MONTH),
    range("stats.keep_days", 31, 36_500),
    range("webhooks.retention_days", 2, 3_650).because("events are retried for a day"),
];

/// Checks every number among the settings.
///
/// # Errors
/// Names the first that is out of its range.
pub(super) fn check(source: &Source) -> Result<(), ConfigError> {
    for (name, value) in settings_of(source) {
        let Some(range) = RANGES.iter().find(|range| range.is_of(&name)) else {
            continue;
        };
        if !whole(&value).is_some_and(|value| range.has(value)) {
            let rule = range.rule();
            return Err(ConfigError::range(&name, value, rule));
        }
    }
    Ok(())
}

/// A whole number, as it stands in a file or in a variable. What else could be read as one, a truth or a
/// fraction, was hardly meant so.
fn whole(value: &Value) -> Option<i128> {
    match &value.kind {
        ValueKind::I64(value) => Some(i128::from(*value)),
        ValueKind::U64(value) => Some(i128::from(*value)),
        ValueKind::I128(value) => Some(*value),
        ValueKind::U128(value) => i128::try_from(*value).ok(),
        ValueKind::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// The name of every setting, `server.bind` and so on, with its value.
pub(super) fn settings_of(source: &Source) -> Vec<(String, Value)> {
    let table = source.clone().try_deserialize::<Map<String, Value>>();
    let mut settings = Vec::new();
    for (name, value) in table.unwrap_or_default() {
        collect(name, value, &mut settings);
    }
    settings
}

fn collect(path: String, value: Value, settings: &mut Vec<(String, Value)>) {
    match value.kind {
        ValueKind::Table(table) => {
            for (name, value) in table {
                collect(format!("{path}.{name}"), value, settings);
            }
        }
        _ => settings.push((path, value)),
    }
}

#[cfg(test)]
mod tests {
    use config::{File, FileFormat};

    use super::super::DEFAULTS;
    use super::*;

    fn defaults() -> Source {
        with("data_dir", "x")
    }

    fn with(name: &str, value: impl Into<Value>) -> Source {
        Source::builder()
            .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
            .set_override(name, value)
            .unwrap()
            .build()
            .unwrap()
    }

    #[test]
    fn every_number_of_the_defaults_has_one_range_and_is_in_it() {
        check(&defaults()).unwrap();
        let settings = settings_of(&defaults());
        for (name, value) in &settings {
            let ranges = RANGES.iter().filter(|range| range.is_of(name)).count();
            let is_number = matches!(value.kind, ValueKind::I64(_) | ValueKind::Float(_));
            assert_eq!(ranges, usize::from(is_number), "{name}");
        }
        for range in RANGES {
            let mut names = settings.iter().map(|(name, _)| name);
            assert!(names.any(|name| range.is_of(name)), "{}", range.name);
        }
    }

    #[test]
    fn what_is_out_of_its_range_is_refused_and_what_is_at_its_ends_is_not() {
        for range in RANGES {
            let name = range.name.replace('*', "custom_send");
            let refused = |value: Value| {
                let text = check(&with(&name, value)).unwrap_err().to_string();
                let variable = name.replace('.', "__").to_ascii_uppercase();
                for part in [&name, &range.most.to_string(), &variable] {
                    assert!(text.contains(part.as_str()), "{text}");
                }
            };
            let (least, most) = (
                range.least.cast_signed() as i128,
                range.most.cast_signed() as i128,
            );
            for value in [-1, -5, i128::from(i64::MIN), most + 1, i128::from(i64::MAX)] {
                refused(value.into());
                refused(value.to_string().into());
            }
            refused(1.5.into());
            refused(true.into());
            refused("".into());
            refused("some".into());
            refused("99999999999999999999999999999999999999999999".into());
            match range.zero {
                Some(_) if least > 1 => refused((least - 1).into()),
                Some(_) => check(&with(&name, 0)).unwrap(),
                None => refused((least - 1).into()),
            }
            for value in [least, most] {
                check(&with(&name, value)).unwrap();
                check(&with(&name, value.to_string())).unwrap();
            }
        }
    }

    #[test]
    fn an_account_has_its_limits_in_the_same_range() {
        let name = "budgets.accounts.wx0123456789abcdef.template_send.per_day";
        let text = check(&with(name, -1)).unwrap_err().to_string();
        assert!(text.contains(name), "{text}");
        check(&with(name, 5)).unwrap();
    }
}
