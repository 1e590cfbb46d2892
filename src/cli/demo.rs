//! `queqiao demo`: the whole bridge at work against the built-in WeChat, shown as it happens.

mod app;
mod stage;
mod story;

use anyhow::{Result, bail};
use clap::Args as ClapArgs;

use super::serve::stop_signal;
use stage::Stage;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Tell the story and stop; fails unless all of it worked.
    #[arg(long)]
    once: bool,
    /// Where the demo's Queqiao listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    bind: String,
}

pub(super) async fn run(args: Args) -> Result<()> {
    let stop = stop_signal()?;
    let stage = Stage::set(&args.bind).await?;
    let played = tokio::select! {
        played = story::play(&stage) => Some(played),
        () = stop => None,
    };
    let failed = match played {
        Some(Ok(failed)) => failed,
        Some(Err(error)) => {
            stage.clear().await?;
            return Err(error.context("the demo could not go on"));
        }
        None => {
            stage.clear().await?;
            return Ok(());
        }
    };
    if failed == 0 && !args.once {
        stage.invite();
        stop_signal()?.await;
    }
    stage.clear().await?;
    match failed {
        0 => Ok(()),
        failed => bail!("{failed} of the demo's checks failed"),
    }
}
