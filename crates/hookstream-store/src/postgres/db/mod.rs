//! Connections, plain statements, notifications and migrations.

pub(crate) mod connection;
pub(crate) mod migrate;
pub(crate) mod nudge;
pub(crate) mod owners;
pub(crate) mod plain;
