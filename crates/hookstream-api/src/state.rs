//! State that the handlers share.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hookstream_destinations::{Registry, services::mail::Mailer};
use hookstream_engine::Handle;
use hookstream_model::{
    base::{
        ids::ApiKeyId,
        line_budget::LineBudget,
        secret::Secret,
        spans::Tracer,
        time::{Clock, Timestamp},
    },
    identity::{
        environment::Limits,
        session::Policy,
        tenancy::{ApiKey, KeyHash, Tenant},
    },
};
use hookstream_store::{
    Error, Store,
    identity::{
        api_keys::{self, Use},
        sessions,
    },
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    access_log::AccessLog,
    auth::{
        passwords::Passwords,
        providers::{Flows, IdentityProvider},
    },
    background::{
        backup_state::{BackupSettings, Backups},
        mail_queue::MailQueue,
    },
    http::{error::ApiError, idempotency::keys_in_use::KeysInUse, in_flight::InFlight, limits::Limiter, request_id::RequestId},
    instruments::Instruments,
    live_options::LiveOptions,
    readiness::Readiness,
    realtime::open_streams::{OpenStreams, StreamLimits},
};

/// Maximum number of cached API keys. At this number the cache is emptied and keys are read again on use.
const KEYS_KEPT: usize = 10_000;

/// Maximum number of codes redeemed at once. This bounds the requests to identity providers.
const PROVIDER_REQUESTS: usize = 32;

/// Parts that the API is built from.
pub struct Parts {
    /// The delivery engine.
    pub engine: Handle,
    /// Store of all resources.
    pub store: Arc<dyn Store>,
    /// Kinds of targets, which know their settings and the allowed addresses.
    pub destinations: Arc<Registry>,
    /// Clock.
    pub clock: Arc<dyn Clock>,
    /// Key that signs the cookies of sign-ins through a provider.
    pub sign_in_key: Secret,
    /// Mailer, if the operator has configured one.
    pub mailer: Option<Arc<Mailer>>,
    /// Identity providers.
    pub providers: Vec<IdentityProvider>,
    /// Instruments of the API.
    pub instruments: Instruments,
    /// Tracer; `None` if tracing is off.
    pub tracer: Option<Arc<dyn Tracer>>,
    /// Returns the metrics of this node as text.
    pub exposition: Arc<dyn Fn() -> String + Send + Sync>,
    /// Settings of backups, if the server makes them by itself.
    pub backups: Option<BackupSettings>,
    /// Signal that the server stops, which ends the live streams.
    pub stopping: CancellationToken,
}

/// Options that the operator sets.
#[derive(Debug, Clone)]
pub struct Options {
    /// Public URL of this installation, without a trailing slash.
    pub public_url: String,
    /// Time for which a rotated signing secret still signs, if the request does not give one.
    pub secret_grace: Duration,
    /// True if callers may read the signing secrets of endpoints.
    pub reveal_secrets: bool,
    /// Maximum number of endpoints per application that a customer may create in the portal; `None` for no limit.
    pub portal_endpoints: Option<u64>,
    /// Trusted proxies and rate limits, which may change.
    pub live: LiveOptions,
    /// Retention of audit log entries, in days.
    pub audit_retention_days: u32,
    /// Age at which the key that signs portal tokens is replaced.
    pub portal_key_age: Duration,
    /// Lifetimes of sessions.
    pub sessions: Policy,
    /// Users who may create organizations.
    pub allow_organizations: AllowOrganizations,
    /// Limits of live streams.
    pub streams: StreamLimits,
    /// Lines of the access log in a second, at most; `None` for no limit.
    pub log_lines_per_second: Option<NonZeroU32>,
    /// Interval between evaluations of the alert rules.
    pub alert_period: Duration,
    /// True if the server itself speaks TLS. Responses then ask browsers to use HTTPS only.
    pub is_secure: bool,
}

