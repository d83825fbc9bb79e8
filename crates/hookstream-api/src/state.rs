//! What the handlers share.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hookstream_destinations::{Transport, services::mail::Mailer};
use hookstream_engine::Handle;
use hookstream_model::{
    base::{
        ids::ApiKeyId,
        secret::Secret,
        time::{Clock, Timestamp},
    },
    identity::{
        session::Policy,
        tenancy::{ApiKey, KeyHash},
    },
};
use hookstream_store::{
    Error, Store,
    identity::{
        api_keys::{self, Use},
        sessions,
    },
};
use ipnet::IpNet;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    auth::{
        passwords::Passwords,
        providers::{Flows, IdentityProvider},
    },
    background::mail_queue::MailQueue,
    http::{in_flight::InFlight, keys_in_use::KeysInUse, limits::Limiter, request_id::RequestId},
};

/// The most API keys remembered; at this many, all are read again when they come.
const KEYS_KEPT: usize = 10_000;

/// How many people's codes are redeemed at once: a provider is not asked more often than people sign in.
const ASKING_AT_ONCE: usize = 32;

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
    /// Signs what browsers keep while their owners are at a provider.
    pub sign_in_key: Secret,
    /// What mail goes out with, where the operator has set that up.
    pub mailer: Option<Arc<Mailer>>,
    /// What people may sign in with besides passwords.
    pub providers: Vec<IdentityProvider>,
}

/// What an operator may set about the API.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address under which people reach this installation, without a slash at its end.
    pub public_url: String,
    /// How long a rotated signing secret goes on to sign, where the request does not say.
    pub secret_grace: Duration,
    /// Whether anybody may be shown the signing secrets of endpoints.
    pub reveal_secrets: bool,
    /// How many endpoints of an application a customer may create in the portal; `None` for no limit of its own.
    pub portal_endpoints: Option<u64>,
    /// Proxies that are believed about where a request comes from.
    pub trusted_proxies: Vec<IpNet>,
    /// How many requests are taken.
    pub rate_limits: RateLimits,
    /// For how many days entries of the audit log are kept.
    pub audit_retention_days: u32,
    /// For how long a key signs portal tokens before another does.
    pub portal_key_age: Duration,
    /// For how long sessions last.
    pub sessions: Policy,
    /// Who may create organizations.
    pub allow_organizations: AllowOrganizations,
    /// Whether the server itself speaks TLS: then browsers are told to come by nothing else.
    pub is_secure: bool,
}

/// Who may create organizations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowOrganizations {
    /// Owners of the first organization: the people who run the installation.
    Operator,
    /// Everybody with an account.
    Anyone,
    /// Nobody.
    Nobody,
}

/// How many requests a second are taken, and as many at once, by each node.
#[derive(Debug, Clone, Copy)]
pub struct RateLimits {
    /// Of each API key.
    pub per_key: NonZeroU32,
    /// Of each address without a valid key.
    pub per_address: NonZeroU32,
}

/// The API's state; clones are of the same.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

/// API keys that were read in a generation of what this node has heard.
#[derive(Default)]
struct Keys {
    generation: u64,
    by_hash: HashMap<KeyHash, Arc<ApiKey>>,
}

/// How often it is written how often keys were used.
const USES_PERIOD: Duration = Duration::from_secs(5);
/// After how many of these periods sessions that have ended are forgotten, and keys of the portal looked after: ten minutes.
const FORGET_EVERY: u32 = 120;

/// What the clones of an [`Api`] share.
pub struct Inner {
    pub(crate) engine: Handle,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) options: Options,
    clock: Arc<dyn Clock>,
    pub(crate) limiter: Limiter,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) under_way: KeysInUse,
    pub(crate) flows: Flows,
    keys: RwLock<Keys>,
    /// How often keys were used since that was last written.
    uses: Mutex<HashMap<ApiKeyId, u32>>,
    requests: AtomicU64,
    pub(crate) passwords: Passwords,
    /// Where mail goes out; `None` where none does.
    pub(crate) mail_queue: Option<MailQueue>,
    pub(crate) providers: Vec<IdentityProvider>,
    pub(crate) sign_in_key: Secret,
    /// How many may be asked at once who somebody is.
    pub(crate) asking: Semaphore,
    /// Held while it is seen whether somebody may try to sign in, and counted that they do: so many at once are no
    /// more than one after the other.
    pub(crate) sign_ins: tokio::sync::Mutex<()>,
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
        let Parts { engine, store, transport, clock, sign_in_key, mailer, providers } = parts;
        let random = engine.random_bytes();
        let in_flight = InFlight::new(body_limit(engine.options().payload_limit));
        let first_request = u64::from_le_bytes(random[..8].try_into().expect("8 of 32 bytes"));
        Self(Arc::new(Inner {
            engine,
            store,
            transport,
            options,
            clock,
            limiter: Limiter::default(),
            in_flight,
            under_way: KeysInUse::default(),
            flows: Flows::default(),
            keys: RwLock::default(),
            uses: Mutex::default(),
            requests: AtomicU64::new(first_request),
            passwords: Passwords::default(),
            mail_queue: mailer.map(MailQueue::new),
            providers,
            sign_in_key,
            asking: Semaphore::new(ASKING_AT_ONCE),
            sign_ins: tokio::sync::Mutex::default(),
        }))
    }
}

