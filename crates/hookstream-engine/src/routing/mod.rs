//! Routing: origins with their routes to targets, in memory.

mod aging_cache;
pub(crate) mod application_front;
pub(crate) mod applications;
pub(crate) mod directory;
pub(crate) mod event_types;
pub(crate) mod front;
pub(crate) mod origin;
pub(crate) mod route;
pub(crate) mod target;
pub(crate) mod target_state;
#[cfg(test)]
mod tests;
