//! Faults: their names, effects and repair.

pub(crate) mod clocks;
pub(crate) mod fault;
pub(crate) mod inflict;
pub(crate) mod jumps;
pub(crate) mod missed;
