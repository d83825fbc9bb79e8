//! Plan of one fault's rounds.

use std::path::PathBuf;

use crate::torture::faults::fault::Fault;

/// Fault, number of rounds and load.
pub(crate) struct Plan {
    pub(crate) fault: Fault,
    pub(crate) rounds: u32,
    pub(crate) nodes: u32,
    pub(crate) rate: u32,
    /// Directory for data and logs.
    pub(crate) directory: PathBuf,
    /// Library for the faults that need it.
    pub(crate) shim: Option<PathBuf>,
}
