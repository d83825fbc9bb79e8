//! Caller as the audit log records it: actor, address and request. Handlers that change something take it.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use hookstream_model::operations::audit_log::{Actor, AuditContext};
use http::{header, request::Parts};

use crate::{
    auth::{
        credentials::Credentials,
        refusal::{Refusal, unauthorized},
    },
    http::{address::client_address, cookies, error::ApiError, request_id::RequestId},
    state::Api,
};

/// Maximum length of the stored user agent.
const USER_AGENT_MAX: usize = 255;

/// Caller of a request. Says nothing about permissions: handlers take it after
/// [`Caller`](crate::auth::caller::Caller) or [`Person`](crate::auth::person::Person).
#[derive(Debug)]
pub(crate) struct AuditedCaller {
    actor: Actor,
    origin: ClientDetails,
}

/// Address and program of the client, for the audit log and the list of sessions. Operations that find out the actor
/// themselves take it.
#[derive(Debug)]
pub(crate) struct ClientDetails {
    pub(crate) address: Option<IpAddr>,
    pub(crate) user_agent: Option<String>,
    /// Cookie of a browser that has signed in before.
    pub(crate) device: Option<String>,
    request: RequestId,
}

impl FromRequestParts<Api> for AuditedCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let credentials = parts.extensions.get::<Credentials>().ok_or_else(|| unauthorized(Refusal::Nothing))?;
        let actor = credentials.actor().ok_or_else(|| unauthorized(Refusal::Nothing))?;
        Ok(Self { actor, origin: ClientDetails::from_request_parts(parts, api).await? })
    }
}

impl FromRequestParts<Api> for ClientDetails {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let credentials = parts.extensions.get::<Credentials>().ok_or_else(|| unauthorized(Refusal::Nothing))?;
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self {
            address: client_address(parts, &api.options.live.get().trusted_proxies),
            device: cookies::device(&parts.headers, api.is_reached_by_https()).map(str::to_owned),
            user_agent: user_agent.map(|text| text.chars().take(USER_AGENT_MAX).collect()),
            request: credentials.request,
        })
    }
}

impl AuditedCaller {
    /// Returns the audit context of the caller's act at the current time.
    pub(crate) fn act(&self, api: &Api) -> AuditContext {
        self.origin.act(api, self.actor.clone())
    }
}

impl ClientDetails {
    /// Returns the audit context of an act of `actor` at the current time.
    pub(crate) fn act(&self, api: &Api, actor: Actor) -> AuditContext {
        let entry = api.engine.new_id().into();
        AuditContext { entry, at: api.now(), actor, address: self.address, request_id: Some(self.request.to_string()) }
    }
}
