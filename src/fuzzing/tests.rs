//! The targets on the stable toolchain: each seed, and each seed as chance changes it.

use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use super::{TARGETS, Target};

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name)
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(corpus(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let seeds: Vec<Vec<u8>> = files
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect();
    assert!(!seeds.is_empty(), "{name} has no seed");
    seeds
}

/// A seed, pieces of which are replaced.
fn changed(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let piece = (any::<Index>(), any::<Index>(), vec(any::<u8>(), 0..8));
    (prop::sample::select(seeds), vec(piece, 0..6)).prop_map(|(mut seed, pieces)| {
        for (from, to, new) in pieces {
            let (from, to) = (from.index(seed.len() + 1), to.index(seed.len() + 1));
            seed.splice(from.min(to)..from.max(to).min(from.min(to) + 16), new);
        }
        seed
    })
}

fn run((name, target): Target, cases: u32) {
    let seeds = seeds(name);
    for seed in &seeds {
        target(seed);
    }
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let tried = TestRunner::new(config).run(&changed(seeds), |data| {
        target(&data);
        Ok(())
    });
    assert!(tried.is_ok(), "{name}: {tried:?}");
}

#[test]
fn every_target_takes_its_seeds_and_what_chance_makes_of_them() {
    // More by hand: `FUZZ_CASES=1000000 cargo test --lib fuzzing`.
    let cases = std::env::var("FUZZ_CASES").ok();
    let cases = cases.and_then(|cases| cases.parse().ok()).unwrap_or(256);
    for target in TARGETS {
        run(target, cases);
    }
}

#[test]
fn every_target_has_a_program_and_every_corpus_a_target() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |below: &str| {
        let files = std::fs::read_dir(fuzz.join(below)).unwrap();
        let mut names: Vec<String> = files
            .map(|file| {
                let path = file.unwrap().path();
                path.file_stem().unwrap().to_string_lossy().into_owned()
            })
            .collect();
        names.sort_unstable();
        names
    };
    let mut targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    targets.sort_unstable();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
}
