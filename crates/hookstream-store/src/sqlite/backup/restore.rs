//! Restore of a backup into a new data directory.
//!
//! The files are placed in a directory inside of it, checked, and moved to their places, `core.db` last: a restore that is
//! interrupted leaves no store, and may be repeated. Deliveries that were pending are marked, so that the first start skips
//! them ([`MARK`]): most of them have been delivered since.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use rusqlite::{Connection, params};

use super::{
    BackupError,
    archive::extract,
    copy::{Pace, copy_file, sum_of},
    create::KEY,
    cut::CORE,
    kept,
    manifest::{self, Manifest},
    verify::check_database,
};
use crate::sqlite::db::{
    connection::{CORE_MIGRATIONS, DAY_MIGRATIONS},
    directory::{core_path, create_private, restrict, sync_directory},
};

/// Name of the setting in `core.db` that has the first start skip what was pending. Its value is the time of the backup.
pub const MARK: &str = "restored";
const SET_MARK: &str = "insert into settings (name, value) values (?1, ?2) on conflict (name) do update set value = excluded.value";
/// Directory in a data directory that a restore fills.
const STAGE: &str = "restore.tmp";

/// Store that was restored.
#[derive(Debug)]
pub struct Restored {
    /// Backup that it came from.
    pub from: PathBuf,
    /// Manifest of that backup.
    pub manifest: Manifest,
    /// Whether the data directory has the file `encryption.key`.
    pub has_key: bool,
}

/// Restores a backup: its directory, the newest of a directory of backups, or an archive.
///
/// # Errors
/// The data directory is not empty, or the backup is damaged or of a newer version; nothing is left in the directory.
pub fn restore(from: &Path, data_directory: &Path, deliver_pending: bool) -> Result<Restored, BackupError> {
    refuse_used(data_directory)?;
    let is_new = !data_directory.exists();
    create_private(data_directory).map_err(BackupError::file("create", data_directory))?;
    if is_new {
        restrict(data_directory).map_err(BackupError::file("restrict", data_directory))?;
    }
    let stage = data_directory.join(STAGE);
    let restored = (|| {
        create_private(&stage.join("days")).map_err(BackupError::file("create", &stage))?;
        let (from, manifest) = fetch(from, &stage)?;
        check_files(&stage, &manifest)?;
        if !deliver_pending {
            mark(&stage.join(CORE), &manifest.created_at)?;
        }
        place(&stage, data_directory)?;
        let has_key = data_directory.join(KEY).exists();
        Ok(Restored { from, manifest, has_key })
    })();
    if restored.is_err() {
        let _ = std::fs::remove_dir_all(if is_new { data_directory } else { &stage });
    }
    restored
}

/// Checks a backup as a restore would, and restores nothing. An archive is extracted into `scratch`.
///
/// # Errors
/// The backup is damaged or of a newer version.
pub fn check(from: &Path, scratch: &Path) -> Result<Restored, BackupError> {
    let (from, manifest) = if from.is_file() { fetch(from, scratch)? } else { find(from)? };
    check_files(if from.is_file() { scratch } else { &from }, &manifest)?;
    Ok(Restored { has_key: manifest.encryption_key.included, from, manifest })
}

/// Refuses a directory with other content than an interrupted restore and a key.
fn refuse_used(directory: &Path) -> Result<(), BackupError> {
    let failed = || BackupError::file("read", directory);
    if !directory.exists() {
        return Ok(());
    }
    if core_path(directory).exists() {
        return Err(BackupError::Refused(format!(
            "{} contains a store: restore into a new directory, and name that one in data_dir",
            directory.display()
        )));
    }
    let stage = directory.join(STAGE);
    let mut left = vec!["lost+found".to_owned(), KEY.to_owned()];
    if stage.exists() {
        left.extend([STAGE.to_owned(), "days".to_owned()]);
    }
    for entry in std::fs::read_dir(directory).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name().to_string_lossy().into_owned();
        if !left.contains(&name) {
            return Err(BackupError::Refused(format!(
                "{} is not empty, it contains {name}: restore into an empty or new directory",
                directory.display()
            )));
        }
    }
    if stage.exists() {
        std::fs::remove_dir_all(&stage).map_err(BackupError::file("remove", &stage))?;
        let days = directory.join("days");
        if days.exists() {
            std::fs::remove_dir_all(&days).map_err(BackupError::file("remove", &days))?;
        }
    }
    Ok(())
}

