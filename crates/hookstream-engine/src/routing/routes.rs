//! Who wants what: applications with their endpoints, ready to deliver to, kept in memory.
//!
//! An application is read when it is first needed. Whoever changes one in the store calls
//! [`Routes::forget`] before answering, so that the next message sees the change.
//!
//! A change of one endpoint costs the reading of one endpoint: what is remembered of an application that was changed
//! stays as a base, and only the endpoints that changed since its version are read and decrypted again. One task at a
//! time reads an application; the others wait for it.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{self, AtomicI64, AtomicU64},
    },
    time::Duration,
};

use hookstream_destinations::Target;
use hookstream_model::{
    base::{
        ids::{ApplicationId, EndpointId, EnvironmentId, TargetId},
        time::{Clock, Timestamp},
    },
    delivery::{
        ordering::{OnFailure, Ordering},
        queue::Backlog,
        retry::RetrySchedule,
    },
    identity::tenancy::Tenant,
    outbound::{
        application::Application,
        endpoint::Endpoint,
        event_type::EventTypeStatus,
        message::Payload,
        payload_schema::PayloadSchema,
        signature::{SigningKey, SigningKeys},
    },
};
use hookstream_store::{
    Error, Store,
    identity::organizations,
    outbound::{
        applications::{self, ForEngine},
        endpoints::{self, WithSecrets},
        event_types,
    },
};
use http::{HeaderName, HeaderValue};

use crate::{
    Options,
    intake::schemas::Checks,
    queues::lanes::{Gather, LanePolicy},
    routing::generations::AgingCache,
    upkeep::quotas::{EventMeter, Quotas},
};

/// The most endpoints that are surely remembered; up to twice as many are while they are asked for. With what
/// belongs to it one takes some 2 KB.
const ENDPOINTS: usize = 40_000;
/// The most entries of the other kinds; at this many, all are forgotten and read again when needed.
const KEPT: usize = 100_000;
/// Memory of compiled JSON Schemas, in bytes, roughly; above it all are forgotten and compiled again when needed.
const SCHEMA_BYTES: usize = 128 * 1024 * 1024;
/// At this many readers those that read nothing any more are forgotten.
const READERS: usize = 1_000;

/// An application and its endpoints.
#[derive(Debug)]
pub struct ApplicationRoutes {
    /// The application.
    pub application: Application,
    /// Grows with each change of the application or its endpoints.
    pub(crate) version: i64,
    /// Its endpoints, oldest first.
    pub endpoints: Vec<Arc<Route>>,
    /// How many events its organization may have.
    pub(crate) meter: Arc<EventMeter>,
}

impl ApplicationRoutes {
    /// The route to an endpoint.
    pub fn endpoint(&self, id: EndpointId) -> Option<&Arc<Route>> {
        let position = self.endpoints.binary_search_by_key(&id, |route| route.endpoint.id).ok()?;
        self.endpoints.get(position)
    }

    /// The route to the endpoint that an id or a `uid` names.
    pub fn endpoint_by_reference(&self, reference: &str) -> Option<&Arc<Route>> {
        let by_id = reference.parse().ok().and_then(|id| self.endpoint(id));
        by_id.or_else(|| self.endpoints.iter().find(|route| route.endpoint.uid.as_deref() == Some(reference)))
    }
}

/// An endpoint, ready to deliver to.
#[derive(Debug)]
pub struct Route {
    /// The endpoint.
    pub endpoint: Endpoint,
    pub(crate) target: Target,
    pub(crate) keys: SigningKeys,
    /// When it is tried again: its own schedule, or the installation's.
    pub schedule: RetrySchedule,
    pub(crate) timeout: Duration,
    pub(crate) policy: Arc<LanePolicy>,
    /// The headers of its own.
    pub(crate) headers: Box<[(HeaderName, HeaderValue)]>,
    /// Since when it fails, as far as that is written, in milliseconds: [`WELL`] while it does not. It changes without a
    /// change of the endpoint.
    failing_since: AtomicI64,
}

/// No time since when an endpoint fails.
const WELL: i64 = i64::MIN;

/// The cache.
pub struct Routes {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    quotas: Arc<Quotas>,
    checks: Arc<Checks>,
    schedule: RetrySchedule,
    timeout: Duration,
    payload_limit: usize,
    /// Grows with each change of event types, so that what was read before one is not kept after it.
    version: AtomicU64,
    kept: RwLock<Kept>,
    /// Who reads which application.
    readers: Mutex<HashMap<ApplicationId, Weak<tokio::sync::Mutex<()>>>>,
}

