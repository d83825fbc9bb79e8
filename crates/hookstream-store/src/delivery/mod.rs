//! Hot path: messages, deliveries, attempts and the nodes that work on them.

pub mod cluster;
pub mod consistency;
pub mod counts;
pub mod deliveries;
pub mod finding;
pub mod history;
pub mod hot_path;
pub mod messages;
pub mod non_durable;
pub mod outbox;
pub mod payloads;
pub mod retention;
pub mod text_index;
