//! What can go wrong between the program and its store.

use hookstream_model::base::vault::{KeyId, Unopened};

/// An error's cause, whatever the database.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong, named by the operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory or a file in it cannot be used.
    #[error("could not open {what}")]
    Open {
        /// What was being opened.
        what: String,
        /// Why it failed.
        #[source]
        cause: Cause,
    },
    /// Another process works on the same data directory.
    #[error("the data directory {directory} is in use by another hookstream process")]
    InUse {
        /// The directory.
        directory: String,
    },
    /// A newer version of the program has migrated the store.
    #[error(
        "{what} was written by a newer version of hookstream (schema version {found}, this version supports {known}); use that version or restore a backup"
    )]
    TooNew {
        /// Which file.
        what: String,
        /// The schema's number in the file.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// The database cannot hold every text.
    #[error(
        "the database {database:?} has the encoding {found}, and Hookstream needs UTF8: create another with \
            `createdb -E UTF8 -T template0 <name>` and name it in database_url"
    )]
    Encoding {
        /// The database's name.
        database: String,
        /// Its encoding.
        found: String,
    },
    /// An operation failed; nothing of it was kept.
    #[error("could not {operation}")]
    Failed {
        /// What was being done.
        operation: &'static str,
        /// Why it failed.
        #[source]
        cause: Cause,
    },
    /// The disk is full: nothing was kept, and nothing new can be until there is room.
    #[error("could not {operation}: the disk is full")]
    Full {
        /// What was being done.
        operation: &'static str,
    },
    /// A value that must be unique is there already; nothing was kept.
    #[error("could not {operation}: it already exists")]
    Conflict {
        /// What was being done.
        operation: &'static str,
    },
    /// A row holds what no version of the program writes.
    #[error("the store contains an invalid value: {what}")]
    Unreadable {
        /// The column or value.
        what: &'static str,
    },
    /// A row is sealed and does not open.
    #[error("could not decrypt a secret in the store: {what}")]
    Unopened {
        /// The column.
        what: &'static str,
        /// Why.
        #[source]
        cause: Unopened,
    },
    /// Something secret was to be read or written before the store had a key.
    #[error("secrets in the store are encrypted, and no encryption key was given")]
    Locked,
    /// Rows may be sealed under a key that was not given.
    #[error("secrets in the store are encrypted with the key {id}, which was not given")]
    MissingKey {
        /// Which.
        id: KeyId,
    },
    /// Something was to be sealed under a key that `rotate-key` has retired since this process started.
    #[error("the encryption key {id} was retired; restart this node with the current one")]
    KeyRetired {
        /// Which.
        id: KeyId,
    },
    /// The database cannot be reached, or ended the connection. Where it was about to commit, it may
    /// have: whoever asked must be ready for either.
    #[error("could not {operation}: the database is not available")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}
