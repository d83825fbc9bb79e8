//! Data directory: its paths, creation, lock and durability.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use hookstream_model::base::time::Day;

use crate::db::error::{Cause, Error};

/// Path of the configuration file.
pub(crate) fn core_path(directory: &Path) -> PathBuf {
    directory.join("core.db")
}

/// Path of the days' files.
pub(crate) fn days_directory(directory: &Path) -> PathBuf {
    directory.join("days")
}

/// Path of a day's file.
pub(crate) fn day_path(directory: &Path, day: Day) -> PathBuf {
    days_directory(directory).join(format!("{day}.db"))
}

/// Path of the index of words.
pub(crate) fn search_directory(directory: &Path) -> PathBuf {
    directory.join("search")
}

/// Creates a directory that only its owner may read, if it is missing.
pub(crate) fn create_private(directory: &Path) -> std::io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    create_durably(directory)?;
    restrict(directory)
}

/// Creates the data directory, or accepts one that is empty or contains a store. The directory may belong to any user
/// but must be writable. Sets the mode only of a directory created here.
pub(crate) fn create_directory(directory: &Path) -> Result<(), Error> {
    let failed = |cause: std::io::Error| Error::Open { what: format!("the data directory {}", directory.display()), cause: cause.into() };
    let is_new = !directory.exists();
    if !is_new {
        check_content(directory)?;
    }
    create_durably(directory).map_err(failed)?;
    if is_new {
        restrict(directory).map_err(failed)?;
    }
    let days = days_directory(directory);
    if !days.exists() {
        create_durably(&days).map_err(|cause| not_writable(directory, cause))?;
        restrict(&days).map_err(failed)?;
    }
    Ok(())
}

/// Refuses a directory that has other content and no store.
fn check_content(directory: &Path) -> Result<(), Error> {
    let failed = |cause: Cause| Error::Open { what: format!("the data directory {}", directory.display()), cause };
    if core_path(directory).exists() {
        return Ok(());
    }
    let entries = std::fs::read_dir(directory).map_err(|cause| failed(cause.into()))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    let mut others = names.collect::<Result<Vec<_>, _>>().map_err(|cause| failed(cause.into()))?;
    others.retain(|name| !OWN_NAMES.contains(&name.as_str()));
    others.sort();
    if others.is_empty() {
        return Ok(());
    }
    const SHOWN: usize = 5;
    let more = if others.len() > SHOWN { format!(" and {} more", others.len() - SHOWN) } else { String::new() };
    others.truncate(SHOWN);
    Err(failed(
        format!(
            "it is not empty and contains no Hookstream data, but {}{more}; name an empty or new directory, such as {}",
            others.join(", "),
            directory.join("hookstream").display()
        )
        .into(),
    ))
}

/// Returns the error for a directory that is not writable, with its owner and mode.
#[cfg(unix)]
fn not_writable(directory: &Path, cause: std::io::Error) -> Error {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let owner = std::fs::metadata(directory).map_or_else(
        |_| String::new(),
        |about| {
            let mode = about.permissions().mode() & 0o7777;
            format!(" (it belongs to user {} and group {}, mode {mode:04o}: make it writable for this process)", about.uid(), about.gid())
        },
    );
    Error::Open { what: format!("the data directory {}{owner}", directory.display()), cause: cause.into() }
}

#[cfg(not(unix))]
fn not_writable(directory: &Path, cause: std::io::Error) -> Error {
    Error::Open { what: format!("the data directory {}", directory.display()), cause: cause.into() }
}

/// Returns options for a file that only its owner may read, whatever the directory's mode.
pub(crate) fn private() -> std::fs::OpenOptions {
    let mut options = File::options();
    options.create(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Creates a directory and its missing parents durably. After a power loss the content is reachable only if the
/// directory's own name is durable too; SQLite syncs the names of its files, but not of the parents.
fn create_durably(directory: &Path) -> std::io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    // The parent of a relative path is the working directory.
    let above = directory.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_durably(above)?;
    match std::fs::create_dir(directory) {
        Ok(()) => sync_directory(above),
        // Another process was faster; the lock decides which one may stay.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && directory.is_dir() => sync_directory(above),
        Err(error) => Err(error),
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Restricts a directory to its owner, because the files contain secrets.
#[cfg(unix)]
pub(crate) fn restrict(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
pub(crate) fn restrict(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Locks the directory for this process. The lock ends with the process, however it ends.
pub(crate) fn lock(directory: &Path) -> Result<File, Error> {
    let path = directory.join("lock");
    let failed = |cause: std::io::Error| Error::Open { what: path.display().to_string(), cause: cause.into() };
    let file = private().truncate(false).open(&path).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::PermissionDenied => not_writable(directory, cause),
        _ => failed(cause),
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { directory: directory.display().to_string() }),
        Err(TryLockError::Error(cause)) => Err(failed(cause)),
    }
}

/// Files that an interrupted start may have left before the store existed, and files that file systems create.
const OWN_NAMES: [&str; 11] = [
    "lost+found",
    "days",
    "search",
    "lock",
    "encryption.key",
    "encryption.key.tmp",
    "admin.sock",
    "reserve",
    "reserve.tmp",
    "probe.tmp",
    "doctor.tmp",
];
