//! Background tasks.

pub(crate) mod audit_retention;
pub(crate) mod backup_state;
mod backups;
pub(crate) mod mail;
pub(crate) mod mail_queue;
