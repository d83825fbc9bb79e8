//! All outbound connections: deliveries to URLs of users ([`http`]), and connections to servers of the operator: a
//! mail server ([`mail`](services::mail)) and OpenID Connect providers ([`oidc`](services::oidc)).
//!
//! A transport makes one attempt and returns its outcome. It never retries, sleeps, records or uses the store. The
//! model decides the consequences of an outcome, for all kinds of targets.

#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod http;
pub mod net;
pub mod services;

use std::{fmt, net::IpAddr, time::Duration};

use ::http::{HeaderMap, Uri};
use async_trait::async_trait;
use bytes::Bytes;
use hookstream_model::{
    delivery::{outcome::Outcome, timings::Timings},
    outbound::endpoint::EndpointUrl,
};

pub use crate::net::guard::{AddressPolicy, Rule};

/// Transport for deliveries.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Checks whether the installation's policy allows the target's current address. A name that does not resolve is
    /// accepted, because every connection checks again.
    async fn check(&self, target: &Target) -> Result<(), AddressRefused>;

    /// Makes one attempt. The result is always an outcome, within `timeout` for the whole exchange, including the
    /// response body.
    async fn send(&self, target: &Target, request: Request, timeout: Duration) -> Sent;
}

/// Result of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Outcome of the attempt.
    pub outcome: Outcome,
    /// Durations of its parts.
    pub timings: Timings,
}

/// Destination of a delivery, parsed once.
#[derive(Debug, Clone)]
pub struct Target {
    /// URI of the request; `None` for a URL that HTTP cannot express.
    pub(crate) uri: Option<Uri>,
}

impl Target {
    /// Builds the target of an endpoint's URL.
    pub fn http(url: &EndpointUrl) -> Self {
        Self { uri: url.to_url().as_str().parse().ok() }
    }
}

/// Request: a POST of these bytes with these headers.
#[derive(Debug)]
pub struct Request {
    /// Headers besides `host` and `content-length`.
    pub headers: HeaderMap,
    /// Body of the request.
    pub body: Bytes,
}

/// Address that the installation's policy does not allow.
///
/// The text continues the name of a URL: "`url` leads to …". The text is for the tenant. It contains the address only
/// if the URL does, because addresses in the operator's network are confidential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressRefused {
    /// Rejected address.
    pub address: IpAddr,
    /// Rule that rejects it.
    pub rule: Rule,
    /// True if the address was resolved from a name.
    pub is_of_name: bool,
}

impl fmt::Display for AddressRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, rule, is_of_name } = self;
        if *is_of_name {
            return write!(
                f,
                "leads to an address that this installation does not allow ({rule}). Its operator can allow networks with the setting \
                 allow_targets; the server's log names the address"
            );
        }
        let bits = if address.is_ipv4() { 32 } else { 128 };
        write!(
            f,
            "leads to {address} ({rule}), which this installation does not allow. Its operator can allow it with the setting \
             allow_targets (--allow-targets {address}/{bits})"
        )
    }
}

impl std::error::Error for AddressRefused {}
