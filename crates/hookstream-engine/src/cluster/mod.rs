//! Lease of this node, and changes made by other nodes.

pub(crate) mod change_feed;
pub(crate) mod lease;
pub(crate) mod owner_in_use;
pub(crate) mod renewal;
