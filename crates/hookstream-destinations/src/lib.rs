//! All outbound connections: to addresses that a user typed ([`http`]), and to what the operator
//! names: a mail server ([`mail`]) and providers of OpenID Connect ([`oidc`]).
//!
//! A transport makes one try and says what came of it. It never retries, sleeps, records or touches
//! the store: what an outcome means is decided in the model, for all kinds of targets alike.

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

/// A way to deliver.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Whether the installation's policy allows the target's address, as far as it is known now: a
    /// name that does not resolve is accepted, since it is checked again on every connection.
    async fn check(&self, target: &Target) -> Result<(), AddressRefused>;

    /// One try. Whatever happens comes back as an outcome, within `timeout` for the whole exchange,
    /// the answer's body included.
    async fn send(&self, target: &Target, request: Request, timeout: Duration) -> Sent;
}

/// What came of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The outcome.
    pub outcome: Outcome,
    /// How long its parts took.
    pub timings: Timings,
}

/// Where a delivery goes, taken apart once.
#[derive(Debug, Clone)]
pub struct Target {
    /// `None` for the odd URL that HTTP cannot name in a request.
    pub(crate) uri: Option<Uri>,
}

impl Target {
    /// The target that an endpoint's URL means.
    pub fn http(url: &EndpointUrl) -> Self {
        Self { uri: url.to_url().as_str().parse().ok() }
    }
}

/// What is sent: a POST of these bytes with these headers.
#[derive(Debug)]
pub struct Request {
    /// The headers besides `host` and `content-length`.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Address that the installation's policy does not allow.
///
/// Its text continues the name of a URL: "`url` leads to …". The text is for the tenant, so it names the address only
/// where the URL does: what a name resolves to inside the operator's network is the operator's to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressRefused {
    /// The address.
    pub address: IpAddr,
    /// Rule that refuses it.
    pub rule: Rule,
    /// Whether a name led to the address.
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
