//! What a load measured.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Answers by status, and how long they took.
#[derive(Debug, Default)]
pub struct Report {
    /// How long the whole load took.
    pub elapsed: Duration,
    /// Answers by HTTP status.
    pub statuses: BTreeMap<u16, u64>,
    micros: Vec<u32>,
}

impl Report {
    pub(super) fn count(&mut self, status: u16, took: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        self.micros
            .push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    pub(super) fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.micros.extend(other.micros);
    }

    /// Answers with status 200: events that the other side says it has.
    pub fn accepted(&self) -> u64 {
        self.statuses.get(&200).copied().unwrap_or_default()
    }

    /// Accepted events per second.
    pub fn per_second(&self) -> f64 {
        self.accepted() as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// The time within which that share (0..1) of the answers came.
    pub fn quantile(&mut self, share: f64) -> Duration {
        let last = self.micros.len().saturating_sub(1);
        let at = (last as f64 * share.clamp(0.0, 1.0)).round() as usize;
        self.micros.sort_unstable();
        let micros = self.micros.get(at).copied().unwrap_or_default();
        Duration::from_micros(u64::from(micros))
    }

    /// One line for people.
    pub fn summary(&mut self) -> impl fmt::Display + use<> {
        let statuses: Vec<String> = self
            .statuses
            .iter()
            .map(|(status, count)| format!("{status}: {count}"))
            .collect();
        format!(
            "{:.0} events/s, p50 {:.2} ms, p99 {:.2} ms, {:.1} s; answers {}",
            self.per_second(),
            self.quantile(0.5).as_secs_f64() * 1e3,
            self.quantile(0.99).as_secs_f64() * 1e3,
            self.elapsed.as_secs_f64(),
            statuses.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_and_quantiles_are_of_the_whole() {
        let mut whole = Report::default();
        for part in 0..2 {
            let mut report = Report::default();
            for milli in 1..=50 {
                report.count(200, Duration::from_millis(part * 50 + milli));
            }
            whole.add(report);
        }
        whole.count(503, Duration::from_millis(1));
        whole.elapsed = Duration::from_secs(2);
        assert_eq!(whole.accepted(), 100);
        assert_eq!(whole.quantile(0.5), Duration::from_millis(50));
        assert_eq!(whole.quantile(1.0), Duration::from_millis(100));
        assert!(whole.summary().to_string().contains("50 events/s"));
    }
}
