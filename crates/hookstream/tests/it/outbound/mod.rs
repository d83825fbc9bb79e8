//! Applications, endpoints, messages and their delivery.

pub(crate) mod api;
pub(crate) mod batch;
pub(crate) mod delivery;
pub(crate) mod expiry;
pub(crate) mod explain;
pub(crate) mod fair;
pub(crate) mod fidelity;
pub(crate) mod jobs;
pub(crate) mod limits;
pub(crate) mod loops;
pub(crate) mod order;
pub(crate) mod rabbitmq;
pub(crate) mod resources;
pub(crate) mod search;
pub(crate) mod usage;
