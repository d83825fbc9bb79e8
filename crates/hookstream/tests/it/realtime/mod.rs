//! End-to-end tests of the live stream.

pub(crate) mod client;
mod hostile;
mod lifetime;
mod stream;
