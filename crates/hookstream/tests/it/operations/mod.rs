//! Operation of a server: audit log, crashes, checks.

pub(crate) mod alerts;
pub(crate) mod audit_log;
pub(crate) mod backup;
pub(crate) mod crash;
pub(crate) mod customer_mail;
pub(crate) mod doctor;
pub(crate) mod exposition;
pub(crate) mod lifecycle;
pub(crate) mod metrics;
pub(crate) mod opentelemetry;
pub(crate) mod operational_webhooks;
pub(crate) mod operator;
