//! Directory of backups: the backups in it, and the removal of old ones.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use hookstream_model::base::time::Timestamp;

use super::{BackupError, manifest, manifest::Manifest};
use crate::sqlite::db::directory::{private, sync_directory};

/// Beginning of the name of an unfinished backup, and of one that is being removed.
pub(super) const PARTIAL: &str = ".partial-";

/// Backup in a directory.
#[derive(Debug)]
pub struct Kept {
    /// Name of its directory.
    pub name: String,
    /// Directory of the backup.
    pub path: PathBuf,
    /// Manifest of the backup, or why the backup cannot be used.
    pub manifest: Result<Manifest, BackupError>,
}

impl Kept {
    /// Returns the moment that the backup shows.
    pub fn created_at(&self) -> Option<Timestamp> {
        self.manifest.as_ref().ok()?.created_at.parse().ok()
    }
}

/// Returns the backups in a directory, newest first; none if the directory does not exist.
///
/// # Errors
/// The directory cannot be read.
pub fn list(directory: &Path) -> Result<Vec<Kept>, BackupError> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(BackupError::file("read", directory))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(BackupError::file("read", directory))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with('.') && path.join(manifest::NAME).exists() {
            found.push(Kept { name, manifest: Manifest::read(&path), path });
        }
    }
    found.sort_by(|one, other| other.name.cmp(&one.name));
    Ok(found)
}

/// Removes the backups older than `keep`, except the newest usable one. Returns their names.
///
/// # Errors
/// The directory cannot be read, or a backup cannot be removed.
pub fn prune(directory: &Path, keep: Duration, now: Timestamp) -> Result<Vec<String>, BackupError> {
    let _lock = lock(directory)?;
    let usable = list(directory)?.into_iter().filter_map(|kept| Some((kept.created_at()?, kept)));
    let mut removed = Vec::new();
    for (created_at, kept) in usable.skip(1) {
        if now.since(created_at) <= keep {
            continue;
        }
        // A removal that is interrupted leaves no half backup under its name.
        let going = directory.join(format!("{PARTIAL}{}", kept.name));
        std::fs::rename(&kept.path, &going).map_err(BackupError::file("remove", &kept.path))?;
        std::fs::remove_dir_all(&going).map_err(BackupError::file("remove", &going))?;
        removed.push(kept.name);
    }
    sync_directory(directory).map_err(BackupError::file("sync", directory))?;
    Ok(removed)
}

/// Returns the newest usable backup.
pub(super) fn newest(directory: &Path) -> Result<Option<(PathBuf, Manifest)>, BackupError> {
    Ok(list(directory)?.into_iter().find_map(|kept| Some((kept.path, kept.manifest.ok()?))))
}

/// Returns the name of a backup of this moment. Names sort by time.
pub(super) fn name_of(at: Timestamp) -> String {
    let text = at.to_string().replace(':', "-");
    text.split_once('.').map_or(text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// Locks a directory of backups against another backup and a removal.
pub(super) fn lock(directory: &Path) -> Result<File, BackupError> {
    let path = directory.join(".lock");
    let file = private().truncate(false).open(&path).map_err(BackupError::file("lock", directory))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(BackupError::Refused(format!("another backup into {} is under way: wait for its end", directory.display())))
        }
        Err(TryLockError::Error(cause)) => Err(BackupError::file("lock", directory)(cause)),
    }
}

/// Removes what an interrupted backup or removal has left. The directory must be locked.
pub(super) fn remove_partial(directory: &Path) -> Result<(), BackupError> {
    for entry in std::fs::read_dir(directory).map_err(BackupError::file("read", directory))? {
        let path = entry.map_err(BackupError::file("read", directory))?.path();
        let is_partial = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PARTIAL));
        if is_partial && path.is_dir() {
            std::fs::remove_dir_all(&path).map_err(BackupError::file("remove", &path))?;
        }
    }
    Ok(())
}
