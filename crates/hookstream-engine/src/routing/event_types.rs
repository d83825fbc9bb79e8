//! Event types of environments with the JSON Schemas of their payloads, compiled and cached.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{self, AtomicU64},
    },
};

use hookstream_model::{
    base::ids::EnvironmentId,
    identity::tenancy::Tenant,
    outbound::{event_type::EventTypeStatus, payload_schema::PayloadSchema},
};
use hookstream_store::{Error, Store, identity::organizations, outbound::event_types};

use crate::intake::schemas::Checks;

/// Maximum number of names of an environment; beyond it, all are dropped and read again when needed.
const MAX_NAMES: usize = 100_000;
/// Approximate memory of compiled JSON Schemas, in bytes; beyond it, all are dropped and compiled again when needed.
const MAX_SCHEMA_BYTES: usize = 128 * 1024 * 1024;

/// Cache of event types.
pub(crate) struct EventTypes {
    store: Arc<dyn Store>,
    checks: Arc<Checks>,
    /// Grows with each change, so that values read before a change are not cached after it.
    version: AtomicU64,
    kept: RwLock<Kept>,
}

#[derive(Default)]
struct Kept {
    schemas: HashMap<EnvironmentId, Schemas>,
    /// Memory of all schemas.
    bytes: usize,
}

/// Event types of an environment, as far as they were needed.
#[derive(Default)]
struct Schemas {
    version: i64,
    /// `None` for a name without a check.
    by_name: HashMap<String, Option<Arc<PayloadSchema>>>,
}

impl EventTypes {
    pub(crate) fn new(store: Arc<dyn Store>, checks: Arc<Checks>) -> Self {
        Self { store, checks, version: AtomicU64::new(0), kept: RwLock::default() }
    }

    /// Returns the version of the environment's event types, and the schema for payloads of this type, if any.
    pub(crate) async fn schema(&self, tenant: Tenant, event_type: &str) -> Result<(i64, Option<Arc<PayloadSchema>>), Error> {
        let environment = tenant.environment;
        let known = {
            let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            kept.schemas.get(&environment).and_then(|schemas| Some((schemas.version, schemas.by_name.get(event_type)?.clone())))
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let begun = self.version.load(atomic::Ordering::Acquire);
        let version = organizations::version(&*self.store, environment).await?;
        let found = event_types::find_by_name(&*self.store, tenant, event_type).await?;
        let text = found.filter(|found| found.status == EventTypeStatus::Active).and_then(|found| found.json_schema);
        let unreadable = |_| Error::Unreadable { what: "json_schema" };
        let schema = match text {
            Some(text) => Some(Arc::new(self.checks.compile(tenant.organization, text).await?.map_err(unreadable)?)),
            None => None,
        };
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if self.version.load(atomic::Ordering::Acquire) == begun {
            kept.add(environment, version, event_type, schema.clone());
        }
        Ok((version, schema))
    }

    /// Drops the event types of an environment.
    pub(crate) fn forget(&self, environment: EnvironmentId) {
        self.change(|kept| {
            kept.schemas.remove(&environment);
        });
    }

    /// Drops all event types.
    pub(crate) fn forget_all(&self) {
        self.change(|kept| kept.schemas.clear());
    }

    fn change(&self, change: impl FnOnce(&mut Kept)) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        self.version.fetch_add(1, atomic::Ordering::AcqRel);
        change(&mut kept);
    }
}

impl Kept {
    fn add(&mut self, environment: EnvironmentId, version: i64, event_type: &str, schema: Option<Arc<PayloadSchema>>) {
        let bytes = schema.as_ref().map_or(0, |schema| schema.memory());
        self.bytes += bytes;
        if self.bytes > MAX_SCHEMA_BYTES {
            self.schemas.clear();
            self.bytes = bytes;
        }
        let schemas = self.schemas.entry(environment).or_default();
        if schemas.version != version {
            *schemas = Schemas { version, by_name: HashMap::new() };
        }
        if schemas.by_name.len() >= MAX_NAMES {
            schemas.by_name.clear();
        }
        schemas.by_name.insert(event_type.to_owned(), schema);
    }
}
