//! Secrets on the command line: given as a value, as `@FILE`, or as `-` for standard input, so
//! that they need not appear in a list of processes or in a shell's history.

use std::io::Read as _;

use anyhow::{Context as _, Result};
use secrecy::SecretString;

/// Reads a secret as the operator gave it. A trailing line end is not part of it.
pub(super) fn read(given: &str) -> Result<SecretString> {
    let text = match given.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("reading {path}"))?,
        None if given == "-" => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("reading standard input")?;
            text
        }
        None => given.to_owned(),
    };
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}

/// A random text of letters and digits, as WeChat's console takes for Token and EncodingAESKey.
pub(super) fn random_text(length: usize) -> String {
    use rand::RngExt as _;
    rand::rng()
        .sample_iter(rand::distr::Alphanumeric)
        .take(length)
        .map(char::from)
        .collect()
}
