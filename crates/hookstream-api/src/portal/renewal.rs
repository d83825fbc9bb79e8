//! Renewal of a portal token before it expires.

use axum::{Extension, Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::{
        credentials::{Credentials, Principal},
        portal_token,
        refusal::{Refusal, unauthorized},
    },
    http::error::ApiError,
    state::Api,
};

/// Renewed token of a portal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RenewedToken {
    /// Portal token. The former one stays valid until it expires.
    token: String,
    /// Seconds until the token expires.
    #[schema(example = 3600)]
    expires_in: i64,
}

/// Renew a portal token
///
/// A valid token is replaced by one that is valid for an hour, but not beyond 24 hours from the portal access. Then the sender's page has
/// to create portal access again.
#[utoipa::path(
    post, path = "/portal/renew", operation_id = "renewPortalToken", tag = "Portal", security(("portal" = [])),
    responses((status = 200, description = "Renewed token.", body = RenewedToken))
)]
pub(crate) async fn renew(State(api): State<Api>, Extension(credentials): Extension<Credentials>) -> Result<Json<RenewedToken>, ApiError> {
    let Principal::Portal(claims) = credentials.principal() else { return Err(credentials.unauthorized()) };
    let (token, expires_in) = portal_token::token(&api.portal_key().await?, *claims, api.now());
    if expires_in <= 0 {
        return Err(unauthorized(Refusal::ExpiredToken));
    }
    Ok(Json(RenewedToken { token, expires_in }))
}
