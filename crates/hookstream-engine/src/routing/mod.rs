//! Origins and their routes, in memory.

pub(crate) mod directory;

pub(crate) mod aging_cache;
pub(crate) mod route;
