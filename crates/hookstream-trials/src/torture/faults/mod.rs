//! Faults: their names, and how each is inflicted and ended.

pub(crate) mod clocks;
pub(crate) mod fault;
pub(crate) mod inflict;
pub(crate) mod jumps;
pub(crate) mod missed;
