//! Removal on PostgreSQL: days, payloads, messages.

pub(crate) mod days;
pub(crate) mod expiry;
pub(crate) mod removal;
