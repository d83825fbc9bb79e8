//! Compiles and checks JSON Schemas without blocking other work: a quick check runs in place, everything else on
//! blocking threads, a few at once and one at a time per organization.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use hookstream_model::{
    InvalidField,
    base::ids::OrganizationId,
    identity::tenancy::Tenant,
    outbound::{
        message::Payload,
        payload_schema::{Budget, Checked, PayloadSchema},
    },
};
use hookstream_store::Error;
use tokio::sync::Semaphore;

use crate::Handle;

/// Concurrent compilations and long checks. An organization has at most one, so a second organization always gets a
/// turn.
const MAX_CONCURRENT: usize = 2;
/// Number of organizations from which idle ones are dropped.
const MAX_ORGANIZATIONS: usize = 1_000;

/// Turns of compilations and long checks.
pub(crate) struct Checks {
    turns: Semaphore,
    of_organization: Mutex<HashMap<OrganizationId, Weak<Semaphore>>>,
}

impl Default for Checks {
    fn default() -> Self {
        Self { turns: Semaphore::new(MAX_CONCURRENT), of_organization: Mutex::default() }
    }
}

impl Checks {
    /// Compiles the text of a schema; the inner error is the reason of a refusal.
    pub(crate) async fn compile(&self, organization: OrganizationId, text: String) -> Result<Result<PayloadSchema, InvalidField>, Error> {
        self.run(organization, move || PayloadSchema::compile(&text)).await
    }

    /// Checks a payload against a schema.
    pub(crate) async fn check(
        &self,
        organization: OrganizationId,
        schema: Arc<PayloadSchema>,
        payload: &Payload,
    ) -> Result<Checked, Error> {
        let quick = schema.check(payload, Budget::SMALL);
        if quick != Checked::OverBudget {
            return Ok(quick);
        }
        let (payload, budget) = (payload.clone(), Budget::of_payload(payload.body.len()));
        self.run(organization, move || schema.check(&payload, budget)).await
    }

    async fn run<T: Send + 'static>(&self, organization: OrganizationId, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let own = self.of(organization);
        let _own = own.acquire().await.map_err(|_| Error::Closed)?;
        let _turn = self.turns.acquire().await.map_err(|_| Error::Closed)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| Error::Closed)
    }

    /// Returns the turn of an organization, kept while a task uses it.
    fn of(&self, organization: OrganizationId) -> Arc<Semaphore> {
        let mut known = self.of_organization.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = known.get(&organization).and_then(Weak::upgrade) {
            return own;
        }
        if known.len() >= MAX_ORGANIZATIONS {
            known.retain(|_, own| own.strong_count() > 0);
        }
        let own = Arc::new(Semaphore::new(1));
        known.insert(organization, Arc::downgrade(&own));
        own
    }
}

impl Handle {
    /// Compiles a JSON Schema in the same way as for messages; the inner error is the reason of a refusal.
    ///
    /// # Errors
    /// If the process is stopping.
    pub async fn compile_schema(&self, tenant: Tenant, text: String) -> Result<Result<PayloadSchema, InvalidField>, Error> {
        self.core.checks.compile(tenant.organization, text).await
    }
}