impl Api {
    /// Writes now and then how often keys were used, and once more when `stop` is over; forgets sessions that have ended;
    /// and has another key sign portal tokens where the one that does is old.
    pub async fn keep_house(self, stop: CancellationToken) {
        let mut rounds = 0_u32;
        loop {
            let stopping = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(USES_PERIOD) => false,
            };
            self.write_uses().await;
            if rounds.is_multiple_of(FORGET_EVERY)
                && let Err(error) = sessions::forget_ended(&*self.store, self.options.sessions, self.now()).await
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not delete ended sessions");
            }
            if rounds.is_multiple_of(FORGET_EVERY)
                && let Err(error) = self.keep_portal_keys().await
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not rotate the keys of portal tokens");
            }
            rounds = rounds.wrapping_add(1);
            if stopping {
                return;
            }
        }
    }

    async fn write_uses(&self) {
        let at = self.now();
        let uses = std::mem::take(&mut *self.uses.lock().unwrap_or_else(PoisonError::into_inner));
        let uses: Vec<_> = uses.into_iter().map(|(id, count)| Use { id, count, at }).collect();
        if uses.is_empty() {
            return;
        }
        if let Err(error) = api_keys::record_uses(&*self.store, &uses).await {
            // They are figures for people, and the next seconds are counted again.
            tracing::warn!(error = &error as &dyn std::error::Error, "could not record the use of API keys");
        }
    }
}

impl Inner {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The present as the machine's clock shows it, which is what authenticators go by.
    pub(crate) fn wall(&self) -> Timestamp {
        self.clock.wall()
    }

    /// Whether browsers reach this installation over TLS.
    pub(crate) fn is_reached_by_https(&self) -> bool {
        self.options.public_url.starts_with("https://")
    }

    /// The id of the next request, different for 2^48 requests.
    pub(crate) fn next_request_id(&self) -> RequestId {
        // An odd step visits every value once, in an order that does not look like counting.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        RequestId(self.requests.fetch_add(STEP, Ordering::Relaxed) & 0xffff_ffff_ffff)
    }

    /// The API key with this hash, where it is in memory. Memory counts only while this node has heard of all changes.
    pub(crate) fn known_key(&self, hash: KeyHash) -> Option<Arc<ApiKey>> {
        let generation = self.engine.generation()?;
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.by_hash.get(&hash).filter(|_| keys.generation == generation).cloned()
    }

    /// The API key with this hash, from the store.
    pub(crate) async fn find_key(&self, hash: KeyHash) -> Result<Option<Arc<ApiKey>>, Error> {
        let generation = self.engine.generation();
        let found = api_keys::find(&*self.store, hash).await?.map(Arc::new);
        if let (Some(key), Some(generation)) = (&found, generation) {
            let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
            if keys.generation < generation || keys.by_hash.len() >= KEYS_KEPT {
                *keys = Keys { generation, by_hash: HashMap::new() };
            }
            // Read before a change that was heard of meanwhile, it may be another by now.
            if keys.generation == generation {
                keys.by_hash.insert(hash, Arc::clone(key));
            }
        }
        Ok(found)
    }

    /// Notes that a key was used.
    pub(crate) fn note_use(&self, id: ApiKeyId) {
        *self.uses.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default() += 1;
    }

    /// The largest request body with a payload, in bytes.
    pub(crate) fn body_limit(&self) -> usize {
        body_limit(self.engine.options().payload_limit)
    }
}

/// The largest body with a payload: escapes may double the payload, and other fields stand beside it.
fn body_limit(payload_limit: usize) -> usize {
    payload_limit * 2 + 64 * 1024
}
