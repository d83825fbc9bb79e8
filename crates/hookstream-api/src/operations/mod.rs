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

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::Api;

/// Operations on jobs, the audit log, metrics, usage, nodes and health.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(jobs::recover))
        .routes(routes!(jobs::replay))
        .routes(routes!(retry_messages::retry))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::get))
        .routes(routes!(jobs::cancel))
        .routes(routes!(audit_log::list))
        .routes(routes!(audit_log::export))
        .routes(routes!(lanes::list))
        .routes(routes!(nodes::list))
        .routes(routes!(metrics::overview::overview))
        .routes(routes!(metrics::series::volume))
        .routes(routes!(metrics::series::deliveries))
        .routes(routes!(metrics::series::latency))
        .routes(routes!(metrics::errors::errors))
        .routes(routes!(usage::get))
        .routes(routes!(problems::list))
        .routes(routes!(billing::usage))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
}
