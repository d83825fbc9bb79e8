//! Removal on SQLite: days, payloads, messages.

pub(crate) mod days;
pub(crate) mod expiry;
pub(crate) mod removal;
