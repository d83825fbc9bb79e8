//! Manifest of a backup: what it contains, and how to check it.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use super::{BackupError, fingerprint::Fingerprint};

/// Name of the file.
pub const NAME: &str = "manifest.json";
/// Format of backups that this program writes and reads.
pub(super) const FORMAT: u32 = 1;

/// Content of a backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// Format of the backup.
    pub format: u32,
    /// Version of the program that wrote it.
    pub hookstream: String,
    /// Moment that the backup shows.
    pub created_at: String,
    /// Duration of the backup in milliseconds.
    pub took_ms: u64,
    /// Versions of the schema.
    pub schema: SchemaVersions,
    /// State of the encryption key.
    pub encryption_key: KeyState,
    /// Whether each file was opened and checked after it was written.
    pub verified: bool,
    /// Files, in the order of their paths.
    pub files: Vec<FileEntry>,
}

/// Newest version of the schema in the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaVersions {
    /// Version of `core.db`.
    pub core: i64,
    /// Newest version of a day.
    pub day: i64,
}

/// State of the encryption key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyState {
    /// Whether the backup contains the file `encryption.key`.
    pub included: bool,
    /// Ids of the keys that secrets are encrypted with.
    pub ids: Vec<String>,
}

/// File of a backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileEntry {
    /// Path in the backup and in the data directory.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the content, in hexadecimal.
    pub sha256: String,
    /// Whether the file is a hard link to the one of the previous backup.
    pub linked: bool,
    /// State of the source, by which the next backup sees whether it has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Fingerprint>,
}

impl Manifest {
    /// Reads the manifest of a backup in a directory.
    ///
    /// # Errors
    /// The file is missing, is not a manifest, or was written by a newer version.
    pub fn read(directory: &Path) -> Result<Self, BackupError> {
        let path = directory.join(NAME);
        let text = std::fs::read_to_string(&path).map_err(BackupError::file("read", &path))?;
        let damaged = |problem: String| BackupError::Damaged { path: path.clone(), problem };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        let format = value["format"].as_u64().unwrap_or(0);
        if format > u64::from(FORMAT) {
            return Err(BackupError::Refused(format!(
                "{} has the format {format}, and this version of hookstream reads up to {FORMAT}: restore it with the version that wrote it, {}",
                path.display(),
                value["hookstream"].as_str().unwrap_or("unknown")
            )));
        }
        let manifest: Self = serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
        let is_plain = |path: &str| Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        match manifest.files.iter().find(|file| !is_plain(&file.path)) {
            Some(file) => Err(damaged(format!("it names the file {:?}", file.path))),
            None => Ok(manifest),
        }
    }

    /// Returns the total size of the files in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Returns the bytes that this backup added to the disk.
    pub fn added_bytes(&self) -> u64 {
        self.files.iter().filter(|file| !file.linked).map(|file| file.bytes).sum()
    }

    /// Returns the number of days.
    pub fn days(&self) -> usize {
        self.files.iter().filter(|file| file.path.starts_with("days/")).count()
    }

    /// Returns the entry of a file.
    pub(super) fn file(&self, path: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.path == path)
    }
}
