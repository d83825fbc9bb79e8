//! Delivering by HTTP/1.1 and HTTP/2, with rustls.
//!
//! Connections are kept and used again, by scheme, host and port. The addresses of a host are vetted
//! on every connection ([`guard`]); redirects are not followed and no proxy is used.

mod failure;
mod send;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use hookstream_model::delivery::outcome::{Failure, FailureKind, Outcome};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use tokio_rustls::TlsConnector;

use self::send::{HttpClient, Received};
use crate::{
    AddressRefused, Request, Sent, Target, Transport,
    net::{
        connect::{Connector, Shared},
        guard::AddressPolicy,
        resolve::{Resolve, SystemResolver},
        steps::Phases,
    },
};

pub use crate::net::trust::{ClientIdentity, Trust, certificates, revocation_lists};

/// What an installation sets about HTTP.
#[derive(Debug)]
pub struct Options {
    /// Which addresses may be connected to.
    pub policy: AddressPolicy,
    /// Whom to trust, and who we are.
    pub trust: Trust,
    /// How long a connection may take to come about: the name, its addresses one after another, TLS.
    pub connect_timeout: Duration,
    /// How long a name may take to resolve when an endpoint is saved.
    pub check_timeout: Duration,
    /// How long a connection without a request is kept.
    pub idle_timeout: Duration,
    /// How many such connections are kept to one host.
    pub max_idle_per_host: usize,
    /// How long nothing may be heard on a connection of HTTP/2 that is in use before it is pinged, and
    /// then until it is given up. Deliveries share it, so that a dead one would fail them all, and keep
    /// failing those to come for as long as the system takes to notice.
    pub ping_interval: Duration,
}

impl Options {
    /// The usual options under a policy.
    pub const fn new(policy: AddressPolicy) -> Self {
        Self {
            policy,
            trust: Trust { extra_roots: Vec::new(), revoked: Vec::new(), identity: None },
            connect_timeout: Duration::from_secs(10),
            check_timeout: Duration::from_secs(2),
            // Load balancers commonly close what is idle for 60 s; it is better to be first.
            idle_timeout: Duration::from_secs(45),
            // Endpoints behind one host share its connections: as many as may go at once to four that take all they can.
            max_idle_per_host: 256,
            ping_interval: Duration::from_secs(5),
        }
    }
}

/// Why the transport cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// TLS cannot be set up.
    #[error("could not set up TLS")]
    Tls(#[source] rustls::Error),
    /// The resolver cannot be set up.
    #[error("could not set up name resolution")]
    Resolver(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There are no certificates in a file that should hold some.
    #[error("there is no certificate that can be read")]
    Certificates,
    /// There are no revocation lists in a file that should hold some.
    #[error("there is no certificate revocation list that can be read")]
    RevocationLists,
    /// There is no private key in a file that should hold one.
    #[error("there is no private key that can be read")]
    Key,
}

/// The largest head of a response, in bytes. One that comes with the read which passes this bound is still accepted.
const HEAD_MAX: u32 = 64 * 1024;
/// As many header lines as fit into [`HEAD_MAX`]: the shortest has three bytes, `a:` and a line feed. The number is no
/// bound of its own, so a head is refused for its bytes only.
const HEADERS_MAX: usize = HEAD_MAX as usize / 3 + 1;

/// The transport.
pub struct HttpTransport {
    client: HttpClient,
    shared: Arc<Shared>,
    check_timeout: Duration,
}

impl HttpTransport {
    /// A transport with the system's name servers.
    ///
    /// # Errors
    /// Where TLS or name resolution cannot be set up.
    pub fn new(options: Options) -> Result<Self, Error> {
        let resolver = SystemResolver::new().map_err(|cause| Error::Resolver(cause.into()))?;
        Self::with_resolver(options, Box::new(resolver))
    }

    fn with_resolver(options: Options, resolver: Box<dyn Resolve>) -> Result<Self, Error> {
        let tls = RwLock::new(TlsConnector::from(Arc::new(crate::net::trust::client(options.trust)?)));
        let shared = Arc::new(Shared { policy: options.policy, resolver, tls, connect_timeout: options.connect_timeout });
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(options.idle_timeout)
            .pool_max_idle_per_host(options.max_idle_per_host)
            .http1_max_buf_size(HEAD_MAX as usize)
            .http1_max_headers(HEADERS_MAX)
            // Flaws of a response's header lines that say nothing about the delivery: RFC 9112 sections 5.1 and 5.2
            // have a user agent accept the first two, and browsers pass over the third.
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .http2_keep_alive_interval(options.ping_interval)
            .http2_keep_alive_timeout(options.ping_interval)
            .http2_max_header_list_size(HEAD_MAX)
            .build(Connector(Arc::clone(&shared)));
        Ok(Self { client, shared, check_timeout: options.check_timeout })
    }

    /// From now on connections are made with this trust; those there are stay as they are.
    ///
    /// # Errors
    /// Where it makes no sense; then what was before stays.
    pub fn trust(&self, trust: Trust) -> Result<(), Error> {
        let connector = TlsConnector::from(Arc::new(crate::net::trust::client(trust)?));
        *self.shared.tls.write().unwrap_or_else(PoisonError::into_inner) = connector;
        Ok(())
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn check(&self, target: &Target) -> Result<(), AddressRefused> {
        let Some(host) = target.uri.as_ref().and_then(|uri| uri.host()) else { return Ok(()) };
        let resolving = crate::net::resolve::addresses(&*self.shared.resolver, host);
        match tokio::time::timeout(self.check_timeout, resolving).await {
            Ok(Ok(addresses)) => self.shared.policy.judge_all(host, &addresses),
            // It does not resolve, or not now: every connection checks again.
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }

    async fn send(&self, target: &Target, request: Request, timeout: Duration) -> Sent {
        let steps = Phases::begin();
        let mut received = Received::default();
        let exchange = send::exchange(&self.client, target, request, &steps, &mut received);
        let ended = tokio::time::timeout(timeout, exchange).await;
        // A complete response head decides, whatever happened to the body after it.
        let outcome = match (received.into_answer(), ended) {
            (Some(answer), _) => Outcome::from_response(answer),
            (None, Ok(Some(failure))) => Outcome::Failed(failure),
            (None, Ok(None) | Err(_)) => {
                let detail = format!("no response within {} ms", timeout.as_millis());
                Outcome::Failed(Failure::new(FailureKind::Timeout, detail))
            }
        };
        Sent { outcome, timings: steps.timings() }
    }
}
