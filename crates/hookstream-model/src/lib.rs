//! Types of Hookstream and the decisions about them.
//!
//! Every function is pure: it reads no clock, draws no randomness and awaits nothing. Time and randomness are
//! arguments ([`crate::base::time::Timestamp`], [`crate::delivery::retry::Jitter`]), so each rule can be tested as a
//! table. The floors above carry out the decisions.

pub mod base;
pub mod delivery;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod identity;
pub mod operations;
pub mod outbound;

use std::fmt;

/// Value that breaks the rule of its field.
///
/// `field` is the name that the sender used. `problem` is a clause that says what is wrong with the value and what is
/// allowed. The API responds with 400 `invalid_field`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidField {
    /// Name of the field in the API.
    pub field: &'static str,
    /// Problem and allowed values, to be read after the field's name.
    pub problem: String,
}

impl InvalidField {
    /// Builds an error about `field`.
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
