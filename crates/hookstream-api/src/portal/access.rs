//! Access to the customer portal.

use axum::{Json, extract::State};
use hookstream_model::{
    base::ids::ResourceId,
    operations::audit_log::{Action, Change, fields::Fields},
    outbound::application::ApplicationStatus,
};
use hookstream_store::operations::audit_log;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    auth::{
        audited_caller::AuditedCaller,
        caller::Caller,
        portal_token::{self, PortalClaims},
    },
    http::{
        body::RawBody,
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
    /// URL of the portal with the token behind the `#`, which browsers never send to a server. It opens the portal, and pages of the origins
    /// in `portal_frame_origins` may embed it.
    #[schema(example = "https://hooks.example.com/portal?env_id=019dc1e2a3b47c5d8e9f001122334455#token=eyJhbGciOi…")]
    url: String,
    /// Seconds until the token expires.
    #[schema(example = 3600)]
    expires_in: i64,
    /// Application of the portal.
    application: PortalApplication,
}

/// Request of portal access.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreatePortalAccess {
    /// Whether the customer may only read. Such a portal has no acts and shows no signing secret; requests that change something are
    /// answered 403 `read_only`. Renewed tokens stay read-only.
    #[serde(default)]
    #[schema(default = false)]
    read_only: bool,
}

/// Create portal access
///
/// The answer contains the URL of the portal, and its token, with which the customer calls `/v1/portal/…` for an hour. The portal renews its
/// token, for at most 24 hours. The token becomes invalid at once if the application is disabled or deleted.
#[utoipa::path(
    post, path = "/applications/{appId}/portal-access", operation_id = "createPortalAccess", tag = "Portal",
    params(("appId" = String, Path, description = "The application's id or `uid`.")),
    request_body = Option<CreatePortalAccess>,
    responses((status = 200, description = "Portal token.", body = PortalAccess))
)]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(app): PathParams<String>,
    body: RawBody,
) -> Result<Json<PortalAccess>, ApiError> {
    let CreatePortalAccess { read_only: is_read_only } = body.parse_optional()?;
    let routes = api.engine.applications().resolve_now(caller.tenant, &app).await?.ok_or_else(|| ApiError::not_found("Application"))?;
    let application = routes.application();
    if application.status == ApplicationStatus::Disabled {
        let message = "The application is disabled, so its portal is closed. Set its `status` to `active` first.";
        return Err(ApiError::new(ErrorCode::ApplicationDisabled, message));
    }
    let key = api.portal_key().await?;
    let act = audited.act(&api);
    let ends = act.at + portal_token::validity();
    // Unrestricted access is the usual one; its entries do not say so.
    let fields = Fields::default().with("expires_at", ends.to_string()).with("read_only", is_read_only.then_some(true));
    let recorded = Change::done(&fields);
    let resource = ResourceId::from_bytes(*application.id.as_bytes());
    // Recorded before the token is created, so that no token is unrecorded.
    audit_log::record(&*api.store, &act, caller.tenant, Action::ApplicationGivePortalAccess, resource, &recorded).await?;
    let portal = PortalClaims { tenant: caller.tenant, application: application.id, accessed_at: act.at.as_seconds(), is_read_only };
    let (token, expires_in) = portal_token::token(&key, portal, act.at);
    let url = format!("{}/portal?env_id={}#token={token}", api.options.public_url, caller.tenant.environment);
    Ok(Json(PortalAccess { token, url, expires_in, application: PortalApplication::of(application) }))
}
