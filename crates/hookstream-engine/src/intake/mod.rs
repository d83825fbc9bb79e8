//! Acceptance of messages.

pub(crate) mod accept;
pub(crate) mod accept_span;
pub(crate) mod publish;
pub(crate) mod schemas;