struct Kept {
    applications: AgingCache<ApplicationId, Remembered>,
    /// The applications that are being read, and whether each has changed since that began.
    reading: HashMap<ApplicationId, bool>,
    /// What the lanes were told of last.
    told: AgingCache<ApplicationId, Arc<ApplicationRoutes>>,
    uids: HashMap<EnvironmentId, HashMap<String, ApplicationId>>,
    schemas: HashMap<EnvironmentId, Schemas>,
    /// Memory of all of them.
    schema_bytes: usize,
}

/// An application as it was read.
#[derive(Clone)]
struct Remembered {
    routes: Arc<ApplicationRoutes>,
    /// Whether the application has changed since.
    is_stale: bool,
}

/// What the lanes of an application have to be told.
pub(crate) struct RouteChanges {
    /// Routes that are new or changed.
    pub(crate) changed: Vec<Arc<Route>>,
    /// Endpoints that are not there any more; `None` where that is not known.
    pub(crate) gone: Option<Vec<EndpointId>>,
}

/// The event types of an environment, as far as they were asked for.
#[derive(Default)]
struct Schemas {
    version: i64,
    /// `None` for a name that needs no check.
    by_name: HashMap<String, Option<Arc<PayloadSchema>>>,
}

impl Routes {
    pub(crate) fn new(store: Arc<dyn Store>, quotas: Arc<Quotas>, checks: Arc<Checks>, clock: Arc<dyn Clock>, options: &Options) -> Self {
        Self {
            store,
            clock,
            quotas,
            checks,
            schedule: options.retry_schedule.clone(),
            timeout: options.timeout,
            payload_limit: options.payload_limit,
            version: AtomicU64::new(0),
            kept: RwLock::new(Kept {
                applications: AgingCache::new(ENDPOINTS),
                reading: HashMap::new(),
                told: AgingCache::new(ENDPOINTS),
                uids: HashMap::new(),
                schemas: HashMap::new(),
                schema_bytes: 0,
            }),
            readers: Mutex::default(),
        }
    }

