//! Background tasks.

pub(crate) mod audit_retention;
pub(crate) mod mail;
pub(crate) mod mail_queue;
