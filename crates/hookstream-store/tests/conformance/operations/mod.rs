//! Alerts, background work, quotas, metrics, saved views and the audit log.

pub(crate) mod alerts;
pub(crate) mod audit_log;
pub(crate) mod jobs;
pub(crate) mod metrics;
pub(crate) mod outbox;
pub(crate) mod quotas;
pub(crate) mod views;
