//! What the things of Hookstream are, and what is decided about them.
//!
//! Every function here is pure: no clock is read, no randomness is drawn, nothing is awaited. Time
//! and chance come in as arguments ([`time::Timestamp`], [`retry::Jitter`]), so each rule can be
//! tested as a table. The floors above act on what is decided here.

pub mod application;
pub mod attempt;
pub mod audit_log;
pub mod batch;
pub mod delivery;
pub mod device;
pub mod endpoint;
pub mod environment;
pub mod event_type;
pub mod explain;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod hold;
pub mod hops;
pub mod ids;
pub mod job;
pub mod json;
pub mod line;
pub mod member;
pub mod message;
pub mod oidc;
pub mod ordering;
pub mod organization;
pub mod password;
pub mod payload_schema;
pub mod person;
pub mod quota;
pub mod retry;
pub mod scopes;
pub mod second_factor;
pub mod secret;
pub mod session;
pub mod sign_in;
pub mod signature;
pub mod steady;
pub mod tenancy;
pub mod text;
pub mod time;
pub mod vault;
pub mod waterfall;

use std::fmt;

/// A value that breaks the rule of the field it was meant for.
///
/// `field` is the name the sender used, `problem` one clause that says what is wrong with the value
/// and what would be accepted. The API answers it as 400 `invalid_field`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidField {
    /// The field's name as it stands in the API.
    pub field: &'static str,
    /// What is wrong and what is allowed, to be read after the field's name.
    pub problem: String,
}

impl InvalidField {
    /// An error about `field`.
    pub fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self { field, problem: problem.into() }
    }
}

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.field, self.problem)
    }
}

impl std::error::Error for InvalidField {}
