//! Network settings of an installation, with their defaults.

use std::time::Duration;

use super::{guard::AddressPolicy, trust::Trust};

/// Network settings of an installation.
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
    /// Maximum number of idle HTTP connections per host.
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
