//! Copies of files: of a snapshot by SQLite, and of plain files, with their checksums.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};
use sha2::{Digest, Sha256};

use super::BackupError;
use crate::sqlite::db::directory::private;

/// Pages copied in one step: 128 KiB.
const PAGES: i32 = 32;
/// Bytes after which the copy is written to the disk, so that no large sync at the end delays those of the writer.
const SYNC_AFTER: u64 = 1024 * 1024;
/// Rest of a gentle backup after a step, as a multiple of the step.
const REST: u32 = 3;
/// Longest rest.
const REST_MAX: Duration = Duration::from_secs(1);
/// Size of a read of a plain file.
const CHUNK: usize = 256 * 1024;

/// Speed of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As fast as possible: no server runs.
    Full,
    /// Three quarters of the time idle, so that a running server keeps its speed.
    Gentle,
}

impl Pace {
    /// Waits after a step that began then.
    pub(super) fn rest(self, begun: Instant) {
        if self == Self::Gentle {
            #[expect(clippy::disallowed_methods, reason = "this is a thread for blocking work")]
            std::thread::sleep((begun.elapsed() * REST).min(REST_MAX));
        }
    }
}

/// Size and checksum of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// Copies a snapshot into a new file, durably.
pub(super) fn copy_snapshot(source: &Connection, target: &Path, pace: Pace, stop: &AtomicBool) -> Result<Sum, BackupError> {
    let failed = || BackupError::database("copy to", target);
    let file = private().create_new(true).open(target).map_err(BackupError::file("create", target))?;
    let mut copy =
        Connection::open_with_flags(target, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed())?;
    // The file is thrown away unless all of it arrives, so it needs no journal.
    let settings = "pragma journal_mode = off; pragma synchronous = off; pragma locking_mode = exclusive; pragma cache_size = -4096";
    copy.execute_batch(settings).map_err(failed())?;
    let backup = Backup::new(source, &mut copy).map_err(failed())?;
    let mut written = 0;
    loop {
        if stop.load(Ordering::Acquire) {
            return Err(BackupError::Stopped);
        }
        let begun = Instant::now();
        if backup.step(PAGES).map_err(failed())? == StepResult::Done {
            break;
        }
        written += u64::from(PAGES.unsigned_abs()) * 4096;
        if written >= SYNC_AFTER {
            written = 0;
            file.sync_data().map_err(BackupError::file("write", target))?;
        }
        pace.rest(begun);
    }
    drop(backup);
    copy.close().map_err(|(_, cause)| BackupError::database("copy to", target)(cause))?;
    file.sync_all().map_err(BackupError::file("write", target))?;
    sum_of(target, pace, stop)
}

/// Copies a plain file into a new one, durably.
pub(super) fn copy_file(source: &mut impl Read, target: &Path) -> Result<Sum, BackupError> {
    let mut file = private().create_new(true).open(target).map_err(BackupError::file("create", target))?;
    let mut hash = Sha256::new();
    let mut bytes = 0;
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = source.read(&mut chunk).map_err(BackupError::file("read the source of", target))?;
        if read == 0 {
            break;
        }
        hash.update(&chunk[..read]);
        bytes += read as u64;
        file.write_all(&chunk[..read]).map_err(BackupError::file("write", target))?;
    }
    file.sync_all().map_err(BackupError::file("write", target))?;
    Ok(Sum { bytes, sha256: hex(hash) })
}

/// Computes the checksum of a file.
pub(super) fn sum_of(path: &Path, pace: Pace, stop: &AtomicBool) -> Result<Sum, BackupError> {
    let mut file = File::open(path).map_err(BackupError::file("read", path))?;
    let mut hash = Sha256::new();
    let mut bytes = 0;
    let mut chunk = vec![0; CHUNK];
    loop {
        if stop.load(Ordering::Acquire) {
            return Err(BackupError::Stopped);
        }
        let begun = Instant::now();
        let read = file.read(&mut chunk).map_err(BackupError::file("read", path))?;
        if read == 0 {
            return Ok(Sum { bytes, sha256: hex(hash) });
        }
        hash.update(&chunk[..read]);
        bytes += read as u64;
        pace.rest(begun);
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
