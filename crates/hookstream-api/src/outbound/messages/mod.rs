//! Messages, their deliveries and attempts.

pub(crate) mod counts;
pub(crate) mod list;
pub(crate) mod read;
pub(crate) mod retry;
pub(crate) mod send;
#[cfg(test)]
mod tests;
pub(crate) mod view;
