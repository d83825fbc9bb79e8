//! The lease of this node and the changes that others make.

pub(crate) mod change_feed;
pub(crate) mod lease;
pub(crate) mod owner_in_use;
pub(crate) mod renewal;
