//! Tenant context of a signed-in user's request: one environment of the user's organizations.
//!
//! A key has exactly one environment. A user names one in the path (`/organizations/{orgId}`,
//! `/environments/{envId}`) or the query (`org_id`, `env_id`); otherwise the session's current environment applies.
//! An environment that is not the user's is answered like one that does not exist.

use axum::extract::{FromRequestParts, MatchedPath, Query, RawPathParams};
use hookstream_model::{
    base::ids::{EnvironmentId, OrganizationId, UserId},
    identity::{member::Role, organization::Organization, tenancy::Tenant},
};
use hookstream_store::identity::{environments, organizations};
use http::{Method, request::Parts};

use crate::{
    auth::session::SignedIn,
    http::error::{ApiError, ErrorCode},
    state::Api,
};

/// Organization and environment that a request names.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    organization: Option<OrganizationId>,
    environment: Option<EnvironmentId>,
    /// Kind of the resource whose id could not be parsed: such an id names nothing.
    nothing: Option<&'static str>,
    /// True if the resource may be deleted, because the request is about deleted ones as well.
    or_deleted: bool,
}

impl Wanted {
    /// Reads the path and the query.
    pub(crate) async fn of(parts: &mut Parts, api: &Api) -> Self {
        let mut wanted = Self::default();
        if let Ok(params) = RawPathParams::from_request_parts(parts, api).await {
            for (name, value) in &params {
                match name {
                    "orgId" => wanted.name_organization(value),
                    "envId" => wanted.name_environment(value),
                    _ => {}
                }
            }
        }
        let pattern = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        wanted.or_deleted = is_about_deleted(&parts.method, pattern);
        for (name, value) in pairs(&parts.uri) {
            match name.as_str() {
                "org_id" => wanted.name_organization(&value),
                "env_id" => wanted.name_environment(&value),
                _ => {}
            }
        }
        wanted
    }

    /// Reads the names given in a body.
    pub(crate) fn named(org_id: Option<&str>, env_id: Option<&str>) -> Result<Self, ApiError> {
        let mut wanted = Self::default();
        if let Some(text) = org_id {
            wanted.name_organization(text);
        }
        if let Some(text) = env_id {
            wanted.name_environment(text);
        }
        wanted.nothing.map_or(Ok(wanted), |what| Err(ApiError::not_found(what)))
    }

    fn name_organization(&mut self, text: &str) {
        match text.parse() {
            Ok(id) => self.organization = Some(id),
            Err(_) => self.nothing = Some("Organization"),
        }
    }

    fn name_environment(&mut self, text: &str) {
        match text.parse() {
            Ok(id) => self.environment = Some(id),
            Err(_) => self.nothing = Some("Environment"),
        }
    }
}

/// Returns true if an operation also works on deleted resources: reading and restoring.
fn is_about_deleted(method: &Method, pattern: &str) -> bool {
    match pattern {
        "/v1/organizations/{orgId}" | "/v1/environments/{envId}" => method == Method::GET || method == Method::HEAD,
        "/v1/organizations/{orgId}/restore" | "/v1/environments/{envId}/restore" => true,
        _ => false,
    }
}

/// Returns the names and values of a query. The handler refuses a query that cannot be read.
fn pairs(uri: &http::Uri) -> Vec<(String, String)> {
    Query::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default()
}

/// Returns the tenant of a request, and the user's role there.
pub(crate) async fn find(api: &Api, signed_in: &SignedIn, wanted: Wanted) -> Result<(Tenant, Role), ApiError> {
    of_user(api, signed_in.user.id, signed_in.session.tenant, wanted).await
}

/// Same for a user whose current environment is `current`.
pub(crate) async fn of_user(api: &Api, user: UserId, current: Option<Tenant>, wanted: Wanted) -> Result<(Tenant, Role), ApiError> {
    if let Some(what) = wanted.nothing {
        return Err(ApiError::not_found(what));
    }
    let of_user = organizations::of_user(&*api.store, user).await?;
    let is_open = |organization: &Organization| wanted.or_deleted || organization.deleted_at.is_none();
    let role_in =
        |id: OrganizationId| of_user.iter().find(|(organization, _)| organization.id == id && is_open(organization)).map(|(_, role)| *role);
    if let Some(id) = wanted.environment {
        let found = environments::find_any(&*api.store, id).await?;
        let found = found.filter(|found| wanted.or_deleted || found.deleted_at.is_none());
        let tenant_and_role = found
            .and_then(|found| Some((Tenant { organization: found.organization_id, environment: id }, role_in(found.organization_id)?)));
        let (tenant, role) = tenant_and_role.ok_or_else(|| ApiError::not_found("Environment"))?;
        if wanted.organization.is_some_and(|organization| organization != tenant.organization) {
            return Err(ApiError::not_found("Organization"));
        }
        return Ok((tenant, role));
    }
    if let Some(organization) = wanted.organization {
        let role = role_in(organization).ok_or_else(|| ApiError::not_found("Organization"))?;
        if let Some(tenant) = current.filter(|tenant| tenant.organization == organization && !wanted.or_deleted)
            && is_there(api, tenant).await?
        {
            return Ok((tenant, role));
        }
        let environment = environments::oldest(&*api.store, organization).await?.ok_or_else(|| ApiError::not_found("Organization"))?;
        return Ok((Tenant { organization, environment: environment.id }, role));
    }
    if let Some(tenant) = current
        && let Some(role) = role_in(tenant.organization)
        && is_there(api, tenant).await?
    {
        return Ok((tenant, role));
    }
    for (organization, role) in of_user.iter().filter(|(organization, _)| organization.deleted_at.is_none()) {
        if let Some(environment) = environments::oldest(&*api.store, organization.id).await? {
            return Ok((Tenant { organization: organization.id, environment: environment.id }, *role));
        }
    }
    let message = "You are not a member of any organization. Ask for an invitation, or create an organization: POST /v1/organizations.";
    Err(ApiError::new(ErrorCode::NoOrganization, message))
}

async fn is_there(api: &Api, tenant: Tenant) -> Result<bool, ApiError> {
    let found = environments::find(&*api.store, tenant.organization, tenant.environment).await?;
    Ok(found.is_some_and(|found| found.deleted_at.is_none()))
}