/// Users who may create organizations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowOrganizations {
    /// Owners of the first organization, who run the installation.
    Operator,
    /// Every user with an account.
    Anyone,
    /// No user.
    Nobody,
}

/// State of the API; clones share it.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

/// Cache of API keys, valid for one generation of the node's change feed.
#[derive(Default)]
struct Keys {
    generation: u64,
    by_hash: HashMap<KeyHash, Arc<ApiKey>>,
}

/// Period after which the uses of API keys are stored.
const USES_PERIOD: Duration = Duration::from_secs(5);
/// Number of these periods after which ended sessions are deleted and portal keys are checked: ten minutes.
const FORGET_EVERY: u32 = 120;

/// State shared by the clones of an [`Api`].
pub struct Inner {
    pub(crate) engine: Handle,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) destinations: Arc<Registry>,
    pub(crate) options: Options,
    clock: Arc<dyn Clock>,
    pub(crate) limiter: Limiter,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) under_way: KeysInUse,
    pub(crate) flows: Flows,
    keys: RwLock<Keys>,
    /// Uses of each key that are not stored yet.
    uses: Mutex<HashMap<ApiKeyId, u32>>,
    requests: AtomicU64,
    pub(crate) passwords: Passwords,
    /// Mail queue; `None` if no mailer is configured.
    pub(crate) mail_queue: Option<MailQueue>,
    pub(crate) providers: Vec<IdentityProvider>,
    pub(crate) sign_in_key: Secret,
    /// Permits to ask an identity provider.
    pub(crate) provider_permits: Semaphore,
    /// Makes check-and-increment of sign-in counters atomic, so that parallel guesses cannot bypass the limit.
    pub(crate) sign_ins: tokio::sync::Mutex<()>,
    pub(crate) streams: OpenStreams,
    pub(crate) instruments: Instruments,
    pub(crate) access_log: AccessLog,
    pub(crate) tracer: Option<Arc<dyn Tracer>>,
    pub(crate) exposition: Arc<dyn Fn() -> String + Send + Sync>,
    pub(crate) stopping: CancellationToken,
    pub(crate) readiness: Readiness,
    pub(crate) backups: Option<Backups>,
}

impl std::ops::Deref for Api {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Api {
    /// Returns the URL of a page of the dashboard, in the environment of a tenant.
    pub(crate) fn dashboard_link(&self, tenant: Tenant, path: &str) -> String {
        let Tenant { organization, environment } = tenant;
        format!("{}/dashboard{path}?org={organization}&env={environment}", self.options.public_url)
    }

    /// Builds the state from `parts`.
    pub fn new(parts: Parts, options: Options) -> Self {
        let Parts { engine, store, destinations, clock, sign_in_key, mailer, providers, instruments, tracer, .. } = parts;
        let Parts { exposition, backups, stopping, .. } = parts;
        let random = engine.random_bytes();
        let in_flight = InFlight::new(body_limit(engine.options().payload_limit));
        let access_log = AccessLog::new(LineBudget::new(options.log_lines_per_second));
        let first_request = u64::from_le_bytes(random[..8].try_into().expect("8 of 32 bytes"));
        Self(Arc::new(Inner {
            engine,
            store,
            destinations,
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
            provider_permits: Semaphore::new(PROVIDER_REQUESTS),
            sign_ins: tokio::sync::Mutex::default(),
            streams: OpenStreams::default(),
            instruments,
            access_log,
            tracer,
            exposition,
            stopping,
            readiness: Readiness::default(),
            backups: backups.map(Backups::new),
        }))
    }
}

impl Api {
    /// Runs maintenance until `stop`: stores the uses of keys (once more at the end), deletes ended sessions and
    /// rotates old portal keys.
    pub async fn run_maintenance(self, stop: CancellationToken) {
        let mut rounds = 0_u32;
        loop {
            let stopping = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(USES_PERIOD) => false,
            };
            self.write_uses().await;
            // For the metric: probes of a load balancer may be rare.
            let _ = self.check_ready().await;
            if rounds.is_multiple_of(FORGET_EVERY)
                && let Err(error) = sessions::forget_ended(&*self.store, self.options.sessions, self.now()).await
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not delete ended sessions");
            }
            if rounds.is_multiple_of(FORGET_EVERY)
                && let Err(error) = self.maintain_portal_keys().await
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
            // The figures are informative only, so a lost batch is acceptable.
            tracing::warn!(error = &error as &dyn std::error::Error, "could not record the use of API keys");
        }
    }
}

