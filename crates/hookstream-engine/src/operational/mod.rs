//! Operational events: which environments are told, which attempts cause one, and the task that publishes them.

pub(crate) mod heights;
pub(crate) mod publisher;
pub(crate) mod told;
pub(crate) mod warnings;
