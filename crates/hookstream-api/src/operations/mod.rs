//! Operations for operators of the server, alerts, and saved views of the dashboard; each resource has a file.

pub(crate) mod alerts;
pub(crate) mod audit_log;
pub(crate) mod backups;
pub(crate) mod billing;
pub(crate) mod exposition;
pub(crate) mod health;
pub(crate) mod jobs;
pub(crate) mod lanes;
pub(crate) mod metrics;
pub(crate) mod nodes;
pub(crate) mod problems;
pub(crate) mod retry_messages;
pub(crate) mod usage;
pub(crate) mod views;

use crate::operation::{Operations, operations};

/// Operations on alerts, jobs, the audit log, metrics, usage, views, nodes, backups and health.
pub(crate) fn operations<A: Operations>(all: A) -> A {
    let all = alerts::operations(all);
    operations!(
        all,
        jobs::{recover, replay},
        retry_messages::{retry},
        jobs::{list, get, cancel},
        audit_log::{list, export},
        lanes::{list},
        nodes::{list},
        backups::{list, create},
        metrics::overview::{overview},
        metrics::series::{volume, deliveries, latency},
        metrics::errors::{errors},
        usage::{get},
        problems::{list},
        views::{list, create, get, update, delete},
        billing::{usage},
        health::{live, ready},
    )
}
