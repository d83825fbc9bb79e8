//! Who wants what: applications with their endpoints, ready to deliver to, kept in memory.
//!
//! An application is read when it is first needed. Whoever changes one in the store calls
//! [`Routes::forget`] before answering, so that the next message sees the change.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{self, AtomicU64},
    },
    time::Duration,
};

use hookstream_destinations::Target;
use hookstream_model::{
    application::Application,
    endpoint::Endpoint,
    event_type::EventTypeStatus,
    ids::{ApplicationId, EndpointId, EnvironmentId, TargetId},
    line::Line,
    message::Payload,
    ordering::{OnFailure, Ordering},
    payload_schema::PayloadSchema,
    retry::RetrySchedule,
    signature::{SigningKey, SigningKeys},
    tenancy::Tenant,
};
use hookstream_store::{
    Error, Store, applications,
    endpoints::{self, WithSecrets},
    event_types, organizations,
};
use http::{HeaderName, HeaderValue};

use crate::{
    Options,
    generations::Generations,
    lanes::{Gather, LanePolicy},
    quotas::{Meter, Quotas},
    schemas::Checks,
};

/// The most endpoints that are surely remembered; up to twice as many are while they are asked for. With what
/// belongs to it one takes some 2 KB.
const ENDPOINTS: usize = 40_000;
/// The most entries of the other kinds; at this many, all are forgotten and read again when needed.
const KEPT: usize = 100_000;
/// Memory of compiled JSON Schemas, in bytes, roughly; above it all are forgotten and compiled again when needed.
const SCHEMA_BYTES: usize = 128 * 1024 * 1024;

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
    pub(crate) meter: Arc<Meter>,
}

impl ApplicationRoutes {
    /// The route to an endpoint.
    pub fn endpoint(&self, id: EndpointId) -> Option<&Arc<Route>> {
        self.endpoints.iter().find(|route| route.endpoint.id == id)
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
}

/// The cache.
pub struct Routes {
    store: Arc<dyn Store>,
    quotas: Arc<Quotas>,
    checks: Arc<Checks>,
    schedule: RetrySchedule,
    timeout: Duration,
    payload_limit: usize,
    /// Grows with each change, so that what was read before one is not kept after it.
    version: AtomicU64,
    kept: RwLock<Kept>,
}

struct Kept {
    applications: Generations<ApplicationId, Arc<ApplicationRoutes>>,
    uids: HashMap<EnvironmentId, HashMap<String, ApplicationId>>,
    schemas: HashMap<EnvironmentId, Schemas>,
    /// Memory of all of them.
    schema_bytes: usize,
}

/// The event types of an environment, as far as they were asked for.
#[derive(Default)]
struct Schemas {
    version: i64,
    /// `None` for a name that needs no check.
    by_name: HashMap<String, Option<Arc<PayloadSchema>>>,
}

impl Routes {
    pub(crate) fn new(store: Arc<dyn Store>, quotas: Arc<Quotas>, checks: Arc<Checks>, options: &Options) -> Self {
        Self {
            store,
            quotas,
            checks,
            schedule: options.retry_schedule.clone(),
            timeout: options.timeout,
            payload_limit: options.payload_limit,
            version: AtomicU64::new(0),
            kept: RwLock::new(Kept {
                applications: Generations::new(ENDPOINTS),
                uids: HashMap::new(),
                schemas: HashMap::new(),
                schema_bytes: 0,
            }),
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
        let id = match self.kept_uid(tenant, reference) {
            Some(id) => id,
            None => match self.find_uid(tenant, reference).await? {
                Some(id) => id,
                None => return Ok(None),
            },
        };
        Ok(self.get(id).await?.filter(|routes| routes.application.tenant == tenant))
    }

    /// An application, whosever it is.
    pub(crate) async fn get(&self, id: ApplicationId) -> Result<Option<Arc<ApplicationRoutes>>, Error> {
        if let Some(routes) = self.read(|kept| kept.applications.young(&id)).or_else(|| self.write(|kept| kept.applications.rejuvenate(id)))
        {
            return Ok(Some(routes));
        }
        let version = self.version.load(atomic::Ordering::Acquire);
        // Its version is read before its endpoints: what changes in between shows as an old version.
        let Some((application, of_application)) = applications::find_for_engine(&*self.store, id).await? else { return Ok(None) };
        let endpoints = endpoints::all_with_secrets(&*self.store, application.tenant, id).await?;
        let endpoints = endpoints.into_iter().map(|endpoint| self.route(endpoint, &application, of_application).map(Arc::new));
        let endpoints = endpoints.collect::<Result<_, _>>()?;
        let meter = self.quotas.meter(application.tenant.organization);
        let routes = Arc::new(ApplicationRoutes { application, version: of_application, endpoints, meter });
        self.keep(version, |kept| kept.applications.insert(id, Arc::clone(&routes), 1 + routes.endpoints.len()));
        Ok(Some(routes))
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
        self.change(|kept| {
            kept.applications.remove(&application);
            kept.uids.clear();
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
        self.change(|kept| {
            kept.applications.remove(&remembered.application.id);
        });
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
        let WithSecrets { endpoint, secret, previous } = with_secrets;
        let unreadable = |_| Error::Unreadable { what: "signing secret" };
        let current = SigningKey::parse(&secret).map_err(unreadable)?;
        let previous =
            previous.map(|(secret, until)| SigningKey::parse(&secret).map(|key| (key, until))).transpose().map_err(unreadable)?;
        Ok(Route {
            target: Target::http(&endpoint.url),
            keys: SigningKeys::new(current, previous),
            schedule: schedule(&endpoint, &self.schedule),
            policy: Arc::new(policy(&endpoint, application, version, self.payload_limit)),
            timeout: endpoint.timeout_ms.map_or(self.timeout, |ms| Duration::from_millis(u64::from(ms))),
            headers: own_headers(&endpoint),
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
    /// The line that a payload to this endpoint waits in: that of its key, where the endpoint keeps an
    /// order by key. Messages without the key are in one together.
    pub(crate) fn line(&self, payload: &Payload) -> Line {
        let (application, target) = (self.endpoint.application_id, TargetId::from(self.endpoint.id));
        match &self.endpoint.ordering {
            Ordering::None | Ordering::Strict => Line::of_target(application, target),
            Ordering::ByKey(path) => {
                let key = path.find(&payload.body).unwrap_or_default();
                Line::of_key(application, target, key.as_bytes())
            }
        }
    }

    /// Whether a delivery that failed so often keeps its place in its line.
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
    }
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
