//! Experiments with real faults: programs that are killed and frozen, a database that goes away, full disks, token
//! storms. Each ends with what WeChat saw, reconciled with the tables. `scripts/faults` runs them; what they found
//! is in docs/reliability.md.

#[path = "../it/support/cluster.rs"]
mod cluster;
mod context;
mod delivery;
mod dice;
mod disk;
mod endpoint;
mod frozen;
mod hour;
mod installation;
mod intake;
mod leftovers;
mod outage;
mod process;
mod reconcile;
mod report;
mod simulator;
mod tokens;
mod wechat;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;

use cluster::Stop;
use context::{Context, Pass, Scale};
use report::{Ended, Findings};

/// How long one experiment may take, in each pass.
const SHORT_LIMIT: Duration = Duration::from_secs(150);
const LONG_LIMIT: Duration = Duration::from_secs(900);
/// What is left to clear up after that, before the runner ends by force.
const GRACE: Duration = Duration::from_secs(30);
/// Connections and files of the runner and what it starts.
const FILES: u64 = 1 << 20;

/// Pushes a second where there are many: what a build without optimisation can take beside this runner is no more.
const BUSY: u64 = if cfg!(debug_assertions) { 1000 } else { 5000 };

/// The experiments: `scripts/faults`, `scripts/faults long`, `scripts/faults only NAME…`.
#[derive(Parser)]
#[command(name = "faults")]
struct Arguments {
    /// `long`: everything at length; `only NAME…`: those whose name begins so; `list`: their names.
    words: Vec<String>,
    /// Where chance begins. Moments depend on the machine too.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Pushes a second in the outages, instead of each one's own.
    #[arg(long)]
    rate: Option<u64>,
    /// How long an outage lasts, seconds.
    #[arg(long)]
    outage: Option<u64>,
    /// How long `hour` lasts, seconds.
    #[arg(long)]
    length: Option<u64>,
    /// The program under test, if it is not the one that cargo has built beside this one.
    #[arg(long)]
    program: Option<PathBuf>,
}

/// An experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Experiment {
    Intake { is_postgres: bool },
    Outage { how: Stop, rate: u64 },
    Delivery { is_postgres: bool },
    FrozenEvents,
    FrozenSends,
    FrozenLease,
    Tokens,
    Disk { is_postgres: bool },
    Hour,
}

/// All of them, by name; and whether the short pass has it.
const EXPERIMENTS: &[(&str, Experiment, bool)] = &[
    (
        "intake-sqlite",
        Experiment::Intake { is_postgres: false },
        true,
    ),
    (
        "intake-postgres",
        Experiment::Intake { is_postgres: true },
        true,
    ),
    (
        "outage-fast",
        Experiment::Outage {
            how: Stop::Fast,
            rate: 60,
        },
        true,
    ),
    (
        "outage-immediate",
        Experiment::Outage {
            how: Stop::Immediate,
            rate: 60,
        },
        false,
    ),
    (
        "outage-kill",
        Experiment::Outage {
            how: Stop::Kill,
            rate: 60,
        },
        true,
    ),
    (
        "outage-fast-busy",
        Experiment::Outage {
            how: Stop::Fast,
            rate: BUSY,
        },
        false,
    ),
    (
        "outage-immediate-busy",
        Experiment::Outage {
            how: Stop::Immediate,
            rate: BUSY,
        },
        false,
    ),
    (
        "outage-kill-busy",
        Experiment::Outage {
            how: Stop::Kill,
            rate: BUSY,
        },
        false,
    ),
    (
        "delivery-sqlite",
        Experiment::Delivery { is_postgres: false },
        true,
    ),
    (
        "delivery-postgres",
        Experiment::Delivery { is_postgres: true },
        true,
    ),
    ("frozen-events", Experiment::FrozenEvents, true),
    ("frozen-sends", Experiment::FrozenSends, true),
    ("frozen-lease", Experiment::FrozenLease, true),
    ("tokens", Experiment::Tokens, true),
    ("disk-sqlite", Experiment::Disk { is_postgres: false }, true),
    (
        "disk-postgres",
        Experiment::Disk { is_postgres: true },
        false,
    ),
    ("hour", Experiment::Hour, false),
];

impl Experiment {
    async fn run(self, context: &mut Context, name: &'static str) -> Result<Findings> {
        match self {
            Self::Intake { is_postgres } => intake::kills(context, is_postgres).await,
            Self::Outage { how, rate } => outage::outage(context, name, how, rate).await,
            Self::Delivery { is_postgres } => delivery::kills(context, name, is_postgres).await,
            Self::FrozenEvents => frozen::events(context, name).await,
            Self::FrozenSends => frozen::sends(context, name).await,
            Self::FrozenLease => frozen::lease(context, name).await,
            Self::Tokens => tokens::storms(context, name).await,
            Self::Disk { is_postgres } => disk::full(context, name, is_postgres).await,
            Self::Hour => hour::hour(context, name).await,
        }
    }
}

