//! Whose application a request is about: an operation on one works the same for whoever runs the product, who names it
//! in the path, and for its customer, whose portal token is of it and of no other.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use hookstream_engine::ApplicationRoutes;
use hookstream_model::{
    base::ids::{ApplicationId, EndpointId},
    identity::tenancy::Tenant,
};
use http::request::Parts;
use serde::Deserialize;

use crate::{
    auth::{
        caller::{Caller, check_tenant},
        credentials::{Credentials, Principal},
        refusal::{Refusal, unauthorized},
    },
    http::error::ApiError,
    state::Api,
};

/// An application, named by whoever asks. Put it first among a handler's extractors, as [`Caller`], which it takes the
/// place of.
#[derive(Debug, Clone)]
pub(crate) struct ApplicationScope {
    /// Whose it is.
    pub(crate) tenant: Tenant,
    /// Its id or `uid`, as it was given; nobody has looked yet whether it is there.
    pub(crate) application: String,
    /// Who asks.
    pub(crate) asks: Requester,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requester {
    /// Whoever runs the product: a key, or somebody who signed in.
    Sender,
    /// The customer, in their portal.
    Customer,
}

/// The same, of a customer only.
pub(crate) struct CustomerScope(pub(crate) ApplicationScope);

#[derive(Deserialize)]
struct OfApplication {
    #[serde(rename = "appId")]
    application: String,
}

impl FromRequestParts<Api> for ApplicationScope {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let Caller { tenant, .. } = Caller::from_request_parts(parts, api).await?;
        let Path(OfApplication { application }) = Path::from_request_parts(parts, api).await.map_err(|_| ApiError::unknown_route())?;
        Ok(Self { tenant, application, asks: Requester::Sender })
    }
}

impl FromRequestParts<Api> for CustomerScope {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        let presented = parts.extensions.get::<Credentials>().ok_or_else(|| unauthorized(Refusal::NoToken))?;
        match presented.principal() {
            Principal::Portal(pass) => {
                Ok(Self(ApplicationScope { tenant: pass.tenant, application: pass.application.to_string(), asks: Requester::Customer }))
            }
            Principal::Nothing | Principal::Key(_) | Principal::Session(_) => Err(presented.unauthorized()),
        }
    }
}

impl ApplicationScope {
    /// Checks an `org_id` and an `env_id` in a query: they must be the caller's own.
    pub(crate) fn check_tenant(&self, org_id: Option<&str>, env_id: Option<&str>) -> Result<(), ApiError> {
        check_tenant(self.tenant, org_id, env_id)
    }

    /// The application with its endpoints, as it stands now.
    pub(crate) async fn routes(&self, api: &Api) -> Result<Arc<ApplicationRoutes>, ApiError> {
        let found = api.engine.routes().resolve_now(self.tenant, &self.application).await?;
        found.ok_or_else(|| ApiError::not_found("Application"))
    }

    /// The application's id.
    pub(crate) async fn resolve(&self, api: &Api) -> Result<ApplicationId, ApiError> {
        self.routes(api).await.map(|routes| routes.application.id)
    }

    /// The application and one of its endpoints, named by its id or `uid`.
    pub(crate) async fn endpoint(&self, api: &Api, reference: &str) -> Result<(Arc<ApplicationRoutes>, EndpointId), ApiError> {
        let routes = self.routes(api).await?;
        let found = routes.endpoint_by_reference(reference).map(|route| route.endpoint.id);
        let id = found.ok_or_else(|| ApiError::not_found("Endpoint"))?;
        Ok((routes, id))
    }

    /// Refuses what a customer may not say: those of these fields that are given.
    pub(crate) fn refuse_of_customer(&self, fields: &[(&'static str, bool)]) -> Result<(), ApiError> {
        match (self.asks, fields.iter().find(|(_, is_given)| *is_given)) {
            (Requester::Customer, Some((field, _))) => {
                Err(ApiError::invalid(field, "can't be set in the portal. Ask the sender to set it"))
            }
            (Requester::Customer, None) | (Requester::Sender, _) => Ok(()),
        }
    }
}
