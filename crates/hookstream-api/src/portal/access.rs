//! Access to the customer portal.

use axum::{Json, extract::State};
use hookstream_model::{
    base::ids::ResourceId,
    operations::audit_log::{Action, Change, fields::Fields},
    outbound::application::ApplicationStatus,
};
use hookstream_store::operations::audit_log;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::{audited_caller::AuditedCaller, caller::Caller, portal_token},
    http::{
        error::{ApiError, ErrorCode},
        params::PathParams,
    },
    portal::operations::PortalApplication,
    state::Api,
};

/// Portal access of one application.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PortalAccess {
    /// Portal token: a JWT, valid for an hour and for this application only.
    token: String,
    /// URL of the portal page with the token. It is `null` in this version, which has no portal page: pass the token to a page of your own,
    /// which calls `/v1/portal/…` with it.
    url: Option<String>,
    /// Seconds until the token expires.
    #[schema(example = 3600)]
    expires_in: i64,
    /// Application of the portal.
    application: PortalApplication,
}

/// Create portal access
///
/// The answer contains a portal token, with which the customer calls `/v1/portal/…` for an hour. The token becomes invalid at once if the
/// application is disabled or deleted.
#[utoipa::path(
    post, path = "/applications/{appId}/portal-access", operation_id = "createPortalAccess", tag = "Portal",
    params(("appId" = String, Path, description = "The application's id or `uid`.")),
    responses((status = 200, description = "Portal token.", body = PortalAccess))
)]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(app): PathParams<String>,
) -> Result<Json<PortalAccess>, ApiError> {
    let routes = api.engine.applications().resolve_now(caller.tenant, &app).await?.ok_or_else(|| ApiError::not_found("Application"))?;
    let application = routes.application();
    if application.status == ApplicationStatus::Disabled {
        let message = "The application is disabled, so its portal is closed. Set its `status` to `active` first.";
        return Err(ApiError::new(ErrorCode::ApplicationDisabled, message));
    }
    let key = api.portal_key().await?;
    let act = audited.act(&api);
    let ends = act.at + portal_token::validity();
    let recorded = Change::done(&Fields::default().with("expires_at", ends.to_string()));
    let resource = ResourceId::from_bytes(*application.id.as_bytes());
    // Recorded before the token is created, so that no token is unrecorded.
    audit_log::record(&*api.store, &act, caller.tenant, Action::ApplicationGivePortalAccess, resource, &recorded).await?;
    let token = portal_token::token(&key, caller.tenant, application.id, act.at);
    let shown = PortalApplication { id: application.id.to_string(), name: application.name.clone() };
    Ok(Json(PortalAccess { token, url: None, expires_in: portal_token::VALID_S, application: shown }))
}
