//! Background work, quotas, metrics, problems, the live stream and the audit log.

pub mod audit_log;
pub mod job;
pub mod metrics;
pub mod problems;
pub mod quota;
pub mod stream;
