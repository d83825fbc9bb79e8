//! Alerts, background work, quotas, metrics, problems, saved views, the live stream and the audit log.

pub mod alerts;
pub mod audit_log;
pub mod backup;
pub mod customer_notice;
pub mod job;
pub mod metrics;
pub mod operational_event;
pub mod problems;
pub mod quota;
pub mod stream;
pub mod view;
