//! Files for the system around the program: completion scripts and manual pages.

pub(crate) mod completions;
pub(crate) mod man;
