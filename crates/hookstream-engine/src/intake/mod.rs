//! Acceptance of messages.

pub(crate) mod accept;
pub(crate) mod schemas;
