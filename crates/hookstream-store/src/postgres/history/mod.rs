//! Messages and attempts on PostgreSQL: pages, counts and their consistency check.

pub(crate) mod audit;
pub(crate) mod counts;
pub(crate) mod finding;
pub(crate) mod messages;