impl Api {
    /// Makes readiness false from now on, because the server is about to stop. Requests are still served; HTTP/1.1
    /// connections close after their next response, so that clients connect to another server.
    pub fn begin_draining(&self) {
        self.readiness.begin_draining();
    }

    /// Returns whether the server is about to stop, or stops.
    pub fn is_draining(&self) -> bool {
        self.readiness.is_draining() || self.stopping.is_cancelled()
    }

    /// Returns whether this server should get requests.
    pub async fn is_ready(&self) -> bool {
        self.check_ready().await.is_ok()
    }

    /// Checks whether this server should get requests.
    ///
    /// # Errors
    /// Names the cause: the server drains, the disk is full, or the database does not answer.
    pub(crate) async fn check_ready(&self) -> Result<(), ApiError> {
        let checked = if self.is_draining() { Err(ApiError::draining()) } else { self.readiness.check(&*self.store).await };
        self.instruments.ready.set(i64::from(checked.is_ok()));
        checked
    }
}

impl Inner {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Wall clock time, which authenticator apps use.
    pub(crate) fn wall(&self) -> Timestamp {
        self.clock.wall()
    }

    /// Returns true if browsers reach this installation over TLS.
    pub(crate) fn is_reached_by_https(&self) -> bool {
        self.options.public_url.starts_with("https://")
    }

    /// Returns the next request id; ids repeat after 2^48 requests.
    pub(crate) fn next_request_id(&self) -> RequestId {
        // An odd step visits every value once, in an order that does not look like counting.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        RequestId(self.requests.fetch_add(STEP, Ordering::Relaxed) & 0xffff_ffff_ffff)
    }

    /// Returns the API key with this hash if it is cached. The cache is valid only while this node's change feed is
    /// current.
    pub(crate) fn known_key(&self, hash: KeyHash) -> Option<Arc<ApiKey>> {
        let generation = self.engine.generation()?;
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.by_hash.get(&hash).filter(|_| keys.generation == generation).cloned()
    }

    /// Returns the API key with this hash from the store.
    pub(crate) async fn find_key(&self, hash: KeyHash) -> Result<Option<Arc<ApiKey>>, Error> {
        let generation = self.engine.generation();
        let found = api_keys::find(&*self.store, hash).await?.map(Arc::new);
        if let (Some(key), Some(generation)) = (&found, generation) {
            let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
            if keys.generation < generation || keys.by_hash.len() >= KEYS_KEPT {
                *keys = Keys { generation, by_hash: HashMap::new() };
            }
            // If the generation changed meanwhile, the key may be outdated.
            if keys.generation == generation {
                keys.by_hash.insert(hash, Arc::clone(key));
            }
        }
        Ok(found)
    }

    /// Returns the installation's limits, which apply if an environment sets none.
    pub(crate) fn installation_limits(&self) -> Limits {
        self.engine.options().limits()
    }

    /// Counts a use of a key.
    pub(crate) fn note_use(&self, id: ApiKeyId) {
        *self.uses.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default() += 1;
    }

    /// Maximum size of a request body with a payload, in bytes.
    pub(crate) fn body_limit(&self) -> usize {
        body_limit(self.engine.options().payload_limit)
    }
}

/// Maximum size of a body with a payload: escapes may double the payload, and the body has other fields.
fn body_limit(payload_limit: usize) -> usize {
    payload_limit * 2 + 64 * 1024
}
