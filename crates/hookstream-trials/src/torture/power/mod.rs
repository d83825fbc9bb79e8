//! Power cuts: the journal of writes and the disk that it leaves.

pub(crate) mod journal;
pub(crate) mod shim;
pub(crate) mod simulated_disk;
