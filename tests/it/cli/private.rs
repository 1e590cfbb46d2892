//! Files that hold people's ids and the master key are their owner's alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use queqiao::db::Engine;

use crate::support::program::{Program, Said};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// With everything in the data directory, as a first start has it.
fn run(program: &Program, arguments: &[&str]) -> Said {
    let mut command = program.command(arguments);
    command.env_remove("DATABASE_URL");
    let done = command.output().unwrap();
    Said {
        status: done.status,
        out: String::from_utf8(done.stdout).unwrap(),
        err: String::from_utf8(done.stderr).unwrap(),
    }
}

#[test]
fn data_files_are_private_also_where_they_were_not_and_a_lax_key_is_refused() {
    let program = Program::new(Engine::Sqlite);
    run(&program, &["projects", "add", "one"]).ok();
    let data = program.directory.join("data");
    let (database, key) = (data.join("queqiao.db"), data.join("master.key"));
    assert_eq!(
        (mode(&data), mode(&database), mode(&key)),
        (0o700, 0o600, 0o600)
    );
    set(&data, 0o755);
    set(&database, 0o644);
    for beside in ["queqiao.db-wal", "queqiao.db-shm"] {
        fs::write(data.join(beside), "").unwrap();
        set(&data.join(beside), 0o644);
    }
    run(&program, &["projects", "list"]).ok();
    for file in fs::read_dir(&data).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert_eq!(mode(&data), 0o700);
    set(&key, 0o644);
    let refused = run(&program, &["projects", "list"]);
    assert!(!refused.status.success());
    assert!(
        refused.err.contains("chmod 600 data/master.key"),
        "{}",
        refused.err
    );
}

#[test]
fn no_new_key_is_made_beside_secrets_that_it_would_not_open() {
    let program = Program::new(Engine::Sqlite);
    run(&program, &["projects", "add", "one"]).ok();
    let key = program.directory.join("data/master.key");
    // Nothing is sealed yet.
    fs::remove_file(&key).unwrap();
    run(&program, &["projects", "list"]).ok();
    let add = [
        "accounts",
        "add",
        "wx00000000000000a1",
        "--kind",
        "official_account",
        "--mode",
        "plain",
    ];
    run(&program, &add).ok();
    fs::remove_file(&key).unwrap();
    let refused = run(&program, &["projects", "list"]);
    assert!(!refused.status.success());
    for word in ["master.key", "QUEQIAO_MASTER_KEY"] {
        assert!(refused.err.contains(word), "{}", refused.err);
    }
    assert!(!key.exists());
}
