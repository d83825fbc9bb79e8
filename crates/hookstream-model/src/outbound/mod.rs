//! Resources of the outbound half: applications, endpoints, event types, messages.

pub mod application;
pub mod endpoint;
pub mod event_type;
pub mod hops;
pub mod message;
pub mod payload_schema;
pub mod signature;
pub mod target;
pub mod text_search;
