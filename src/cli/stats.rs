//! `queqiao stats`: numbers by day, and counting what was there before them.

use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};

use super::context;
use crate::bridge::Bridge;
use crate::bridge::stats::series::{Series, Stats, StatsRequest, What};
use crate::cli::terminal::{note, say};
use crate::clock::Day;
use crate::config::Config;
use crate::models::delivery::DeliveryState;

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, ClapArgs)]
struct Shown {
    /// The first day, such as 2026-11-01; without it, 30 days are shown.
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Option<Day>,
    /// The last day; today without it.
    #[arg(long, value_name = "DAY", value_parser = day)]
    to: Option<Day>,
    /// Only what is of the account with this AppID.
    #[arg(long, value_name = "APP_ID")]
    account: Option<String>,
    /// Every number as a line of CSV, by account, channel and reason.
    #[arg(long)]
    csv: bool,
    /// Whose; not needed while there is one project.
    #[arg(long)]
    project: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Count what is stored of these days and is not counted, as it is from before an upgrade.
    Recount {
        /// The first day, such as 2026-11-01.
        #[arg(long, value_name = "DAY", value_parser = day)]
        from: Day,
        /// The last day.
        #[arg(long, value_name = "DAY", value_parser = day)]
        to: Day,
        /// Whose; not needed while there is one project.
        #[arg(long)]
        project: Option<String>,
    },
}

fn day(text: &str) -> Result<Day, &'static str> {
    text.parse()
}

pub(super) async fn run(config: Config, args: Args) -> Result<()> {
    let bridge = context::open(config)?;
    match args.command {
        None => show(&bridge, args.shown).await,
        Some(Command::Recount { from, to, project }) => {
            let project = context::find_project(&bridge, project.as_deref()).await?;
            let counted = bridge.recount(project.id, (from, to)).await?;
            say!(
                "{} events, {} deliveries and {} receipts were not counted yet, and are now",
                counted.events,
                counted.deliveries,
                counted.receipts
            );
            Ok(())
        }
    }
}

async fn show(bridge: &Bridge, shown: Shown) -> Result<()> {
    let project = context::find_project(bridge, shown.project.as_deref()).await?;
    let request = StatsRequest {
        from: shown.from,
        to: shown.to,
        app_id: shown.account,
        by_channel: shown.csv,
        by_reason: shown.csv,
        by_account: shown.csv,
    };
    let stats = bridge.stats(project.id, request).await?;
    match shown.csv {
        true => print_csv(&stats),
        false => {
            print_table(&stats);
            Ok(())
        }
    }
}

/// The columns of the table, with their headings.
fn columns() -> Vec<(String, What, Option<&'static str>)> {
    let mut columns = vec![
        ("follows".to_owned(), What::Follows, None),
        ("unfollows".to_owned(), What::Unfollows, None),
        ("net".to_owned(), What::NetFollows, None),
        ("logins".to_owned(), What::Logins, None),
        ("accepted".to_owned(), What::Accepted, None),
    ];
    columns.extend(DeliveryState::ALL.iter().map(|state| {
        let word = state.as_str();
        (word.to_owned(), What::Deliveries, Some(word))
    }));
    columns
}

fn print_table(stats: &Stats) {
    let found: Vec<(String, &Series)> = columns()
        .into_iter()
        .filter_map(|(heading, metric, name)| {
            let mut series = stats.series.iter();
            let one = series.find(|one| one.metric == metric && one.name.as_deref() == name)?;
            Some((heading, one))
        })
        .collect();
    let line = |first: &str, cells: Vec<String>| {
        let mut line = format!("{first:10}");
        for ((heading, _), cell) in found.iter().zip(cells) {
            line.push_str(&format!("  {cell:>width$}", width = heading.len().max(7)));
        }
        say!("{line}");
    };
    line(
        "",
        found.iter().map(|(heading, _)| heading.clone()).collect(),
    );
    for (at, day) in stats.days.iter().enumerate() {
        let count = |one: &Series| one.counts.get(at).copied().unwrap_or_default().to_string();
        line(day, found.iter().map(|(_, one)| count(one)).collect());
    }
    line(
        "total",
        found.iter().map(|(_, one)| one.total.to_string()).collect(),
    );
    note!(
        "Days of {}. More with --csv: reasons, channels, receipts, events, calls.",
        stats.time_zone
    );
}

fn print_csv(stats: &Stats) -> Result<()> {
    say!(
        "{}",
        record(&[
            "day", "metric", "name", "channel", "reason", "app_id", "count"
        ])?
    );
    for one in &stats.series {
        for (day, count) in stats.days.iter().zip(&one.counts) {
            if *count == 0 {
                continue;
            }
            let word = |text: &Option<String>| text.clone().unwrap_or_default();
            let (name, channel) = (word(&one.name), word(&one.channel));
            let (reason, app_id) = (word(&one.reason), word(&one.app_id));
            let count = count.to_string();
            let metric = one.metric.as_str();
            say!(
                "{}",
                record(&[day, metric, &name, &channel, &reason, &app_id, &count])?
            );
        }
    }
    Ok(())
}

/// A line of CSV, without its end.
fn record(fields: &[&str]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(fields)?;
    let line = String::from_utf8(writer.into_inner()?)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
