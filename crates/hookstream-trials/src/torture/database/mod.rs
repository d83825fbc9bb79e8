//! Databases of the nodes: PostgreSQL clusters and a small disk.

pub(crate) mod cluster;
pub(crate) mod disk;
pub(crate) mod psql;
