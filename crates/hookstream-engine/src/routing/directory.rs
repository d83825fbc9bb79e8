//! Who wants what: applications with their endpoints, ready to deliver to, kept in memory.
//!
//! An application is read when it is first needed. Whoever changes one in the store calls
//! [`RouteDirectory::forget`] before answering, so that the next message sees the change.
//!
//! A change of one endpoint costs the reading of one endpoint: what is remembered of an application that was changed
//! stays as a base, and only the endpoints that changed since its version are read and decrypted again. One task at a
//! time reads an application; the others wait for it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{self, AtomicU64},
    },
    time::Duration,
};

use hookstream_model::{
    base::{
        ids::{ApplicationId, EndpointId, EnvironmentId},
        time::{Clock, Timestamp},
    },
    delivery::retry::RetrySchedule,
    identity::tenancy::Tenant,
    outbound::{application::Application, event_type::EventTypeStatus, payload_schema::PayloadSchema},
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

use crate::{
    Options,
    intake::schemas::Checks,
    routing::{
        aging_cache::AgingCache,
        route::{ApplicationRoutes, Defaults, Route, merge},
    },
    upkeep::quotas::Quotas,
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

/// The cache.
pub struct RouteDirectory {
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
    /// RouteDirectory that are new or changed.
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

impl RouteDirectory {
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
                route.note_failing_since(failing_since);
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
        let defaults = Defaults { schedule: &self.schedule, timeout: self.timeout, payload_limit: self.payload_limit };
        Route::new(with_secrets, application, version, &defaults)
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

fn make_room<K, V>(kept: &mut HashMap<K, V>) -> &mut HashMap<K, V> {
    if kept.len() >= KEPT {
        kept.clear();
    }
    kept
}
