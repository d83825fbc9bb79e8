//! Outbound network: address policy, name resolution, connections, trust.

pub(crate) mod connect;
pub(crate) mod error;
pub mod guard;
pub(crate) mod resolve;
pub(crate) mod steps;
pub(crate) mod trust;
