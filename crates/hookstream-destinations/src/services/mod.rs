//! Servers of the operator: mail, identity providers, and the collector of OpenTelemetry.

mod client;
pub mod collector;
pub mod mail;
pub mod oidc;
