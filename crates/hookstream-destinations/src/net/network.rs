//! Network of an installation: the policy, the resolver, the trust and the HTTP pool that all kinds of destinations share.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio_rustls::TlsConnector;

use super::{
    client::{self, HttpClient},
    connect::Shared,
    error::Error,
    options::Options,
    resolve::{self, Resolve, SystemResolver},
    trust::{self, Trust},
};
use crate::{AddressPolicy, AddressRefused, Instruments};

/// Network that all kinds of destinations share.
pub(crate) struct Network {
    pub(crate) client: HttpClient,
    pub(crate) shared: Arc<Shared>,
    #[cfg(feature = "rabbitmq")]
    pub(crate) idle_timeout: Duration,
    check_timeout: Duration,
}

impl Network {
    /// Builds a network with the system's name servers.
    ///
    /// # Errors
    /// If TLS or name resolution cannot be set up.
    pub(crate) fn new(options: Options) -> Result<Self, Error> {
        let resolver = SystemResolver::new().map_err(|cause| Error::Resolver(cause.into()))?;
        Self::with_resolver(options, Box::new(resolver))
    }

    pub(crate) fn with_resolver(mut options: Options, resolver: Box<dyn Resolve>) -> Result<Self, Error> {
        let tls = RwLock::new(TlsConnector::from(Arc::new(trust::client(std::mem::take(&mut options.trust))?)));
        let policy = RwLock::new(Arc::new(std::mem::take(&mut options.policy)));
        let connect_timeout = options.connect_timeout;
        let shared = Arc::new(Shared { policy, resolver, tls, connect_timeout, instruments: Instruments::default() });
        let client = client::build(&shared, &options);
        Ok(Self {
            client,
            shared,
            #[cfg(feature = "rabbitmq")]
            idle_timeout: options.idle_timeout,
            check_timeout: options.check_timeout,
        })
    }

    /// Replaces the trust settings for new connections; existing ones are unchanged.
    ///
    /// # Errors
    /// If the settings are invalid; the previous ones remain.
    pub(crate) fn trust(&self, trust: Trust) -> Result<(), Error> {
        let connector = TlsConnector::from(Arc::new(trust::client(trust)?));
        *self.shared.tls.write().unwrap_or_else(PoisonError::into_inner) = connector;
        Ok(())
    }

    /// Replaces the address policy for new connections; existing ones are unchanged.
    pub(crate) fn allow(&self, policy: AddressPolicy) {
        *self.shared.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    /// Checks whether the policy allows a host's current addresses. A name that does not resolve is accepted, because every
    /// connection checks again.
    ///
    /// # Errors
    /// Names the rule that rejects an address.
    pub(crate) async fn check_host(&self, host: &str) -> Result<(), AddressRefused> {
        let resolving = resolve::addresses(&*self.shared.resolver, host);
        match tokio::time::timeout(self.check_timeout, resolving).await {
            Ok(Ok(addresses)) => self.shared.judge(host, &addresses),
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Network")
    }
}
