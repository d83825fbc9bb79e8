//! What the handlers share.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hookstream_destinations::Transport;
use hookstream_engine::Handle;
use hookstream_model::{
    secret::Secret,
    tenancy::{ApiKey, KeyHash},
    time::{Clock, Timestamp},
};
use hookstream_store::{Error, Store, api_keys};

/// The most API keys remembered; at this many, all are read again when they come.
const KEYS_KEPT: usize = 10_000;

/// What the API works with.
pub struct Parts {
    /// The delivery engine.
    pub engine: Handle,
    /// Where resources are kept.
    pub store: Arc<dyn Store>,
    /// What knows which addresses are allowed.
    pub transport: Arc<dyn Transport>,
    /// Where the present comes from.
    pub clock: Arc<dyn Clock>,
    /// Signs portal tokens.
    pub portal_key: Secret,
}

/// What an operator may set about the API.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address under which people reach this installation, without a slash at its end.
    pub public_url: String,
    /// How long a rotated signing secret goes on to sign, where the request does not say.
    pub secret_grace: Duration,
}

/// The API's state; clones are of the same.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

/// What the clones of an [`Api`] share.
pub struct Inner {
    pub(crate) engine: Handle,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) portal_key: Secret,
    pub(crate) options: Options,
    clock: Arc<dyn Clock>,
    keys: RwLock<HashMap<KeyHash, ApiKey>>,
    requests: AtomicU64,
}

impl std::ops::Deref for Api {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Api {
    /// The state over `parts`.
    pub fn new(parts: Parts, options: Options) -> Self {
        let Parts { engine, store, transport, clock, portal_key } = parts;
        let random = engine.random_bytes();
        let first_request = u64::from_le_bytes(random[..8].try_into().expect("8 of 32 bytes"));
        Self(Arc::new(Inner {
            engine,
            store,
            transport,
            portal_key,
            options,
            clock,
            keys: RwLock::default(),
            requests: AtomicU64::new(first_request),
        }))
    }
}

impl Inner {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The id of the next request: `req_` and 12 hex characters, different for 2^48 requests.
    pub(crate) fn next_request_id(&self) -> String {
        // An odd step visits every value once, in an order that does not look like counting.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let number = self.requests.fetch_add(STEP, Ordering::Relaxed) & 0xffff_ffff_ffff;
        format!("req_{number:012x}")
    }

    /// The API key with this hash.
    pub(crate) async fn key(&self, hash: KeyHash) -> Result<Option<ApiKey>, Error> {
        if let Some(key) = self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&hash) {
            return Ok(Some(key.clone()));
        }
        let found = api_keys::find(&*self.store, hash).await?;
        if let Some(key) = &found {
            let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
            if keys.len() >= KEYS_KEPT {
                keys.clear();
            }
            keys.insert(hash, key.clone());
        }
        Ok(found)
    }

    /// The largest request body, in bytes: a payload may be written with escapes that double it, and
    /// stands among other fields.
    pub(crate) fn body_limit(&self) -> usize {
        self.engine.options().payload_limit * 2 + 64 * 1024
    }
}
