//! Name resolution: from a host to its addresses.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use async_trait::async_trait;
use hickory_resolver::{
    ResolverBuilder, TokioResolver,
    config::{LookupIpStrategy, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
};

/// Resolver of names; tests have a scripted one.
#[async_trait]
pub(crate) trait Resolve: Send + Sync + 'static {
    /// Resolves a name to its addresses.
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, DnsError>;
}

/// Reason why a name has no addresses, as a clause for the tenant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DnsError {
    /// The name does not exist, or has no address.
    #[error("the host name does not exist or has no address")]
    NoSuchName,
    /// The query timed out.
    #[error("resolving the host name timed out")]
    TimedOut,
    /// The name servers responded with a failure.
    #[error("the name servers of the host name failed to answer")]
    Failed,
}

/// Time limit of one query to one server.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// Resolver with the system's name servers and hosts file.
pub(crate) struct SystemResolver(TokioResolver);

impl SystemResolver {
    /// Reads the system's configuration; if there is none, uses the defaults.
    pub(crate) fn new() -> Result<Self, NetError> {
        let builder = TokioResolver::builder_tokio()
            .unwrap_or_else(|_| TokioResolver::builder_with_config(ResolverConfig::default(), TokioRuntimeProvider::default()));
        Self::build(builder, QUERY_TIMEOUT)
    }

    /// Builds a resolver with these servers and this limit per query.
    #[cfg(test)]
    pub(crate) fn with_servers(servers: ResolverConfig, query_timeout: Duration) -> Result<Self, NetError> {
        Self::build(TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default()), query_timeout)
    }

    fn build(mut builder: ResolverBuilder<TokioRuntimeProvider>, query_timeout: Duration) -> Result<Self, NetError> {
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.timeout = query_timeout;
        options.attempts = 2;
        builder.build().map(Self)
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, DnsError> {
        match self.0.lookup_ip(name).await {
            Ok(found) => Ok(found.iter().collect()),
            Err(error) if error.is_no_records_found() => Err(DnsError::NoSuchName),
            Err(NetError::Timeout) => Err(DnsError::TimedOut),
            Err(_) => Err(DnsError::Failed),
        }
    }
}

/// Resolves a host as written in a URL to at least one address. A literal is itself, `localhost` and names below it
/// are this machine (RFC 6761 section 6.3), and any other name is queried.
pub(crate) async fn addresses(resolver: &dyn Resolve, host: &str) -> Result<Vec<IpAddr>, DnsError> {
    if let Some(literal) = literal(host) {
        return Ok(vec![literal]);
    }
    let name = host.trim_end_matches('.');
    if is_localhost(name) {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    // The final dot disables search domains, so exactly the given name is queried.
    let addresses = resolver.resolve(&format!("{name}.")).await?;
    if addresses.is_empty() { Err(DnsError::NoSuchName) } else { Ok(addresses) }
}

/// Returns true if a host's address is no secret: an address literal, or `localhost`.
pub(crate) fn is_fixed(host: &str) -> bool {
    literal(host).is_some() || is_localhost(host.trim_end_matches('.'))
}

fn is_localhost(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

/// Returns the address if the host is an address literal.
pub(crate) fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}
