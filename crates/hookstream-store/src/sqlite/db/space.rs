//! Free space on the disk of a data directory, and a reserve that allows a server to start on a full disk.
//!
//! The file `reserve` occupies some MiB in normal operation. A start that finds the disk full deletes it, which frees
//! room to open the store, deliver, and remove old days. New messages are refused until there is room to create the
//! file again.

use std::{
    fs::File,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

/// Size of the reserve in bytes: the amount that a start, its attempts and the removal of old days write in some minutes.
const RESERVE: usize = 4 * 1024 * 1024;
/// Size of the probe file in bytes.
const PROBE: usize = 256 * 1024;

/// Known state of the free space.
#[derive(Debug)]
pub(crate) struct Space {
    directory: PathBuf,
    /// A write failed for lack of space, and no probe has succeeded since.
    is_full: AtomicBool,
    /// The reserve was used and could not be created again yet.
    lacks_reserve: AtomicBool,
}

impl Space {
    /// Checks the free space, and deletes the reserve if there is none.
    pub(crate) fn prepare(directory: &Path) -> Self {
        let space = Self { directory: directory.to_owned(), is_full: AtomicBool::new(false), lacks_reserve: AtomicBool::new(false) };
        let reserve = space.reserve();
        if space.probe() {
            if !reserve.exists() && !space.create_reserve() {
                space.lacks_reserve.store(true, Ordering::Release);
            }
        } else {
            space.is_full.store(true, Ordering::Release);
            space.lacks_reserve.store(true, Ordering::Release);
            match std::fs::remove_file(&reserve) {
                Ok(()) => tracing::warn!(
                    path = %reserve.display(),
                    "the disk is full: deleted the reserve file to start; messages are refused until there is room to create it again"
                ),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the disk is full, and there is no reserve file to delete; messages are refused until there is room"
                ),
            }
        }
        space
    }

    /// Notes that a write failed for lack of space.
    pub(crate) fn note_full(&self) {
        if !self.is_full.swap(true, Ordering::AcqRel) {
            tracing::error!(
                directory = %self.directory.display(),
                "the disk is full: messages are refused until there is room; accepted ones continue to be delivered"
            );
        }
    }

    /// Returns whether the disk was full at the last check.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Acquire) || self.lacks_reserve.load(Ordering::Acquire)
    }

    /// Returns whether the remaining space is reserved for work that frees space, so that new messages must be refused.
    pub(crate) fn refuses_messages(&self) -> bool {
        self.lacks_reserve.load(Ordering::Acquire)
    }

    /// Checks again after the disk was full. The checkpoint thread calls this periodically.
    pub(crate) fn recheck(&self) {
        if !self.is_full() {
            return;
        }
        let has_reserve = self.reserve().exists() || self.create_reserve();
        if has_reserve && self.probe() {
            self.lacks_reserve.store(false, Ordering::Release);
            self.is_full.store(false, Ordering::Release);
            tracing::info!(directory = %self.directory.display(), "there is room on the disk again: messages are accepted");
        }
    }

    fn reserve(&self) -> PathBuf {
        self.directory.join("reserve")
    }

    fn create_reserve(&self) -> bool {
        let partial = self.directory.join("reserve.tmp");
        let done = fill(&partial, RESERVE).and_then(|()| std::fs::rename(&partial, self.reserve()));
        if done.is_err() {
            let _ = std::fs::remove_file(&partial);
        }
        done.is_ok()
    }

    /// Returns whether there is room for a small file. The operation that meets another error reports it.
    fn probe(&self) -> bool {
        let path = self.directory.join("probe.tmp");
        let filled = fill(&path, PROBE);
        let _ = std::fs::remove_file(&path);
        !filled.is_err_and(|error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
    }
}

fn fill(path: &Path, size: usize) -> std::io::Result<()> {
    let mut file = crate::sqlite::db::directory::private().truncate(true).open(path)?;
    // Nonzero bytes, because some file systems do not store zeros.
    file.write_all(&vec![0x5a; size])?;
    File::sync_all(&file)
}
