//! Fingerprint of a database file: whether it was written since an earlier backup, without reading it.

use std::{io, os::unix::fs::MetadataExt, path::Path, time::SystemTime};

use serde::{Deserialize, Serialize};

/// Time after a change within which a further change may leave the same times: file systems have coarse clocks.
const COARSE_NS: i64 = 2_000_000_000;

/// State of a file and its log at the moment of a cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    inode: u64,
    bytes: u64,
    modified_ns: i64,
    log_bytes: u64,
    log_modified_ns: i64,
    taken_ns: i64,
}

impl Fingerprint {
    /// Takes the fingerprint of a file. The file is not opened, because closing it would release SQLite's locks.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "compared with the times of files, which the system's clock sets")]
        let taken = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let file = std::fs::metadata(path)?;
        let log = std::fs::metadata(path.with_extension("db-wal")).ok();
        let modified = |about: &std::fs::Metadata| about.mtime().saturating_mul(1_000_000_000).saturating_add(about.mtime_nsec());
        Ok(Self {
            inode: file.ino(),
            bytes: file.len(),
            modified_ns: modified(&file),
            log_bytes: log.as_ref().map_or(0, std::fs::Metadata::len),
            log_modified_ns: log.as_ref().map_or(0, modified),
            taken_ns: i64::try_from(taken.as_nanos()).unwrap_or(i64::MAX),
        })
    }

    /// Returns whether the file is certainly unchanged since an earlier fingerprint.
    pub(super) fn is_unchanged_since(&self, earlier: &Self) -> bool {
        let is_settled = earlier.taken_ns - earlier.modified_ns.max(earlier.log_modified_ns) > COARSE_NS;
        is_settled && Self { taken_ns: 0, ..self.clone() } == Self { taken_ns: 0, ..earlier.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_unchanged_only_if_its_last_change_is_certain() {
        let earlier = Fingerprint { inode: 1, bytes: 2, modified_ns: 3, log_bytes: 4, log_modified_ns: 5, taken_ns: 10 * COARSE_NS };
        let later = Fingerprint { taken_ns: 99 * COARSE_NS, ..earlier.clone() };
        assert!(later.is_unchanged_since(&earlier));
        assert!(!Fingerprint { log_modified_ns: 6, ..later.clone() }.is_unchanged_since(&earlier));
        assert!(!Fingerprint { bytes: 3, ..later.clone() }.is_unchanged_since(&earlier));
        // Written just before the earlier fingerprint: a write just after it may have the same time.
        let fresh = Fingerprint { log_modified_ns: earlier.taken_ns - 1, ..earlier };
        assert!(!Fingerprint { taken_ns: 99 * COARSE_NS, ..fresh.clone() }.is_unchanged_since(&fresh));
    }
}
