//! Settings of the store: where data is kept, how it is encrypted, and for how long it is kept.

use std::{path::PathBuf, time::Duration};

use anyhow::bail;
use hookstream_api::BackupSettings;
use hookstream_engine::{Options as EngineOptions, Role};
use hookstream_model::{base::secret::Secret, operations::backup::TimeOfDay};
use hookstream_store::postgres::Options as DatabaseOptions;

use super::{
    DAY,
    key_source::KeySource,
    section::section,
    values::{KeysText, time_of_day, truth, whole},
};

/// Default audit retention: a year and some weeks to review it.
const AUDIT_RETENTION_DAYS: u32 = 400;

section! {
    /// Settings of the store as given.
    #[command(next_help_heading = "Storage")]
    pub(crate) struct StorageSettings {
        /// The directory for all data; created if it does not exist [default: ./hookstream-data]
        #[arg(long, value_name = "DIR", env = "HOOKSTREAM_DATA_DIR")]
        pub(crate) data_dir: Option<PathBuf>,

        /// A PostgreSQL database, shared with other nodes, instead of the data directory: postgres://user@host/database
        #[arg(long, value_name = "URL", env = "HOOKSTREAM_DATABASE_URL", hide_env_values = true)]
        pub(crate) database_url: Option<String>,

        /// Database connections for requests, at most; six more serve deliveries [default: 12]
        #[arg(long, value_name = "N", env = "HOOKSTREAM_DATABASE_MAX_CONNECTIONS", value_parser = whole(1_usize, 1_000))]
        pub(crate) database_max_connections: Option<usize>,

        /// The database is behind a pooler in transaction mode, such as PgBouncer [default: false]
        #[arg(long, value_name = "BOOL", env = "HOOKSTREAM_DATABASE_POOLER", num_args = 0..=1, default_missing_value = "true", value_parser = truth)]
        pub(crate) database_pooler: Option<bool>,

        /// How soon other nodes take over from a node that is gone, in milliseconds: 1000 to 300000 [default: 10000]
        #[arg(long, value_name = "MS", env = "HOOKSTREAM_LEASE_MS", value_parser = whole(1_000_u32, 300_000))]
        pub(crate) lease_ms: Option<u32>,

        /// The key that encrypts secrets in the store, followed by earlier ones
        #[arg(skip)]
        pub(crate) encryption_key: Option<KeysText>,

        /// A file with the key that encrypts secrets in the store; further lines are earlier keys [default: generated]
        #[arg(long, value_name = "FILE", env = "HOOKSTREAM_ENCRYPTION_KEY_FILE")]
        pub(crate) encryption_key_file: Option<PathBuf>,

        /// Days that messages are kept [default: 30]
        #[arg(long, value_name = "DAYS", env = "HOOKSTREAM_RETENTION_DAYS", value_parser = whole(1_u32, 3_650))]
        pub(crate) retention_days: Option<u32>,

        /// Days that payloads are kept, at most retention_days [default: retention_days]
        #[arg(long, value_name = "DAYS", env = "HOOKSTREAM_PAYLOAD_RETENTION_DAYS", value_parser = whole(1_u32, 3_650))]
        pub(crate) payload_retention_days: Option<u32>,

        /// Days whose messages the text search indexes; 0 turns the index off and removes it [default: 7]
        #[arg(long, value_name = "DAYS", env = "HOOKSTREAM_SEARCH_INDEX_DAYS", value_parser = whole(0_u32, 3_650))]
        pub(crate) search_index_days: Option<u32>,

        /// Bytes that the index of the text search may take; beyond it, the oldest days leave it [default: 1073741824]
        #[arg(long, value_name = "BYTES", env = "HOOKSTREAM_SEARCH_INDEX_BYTES", value_parser = whole(1_u64, 1 << 50))]
        pub(crate) search_index_bytes: Option<u64>,

        /// Days that a deleted environment or organization can be restored: 0 to 365 [default: 7]
        #[arg(long, value_name = "DAYS", env = "HOOKSTREAM_DELETION_GRACE_DAYS", value_parser = whole(0_u32, 365))]
        pub(crate) deletion_grace_days: Option<u32>,

        /// Days that entries of the audit log are kept: 1 to 3650 [default: 400]
        #[arg(long, value_name = "DAYS", env = "HOOKSTREAM_AUDIT_RETENTION_DAYS", value_parser = whole(1_u32, 3_650))]
        pub(crate) audit_retention_days: Option<u32>,

        /// Directory in which the server makes a backup of the data directory each day; best on another disk [default: none]
        #[arg(long, value_name = "DIR", env = "HOOKSTREAM_BACKUP_DIR")]
        pub(crate) backup_dir: Option<PathBuf>,

        /// Time of day (UTC) of the backup [default: 02:30]
        #[arg(long, value_name = "HH:MM", env = "HOOKSTREAM_BACKUP_AT", value_parser = time_of_day)]
        pub(crate) backup_at: Option<TimeOfDay>,

        /// Days that a backup is kept; the newest always stays [default: 7]
        #[arg(long, value_name = "DAYS", env = "HOOKSTREAM_BACKUP_KEEP_DAYS", value_parser = whole(1_u32, 3_650))]
        pub(crate) backup_keep_days: Option<u32>,
    }
}

