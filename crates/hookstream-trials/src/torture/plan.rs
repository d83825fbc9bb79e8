//! Plan of one fault's rounds.

use std::path::PathBuf;

use crate::torture::faults::fault::Fault;

/// What is to be done.
pub(crate) struct Plan {
    pub(crate) fault: Fault,
    pub(crate) rounds: u32,
    pub(crate) nodes: u32,
    pub(crate) rate: u32,
    /// Where data and logs go.
    pub(crate) directory: PathBuf,
    /// The library for the faults that need it.
    pub(crate) shim: Option<PathBuf>,
}