    /// The application that a tenant means by an id or a `uid`; `None` where it has none such.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn resolve(&self, tenant: Tenant, reference: &str) -> Result<Option<Arc<ApplicationRoutes>>, Error> {
        if let Ok(id) = reference.parse()
            && let Some(routes) = self.get(id).await?
            && routes.application.tenant == tenant
        {
            return Ok(Some(routes));
        }
        let is_meant =
            |routes: &Arc<ApplicationRoutes>| routes.application.tenant == tenant && routes.application.uid.as_deref() == Some(reference);
        if let Some(id) = self.kept_uid(tenant, reference)
            && let Some(routes) = self.get(id).await?.filter(is_meant)
        {
            return Ok(Some(routes));
        }
        // Not known, or another application's by now.
        match self.find_uid(tenant, reference).await? {
            Some(id) => Ok(self.get(id).await?.filter(is_meant)),
            None => Ok(None),
        }
    }

    /// An application, whosever it is.
    pub(crate) async fn get(&self, id: ApplicationId) -> Result<Option<Arc<ApplicationRoutes>>, Error> {
        if let Some(routes) = self.fresh(id) {
            return Ok(Some(routes));
        }
        let reader = self.reader(id);
        let _reading = reader.lock().await;
        // Somebody else may have read it meanwhile.
        match self.fresh(id) {
            Some(routes) => Ok(Some(routes)),
            None => self.read_anew(id).await,
        }
    }

    /// What is remembered of an application that has not changed since.
    fn fresh(&self, id: ApplicationId) -> Option<Arc<ApplicationRoutes>> {
        let remembered = self.read(|kept| kept.applications.young(&id)).or_else(|| self.write(|kept| kept.applications.rejuvenate(id)))?;
        (!remembered.is_stale).then_some(remembered.routes)
    }

    /// What only one at a time may hold who reads an application.
    fn reader(&self, id: ApplicationId) -> Arc<tokio::sync::Mutex<()>> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = readers.get(&id).and_then(Weak::upgrade) {
            return reader;
        }
        if readers.len() >= READERS {
            readers.retain(|_, reader| reader.strong_count() > 0);
        }
        let reader = Arc::default();
        readers.insert(id, Arc::downgrade(&reader));
        reader
    }

    /// Reads an application, on the base of what is remembered of it.
    async fn read_anew(&self, id: ApplicationId) -> Result<Option<Arc<ApplicationRoutes>>, Error> {
        let base = self.write(|kept| {
            kept.reading.insert(id, false);
            kept.applications.rejuvenate(id).map(|remembered| remembered.routes)
        });
        let read = self.read_with_base(id, base).await;
        self.write(|kept| {
            let has_changed = kept.reading.remove(&id).unwrap_or(true);
            match &read {
                Ok(Some(routes)) => {
                    // Changed meanwhile, it is a better base than what was there before.
                    let remembered = Remembered { routes: Arc::clone(routes), is_stale: has_changed };
                    kept.applications.insert(id, remembered, 1 + routes.endpoints.len());
                }
                Ok(None) => kept.applications.remove(&id),
                Err(_) => {}
            }
        });
        read
    }

    async fn read_with_base(
        &self,
        id: ApplicationId,
        base: Option<Arc<ApplicationRoutes>>,
    ) -> Result<Option<Arc<ApplicationRoutes>>, Error> {
        // Its version is read before its endpoints: what changes in between shows as an old version.
        let Some(found) = applications::find_for_engine(&*self.store, id).await? else { return Ok(None) };
        let ForEngine { application, version, endpoints_deleted_at } = found;
        if let Some(base) = base.as_ref().filter(|base| base.version == version) {
            return Ok(Some(Arc::clone(base)));
        }
        // The rate of an application is part of the policy of each of its endpoints.
        let base =
            base.filter(|base| base.application.tenant == application.tenant && base.application.rate_limit == application.rate_limit);
        let since = base.as_ref().map(|base| base.version);
        let changed = endpoints::with_secrets_since(&*self.store, application.tenant, id, since).await?;
        let changed = changed.into_iter().map(|endpoint| self.route(endpoint, &application, version).map(Arc::new));
        let changed = changed.collect::<Result<Vec<_>, _>>()?;
        let endpoints = match base {
            None => changed,
            Some(base) => {
                let mut endpoints = merge(&base.endpoints, changed);
                if endpoints_deleted_at > base.version {
                    let there = endpoints::ids(&*self.store, application.tenant, id).await?;
                    endpoints.retain(|route| there.binary_search(&route.endpoint.id).is_ok());
                }
                endpoints
            }
        };
        let meter = self.quotas.known_meter(&*self.store, application.tenant, self.clock.now()).await?;
        Ok(Some(Arc::new(ApplicationRoutes { application, version, endpoints, meter })))
    }

    /// What has changed of an application since this was last asked, and the application as it is now; `None` where it
    /// is not there.
    pub(crate) async fn news(&self, id: ApplicationId) -> Result<Option<RouteChanges>, Error> {
        let Some(routes) = self.get(id).await? else {
            self.write(|kept| kept.told.remove(&id));
            return Ok(None);
        };
        let before = self.write(|kept| {
            let before = kept.told.rejuvenate(id);
            kept.told.insert(id, Arc::clone(&routes), 1 + routes.endpoints.len());
            before
        });
        let Some(before) = before else { return Ok(Some(RouteChanges { changed: routes.endpoints.clone(), gone: None })) };
        let is_known = |route: &&Arc<Route>| before.endpoint(route.endpoint.id).is_some_and(|known| Arc::ptr_eq(known, route));
        let changed = routes.endpoints.iter().filter(|route| !is_known(route)).cloned().collect();
        let ids = before.endpoints.iter().map(|route| route.endpoint.id);
        Ok(Some(RouteChanges { changed, gone: Some(ids.filter(|id| routes.endpoint(*id).is_none()).collect()) }))
    }

    /// Notes since when an endpoint fails, as it is written now.
    pub(crate) fn note_health(&self, application: ApplicationId, endpoint: EndpointId, failing_since: Option<Timestamp>) {
        self.read(|kept| {
            if let Some(route) = kept.applications.young(&application).as_ref().and_then(|remembered| remembered.routes.endpoint(endpoint))
            {
                route.failing_since.store(failing_since.map_or(WELL, Timestamp::as_millis), atomic::Ordering::Relaxed);
            }
        });
    }

    /// The version of an environment's event types, and the schema that payloads of this type must keep,
    /// where there is one.
    pub(crate) async fn schema(&self, tenant: Tenant, event_type: &str) -> Result<(i64, Option<Arc<PayloadSchema>>), Error> {
        let environment = tenant.environment;
        let kept = self.read(|kept| {
            let schemas = kept.schemas.get(&environment)?;
            Some((schemas.version, schemas.by_name.get(event_type)?.clone()))
        });
        if let Some(known) = kept {
            return Ok(known);
        }
        let version = self.version.load(atomic::Ordering::Acquire);
        let of_event_types = organizations::version(&*self.store, environment).await?;
        let found = event_types::find_by_name(&*self.store, tenant, event_type).await?;
        let text = found.filter(|found| found.status == EventTypeStatus::Active).and_then(|found| found.json_schema);
        let unreadable = |_| Error::Unreadable { what: "json_schema" };
        let schema = match text {
            Some(text) => Some(Arc::new(self.checks.compile(tenant.organization, text).await?.map_err(unreadable)?)),
            None => None,
        };
        self.keep(version, |kept| {
            kept.schema_bytes += schema.as_ref().map_or(0, |schema| schema.memory());
            if kept.schema_bytes > SCHEMA_BYTES {
                kept.schemas.clear();
                kept.schema_bytes = schema.as_ref().map_or(0, |schema| schema.memory());
            }
            let schemas = kept.schemas.entry(environment).or_default();
            if schemas.version != of_event_types {
                *schemas = Schemas { version: of_event_types, by_name: HashMap::new() };
            }
            make_room(&mut schemas.by_name).insert(event_type.to_owned(), schema.clone())
        });
        Ok((of_event_types, schema))
    }

    /// To be called when an application or one of its endpoints has changed, before anybody is told.
    pub(crate) fn forget(&self, application: ApplicationId) {
        self.write(|kept| {
            kept.applications.change(&application, |remembered| remembered.is_stale = true);
            if let Some(has_changed) = kept.reading.get_mut(&application) {
                *has_changed = true;
            }
        });
    }

    /// To be called when an event type has changed, before anybody is told.
    pub fn forget_schemas(&self, environment: EnvironmentId) {
        self.change(|kept| {
            kept.schemas.remove(&environment);
        });
    }

    /// Forgets everything.
    pub(crate) fn forget_all(&self) {
        self.change(|kept| {
            kept.applications.clear();
            kept.reading.values_mut().for_each(|has_changed| *has_changed = true);
            kept.uids.clear();
            kept.schemas.clear();
        });
    }

    /// The application that a tenant means, as it stands in the store now.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn resolve_now(&self, tenant: Tenant, reference: &str) -> Result<Option<Arc<ApplicationRoutes>>, Error> {
        if self.store.lease().is_none() {
            // Nobody else changes it, and whoever does here has it forgotten.
            return self.resolve(tenant, reference).await;
        }
        self.change(|kept| {
            kept.uids.get_mut(&tenant.environment).and_then(|uids| uids.remove(reference));
        });
        let Some(remembered) = self.resolve(tenant, reference).await? else { return Ok(None) };
        self.forget(remembered.application.id);
        self.resolve(tenant, reference).await
    }

    fn kept_uid(&self, tenant: Tenant, uid: &str) -> Option<ApplicationId> {
        self.read(|kept| kept.uids.get(&tenant.environment)?.get(uid).copied())
    }

    async fn find_uid(&self, tenant: Tenant, uid: &str) -> Result<Option<ApplicationId>, Error> {
        let version = self.version.load(atomic::Ordering::Acquire);
        let Some(application) = applications::find_by_uid(&*self.store, tenant, uid).await? else { return Ok(None) };
        self.keep(version, |kept| make_room(kept.uids.entry(tenant.environment).or_default()).insert(uid.to_owned(), application.id));
        Ok(Some(application.id))
    }

    fn route(&self, with_secrets: WithSecrets, application: &Application, version: i64) -> Result<Route, Error> {
        let WithSecrets { endpoint, secret, rotated } = with_secrets;
        let unreadable = |_| Error::Unreadable { what: "signing secret" };
        let current = SigningKey::parse(&secret).map_err(unreadable)?;
        let rotated = rotated.into_iter().map(|(secret, until)| SigningKey::parse(&secret).map(|key| (key, until)));
        let rotated = rotated.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        Ok(Route {
            target: Target::http(&endpoint.url),
            keys: SigningKeys::new(current, rotated),
            schedule: schedule(&endpoint, &self.schedule),
            policy: Arc::new(policy(&endpoint, application, version, self.payload_limit)),
            timeout: endpoint.timeout_ms.map_or(self.timeout, |ms| Duration::from_millis(u64::from(ms))),
            headers: own_headers(&endpoint),
            failing_since: AtomicI64::new(endpoint.failing_since.map_or(WELL, Timestamp::as_millis)),
            endpoint,
        })
    }

    fn read<T>(&self, read: impl FnOnce(&Kept) -> T) -> T {
        read(&self.kept.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes what is remembered, and not what is known.
    fn write<T>(&self, write: impl FnOnce(&mut Kept) -> T) -> T {
        write(&mut self.kept.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Kept)) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        self.version.fetch_add(1, atomic::Ordering::AcqRel);
        change(&mut kept);
    }

    /// Keeps what was read since `version`, unless something changed meanwhile.
    fn keep<T>(&self, version: u64, keep: impl FnOnce(&mut Kept) -> T) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if self.version.load(atomic::Ordering::Acquire) == version {
            keep(&mut kept);
        }
    }
}