/// Complete and checked settings of the store.
#[derive(Debug, Clone)]
pub(crate) struct StorageConfig {
    pub(crate) data_dir: PathBuf,
    /// True if a data directory was given although a database is used.
    pub(crate) ignores_data_dir: bool,
    /// Database, if it is used in place of the data directory.
    pub(crate) database: Option<DatabaseOptions>,
    pub(crate) encryption: KeySource,
    pub(crate) audit_retention_days: u32,
    /// Backups, if the server makes them by itself.
    pub(crate) backups: Option<BackupSettings>,
}

impl StorageSettings {
    /// Completes and checks the settings; sets those of the engine.
    pub(super) fn complete(self, engine: &mut EngineOptions) -> anyhow::Result<StorageConfig> {
        let database = self.database();
        if database.is_none() && engine.role != Role::All {
            bail!("role is {}, which needs a database shared with other nodes: set database_url", engine.role.as_str());
        }
        if database.is_some() && self.backup_dir.is_some() {
            bail!(
                "backup_dir is for a data directory, and database_url is set: back the database up with its own tools, see docs/guides/backup.md"
            );
        }
        let backups = self.backups();
        engine.retention_days = self.retention_days.unwrap_or(engine.retention_days);
        engine.payload_retention_days = check_payload_retention(self.payload_retention_days, engine.retention_days)?;
        engine.search_index_days = self.search_index_days.unwrap_or(engine.search_index_days);
        engine.search_index_bytes = self.search_index_bytes.unwrap_or(engine.search_index_bytes);
        engine.deletion_grace = DAY * self.deletion_grace_days.unwrap_or(7);
        Ok(StorageConfig {
            ignores_data_dir: database.is_some() && self.data_dir.is_some(),
            data_dir: self.data_dir.unwrap_or_else(|| PathBuf::from("hookstream-data")),
            database,
            encryption: check_encryption(self.encryption_key, self.encryption_key_file)?,
            audit_retention_days: self.audit_retention_days.unwrap_or(AUDIT_RETENTION_DAYS),
            backups,
        })
    }

    fn backups(&self) -> Option<BackupSettings> {
        Some(BackupSettings {
            directory: self.backup_dir.clone()?,
            at: self.backup_at.or(TimeOfDay::new(2, 30))?,
            keep: DAY * self.backup_keep_days.unwrap_or(7),
            program: env!("CARGO_PKG_VERSION"),
        })
    }

    fn database(&self) -> Option<DatabaseOptions> {
        self.database_url.as_ref().map(|url| DatabaseOptions {
            url: Secret::new(url),
            max_connections: self.database_max_connections.unwrap_or(12),
            through_pooler: self.database_pooler.unwrap_or(false),
            lease: Duration::from_millis(u64::from(self.lease_ms.unwrap_or(10_000))),
        })
    }
}

/// Returns the source of the encryption keys: at most one of the two settings. Errors do not contain a key.
fn check_encryption(keys: Option<KeysText>, file: Option<PathBuf>) -> anyhow::Result<KeySource> {
    match (keys, file) {
        (Some(_), Some(_)) => bail!("encryption_key and encryption_key_file are both set: remove one of them"),
        (Some(keys), None) => keys.0.expose().parse().map(KeySource::Given).map_err(|problem| anyhow::anyhow!("encryption_key {problem}")),
        (None, Some(file)) => Ok(KeySource::File(file)),
        (None, None) => Ok(KeySource::Own),
    }
}

/// Returns the payload retention: by default that of messages, and never longer.
fn check_payload_retention(given: Option<u32>, retention_days: u32) -> anyhow::Result<u32> {
    let days = given.unwrap_or(retention_days);
    if days > retention_days {
        bail!("payload_retention_days is {days}; it must be at most retention_days, which is {retention_days}");
    }
    Ok(days)
}
