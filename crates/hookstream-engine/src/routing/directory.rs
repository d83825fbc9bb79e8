//! Directory of routes: applications with their endpoints, ready for delivery, cached in memory.
//!
//! An application is read when first needed. The commit of a change marks it as stale before the change is reported
//! ([`change_feed::apply`](crate::cluster::change_feed::apply)), so that the next message sees the change.
//!
//! A change of one endpoint costs the reading of one endpoint: the cached application stays as a base, and only the
//! endpoints changed since its version are read and decrypted again. One task at a time reads an application; the
//! others wait for it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{self, AtomicU64},
    },
    time::Duration,
};

use hookstream_destinations::Registry;
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

/// Number of endpoints that are certainly cached; up to twice as many while in use. An endpoint takes about 2 KB.
const MIN_ENDPOINTS: usize = 40_000;
/// Maximum number of entries of the other kinds; beyond it, all are dropped and read again when needed.
const MAX_ENTRIES: usize = 100_000;
/// Approximate memory of compiled JSON Schemas, in bytes; beyond it, all are dropped and compiled again when needed.
const MAX_SCHEMA_BYTES: usize = 128 * 1024 * 1024;
/// Number of readers from which idle ones are dropped.
const MAX_READERS: usize = 1_000;

/// Cache of applications and their routes.
pub struct RouteDirectory {
    store: Arc<dyn Store>,
    destinations: Arc<Registry>,
    clock: Arc<dyn Clock>,
    quotas: Arc<Quotas>,
    checks: Arc<Checks>,
    schedule: RetrySchedule,
    timeout: Duration,
    payload_limit: usize,
    /// Grows with each change of event types, so that values read before a change are not cached after it.
    version: AtomicU64,
    kept: RwLock<Kept>,
    /// Locks of the tasks that read an application.
    readers: Mutex<HashMap<ApplicationId, Weak<tokio::sync::Mutex<()>>>>,
}

struct Kept {
    applications: AgingCache<ApplicationId, Remembered>,
    /// Applications being read, and whether each has changed since the read began.
    reading: HashMap<ApplicationId, bool>,
    /// Routes last passed to the lanes.
    notified: AgingCache<ApplicationId, Arc<ApplicationRoutes>>,
    uids: HashMap<EnvironmentId, HashMap<String, ApplicationId>>,
    schemas: HashMap<EnvironmentId, Schemas>,
    /// Memory of all schemas.
    schema_bytes: usize,
}

/// Cached application.
#[derive(Clone)]
struct Remembered {
    routes: Arc<ApplicationRoutes>,
    /// Whether the application has changed since it was read.
    is_stale: bool,
}

/// Changes of an application that its lanes must take.
pub(crate) struct RouteChanges {
    /// Routes that are new or changed.
    pub(crate) changed: Vec<Arc<Route>>,
    /// Endpoints that were deleted; `None` if unknown.
    pub(crate) gone: Option<Vec<EndpointId>>,
}

/// Event types of an environment, as far as they were needed.
#[derive(Default)]
struct Schemas {
    version: i64,
    /// `None` for a name without a check.
    by_name: HashMap<String, Option<Arc<PayloadSchema>>>,
}

