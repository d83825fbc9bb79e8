//! Deliveries on PostgreSQL: publish, claim, settle, requeue.

pub(crate) mod claim;
pub(crate) mod jobs;
pub(crate) mod publish;
pub(crate) mod redeliver;
pub(crate) mod settle;
