//! Background work, quotas and the audit log.

pub mod audit_log;
pub mod job;
pub mod quota;
