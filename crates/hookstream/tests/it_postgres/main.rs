//! End-to-end tests of the real binary on PostgreSQL: the tests for SQLite, plus tests with several nodes on one
//! database.

#[path = "../it/identity/mod.rs"]
mod identity;
mod network;
mod nodes;
#[path = "../it/operations/mod.rs"]
mod operations;
#[path = "../it/outbound/mod.rs"]
mod outbound;
mod pooler;
mod quota_nodes;
mod readiness;
#[path = "../it/realtime/mod.rs"]
mod realtime;
mod refusals;
mod rolling;
mod stream_nodes;
#[path = "../it/support/mod.rs"]
mod support;
mod transfer;
mod upgrade;