impl Route {
    /// Since when the endpoint fails, as far as that is written.
    pub(crate) fn failing_since(&self) -> Option<Timestamp> {
        let millis = self.failing_since.load(atomic::Ordering::Relaxed);
        (millis != WELL).then(|| Timestamp::from_millis(millis))
    }

    /// The backlog that a payload to this endpoint waits in: that of its key, where the endpoint keeps an
    /// order by key. Messages without the key are in one together.
    pub(crate) fn backlog(&self, payload: &Payload) -> Backlog {
        let (application, target) = (self.endpoint.application_id, TargetId::from(self.endpoint.id));
        match &self.endpoint.ordering {
            Ordering::None | Ordering::Strict => Backlog::of_target(application, target),
            Ordering::ByKey(path) => {
                let key = path.find(&payload.body).unwrap_or_default();
                Backlog::of_key(application, target, key.as_bytes())
            }
        }
    }

    /// Whether a delivery that failed so often keeps its place in its backlog.
    pub(crate) fn keeps_order(&self, failed: u32) -> bool {
        match self.endpoint.ordering {
            Ordering::None => false,
            Ordering::Strict | Ordering::ByKey(_) => match self.endpoint.on_failure {
                OnFailure::Block | OnFailure::Skip => true,
                OnFailure::Park => failed == 0,
            },
        }
    }
}

