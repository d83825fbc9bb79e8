//! Application of a request. An operation on an application works alike for the sender, who names the application in
//! the path, and for its customer, whose portal token is valid for one application only.

use axum::extract::{FromRequestParts, MatchedPath, Path};
use hookstream_engine::ApplicationRoutes;
use hookstream_model::{
    base::ids::{ApplicationId, EndpointId},
    identity::tenancy::Tenant,
    operations::operational_event::SystemApplication,
};
use hookstream_store::operations::system_environment;
use http::{Method, request::Parts};
use serde::Deserialize;

use crate::{
    auth::{
        caller::{Caller, check_tenant},
        credentials::{Credentials, Principal},
        permissions::operational_path,
    },
    http::{error::ApiError, params::id},
    state::Api,
};

/// Application named by the caller: by the portal token on paths of the portal, by the path elsewhere. Handlers take it
/// as the first extractor, in place of [`Caller`].
#[derive(Debug, Clone)]
pub(crate) struct ApplicationScope {
    /// Tenant of the application.
    pub(crate) tenant: Tenant,
    /// Id or `uid` of the application, as given and not looked up yet.
    pub(crate) application: String,
    /// Kind of caller.
    pub(crate) requester: Requester,
}

/// Kind of caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requester {
    /// The sender: a key, or a signed-in user.
    Sender,
    /// The customer, in the portal.
    Customer,
}

#[derive(Deserialize)]
struct OfApplication {
    #[serde(rename = "appId")]
    application: String,
}

impl FromRequestParts<Api> for ApplicationScope {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        // Portal tokens are looked up on paths of the portal only, and nothing else is looked up there.
        if let Some(Principal::Portal(claims)) = parts.extensions.get::<Credentials>().map(Credentials::principal) {
            return Ok(Self { tenant: claims.tenant, application: claims.application.to_string(), requester: Requester::Customer });
        }
        let Caller { tenant, .. } = Caller::from_request_parts(parts, api).await?;
        if let Some(rest) = parts.extensions.get::<MatchedPath>().and_then(|path| operational_path(path.as_str())) {
            if (&parts.method, rest) == (&Method::POST, "/endpoints") {
                ensure_system_application(api, tenant, SystemApplication::Operational).await?;
            }
            let tenant = tenant.of_system();
            return Ok(Self { tenant, application: SystemApplication::Operational.id(tenant).to_string(), requester: Requester::Sender });
        }
        let Path(OfApplication { application }) = Path::from_request_parts(parts, api).await.map_err(|_| ApiError::unknown_route())?;
        Ok(Self { tenant, application, requester: Requester::Sender })
    }
}

impl ApplicationScope {
    /// Returns the scope of a sender who names the application elsewhere than in the path.
    pub(crate) fn of_sender(tenant: Tenant, application: &str) -> Self {
        Self { tenant, application: application.to_owned(), requester: Requester::Sender }
    }

    /// Checks `org_id` and `env_id` of a query: they must be the caller's own.
    pub(crate) fn check_tenant(&self, org_id: Option<&str>, env_id: Option<&str>) -> Result<(), ApiError> {
        check_tenant(self.tenant.of_users(), org_id, env_id)
    }

    /// Returns the current application with its endpoints.
    pub(crate) async fn routes(&self, api: &Api) -> Result<ApplicationRoutes, ApiError> {
        let found = api.engine.applications().resolve_now(self.tenant, &self.application).await?;
        let what = if self.tenant.environment.is_system() { "Operational endpoint" } else { "Application" };
        found.ok_or_else(|| ApiError::not_found(what))
    }

    /// Returns whether the operational endpoints are meant and there never was one.
    pub(crate) async fn is_unused(&self, api: &Api) -> Result<bool, ApiError> {
        let is_system = self.tenant.environment.is_system();
        Ok(is_system && api.engine.applications().resolve_now(self.tenant, &self.application).await?.is_none())
    }

    /// Returns the id of the application.
    pub(crate) async fn resolve(&self, api: &Api) -> Result<ApplicationId, ApiError> {
        self.routes(api).await.map(|routes| routes.id())
    }

    /// Returns the application and one of its endpoints, found by id or `uid`.
    pub(crate) async fn endpoint(&self, api: &Api, reference: &str) -> Result<(ApplicationRoutes, EndpointId), ApiError> {
        let routes = self.routes(api).await?;
        let found = routes.endpoint_by_reference(reference).map(|route| route.endpoint.id);
        let id = found.ok_or_else(|| ApiError::not_found("Endpoint"))?;
        Ok((routes, id))
    }

    /// Refuses the fields that a customer may not set, if one of them is given.
    pub(crate) fn refuse_of_customer(&self, fields: &[(&'static str, bool)]) -> Result<(), ApiError> {
        match (self.requester, fields.iter().find(|(_, is_given)| *is_given)) {
            (Requester::Customer, Some((field, _))) => {
                Err(ApiError::invalid(field, "can't be set in the portal. Ask the sender to set it"))
            }
            (Requester::Customer, None) | (Requester::Sender, _) => Ok(()),
        }
    }
}

/// Creates an application of the system environment of a tenant, unless it exists.
pub(crate) async fn ensure_system_application(api: &Api, tenant: Tenant, which: SystemApplication) -> Result<(), ApiError> {
    let now = api.now();
    system_environment::ensure(&*api.store, tenant, which, now).await?;
    // Events are written from now on.
    api.engine.installation_changed();
    Ok(())
}

/// Returns the endpoint that a filter names. A deleted endpoint can be named by its id.
pub(crate) fn endpoint_of(routes: Option<&ApplicationRoutes>, reference: &str) -> Result<EndpointId, ApiError> {
    let known = routes.and_then(|routes| routes.endpoint_by_reference(reference)).map(|route| route.endpoint.id);
    known.map_or_else(|| id(reference, "Endpoint"), Ok)
}
