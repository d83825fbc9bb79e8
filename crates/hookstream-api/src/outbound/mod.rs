//! Operations on outbound resources; each has a file or folder.

pub(crate) mod applications;
pub(crate) mod attempts;
pub(crate) mod endpoints;
pub(crate) mod event_types;
pub(crate) mod exchange;
pub(crate) mod explain;
pub(crate) mod messages;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::Api;

/// Operations on applications, endpoints, event types, messages and attempts.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(applications::list, applications::create))
        .routes(routes!(applications::get, applications::update, applications::delete))
        .merge(endpoints::routes())
        .routes(routes!(messages::list::list, messages::send::send))
        .routes(routes!(messages::read::get))
        .routes(routes!(messages::list::list_all))
        .routes(routes!(messages::counts::count_all))
        .routes(routes!(messages::read::get_by_id))
        .routes(routes!(exchange::get))
        .routes(routes!(exchange::get_by_message))
        .routes(routes!(attempts::list))
        .routes(routes!(attempts::list_all))
        .routes(routes!(messages::retry::retry))
        .routes(routes!(explain::explain))
        .routes(routes!(explain::explain_by_id))
        .routes(routes!(event_types::list, event_types::create))
        .routes(routes!(event_types::get, event_types::update, event_types::delete))
}
