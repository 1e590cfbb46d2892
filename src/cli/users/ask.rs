//! A password that is not an argument, where it would be in the list of processes and in the shell's history: from the
//! environment, typed unseen, or from standard input.

use std::io::{BufRead as _, IsTerminal as _, Stdin, stdin};

use anyhow::{Context as _, Result, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret as _, SecretString};

use crate::cli::terminal::note;
use crate::config;

/// The password: of `QUEQIAO_USER_PASSWORD`, typed twice, or the first line of standard input.
pub(super) fn password() -> Result<SecretString> {
    if let Some(password) = config::user_password() {
        return Ok(password);
    }
    let stdin = stdin();
    if !stdin.is_terminal() {
        let password = line(&stdin)?;
        if password.expose_secret().is_empty() {
            bail!(
                "there is no password: give it on standard input or in QUEQIAO_USER_PASSWORD, or say --generate"
            );
        }
        return Ok(password);
    }
    let quiet = Quiet::over(&stdin)?;
    note!("Password, which is not shown:");
    let first = line(&stdin)?;
    note!("The same again:");
    let second = line(&stdin)?;
    drop(quiet);
    if first.expose_secret() != second.expose_secret() {
        bail!("the two are not the same: nothing was changed");
    }
    Ok(first)
}

fn line(stdin: &Stdin) -> Result<SecretString> {
    let mut text = String::new();
    let read = stdin.lock().read_line(&mut text);
    read.context("reading standard input")?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Quiet<'a> {
    stdin: &'a Stdin,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn over(stdin: &'a Stdin) -> Result<Self> {
        let before = tcgetattr(stdin).context("asking the terminal")?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin, OptionalActions::Now, &quiet).context("telling the terminal")?;
        Ok(Self { stdin, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = tcsetattr(self.stdin, OptionalActions::Now, &self.before);
    }
}
