//! Outbound resources, in portable SQL.

pub mod applications;
pub mod endpoints;
pub mod event_types;
pub mod idempotency;
