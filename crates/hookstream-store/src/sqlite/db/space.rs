//! Room on the disk of a data directory: whether there is any, and a reserve that lets a server start where there is none.
//!
//! The file `reserve` takes some MiB while all is well. A start that finds the disk full deletes it, so that it has room to open the
//! store, deliver and remove old days; new messages are refused until there is room to create it again.

use std::{
    fs::File,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

/// The reserve's size: what a start, its attempts and the removal of old days write in some minutes.
const RESERVE: usize = 4 * 1024 * 1024;
/// What is written to see whether there is room.
const PROBE: usize = 256 * 1024;

/// What is known of the room.
#[derive(Debug)]
pub(crate) struct Space {
    directory: PathBuf,
    /// A write failed for want of room, and no probe has succeeded since.
    is_full: AtomicBool,
    /// The reserve was used, and there was no room for it since.
    lacks_reserve: AtomicBool,
}

impl Space {
    /// Looks whether there is room, and deletes the reserve where there is none.
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

    /// Notes that a write failed for want of room.
    pub(crate) fn note_full(&self) {
        if !self.is_full.swap(true, Ordering::AcqRel) {
            tracing::error!(
                directory = %self.directory.display(),
                "the disk is full: messages are refused until there is room; accepted ones continue to be delivered"
            );
        }
    }

    /// Whether the last that is known is that there is no room.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Acquire) || self.lacks_reserve.load(Ordering::Acquire)
    }

    /// Whether what room there is must be left to the work that makes more.
    pub(crate) fn keeps_back(&self) -> bool {
        self.lacks_reserve.load(Ordering::Acquire)
    }

    /// Looks again where there was no room. The checkpointer's thread calls it from time to time.
    pub(crate) fn look_again(&self) {
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

    /// Whether there is room for a little. What fails for another reason is told by whoever needs it.
    fn probe(&self) -> bool {
        let path = self.directory.join("probe.tmp");
        let filled = fill(&path, PROBE);
        let _ = std::fs::remove_file(&path);
        !filled.is_err_and(|error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
    }
}

fn fill(path: &Path, size: usize) -> std::io::Result<()> {
    let mut file = crate::sqlite::private().truncate(true).open(path)?;
    // Not zeros, which some file systems do not store.
    file.write_all(&vec![0x5a; size])?;
    File::sync_all(&file)
}
