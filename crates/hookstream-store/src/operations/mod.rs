//! Alerts, background work, quotas, metrics, saved views and the audit log, in portable SQL.

pub mod alert_rules;
pub mod alerts;
pub mod audit_log;
pub mod jobs;
pub mod metrics;
pub mod quotas;
pub mod system_environment;
pub mod views;
