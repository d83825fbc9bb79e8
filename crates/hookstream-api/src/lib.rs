//! HTTP API under `/v1`, its OpenAPI document and its reference page.
//!
//! A request passes through [`http::request`] (request id, panics, rendering of errors). The [`auth::caller::Caller`]
//! extractor authenticates it, and a handler answers it. Each resource has a file of handlers, in the folder of its
//! domain. Handlers return [`http::error::ApiError`].

mod access_log;
mod auth;
mod background;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod guide;
mod http;
mod identity;
mod instruments;
mod live_options;
mod metrics;
mod openapi;
mod operation;
mod operations;
mod outbound;
mod pages;
mod portal;
mod readiness;
mod realtime;
mod request_trace;
mod state;
#[cfg(test)]
mod tests;

use axum::{Router, middleware, routing};

pub use self::{
    background::backup_state::{BackupSettings, BackupStatus},
    instruments::Instruments,
    live_options::{Live, LiveOptions, RateLimits},
    openapi::{document, document_json},
    operations::exposition::METRICS_TYPE,
    realtime::open_streams::StreamLimits,
    state::{AllowOrganizations, Api, Options, Parts},
};
pub use crate::auth::providers::IdentityProvider;
use crate::{
    http::error::ApiError,
    operation::{Operations, operations},
};

/// Returns the whole HTTP service.
pub fn router(api: Api) -> Router {
    let routes = Router::new()
        .nest("/v1", versioned(Router::new()))
        .merge(unversioned(Router::new()))
        .route("/v1/openapi.json", routing::get(openapi::serve))
        .route("/v1/billing/checkout", routing::post(crate::operations::billing::no_billing))
        .route("/v1/billing/portal", routing::post(crate::operations::billing::no_billing))
        .merge(crate::openapi::docs::routes())
        .merge(guide::routes())
        .merge(pages::routes());
    serve(routes, api)
}

/// Returns the service of a node that only delivers: its health probes.
pub fn probes(api: Api) -> Router {
    let routes = Router::new()
        .route("/v1/health", routing::get(crate::operations::health::live))
        .route("/v1/health/ready", routing::get(crate::operations::health::ready));
    let routes = unversioned(routes);
    serve(routes, api)
}

fn serve(routes: Router<Api>, api: Api) -> Router {
    routes
        .fallback(|| async { ApiError::unknown_route() })
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .layer(middleware::from_fn_with_state(api.clone(), crate::http::request::handle))
        .with_state(api)
}

/// Adds the operations outside of `/v1`.
fn unversioned<A: Operations>(all: A) -> A {
    operations!(all, crate::operations::exposition::{metrics})
}

/// Adds the operations under `/v1`.
fn versioned<A: Operations>(all: A) -> A {
    let all = identity::operations(outbound::operations(all));
    realtime::operations(operations::operations(portal::operations(all)))
}
