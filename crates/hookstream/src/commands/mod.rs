//! The commands, one file each.

pub(crate) mod bench;
mod client;
pub(crate) mod quickstart;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod sink;
pub(crate) mod transfer;
