//! Background work, quotas, metrics and the audit log.

pub mod audit_log;
pub mod job;
pub mod metrics;
pub mod quota;
