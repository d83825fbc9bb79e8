//! Removal of days, payloads and messages on PostgreSQL.

pub(crate) mod days;
pub(crate) mod expiry;
pub(crate) mod removal;
