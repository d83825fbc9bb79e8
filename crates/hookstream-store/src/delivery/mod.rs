//! Hot path: messages, deliveries, attempts and the nodes that work on them.

pub mod audit;
pub mod counts;
pub mod deliveries;
pub mod finding;
pub mod messages;
pub mod nodes;
pub mod non_durable;
pub mod payloads;
