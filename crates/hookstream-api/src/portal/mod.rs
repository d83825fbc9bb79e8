//! Operations of the customer portal.

pub(crate) mod access;
mod activity;
pub(crate) mod operations;
mod renewal;
mod shared;

use utoipa_axum::{router::OpenApiRouter, routes};

use self::shared::in_portal;
use crate::{
    operations::jobs,
    outbound::{
        attempts,
        endpoints::{create, delete, health, read, secrets, test, update},
        exchange, explain, messages,
    },
    state::Api,
};

/// Operations of the customer portal.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(access::create))
        .routes(routes!(renewal::renew))
        .routes(routes!(operations::application))
        .routes(routes!(operations::get_job))
        .routes(routes!(operations::list_event_types))
        .routes(routes!(activity::list))
        .routes(in_portal(routes!(read::list, create::create)))
        .routes(in_portal(routes!(read::get, update::update, delete::delete)))
        .routes(in_portal(routes!(health::get)))
        .routes(in_portal(routes!(secrets::rotate_secret)))
        .routes(in_portal(routes!(secrets::reveal_secret)))
        .routes(in_portal(routes!(test::test)))
        .routes(in_portal(routes!(attempts::list)))
        .routes(in_portal(routes!(jobs::recover)))
        .routes(in_portal(routes!(messages::list::list)))
        .routes(in_portal(routes!(messages::read::get)))
        .routes(in_portal(routes!(messages::retry::retry)))
        .routes(in_portal(routes!(exchange::get)))
        .routes(in_portal(routes!(explain::explain)))
}

#[cfg(test)]
mod tests;
