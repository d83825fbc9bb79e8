//! Endpoints of an application; a file per verb or idea.

pub(crate) mod create;
pub(crate) mod delete;
mod fields;
pub(crate) mod health;
pub(crate) mod list_all;
pub(crate) mod read;
pub(crate) mod requests;
pub(crate) mod reset;
pub(crate) mod secrets;
mod settings;
pub(super) mod target;
pub(crate) mod test;
pub(crate) mod update;
pub(crate) mod view;

use hookstream_store::outbound::endpoints::EndpointKey;

use crate::{
    auth::application_scope::ApplicationScope,
    http::error::ApiError,
    operation::{Operations, operations},
    state::Api,
};

/// Operations on endpoints.
pub(super) fn operations<A: Operations>(all: A) -> A {
    operations!(
        all,
        read::{list},
        create::{create},
        read::{get},
        update::{update},
        delete::{delete},
        list_all::{list_all},
        health::{get},
        secrets::{rotate_secret, reveal_secret},
        reset::{reset_circuit},
        test::{test},
    )
}

async fn key(api: &Api, scope: &ApplicationScope, endpoint: &str) -> Result<EndpointKey, ApiError> {
    let (routes, id) = scope.endpoint(api, endpoint).await?;
    Ok(EndpointKey { tenant: scope.tenant, application_id: routes.id(), id })
}

fn not_found() -> ApiError {
    ApiError::not_found("Endpoint")
}

#[cfg(test)]
mod tests;