impl RouteDirectory {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        destinations: Arc<Registry>,
        quotas: Arc<Quotas>,
        checks: Arc<Checks>,
        clock: Arc<dyn Clock>,
        options: &Options,
    ) -> Self {
        Self {
            store,
            destinations,
            clock,
            quotas,
            checks,
            schedule: options.retry_schedule.clone(),
            timeout: options.timeout,
            payload_limit: options.payload_limit,
            version: AtomicU64::new(0),
            kept: RwLock::new(Kept {
                applications: AgingCache::new(MIN_ENDPOINTS),
                reading: HashMap::new(),
                notified: AgingCache::new(MIN_ENDPOINTS),
                uids: HashMap::new(),
                schemas: HashMap::new(),
                schema_bytes: 0,
            }),
            readers: Mutex::default(),
        }
    }

    /// Returns a tenant's application by its id or `uid`; `None` if it does not exist.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn resolve(&self, tenant: Tenant, reference: &str) -> Result<Option<Arc<ApplicationRoutes>>, Error> {
        if let Ok(id) = reference.parse()
            && let Some(routes) = self.get(id).await?
            && routes.application.tenant == tenant
        {
            return Ok(Some(routes));
        }
        let matches =
            |routes: &Arc<ApplicationRoutes>| routes.application.tenant == tenant && routes.application.uid.as_deref() == Some(reference);
        if let Some(id) = self.kept_uid(tenant, reference)
            && let Some(routes) = self.get(id).await?.filter(matches)
        {
            return Ok(Some(routes));
        }
        // Unknown, or now another application's `uid`.
        match self.find_uid(tenant, reference).await? {
            Some(id) => Ok(self.get(id).await?.filter(matches)),
            None => Ok(None),
        }
    }

    /// Returns an application of any tenant.
    pub(crate) async fn get(&self, id: ApplicationId) -> Result<Option<Arc<ApplicationRoutes>>, Error> {
        if let Some(routes) = self.fresh(id) {
            return Ok(Some(routes));
        }
        let reader = self.reader(id);
        let _reading = reader.lock().await;
        // Another task may have read it meanwhile.
        match self.fresh(id) {
            Some(routes) => Ok(Some(routes)),
            None => self.read_anew(id).await,
        }
    }

    /// Returns the cached application if it has not changed.
    fn fresh(&self, id: ApplicationId) -> Option<Arc<ApplicationRoutes>> {
        let remembered = self.read(|kept| kept.applications.young(&id)).or_else(|| self.write(|kept| kept.applications.rejuvenate(id)))?;
        (!remembered.is_stale).then_some(remembered.routes)
    }

    /// Returns the lock that serializes the reads of an application.
    fn reader(&self, id: ApplicationId) -> Arc<tokio::sync::Mutex<()>> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = readers.get(&id).and_then(Weak::upgrade) {
            return reader;
        }
        if readers.len() >= MAX_READERS {
            readers.retain(|_, reader| reader.strong_count() > 0);
        }
        let reader = Arc::default();
        readers.insert(id, Arc::downgrade(&reader));
        reader
    }

    /// Reads an application, using its cached state as the base.
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
                    // Even if changed meanwhile, it is a better base than the earlier one.
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
        // The version is read before the endpoints, so a change in between shows as an old version.
        let Some(found) = applications::find_for_engine(&*self.store, id).await? else { return Ok(None) };
        let ForEngine { application, version, endpoints_deleted_at } = found;
        if let Some(base) = base.as_ref().filter(|base| base.version == version) {
            return Ok(Some(Arc::clone(base)));
        }
        // The application's rate is part of each endpoint's policy.
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
                    let existing = endpoints::ids(&*self.store, application.tenant, id).await?;
                    endpoints.retain(|route| existing.binary_search(&route.endpoint.id).is_ok());
                }
                endpoints
            }
        };
        let meter = self.quotas.known_meter(&*self.store, application.tenant, self.clock.now()).await?;
        Ok(Some(Arc::new(ApplicationRoutes { application, version, endpoints, meter })))
    }

    /// Returns the changes of an application since the last call; `None` if the application does not exist.
    pub(crate) async fn changes(&self, id: ApplicationId) -> Result<Option<RouteChanges>, Error> {
        let Some(routes) = self.get(id).await? else {
            self.write(|kept| kept.notified.remove(&id));
            return Ok(None);
        };
        let before = self.write(|kept| {
            let before = kept.notified.rejuvenate(id);
            kept.notified.insert(id, Arc::clone(&routes), 1 + routes.endpoints.len());
            before
        });
        let Some(before) = before else { return Ok(Some(RouteChanges { changed: routes.endpoints.clone(), gone: None })) };
        let is_known = |route: &&Arc<Route>| before.endpoint(route.endpoint.id).is_some_and(|known| Arc::ptr_eq(known, route));
        let changed = routes.endpoints.iter().filter(|route| !is_known(route)).cloned().collect();
        let ids = before.endpoints.iter().map(|route| route.endpoint.id);
        Ok(Some(RouteChanges { changed, gone: Some(ids.filter(|id| routes.endpoint(*id).is_none()).collect()) }))
    }

    /// Takes the written time since which an endpoint fails.
    pub(crate) fn note_health(&self, application: ApplicationId, endpoint: EndpointId, failing_since: Option<Timestamp>) {
        self.read(|kept| {
            if let Some(route) = kept.applications.young(&application).as_ref().and_then(|remembered| remembered.routes.endpoint(endpoint))
            {
                route.note_failing_since(failing_since);
            }
        });
    }

    /// Returns the version of the environment's event types, and the schema for payloads of this type, if any.
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
        self.store_if_current(version, |kept| {
            kept.schema_bytes += schema.as_ref().map_or(0, |schema| schema.memory());
            if kept.schema_bytes > MAX_SCHEMA_BYTES {
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

    /// Marks an application as changed.
    pub(crate) fn forget(&self, application: ApplicationId) {
        self.write(|kept| {
            kept.applications.change(&application, |remembered| remembered.is_stale = true);
            if let Some(has_changed) = kept.reading.get_mut(&application) {
                *has_changed = true;
            }
        });
    }

    /// Drops an environment's schemas.
    pub(crate) fn forget_schemas(&self, environment: EnvironmentId) {
        self.change(|kept| {
            kept.schemas.remove(&environment);
        });
    }

    /// Drops the whole cache.
    pub(crate) fn forget_all(&self) {
        self.change(|kept| {
            kept.applications.clear();
            kept.reading.values_mut().for_each(|has_changed| *has_changed = true);
            kept.uids.clear();
            kept.schemas.clear();
        });
    }

    /// Returns a tenant's application in its current stored state.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn resolve_now(&self, tenant: Tenant, reference: &str) -> Result<Option<Arc<ApplicationRoutes>>, Error> {
        if self.store.lease().is_none() {
            // Only this process changes applications, and it marks each change in the cache.
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
        self.store_if_current(version, |kept| {
            make_room(kept.uids.entry(tenant.environment).or_default()).insert(uid.to_owned(), application.id)
        });
        Ok(Some(application.id))
    }

    fn route(&self, with_secrets: WithSecrets, application: &Application, version: i64) -> Result<Route, Error> {
        let defaults = Defaults {
            destinations: &self.destinations,
            schedule: &self.schedule,
            timeout: self.timeout,
            payload_limit: self.payload_limit,
        };
        Route::new(with_secrets, application, version, &defaults)
    }

    fn read<T>(&self, read: impl FnOnce(&Kept) -> T) -> T {
        read(&self.kept.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the cache without a new version.
    fn write<T>(&self, write: impl FnOnce(&mut Kept) -> T) -> T {
        write(&mut self.kept.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Kept)) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        self.version.fetch_add(1, atomic::Ordering::AcqRel);
        change(&mut kept);
    }

    /// Caches values read since `version`, unless something changed meanwhile.
    fn store_if_current<T>(&self, version: u64, store: impl FnOnce(&mut Kept) -> T) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if self.version.load(atomic::Ordering::Acquire) == version {
            store(&mut kept);
        }
    }
}

fn make_room<K, V>(kept: &mut HashMap<K, V>) -> &mut HashMap<K, V> {
    if kept.len() >= MAX_ENTRIES {
        kept.clear();
    }
    kept
}
