//! What the things of Hookstream are, and what is decided about them.
//!
//! Every function here is pure: no clock is read, no randomness is drawn, nothing is awaited. Time
//! and chance come in as arguments ([`crate::base::time::Timestamp`], [`crate::delivery::retry::Jitter`]), so each rule can be
//! tested as a table. The floors above act on what is decided here.

pub mod base;
pub mod delivery;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod identity;
pub mod operations;
pub mod outbound;

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
