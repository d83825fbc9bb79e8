//! Who acts, and from where: what the audit log says of a change. Handlers that change something take it.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use hookstream_model::audit_log::{Act, Actor};
use http::request::Parts;

use crate::{
    address::client_address,
    auth::{Presented, unauthorized},
    error::ApiError,
    request::RequestId,
    state::Api,
};

/// Whoever makes a request. It says nothing about what they may do: put it behind [`Caller`](crate::auth::Caller).
#[derive(Debug)]
pub(crate) struct Acting {
    actor: Actor,
    address: Option<IpAddr>,
    request: RequestId,
}

impl FromRequestParts<Api> for Acting {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let presented = parts.extensions.get::<Presented>().ok_or_else(|| unauthorized(false))?;
        let actor = presented.actor().ok_or_else(|| unauthorized(false))?;
        Ok(Self { actor, address: client_address(parts, &api.options.trusted_proxies), request: presented.request })
    }
}

impl Acting {
    /// What they do now.
    pub(crate) fn act(self, api: &Api) -> Act {
        let Self { actor, address, request } = self;
        Act { entry: api.engine.new_id().into(), at: api.now(), actor, address, request_id: Some(request.to_string()) }
    }
}
