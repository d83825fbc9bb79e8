//! Work that goes on beside requests.

pub(crate) mod audit_retention;
pub(crate) mod mail;
pub(crate) mod mail_queue;
