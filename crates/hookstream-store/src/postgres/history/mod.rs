//! Messages and attempts on PostgreSQL: pages, counts, the check of both.

pub(crate) mod audit;
pub(crate) mod counts;
pub(crate) mod finding;
pub(crate) mod messages;
