//! Outbound network: address policy, name resolution, connections, trust, and the HTTP client. All kinds of destinations share it.

pub(crate) mod client;
pub(crate) mod connect;
pub(crate) mod error;
pub(crate) mod failure;
pub mod guard;
pub(crate) mod network;
mod options;
pub(crate) mod resolve;
pub(crate) mod steps;
pub(crate) mod trust;

pub use self::{
    error::Error,
    options::Options,
    trust::{ClientIdentity, Trust, certificates, revocation_lists},
};