/// Where an order is kept and nothing may pass what fails, it is tried for as long as the endpoint is on.
fn schedule(endpoint: &Endpoint, installations: &RetrySchedule) -> RetrySchedule {
    let schedule = endpoint.retry_schedule.as_ref().unwrap_or(installations);
    match (&endpoint.ordering, endpoint.on_failure) {
        (Ordering::Strict | Ordering::ByKey(_), OnFailure::Block) => schedule.without_end(),
        (Ordering::Strict | Ordering::ByKey(_), OnFailure::Skip | OnFailure::Park) | (Ordering::None, _) => schedule.clone(),
    }
}

fn policy(endpoint: &Endpoint, application: &Application, version: i64, payload_limit: usize) -> LanePolicy {
    let gather = endpoint.batch.map(|batch| Gather {
        most: usize::try_from(batch.max_size()).unwrap_or(usize::MAX),
        bytes: payload_limit,
        wait: Duration::from_millis(u64::from(batch.max_wait_ms())),
    });
    LanePolicy {
        version,
        environment: application.tenant.environment,
        application: application.id,
        rate: endpoint.rate_limit_per_second.and_then(NonZeroU32::new),
        application_rate: application.rate_limit.and_then(NonZeroU32::new),
        is_ordered: endpoint.ordering != Ordering::None,
        gather,
        hold: endpoint.hold,
        is_paused: endpoint.is_paused(),
    }
}

/// The routes of a base with those that have changed, oldest first.
fn merge(base: &[Arc<Route>], changed: Vec<Arc<Route>>) -> Vec<Arc<Route>> {
    let mut changed: BTreeMap<EndpointId, Arc<Route>> = changed.into_iter().map(|route| (route.endpoint.id, route)).collect();
    let mut merged: Vec<_> = base.iter().map(|route| changed.remove(&route.endpoint.id).unwrap_or_else(|| Arc::clone(route))).collect();
    if !changed.is_empty() {
        // New ones, which as a rule are the newest.
        merged.extend(changed.into_values());
        merged.sort_by_key(|route| route.endpoint.id);
    }
    merged
}

fn make_room<K, V>(kept: &mut HashMap<K, V>) -> &mut HashMap<K, V> {
    if kept.len() >= KEPT {
        kept.clear();
    }
    kept
}

/// An endpoint's own headers. There may be very many endpoints, so they are kept as small as they can be.
fn own_headers(endpoint: &Endpoint) -> Box<[(HeaderName, HeaderValue)]> {
    // They were checked when they were saved; a rule that has since become stricter drops one.
    let parse =
        |(name, value): (&String, &String)| Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?));
    endpoint.headers.iter().flatten().filter_map(parse).collect()
}
