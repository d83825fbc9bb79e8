//! The HTTP API under `/v1`, its OpenAPI document and its reference page.
//!
//! A request passes [`request`] (its id, panics, the rendering of errors), is authenticated by the
//! [`auth::Caller`] extractor, and ends in a handler of [`mod@routes`], one file a resource. Handlers
//! return [`error::ApiError`]; that one file decides on status codes.

mod acting;
mod address;
mod audit_retention;
mod auth;
mod body;
mod error;
mod idempotency;
mod limits;
mod openapi;
mod page;
mod params;
mod permissions;
mod portal;
mod request;
mod routes;
mod state;

use axum::{Router, middleware, routing};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::{
    openapi::document,
    state::{Api, Options, Parts, RateLimits},
};
use crate::error::ApiError;

/// The whole HTTP service over `api`.
pub fn router(api: Api) -> Router {
    let (versioned, _) = versioned().split_for_parts();
    let routes = Router::new()
        .nest("/v1", versioned)
        .route("/v1/openapi.json", routing::get(openapi::serve))
        .route("/docs", routing::get(openapi::reference));
    serve(routes, api)
}

/// What a node answers that only delivers: whether it lives and is ready.
pub fn probes(api: Api) -> Router {
    let routes = Router::new()
        .route("/v1/health", routing::get(crate::routes::health::live))
        .route("/v1/health/ready", routing::get(crate::routes::health::ready));
    serve(routes, api)
}

fn serve(routes: Router<Api>, api: Api) -> Router {
    routes
        .fallback(|| async { ApiError::unknown_route() })
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .layer(middleware::from_fn_with_state(api.clone(), request::handle))
        .with_state(api)
}

/// The operations under `/v1`, with what the OpenAPI document says of them.
fn versioned() -> OpenApiRouter<Api> {
    use crate::routes::{
        api_keys, applications, audit_log, endpoints, environments, event_types, explain, health, jobs, lanes, messages, nodes,
        portal_access, usage,
    };
    OpenApiRouter::new()
        .routes(routes!(applications::list, applications::create))
        .routes(routes!(applications::get, applications::update, applications::delete))
        .routes(routes!(endpoints::list, endpoints::create))
        .routes(routes!(endpoints::get, endpoints::update, endpoints::delete))
        .routes(routes!(endpoints::rotate_secret))
        .routes(routes!(endpoints::reset_circuit))
        .routes(routes!(jobs::recover))
        .routes(routes!(jobs::replay))
        .routes(routes!(endpoints::test))
        .routes(routes!(messages::list, messages::send))
        .routes(routes!(messages::get))
        .routes(routes!(messages::retry))
        .routes(routes!(explain::explain))
        .routes(routes!(event_types::list, event_types::create))
        .routes(routes!(event_types::get, event_types::update, event_types::delete))
        .routes(routes!(environments::list))
        .routes(routes!(environments::get, environments::update))
        .routes(routes!(api_keys::list, api_keys::create))
        .routes(routes!(api_keys::get, api_keys::revoke))
        .routes(routes!(api_keys::rotate))
        .routes(routes!(portal_access::create))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::get))
        .routes(routes!(jobs::cancel))
        .routes(routes!(audit_log::list))
        .routes(routes!(audit_log::export))
        .routes(routes!(lanes::list))
        .routes(routes!(nodes::list))
        .routes(routes!(usage::get))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
}