/// Copies the files of a backup into `stage`. Returns the backup and its manifest.
fn fetch(from: &Path, stage: &Path) -> Result<(PathBuf, Manifest), BackupError> {
    if from.is_file() {
        extract(from, stage)?;
        return Ok((from.to_owned(), Manifest::read(stage)?));
    }
    let (path, manifest) = find(from)?;
    for file in &manifest.files {
        let source = path.join(&file.path);
        let mut open = File::open(&source).map_err(BackupError::file("read", &source))?;
        let target = stage.join(&file.path);
        if let Some(parent) = target.parent() {
            create_private(parent).map_err(BackupError::file("create", parent))?;
        }
        let sum = copy_file(&mut open, &target)?;
        if sum.sha256 != file.sha256 {
            return Err(differs(&source, file.bytes, sum.bytes));
        }
    }
    Ok((path, manifest))
}

/// Finds a backup in a directory: the directory itself, or the newest of its backups.
fn find(from: &Path) -> Result<(PathBuf, Manifest), BackupError> {
    if from.join(manifest::NAME).exists() {
        return Ok((from.to_owned(), Manifest::read(from)?));
    }
    let nothing = || BackupError::Refused(format!("there is no backup in {}: a backup has a file {}", from.display(), manifest::NAME));
    kept::newest(from)?.ok_or_else(nothing)
}

/// Checks the files of a stage against their manifest, and that this version can read them.
fn check_files(stage: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    for (what, found, known) in
        [("core.db", manifest.schema.core, CORE_MIGRATIONS.len()), ("a day", manifest.schema.day, DAY_MIGRATIONS.len())]
    {
        if found > i64::try_from(known).unwrap_or(i64::MAX) {
            return Err(BackupError::Refused(format!(
                "{what} of the backup has the schema version {found}, and this version of hookstream supports {known}: use the version \
                 that wrote it, {}, or a newer one",
                manifest.hookstream
            )));
        }
    }
    if manifest.file(CORE).is_none() {
        return Err(BackupError::Damaged { path: stage.to_owned(), problem: format!("its manifest lacks {CORE}") });
    }
    for file in &manifest.files {
        let path = stage.join(&file.path);
        let sum = sum_of(&path, Pace::Full, &AtomicBool::new(false))?;
        if sum.sha256 != file.sha256 {
            return Err(differs(&path, file.bytes, sum.bytes));
        }
        if !manifest.verified && file.path != KEY {
            check_database(&path, Pace::Full)?;
        }
    }
    Ok(())
}

fn differs(path: &Path, bytes: u64, found: u64) -> BackupError {
    let problem = format!("its checksum is not that of the manifest ({found} bytes, expected {bytes})");
    BackupError::Damaged { path: path.to_owned(), problem }
}

/// Has the first start skip the pending deliveries.
fn mark(core: &Path, created_at: &str) -> Result<(), BackupError> {
    let failed = || BackupError::database("prepare", core);
    let connection = Connection::open(core).map_err(failed())?;
    connection.execute(SET_MARK, params![MARK, created_at]).map_err(failed())?;
    connection.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())).map_err(failed())?;
    // Removes the log.
    connection.close().map_err(|(_, cause)| BackupError::database("prepare", core)(cause))?;
    File::open(core).and_then(|file| file.sync_all()).map_err(BackupError::file("sync", core))
}

/// Moves the files of a stage to their places.
fn place(stage: &Path, directory: &Path) -> Result<(), BackupError> {
    let rename = |name: &str| {
        let target = directory.join(name);
        std::fs::rename(stage.join(name), &target).map_err(BackupError::file("create", &target))
    };
    let sync = |path: &Path| sync_directory(path).map_err(BackupError::file("sync", path));
    sync(&stage.join("days"))?;
    rename("days")?;
    // A key that is there already was placed by the operator, and may be the newer one.
    if stage.join(KEY).exists() && !directory.join(KEY).exists() {
        rename(KEY)?;
    }
    sync(directory)?;
    rename(CORE)?;
    sync(directory)?;
    std::fs::remove_dir_all(stage).map_err(BackupError::file("remove", stage))
}
