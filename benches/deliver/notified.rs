//! One notification that was accepted, followed to its end and counted.

use std::time::{Duration, Instant};

use chrono::NaiveDateTime;
use diesel::prelude::*;
use queqiao::db::schema::deliveries;
use queqiao::ids::NotificationId;
use queqiao::models::delivery::DeliveryState;
use queqiao::simulator::Stats;
use serde::Deserialize;

use crate::stage::Stage;
use crate::support::wait_until;

/// How often the progress is asked for.
const ASKED: usize = 21;
const PATIENCE: Duration = Duration::from_secs(180);

#[derive(Deserialize)]
struct Progress {
    counts: Counts,
}

#[derive(Deserialize)]
pub(crate) struct Counts {
    pub(crate) queued: u32,
    delivered: u32,
}

/// A notification that was accepted.
pub(crate) struct Notified<'a> {
    pub(crate) stage: &'a Stage<'a>,
    pub(crate) id: i64,
    pub(crate) recipients: u32,
    pub(crate) started: Instant,
    /// The service's resident memory at its highest until it had answered, MiB.
    pub(crate) peak_mib: f64,
    pub(crate) accept: Duration,
    pub(crate) before: Stats,
}

/// What became of it.
pub(crate) struct Figures {
    recipients: u32,
    accept: Duration,
    /// From the request to the last delivery recorded as sent.
    sent: Duration,
    /// From the request to the last one recorded as delivered.
    delivered: Option<Duration>,
    /// The service's memory at its highest, until it had answered and until the end.
    peaks_mib: (f64, f64),
    /// What it takes to ask how far it has come.
    asked: Duration,
    /// From the request to the answer of each send, in order, milliseconds.
    answered: Vec<f64>,
}

impl Notified<'_> {
    /// Waits for its end, and proves that everybody saw it once.
    pub(crate) fn settle(self, receipts: bool) -> Figures {
        let stage = self.stage;
        // Looking costs what the service could use.
        let pause = Duration::from_millis(u64::from(self.recipients) / 2_000);
        wait_until(PATIENCE, "sending", || {
            std::thread::sleep(pause);
            self.counts().queued == 0
        });
        let sent = self.started.elapsed();
        if receipts {
            wait_until(PATIENCE, "receipts", || {
                std::thread::sleep(pause);
                self.counts().delivered == self.recipients
            });
        }
        let delivered = receipts.then(|| self.started.elapsed());
        let seen = stage.seen();
        assert_eq!(
            seen.messages - self.before.messages,
            u64::from(self.recipients),
            "each person saw one message"
        );
        assert_eq!(seen.repeats, self.before.repeats, "none was sent twice");
        let asked = match self.recipients {
            1 => Duration::ZERO,
            _ => self.ask(),
        };
        Figures {
            peaks_mib: (self.peak_mib, stage.peak_mib()),
            asked,
            recipients: self.recipients,
            accept: self.accept,
            sent,
            delivered,
            answered: self.answered(receipts),
        }
    }

    /// How far it has come, as the API says.
    pub(crate) fn counts(&self) -> Counts {
        let stage = self.stage;
        let url = format!(
            "http://{}/api/v1/notifications/{}",
            stage.service.address, self.id
        );
        let request = stage.http.get(url).bearer_auth(&stage.key);
        let answer = async { request.send().await?.error_for_status()?.json().await };
        let progress: Progress = stage.runtime.block_on(answer).expect("the progress");
        progress.counts
    }

    /// How long asking for that takes, the middle of many.
    fn ask(&self) -> Duration {
        let mut took: Vec<Duration> = (0..ASKED)
            .map(|_| {
                let started = Instant::now();
                self.counts();
                started.elapsed()
            })
            .collect();
        took.sort();
        took.get(ASKED / 2).copied().unwrap_or_default()
    }

    /// When each delivery's send was answered; all of them are in the state they should be in.
    fn answered(&self, receipts: bool) -> Vec<f64> {
        let mut conn = self.stage.db.connect().expect("the database answers");
        let rows: Vec<(DeliveryState, i32, NaiveDateTime, Option<NaiveDateTime>)> =
            deliveries::table
                .filter(deliveries::notification_id.eq(NotificationId(self.id)))
                .select((
                    deliveries::state,
                    deliveries::attempts,
                    deliveries::created_at,
                    deliveries::sent_at,
                ))
                .load(&mut conn)
                .expect("deliveries");
        assert_eq!(rows.len(), self.recipients as usize, "a delivery for each");
        let state = match receipts {
            true => DeliveryState::Delivered,
            false => DeliveryState::Sent,
        };
        let mut answered: Vec<f64> = rows
            .iter()
            .map(|(is, attempts, created_at, sent_at)| {
                assert_eq!((*is, *attempts), (state, 1));
                let took = sent_at.expect("a time of sending") - *created_at;
                took.as_seconds_f64() * 1e3
            })
            .collect();
        answered.sort_by(f64::total_cmp);
        answered
    }
}

impl Figures {
    /// Deliveries per second from the acceptance to the last one recorded as sent.
    pub(crate) fn per_second(&self) -> f64 {
        f64::from(self.recipients) / (self.sent - self.accept).as_secs_f64()
    }

    pub(crate) fn print(&self, bare: f64) {
        let (accepted_mib, peak_mib) = self.peaks_mib;
        let delivered = self.delivered.map_or_else(String::new, |delivered| {
            let seconds = (delivered - self.accept).as_secs_f64();
            format!("{:.0}", f64::from(self.recipients) / seconds)
        });
        let quantile = |per_cent: usize| {
            let at = (self.answered.len() * per_cent / 100).min(self.answered.len() - 1);
            self.answered.get(at).copied().unwrap_or_default()
        };
        println!(
            "{:<16} {:>9.1} {:>10.0} {:>8.2} {delivered:>11} {:>9.1} {:>9.1} {:>11.2} {accepted_mib:>12.0} {peak_mib:>8.0}",
            format!("{} staff", self.recipients),
            self.accept.as_secs_f64() * 1e3,
            self.per_second(),
            self.per_second() / bare,
            quantile(50),
            quantile(99),
            self.asked.as_secs_f64() * 1e3,
        );
    }
}