/// What the words ask for: the pass and the names, none for all.
fn understand(words: &[String]) -> Result<(Pass, Vec<String>)> {
    let mut pass = Pass::Short;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "long" => pass = Pass::Long,
            "only" => {
                let names: Vec<String> = words.by_ref().cloned().collect();
                ensure!(
                    !names.is_empty(),
                    "only: of which experiment? (`list` shows them)"
                );
                return Ok((pass, names));
            }
            other => bail!("{other}: not known; `long`, `list` or `only NAME…`"),
        }
    }
    Ok((pass, Vec::new()))
}

fn chosen(pass: Pass, names: &[String]) -> Vec<(&'static str, Experiment)> {
    EXPERIMENTS
        .iter()
        .filter(|(name, _, in_short)| match names {
            [] => *in_short || pass == Pass::Long,
            names => names.iter().any(|wanted| name.starts_with(wanted.as_str())),
        })
        .map(|(name, experiment, _)| (*name, *experiment))
        .collect()
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.words == ["list"] {
        for (name, _, in_short) in EXPERIMENTS {
            println!("{name}{}", if *in_short { "" } else { " (long pass)" });
        }
        return ExitCode::SUCCESS;
    }
    let holds = prepare(arguments);
    leftovers::clear();
    match holds {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("faults: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn prepare(arguments: Arguments) -> Result<bool> {
    let (pass, names) = understand(&arguments.words)?;
    let chosen = chosen(pass, &names);
    ensure!(
        !chosen.is_empty(),
        "no experiment has such a name; `list` shows them"
    );
    let program = match arguments.program {
        Some(program) => program.canonicalize()?,
        // target/PROFILE/examples/faults
        None => std::env::current_exe()?
            .ancestors()
            .nth(2)
            .context("no directory")?
            .join("queqiao"),
    };
    ensure!(
        program.is_file(),
        "{}: build the program first",
        program.display()
    );
    // Not /tmp, which may be memory.
    let directory = PathBuf::from(format!("/var/tmp/queqiao-faults-{}", std::process::id()));
    std::fs::create_dir(&directory)?;
    leftovers::directory(&directory);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit
            .maximum
            .map_or(Some(FILES), |most| Some(most.min(FILES))),
        maximum: limit.maximum,
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised)?;
    let scale = Scale {
        pass,
        rate: arguments.rate,
        outage: arguments.outage,
        length: arguments.length,
    };
    let mut context = Context::new(program, directory, scale, arguments.seed);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()?;
    let holds = runtime.block_on(async {
        tokio::select! {
            holds = run(&mut context, &chosen) => Ok(holds),
            () = stopped() => bail!("stopped"),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    holds
}

/// Ends with a signal that asks the runner to stop.
async fn stopped() {
    let mut terminated =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
    let terminated = async {
        match &mut terminated {
            Some(terminated) => terminated.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}

async fn run(context: &mut Context, chosen: &[(&'static str, Experiment)]) -> bool {
    let mut all = Vec::with_capacity(chosen.len());
    for (name, experiment) in chosen {
        let started = Instant::now();
        let mut most = context.scale.pick(SHORT_LIMIT, LONG_LIMIT);
        if *experiment == Experiment::Hour {
            most += hour::length(context);
        }
        let _watch = Watch::over(name, most + GRACE);
        context.begin(name);
        let end = match tokio::time::timeout(most, experiment.run(context, name)).await {
            Ok(Ok(findings)) => Ok(findings),
            Ok(Err(error)) => Err(format!("{error:#}")),
            Err(_) => Err(format!("it did not end in {} s", most.as_secs())),
        };
        if end.is_err() {
            tokio::task::block_in_place(|| context.recover());
        }
        let ended = Ended {
            name,
            took: started.elapsed(),
            end,
        };
        println!("{}", ended.line());
        all.push(ended);
    }
    println!("\n{}", report::table(&all));
    all.iter().all(Ended::holds)
}

/// Ends the runner, with all that it has started, if it is not dropped in time: something blocks where nothing may.
struct Watch(Option<std::sync::mpsc::Sender<()>>);

impl Watch {
    fn over(name: &'static str, most: Duration) -> Self {
        let (over, is_over) = std::sync::mpsc::channel::<()>();
        std::thread::spawn(move || {
            if is_over.recv_timeout(most) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                eprintln!("{name}: FAILED: it hangs");
                leftovers::clear();
                std::process::exit(1);
            }
        });
        Self(Some(over))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}
