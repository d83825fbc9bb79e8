//! Options that may change while the server runs: trusted proxies and rate limits. The API and the listener share them.

use std::{
    num::NonZeroU32,
    sync::{Arc, PoisonError, RwLock},
};

use ipnet::IpNet;

/// Requests per second that each node accepts; also the size of a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Limit of each API key.
    pub per_key: NonZeroU32,
    /// Limit of each address that sends no valid key.
    pub per_address: NonZeroU32,
}

/// Values of the options at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Rate limits.
    pub rate_limits: RateLimits,
}

/// Options that may change; clones share them.
#[derive(Debug, Clone)]
pub struct LiveOptions(Arc<RwLock<Arc<Live>>>);

impl LiveOptions {
    /// Creates options with these values.
    pub fn new(live: Live) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(live))))
    }

    /// Returns the current values.
    pub fn get(&self) -> Arc<Live> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the values; requests that arrive later are judged by them.
    pub fn set(&self, live: Live) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
    }
}
