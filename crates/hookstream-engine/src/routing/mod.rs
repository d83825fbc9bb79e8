//! Origins and their routes, in memory.

pub(crate) mod generations;
pub(crate) mod routes;
