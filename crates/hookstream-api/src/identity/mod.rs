//! Operations on tenants, users and keys; each resource has a file.

pub(crate) mod api_keys;
pub(crate) mod device;
pub(crate) mod environments;
pub(crate) mod invitations;
pub(crate) mod members;
pub(crate) mod organization_access;
pub(crate) mod organizations;
pub(crate) mod passwords;
pub(crate) mod providers;
pub(crate) mod second_factor;
pub(crate) mod sessions;
pub(crate) mod sign_in;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::Api;

/// Operations on organizations, environments, users, sessions and API keys.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
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
}
