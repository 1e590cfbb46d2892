//! The commands of the first steps, typed into the shells that people use, with the real curl.

use std::io::Write as _;
use std::process::{Command, Stdio};

use queqiao::db::Engine;

use super::app::DocsApp;
use super::markdown::{self, Block};
use super::{README, README_ZH, SETUP, SETUP_ZH};
use crate::support::Fixture;

/// A shell as somebody sits at it; `-i` for what differs there, such as comments in zsh.
const SHELLS: [&[&str]; 2] = [
    &["bash", "--norc", "--noprofile", "-i"],
    &["zsh", "-f", "-i"],
];

/// What is typed, and how many blocks and answers that are at the least.
const TYPED: [(&str, usize, usize); 4] = [
    (README, 4, 6),
    (README_ZH, 4, 6),
    (SETUP, 8, 35),
    (SETUP_ZH, 8, 35),
];

/// Whether the program is installed. Under CI it has to be.
fn is_there(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if found.is_ok() {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{program} is not installed"
    );
    eprintln!("skipped: {program} is not installed");
    false
}

/// The blocks that define or call the functions `api` and `sim`, as they are written.
fn scripts(document: &str) -> Vec<String> {
    let calls = |text: &str| {
        let mut lines = text.lines();
        lines.any(|line| line.starts_with("api") || line.starts_with("sim "))
    };
    let blocks = markdown::blocks(document).into_iter();
    blocks
        .filter_map(|block| match block {
            Block::Code { language, text } if language == "sh" && calls(&text) => Some(text),
            _ => None,
        })
        .collect()
}

/// Types a script, and returns what was printed.
fn typed(shell: &[&str], script: &str) -> String {
    let mut child = Command::new(shell[0])
        .args(&shell[1..])
        .env("PS1", "")
        .env("NO_PROXY", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(script.as_bytes()).unwrap();
    input.write_all(b"\nexit\n").unwrap();
    drop(input);
    let done = child.wait_with_output().unwrap();
    let out = String::from_utf8(done.stdout).unwrap();
    let err = String::from_utf8(done.stderr).unwrap();
    for sign in [
        "not found",
        "no matches",
        "no such option",
        "curl:",
        "error",
    ] {
        assert!(!err.contains(sign), "{shell:?}: {script}\n{err}");
    }
    out
}

/// Types all of a document, and returns how many blocks and answers that were.
async fn type_all(document: &str, shell: &'static [&'static str]) -> (usize, usize) {
    let mut docs = DocsApp::on(Engine::Sqlite).await;
    // What defines the functions is typed again before each block, as every block has a shell.
    let mut definitions = String::new();
    let (mut answers, mut blocks) = (0, 0);
    for script in scripts(document) {
        let filled = docs.filled(&script).await;
        let whole = format!("{definitions}{filled}");
        let told = tokio::task::spawn_blocking(move || typed(shell, &whole));
        let told = told.await.unwrap();
        assert!(!told.contains("urn:queqiao:problem"), "{script}\n{told}");
        // What the simulator refuses; its successes have no code, or 0.
        let refused = |line: &str| line.starts_with("{\"errcode\":") && !line.contains(":0,");
        assert!(!told.lines().any(refused), "{script}\n{told}");
        answers += told.lines().filter(|line| line.starts_with('{')).count();
        blocks += 1;
        for line in filled.lines() {
            let defines = ["[ -n", "KEY=", "SIM=", "api() {", "sim() {"];
            if defines.iter().any(|start| line.starts_with(start)) {
                definitions.push_str(line);
                definitions.push('\n');
            }
        }
        docs.settle().await;
    }
    (blocks, answers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_steps_can_be_typed_into_bash_and_zsh() {
    if !is_there("curl") {
        return;
    }
    for shell in SHELLS {
        if is_there(shell[0]) {
            for (document, least_blocks, least_answers) in TYPED {
                let (blocks, answers) = type_all(document, shell).await;
                assert!(
                    blocks >= least_blocks && answers >= least_answers,
                    "{blocks} blocks, {answers} answers: {}",
                    document.lines().next().unwrap_or_default()
                );
            }
        }
    }
}
