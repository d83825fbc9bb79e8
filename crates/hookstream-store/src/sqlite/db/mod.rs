//! Files, connections, the writer and the readers of the SQLite store.

pub(crate) mod checkpoint;
pub(crate) mod connection;
pub(crate) mod directory;
pub(crate) mod files;
#[cfg(feature = "in-memory")]
pub(crate) mod in_memory;
pub(crate) mod plain;
pub(crate) mod readers;
pub(crate) mod space;
pub(crate) mod writer;
