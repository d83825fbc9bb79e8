//! Servers that the operator names: mail and identity providers.

pub mod mail;
pub mod oidc;
