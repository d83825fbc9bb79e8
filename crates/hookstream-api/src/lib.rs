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
mod cookies;
mod devices;
mod docs;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod headers;
mod idempotency;
mod in_flight;
mod limits;
mod mail;
mod names;
mod openapi;
mod page;
mod pages;
mod params;
mod passwords;
mod permissions;
mod place;
mod portal;
mod providers;
mod request;
mod routes;
mod same_origin;
mod seats;
mod several;
mod signed_in;
mod state;

use axum::{Router, middleware, routing};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::{
    openapi::{document, document_json},
    providers::IdentityProvider,
    state::{AllowOrganizations, Api, Options, Parts, RateLimits},
};
use crate::error::ApiError;

/// The whole HTTP service over `api`.
pub fn router(api: Api) -> Router {
    let (versioned, _) = versioned().split_for_parts();
    let routes = Router::new()
        .nest("/v1", versioned)
        .route("/v1/openapi.json", routing::get(openapi::serve))
        .route("/v1/billing/checkout", routing::post(routes::billing::no_billing))
        .route("/v1/billing/portal", routing::post(routes::billing::no_billing))
        .merge(docs::routes())
        .merge(pages::routes());
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
        api_keys, applications, attempts, audit_log, billing, device, endpoints, environments, event_types, explain, health, invitations,
        jobs, lanes, members, messages, nodes, organizations, passwords, portal, portal_access, providers, second_factor, sessions,
        sign_in, usage,
    };
    OpenApiRouter::new()
        .routes(routes!(applications::list, applications::create))
        .routes(routes!(applications::get, applications::update, applications::delete))
        .routes(routes!(endpoints::list, endpoints::create))
        .routes(routes!(endpoints::get, endpoints::update, endpoints::delete))
        .routes(routes!(endpoints::rotate_secret))
        .routes(routes!(endpoints::reveal_secret))
        .routes(routes!(endpoints::reset_circuit))
        .routes(routes!(jobs::recover))
        .routes(routes!(jobs::replay))
        .routes(routes!(endpoints::test))
        .routes(routes!(messages::list, messages::send))
        .routes(routes!(messages::get))
        .routes(routes!(messages::list_all))
        .routes(routes!(messages::get_by_id))
        .routes(routes!(attempts::list))
        .routes(routes!(attempts::list_all))
        .routes(routes!(messages::retry))
        .routes(routes!(explain::explain))
        .routes(routes!(explain::explain_by_id))
        .routes(routes!(event_types::list, event_types::create))
        .routes(routes!(event_types::get, event_types::update, event_types::delete))
        .routes(routes!(environments::list, environments::create))
        .routes(routes!(environments::get, environments::update, environments::delete))
        .routes(routes!(environments::restore))
        .routes(routes!(organizations::list, organizations::create))
        .routes(routes!(organizations::get, organizations::update, organizations::delete))
        .routes(routes!(organizations::restore))
        .routes(routes!(organizations::transfer))
        .routes(routes!(members::list))
        .routes(routes!(members::update, members::remove))
        .routes(routes!(invitations::list, invitations::create))
        .routes(routes!(invitations::delete))
        .routes(routes!(invitations::look))
        .routes(routes!(invitations::accept))
        .routes(routes!(sign_in::set_up))
        .routes(routes!(sign_in::sign_in))
        .routes(routes!(sign_in::sign_out))
        .routes(routes!(sessions::get, sessions::turn))
        .routes(routes!(sessions::list, sessions::end_all))
        .routes(routes!(sessions::end))
        .routes(routes!(sessions::rename))
        .routes(routes!(passwords::change))
        .routes(routes!(passwords::reset))
        .routes(routes!(passwords::forgot))
        .routes(routes!(providers::list))
        .routes(routes!(providers::begin))
        .routes(routes!(providers::end))
        .routes(routes!(providers::disconnect))
        .routes(routes!(second_factor::begin))
        .routes(routes!(second_factor::confirm))
        .routes(routes!(second_factor::disable))
        .routes(routes!(second_factor::replace_codes))
        .routes(routes!(device::start))
        .routes(routes!(device::ask))
        .routes(routes!(device::get))
        .routes(routes!(device::allow))
        .routes(routes!(device::deny))
        .routes(routes!(api_keys::list, api_keys::create))
        .routes(routes!(api_keys::get, api_keys::revoke))
        .routes(routes!(api_keys::rotate))
        .routes(routes!(portal_access::create))
        .routes(routes!(portal::application))
        .routes(routes!(portal::list_endpoints, portal::create_endpoint))
        .routes(routes!(portal::get_endpoint, portal::update_endpoint, portal::delete_endpoint))
        .routes(routes!(portal::rotate_secret))
        .routes(routes!(portal::reveal_secret))
        .routes(routes!(portal::list_attempts))
        .routes(routes!(portal::test_endpoint))
        .routes(routes!(portal::recover))
        .routes(routes!(portal::get_job))
        .routes(routes!(portal::list_event_types))
        .routes(routes!(portal::list_messages))
        .routes(routes!(portal::get_message))
        .routes(routes!(portal::retry_message))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::get))
        .routes(routes!(jobs::cancel))
        .routes(routes!(audit_log::list))
        .routes(routes!(audit_log::export))
        .routes(routes!(lanes::list))
        .routes(routes!(nodes::list))
        .routes(routes!(usage::get))
        .routes(routes!(billing::usage))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
}
