//! Operations of the customer portal.

pub(crate) mod access;
pub(crate) mod operations;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::Api;

/// Operations of the customer portal.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(access::create))
        .routes(routes!(operations::application))
        .routes(routes!(operations::list_endpoints, operations::create_endpoint))
        .routes(routes!(operations::get_endpoint, operations::update_endpoint, operations::delete_endpoint))
        .routes(routes!(operations::rotate_secret))
        .routes(routes!(operations::reveal_secret))
        .routes(routes!(operations::list_attempts))
        .routes(routes!(operations::test_endpoint))
        .routes(routes!(operations::recover))
        .routes(routes!(operations::get_job))
        .routes(routes!(operations::list_event_types))
        .routes(routes!(operations::list_messages))
        .routes(routes!(operations::get_message))
        .routes(routes!(operations::retry_message))
}
