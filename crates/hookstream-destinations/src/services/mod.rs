//! Servers of the operator: mail and identity providers.

pub mod mail;
pub mod oidc;
