//! HTTP deliveries: HTTP/1.1 and HTTP/2 with rustls.
//!
//! Connections are kept and reused, by scheme, host and port. The addresses of a host are checked on every connection
//! ([`guard`](crate::net::guard)); redirects are not followed, and no proxy is used.

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
        error::Error,
        guard::AddressPolicy,
        resolve::{Resolve, SystemResolver},
        steps::Phases,
    },
};

pub use crate::net::trust::{ClientIdentity, Trust, certificates, revocation_lists};

/// HTTP settings of an installation.
#[derive(Debug)]
pub struct Options {
    /// Policy for target addresses.
    pub policy: AddressPolicy,
    /// Trusted authorities and client certificate.
    pub trust: Trust,
    /// Time limit for a connection: the name, its addresses one after another, TLS.
    pub connect_timeout: Duration,
    /// Time limit for resolving a name when an endpoint is saved.
    pub check_timeout: Duration,
    /// Time for which an idle connection is kept.
    pub idle_timeout: Duration,
    /// Maximum number of idle connections per host.
    pub max_idle_per_host: usize,
    /// Silence on an HTTP/2 connection in use before it is pinged, and then until it is closed. Many deliveries share
    /// the connection, so a dead one would fail them all until the operating system notices.
    pub ping_interval: Duration,
}

impl Options {
    /// Builds the default options with a policy.
    pub const fn new(policy: AddressPolicy) -> Self {
        Self {
            policy,
            trust: Trust { extra_roots: Vec::new(), revoked: Vec::new(), identity: None },
            connect_timeout: Duration::from_secs(10),
            check_timeout: Duration::from_secs(2),
            // Load balancers commonly close idle connections after 60 s; closing earlier avoids the race.
            idle_timeout: Duration::from_secs(45),
            // Endpoints behind one host share its connections: enough for four endpoints at full concurrency.
            max_idle_per_host: 256,
            ping_interval: Duration::from_secs(5),
        }
    }
}

/// Maximum size of a response head, in bytes. A head that ends in the read that exceeds the limit is still accepted.
const HEAD_MAX: u32 = 64 * 1024;
/// Maximum number of header lines that fit into [`HEAD_MAX`]: the shortest has three bytes, `a:` and a line feed. So
/// only the size in bytes limits a head.
const HEADERS_MAX: usize = HEAD_MAX as usize / 3 + 1;

/// HTTP transport.
pub struct HttpTransport {
    client: HttpClient,
    shared: Arc<Shared>,
    check_timeout: Duration,
}

impl HttpTransport {
    /// Builds a transport with the system's name servers.
    ///
    /// # Errors
    /// If TLS or name resolution cannot be set up.
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
            // Harmless flaws of header lines: RFC 9112 sections 5.1 and 5.2 let a user agent accept the first two,
            // and browsers ignore the third.
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .http2_keep_alive_interval(options.ping_interval)
            .http2_keep_alive_timeout(options.ping_interval)
            .http2_max_header_list_size(HEAD_MAX)
            .build(Connector(Arc::clone(&shared)));
        Ok(Self { client, shared, check_timeout: options.check_timeout })
    }

    /// Replaces the trust settings for new connections; existing ones are unchanged.
    ///
    /// # Errors
    /// If the settings are invalid; the previous ones remain.
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
            // The name does not resolve now: every connection checks again.
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }

    async fn send(&self, target: &Target, request: Request, timeout: Duration) -> Sent {
        let phases = Phases::begin();
        let mut received = Received::default();
        let exchange = send::exchange(&self.client, target, request, &phases, &mut received);
        let ended = tokio::time::timeout(timeout, exchange).await;
        // A complete response head decides, whatever happens to the body.
        let outcome = match (received.into_response(), ended) {
            (Some(response), _) => Outcome::from_response(response),
            (None, Ok(Some(failure))) => Outcome::Failed(failure),
            (None, Ok(None) | Err(_)) => {
                let detail = format!("no response within {} ms", timeout.as_millis());
                Outcome::Failed(Failure::new(FailureKind::Timeout, detail))
            }
        };
        Sent { outcome, timings: phases.timings() }
    }
}
