//! Secrets: text that no log, error or trace may show.

use std::fmt;

/// Replacement of a value that is not shown.
pub const HIDDEN: &str = "***";

/// Secret text. It has no `Display`, and its `Debug` is redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Call it only to use the secret: to sign, to store, or for the one response that shows it to
    /// its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
