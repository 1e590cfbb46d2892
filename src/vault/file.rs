//! The key file: written aside, flushed, and then given its name, so that nobody ever reads an empty or
//! a half one, and of several processes that start together one makes it for all.

use std::fs::{self, File, OpenOptions};
use std::io::{Error, ErrorKind, Write as _};
use std::path::Path;

use super::VaultError;

/// The text of the key file; one that is not there is made with what `make` returns.
pub(super) fn read_or_make(
    path: &Path,
    make: impl FnOnce() -> String,
) -> Result<String, VaultError> {
    let failed = |source| VaultError::KeyFile {
        path: path.display().to_string(),
        source,
    };
    match read(path) {
        Err(VaultError::KeyFile { source, .. }) if source.kind() == ErrorKind::NotFound => {
            create(path, &make()).map_err(failed)?;
            // Another process may have been quicker.
            read(path)
        }
        read => read,
    }
}

fn read(path: &Path) -> Result<String, VaultError> {
    let failed = |source| VaultError::KeyFile {
        path: path.display().to_string(),
        source,
    };
    check_mode(path, &fs::metadata(path).map_err(failed)?)?;
    fs::read_to_string(path).map_err(failed)
}

#[cfg(unix)]
fn check_mode(path: &Path, file: &fs::Metadata) -> Result<(), VaultError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(VaultError::LaxKeyFile {
        path: path.display().to_string(),
        mode,
    })
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &fs::Metadata) -> Result<(), VaultError> {
    Ok(())
}

fn create(path: &Path, text: &str) -> Result<(), Error> {
    let aside = path.with_extension(format!("{:016x}.new", rand::random::<u64>()));
    let made = write(&aside, text).and_then(|()| name(&aside, path));
    // It has its name, or is of no use.
    let _ = fs::remove_file(&aside);
    made
}

fn write(aside: &Path, text: &str) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn name(aside: &Path, path: &Path) -> Result<(), Error> {
    match fs::hard_link(aside, path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        // A file system without hard links: whoever makes the name first has made the key.
        Err(_) if !path.exists() => match write(path, &fs::read_to_string(aside)?) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
            written => written?,
        },
        Err(error) => return Err(error),
    }
    // The name has to last as long as what is sealed under the key.
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;
    use std::sync::Barrier;

    use super::super::Vault;
    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new() -> Self {
            let name = format!("queqiao-key-{:x}", rand::random::<u64>());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn of_many_first_starts_one_makes_the_key_for_all() {
        for _ in 0..50 {
            let directory = Directory::new();
            let (path, barrier) = (Vault::key_file(&directory.0), Barrier::new(8));
            let keys: Vec<String> = std::thread::scope(|scope| {
                let start = |number: usize| {
                    let (path, barrier) = (&path, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        read_or_make(path, || format!("key {number}")).unwrap()
                    })
                };
                let starts: Vec<_> = (0..8).map(start).collect();
                starts.into_iter().map(|one| one.join().unwrap()).collect()
            });
            assert!(keys.iter().all(|key| key == &keys[0]), "{keys:?}");
            let files = fs::read_dir(&directory.0).unwrap().count();
            assert_eq!(files, 1, "nothing is left aside");
        }
    }

    #[test]
    fn an_empty_a_bad_and_a_lax_file_are_refused_by_their_path() {
        let directory = Directory::new();
        let path = Vault::key_file(&directory.0);
        let put = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            Vault::open(None, &directory.0).map(drop)
        };
        for text in ["", "  \n", "c2hvcnQ=", "no key"] {
            let said = put(text, 0o600).unwrap_err().to_string();
            assert!(said.contains(path.to_str().unwrap()), "{said}");
            assert!(said.contains("QUEQIAO_MASTER_KEY"), "{said}");
        }
        let good = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        put(good, 0o600).unwrap();
        for mode in [0o640, 0o604, 0o666] {
            let said = put(good, mode).unwrap_err().to_string();
            let cure = format!("chmod 600 {}", path.display());
            assert!(said.contains(&cure), "{said}");
        }
    }
}
