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

/// Whoever makes a request. It says nothing about what they may do: put it behind [`Caller`](crate::auth::Caller) or
/// [`Person`](crate::signed_in::Person).
#[derive(Debug)]
pub(crate) struct Acting {
    actor: Actor,
    whence: Whence,
}

/// Where a request comes from, for operations that find out themselves who makes it.
#[derive(Debug)]
pub(crate) struct Whence {
    address: Option<IpAddr>,
    request: RequestId,
}

impl FromRequestParts<Api> for Acting {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let presented = parts.extensions.get::<Presented>().ok_or_else(|| unauthorized(false))?;
        let actor = presented.actor().ok_or_else(|| unauthorized(false))?;
        Ok(Self { actor, whence: Whence::from_request_parts(parts, api).await? })
    }
}

impl FromRequestParts<Api> for Whence {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let presented = parts.extensions.get::<Presented>().ok_or_else(|| unauthorized(false))?;
        Ok(Self { address: client_address(parts, &api.options.trusted_proxies), request: presented.request })
    }
}

impl Acting {
    /// What they do now.
    pub(crate) fn act(self, api: &Api) -> Act {
        self.whence.act(api, self.actor)
    }
}

impl Whence {
    /// What somebody does now.
    pub(crate) fn act(self, api: &Api, actor: Actor) -> Act {
        let Self { address, request } = self;
        Act { entry: api.engine.new_id().into(), at: api.now(), actor, address, request_id: Some(request.to_string()) }
    }
}
