//! From a host to its addresses.

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

/// What answers for names; tests have one that is scripted.
#[async_trait]
pub(crate) trait Resolve: Send + Sync + 'static {
    /// The addresses of a name.
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, DnsError>;
}

/// Why a name has no addresses, in a clause for the tenant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DnsError {
    /// There is no such name, or it has no address.
    #[error("the host name does not exist or has no address")]
    NoSuchName,
    /// The question was not answered in time.
    #[error("resolving the host name timed out")]
    TimedOut,
    /// The question was answered with a failure.
    #[error("the name servers of the host name failed to answer")]
    Failed,
}

/// How long one question to one server may take.
const QUESTION: Duration = Duration::from_secs(2);

/// The system's name servers and hosts file.
pub(crate) struct SystemResolver(TokioResolver);

impl SystemResolver {
    /// Reads the system's configuration; where there is none, asks as a system with defaults would.
    pub(crate) fn new() -> Result<Self, NetError> {
        let builder = TokioResolver::builder_tokio()
            .unwrap_or_else(|_| TokioResolver::builder_with_config(ResolverConfig::default(), TokioRuntimeProvider::default()));
        Self::build(builder, QUESTION)
    }

    /// Asks these servers, and gives each question so long.
    #[cfg(test)]
    pub(crate) fn asking(servers: ResolverConfig, question: Duration) -> Result<Self, NetError> {
        Self::build(TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default()), question)
    }

    fn build(mut builder: ResolverBuilder<TokioRuntimeProvider>, question: Duration) -> Result<Self, NetError> {
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.timeout = question;
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

/// The addresses of a host as it stands in a URL, at least one: a literal is itself, `localhost` and
/// what is below it is this machine (RFC 6761 section 6.3), anything else is asked for.
pub(crate) async fn addresses(resolver: &dyn Resolve, host: &str) -> Result<Vec<IpAddr>, DnsError> {
    if let Some(literal) = literal(host) {
        return Ok(vec![literal]);
    }
    let name = host.trim_end_matches('.');
    if is_localhost(name) {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    // With the final dot no search domain is tried: the name is the one that was typed.
    let addresses = resolver.resolve(&format!("{name}.")).await?;
    if addresses.is_empty() { Err(DnsError::NoSuchName) } else { Ok(addresses) }
}

/// Whether everybody knows where a host leads: an address, or `localhost`.
pub(crate) fn is_fixed(host: &str) -> bool {
    literal(host).is_some() || is_localhost(host.trim_end_matches('.'))
}

fn is_localhost(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

/// The address that a host is, where it is one.
pub(crate) fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}
