//! Files that only their owner may read.

use std::fs::{self, OpenOptions};
use std::io::{Error, ErrorKind};
use std::path::Path;

/// What this process makes from now on, only its owner may read. Other code says so once more where it
/// matters.
pub fn keep_to_ourselves() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Makes a directory that only its owner may enter; one that is there becomes one.
///
/// # Errors
/// If it cannot be made, or is somebody else's and others may enter it.
pub fn private_directory(path: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    tighten(path, 0o700)
}

/// Makes an empty file that only its owner may read and write; one that is there becomes one and keeps
/// what is in it.
///
/// # Errors
/// If it cannot be made, or is somebody else's and others may read it.
pub fn private_file(path: &Path) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => tighten(path, 0o600),
        Err(error) => Err(error),
    }
}

/// Takes from others what they may do with a file or directory; one that is not there is left so.
///
/// # Errors
/// If it is somebody else's.
pub fn tighten(path: &Path, mode: u32) -> Result<(), Error> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mut permissions = found.permissions();
        if permissions.mode() & 0o077 != 0 {
            permissions.set_mode(mode);
            fs::set_permissions(path, permissions)?;
        }
    }
    #[cfg(not(unix))]
    let _ = (found, mode);
    Ok(())
}
