//! Errors between the program and its store.

use hookstream_model::base::vault::{KeyId, Unopened};

/// Cause of an error, for any database.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Error of a store operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory or a file in it cannot be used.
    #[error("could not open {what}")]
    Open {
        /// File or directory.
        what: String,
        /// Reason.
        #[source]
        cause: Cause,
    },
    /// Another process works on the same data directory.
    #[error("the data directory {directory} is in use by another hookstream process")]
    InUse {
        /// Directory.
        directory: String,
    },
    /// A newer version of the program migrated the store.
    #[error(
        "{what} was written by a newer version of hookstream (schema version {found}, this version supports {known}); use that version or restore a backup"
    )]
    TooNew {
        /// File or database.
        what: String,
        /// Schema version of the file.
        found: i64,
        /// Newest schema version that this program supports.
        known: i64,
    },
    /// The database's encoding cannot represent every text.
    #[error(
        "the database {database:?} has the encoding {found}, and Hookstream needs UTF8: create another with \
            `createdb -E UTF8 -T template0 <name>` and name it in database_url"
    )]
    Encoding {
        /// Name of the database.
        database: String,
        /// Encoding of the database.
        found: String,
    },
    /// The operation failed and left no change.
    #[error("could not {operation}")]
    Failed {
        /// Operation.
        operation: &'static str,
        /// Reason.
        #[source]
        cause: Cause,
    },
    /// The disk is full. The operation left no change, and new data is refused until there is room.
    #[error("could not {operation}: the disk is full")]
    Full {
        /// Operation.
        operation: &'static str,
    },
    /// A value that must be unique already exists; the operation left no change.
    #[error("could not {operation}: it already exists")]
    Conflict {
        /// Operation.
        operation: &'static str,
    },
    /// A row has a value that no version of the program writes.
    #[error("the store contains an invalid value: {what}")]
    Unreadable {
        /// Column or value.
        what: &'static str,
    },
    /// A sealed value cannot be opened.
    #[error("could not decrypt a secret in the store: {what}")]
    Unopened {
        /// Column.
        what: &'static str,
        /// Reason.
        #[source]
        cause: Unopened,
    },
    /// A secret was read or written before the store had a key.
    #[error("secrets in the store are encrypted, and no encryption key was given")]
    Locked,
    /// Rows may be sealed under a key that was not given.
    #[error("secrets in the store are encrypted with the key {id}, which was not given")]
    MissingKey {
        /// Missing key.
        id: KeyId,
    },
    /// The key for sealing was retired by `rotate-key` after this process started.
    #[error("the encryption key {id} was retired; restart this node with the current one")]
    KeyRetired {
        /// Retired key.
        id: KeyId,
    },
    /// The database cannot be reached, or closed the connection. If a commit was in progress, its result is unknown,
    /// and the caller must handle both cases.
    #[error("could not {operation}: the database is not available")]
    Unavailable {
        /// Operation.
        operation: &'static str,
        /// Reason.
        #[source]
        cause: Cause,
    },
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}
