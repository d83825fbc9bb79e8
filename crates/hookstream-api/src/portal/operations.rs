//! Operations that only customers have; those that they share with the sender are in [`super::shared`].

use axum::{Extension, Json, extract::State};
use hookstream_model::{identity::portal::PortalTheme, outbound::application::Application};
use hookstream_store::identity::environments;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::{
        application_scope::ApplicationScope,
        credentials::{Credentials, Principal},
    },
    http::{
        error::ApiError,
        params::{OfId, PathParams, QueryParams},
        portal_settings::PortalThemeFields,
        shapes::ListQuery,
    },
    operations::jobs::{self, JobAnswer},
    outbound::event_types::{self, EventTypeList},
    state::Api,
};

/// Application of a portal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PortalApplication {
    pub(crate) id: String,
    #[schema(example = "Acme Inc.")]
    pub(crate) name: String,
}

impl PortalApplication {
    pub(crate) fn of(application: &Application) -> Self {
        Self { id: application.id.to_string(), name: application.name.clone() }
    }
}

/// Settings of a portal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PortalView {
    /// Appearance: the application's `portal_theme`, and the environment's where it has no value.
    #[schema(value_type = PortalThemeFields, example = json!({ "primary_color": "2f55e0", "color_scheme": "auto" }))]
    theme: PortalTheme,
    /// Whether the customer may see signing secrets again.
    reveals_secrets: bool,
    /// Whether the token admits to reading only: requests that change something are answered 403 `read_only`.
    read_only: bool,
    /// Number of endpoints that the customer may create; 0 means no limit.
    #[schema(example = 50)]
    max_endpoints: u64,
}

/// Answer with the application of a portal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PortalApplicationAnswer {
    application: PortalApplication,
    portal: PortalView,
}

/// Query of a list in the portal.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PortalListQuery {
    /// Rows per page, at most: 1 to 100.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 50)]
    limit: Option<String>,
    /// Cursor: the `cursor` of the previous page.
    cursor: Option<String>,
}

impl From<PortalListQuery> for ListQuery {
    fn from(PortalListQuery { limit, cursor }: PortalListQuery) -> Self {
        Self { limit, cursor, org_id: None, env_id: None }
    }
}

/// Get the application in the portal
#[utoipa::path(
    get, path = "/portal/application", operation_id = "getPortalApplication", tag = "Portal", security(("portal" = [])),
    responses((status = 200, description = "Application of the portal token.", body = PortalApplicationAnswer))
)]
pub(crate) async fn application(
    State(api): State<Api>,
    scope: ApplicationScope,
    Extension(credentials): Extension<Credentials>,
) -> Result<Json<PortalApplicationAnswer>, ApiError> {
    let read_only = matches!(credentials.principal(), Principal::Portal(claims) if claims.is_read_only);
    let routes = scope.routes(&api).await?;
    let application = routes.application();
    let environment =
        environments::find_any(&*api.store, scope.tenant.environment).await?.ok_or_else(|| ApiError::not_found("Environment"))?;
    let portal = PortalView {
        theme: application.portal_theme.clone().unwrap_or_default().or(environment.portal_theme.unwrap_or_default()),
        reveals_secrets: !read_only && api.options.reveal_secrets && environment.portal_reveal_secrets,
        read_only,
        max_endpoints: api.options.portal_endpoints.unwrap_or(0),
    };
    Ok(Json(PortalApplicationAnswer { application: PortalApplication::of(application), portal }))
}

/// Get a job in the portal
#[utoipa::path(
    get, path = "/portal/jobs/{id}", operation_id = "getPortalJob", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The job's id.")),
    responses((status = 200, description = "Job, with its progress.", body = JobAnswer))
)]
pub(crate) async fn get_job(
    State(api): State<Api>,
    scope: ApplicationScope,
    PathParams(OfId { id }): PathParams<OfId>,
) -> Result<Json<JobAnswer>, ApiError> {
    jobs::get_of(&api, &scope, &id).await
}

/// List event types in the portal
///
/// The catalog lists the event types that `filter_types` can name.
#[utoipa::path(
    get, path = "/portal/event-types", operation_id = "listPortalEventTypes", tag = "Portal", security(("portal" = [])),
    params(PortalListQuery),
    responses((status = 200, description = "A page, newest first.", body = EventTypeList))
)]
pub(crate) async fn list_event_types(
    State(api): State<Api>,
    scope: ApplicationScope,
    QueryParams(query): QueryParams<PortalListQuery>,
) -> Result<Json<EventTypeList>, ApiError> {
    event_types::list_of(&api, scope.tenant, &query.into()).await
}
