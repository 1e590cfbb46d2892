//! What must not stay behind, whatever happens to the runner: processes, mounts and its directory. Owners clear
//! up after themselves when they are dropped; this is for an end at which nothing is dropped.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

static PROCESSES: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());
static MOUNTS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
static DIRECTORY: Mutex<Option<PathBuf>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child has been started.
pub(crate) fn started(process: u32) {
    lock(&PROCESSES).insert(process);
}

/// A child has ended, and its number may be another's from now on.
pub(crate) fn ended(process: u32) {
    lock(&PROCESSES).remove(&process);
}

/// Something is mounted there.
pub(crate) fn mounted(path: &Path) {
    lock(&MOUNTS).insert(path.to_owned());
}

/// It is mounted no more.
pub(crate) fn unmounted(path: &Path) {
    lock(&MOUNTS).remove(path);
}

/// Where everything is kept.
pub(crate) fn directory(path: &Path) {
    *lock(&DIRECTORY) = Some(path.to_owned());
}

/// Ends and removes what is left.
pub(crate) fn clear() {
    for process in std::mem::take(&mut *lock(&PROCESSES)) {
        if let Ok(Some(pid)) = i32::try_from(process).map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    for path in std::mem::take(&mut *lock(&MOUNTS)) {
        let _ = Command::new("umount").arg("-l").arg(path).status();
    }
    if let Some(path) = lock(&DIRECTORY).take() {
        let _ = std::fs::remove_dir_all(path);
    }
}
