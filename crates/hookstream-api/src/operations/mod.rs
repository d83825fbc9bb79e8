//! Operations for operators of the server; each resource has a file.

pub(crate) mod audit_log;
pub(crate) mod billing;
pub(crate) mod health;
pub(crate) mod jobs;
pub(crate) mod lanes;
pub(crate) mod metrics;
pub(crate) mod nodes;
pub(crate) mod problems;
pub(crate) mod retry_messages;
pub(crate) mod usage;

use crate::operation::{Operations, operations};

/// Operations on jobs, the audit log, metrics, usage, nodes and health.
pub(crate) fn operations<A: Operations>(all: A) -> A {
    operations!(
        all,
        jobs::{recover, replay},
        retry_messages::{retry},
        jobs::{list, get, cancel},
        audit_log::{list, export},
        lanes::{list},
        nodes::{list},
        metrics::overview::{overview},
        metrics::series::{volume, deliveries, latency},
        metrics::errors::{errors},
        usage::{get},
        problems::{list},
        billing::{usage},
        health::{live, ready},
    )
}
