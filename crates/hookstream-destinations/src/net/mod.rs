//! Connections to addresses that tenants named: policy, names, trust.

pub(crate) mod connect;
pub mod guard;
pub(crate) mod resolve;
pub(crate) mod steps;
pub(crate) mod trust;
