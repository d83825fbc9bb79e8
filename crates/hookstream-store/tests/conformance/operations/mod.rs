//! Background work, quotas, metrics and the audit log.

pub(crate) mod audit_log;
pub(crate) mod jobs;
pub(crate) mod metrics;
pub(crate) mod quotas;
