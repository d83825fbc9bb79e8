//! Applications as origins, and their endpoints as routes and targets.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use async_trait::async_trait;
use hookstream_destinations::{Registry, Settings};
use hookstream_model::{
    base::{
        ids::{ApplicationId, OriginId, RouteId, TargetId},
        time::{Clock, Timestamp},
    },
    delivery::{
        hold::Hold,
        retry::RetrySchedule,
        state::{CancelReason, DisabledReason},
    },
    identity::tenancy::Tenant,
    operations::audit_log::AuditContext,
    outbound::{
        application::Application,
        endpoint::EndpointStatus,
        signature::{SigningKey, SigningKeys},
    },
};
use hookstream_store::{
    Error, Store,
    outbound::{
        applications::{self, ForEngine},
        endpoints::{self, EndpointKey, WithSecrets},
    },
};

use crate::{
    Options,
    routing::{
        front::Front,
        origin::Origin,
        route::{Route, merge},
        target::{Limits, Switch, Target, TargetSettings},
        target_state::{Health, TargetKey, TargetState},
    },
    upkeep::quotas::Quotas,
};

/// Front of applications.
pub(crate) struct ApplicationFront {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    quotas: Arc<Quotas>,
    destinations: Arc<Registry>,
    /// Retry schedule of endpoints without one.
    schedule: RetrySchedule,
    /// Time limit of endpoints without one.
    timeout: Duration,
    payload_limit: usize,
}

impl ApplicationFront {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        quotas: Arc<Quotas>,
        destinations: Arc<Registry>,
        options: &Options,
    ) -> Self {
        let Options { retry_schedule, timeout, payload_limit, .. } = options;
        Self { store, clock, quotas, destinations, schedule: retry_schedule.clone(), timeout: *timeout, payload_limit: *payload_limit }
    }

    /// Prepares an endpoint for delivery.
    fn route(self: &Arc<Self>, found: WithSecrets, application: &Application, version: i64) -> Result<Route, Error> {
        let WithSecrets { endpoint, secret, rotated } = found;
        let unreadable = |_| Error::Unreadable { what: "signing secret" };
        let current = SigningKey::parse(&secret).map_err(unreadable)?;
        let rotated = rotated.into_iter().map(|(secret, until)| SigningKey::parse(&secret).map(|key| (key, until)));
        let rotated = rotated.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        let settings =
            Settings { kind: endpoint.kind, url: &endpoint.url, config: endpoint.config.as_ref(), headers: endpoint.headers.as_ref() };
        let target = Target::new(TargetSettings {
            key: TargetKey { tenant: endpoint.tenant, origin: application.id.into(), id: endpoint.id.into() },
            receiver: self.destinations.target(&settings),
            keys: SigningKeys::new(current, rotated),
            schedule: endpoint.retry_schedule.as_ref().unwrap_or(&self.schedule).clone(),
            timeout: endpoint.timeout_ms.map_or(self.timeout, |ms| Duration::from_millis(u64::from(ms))),
            ordering: endpoint.ordering.clone(),
            on_failure: endpoint.on_failure,
            switch: Switch { is_disabled: endpoint.status == EndpointStatus::Disabled, expires_at: endpoint.expires_at },
            failing_since: endpoint.failing_since,
            limits: Limits {
                version,
                // The application's rate applies to all its endpoints.
                scope: application.id.into(),
                scope_rate: application.rate_limit.and_then(NonZeroU32::new),
                rate: endpoint.rate_limit_per_second.and_then(NonZeroU32::new),
                batch: endpoint.batch,
                batch_bytes: self.payload_limit,
                hold: endpoint.hold,
                is_paused: endpoint.is_paused(),
            },
        });
        Ok(Route { id: endpoint.id.into(), target, target_state: Arc::clone(self) as Arc<dyn TargetState>, endpoint: Some(endpoint) })
    }
}

fn endpoint_key(key: TargetKey) -> EndpointKey {
    EndpointKey { tenant: key.tenant, application_id: key.origin.into(), id: key.id.into() }
}

#[async_trait]
impl Front for ApplicationFront {
    async fn read(self: Arc<Self>, id: OriginId, base: Option<Arc<Origin>>) -> Result<Option<Arc<Origin>>, Error> {
        let id = ApplicationId::from(id);
        // The version is read before the endpoints, so a change in between shows as an old version.
        let Some(found) = applications::find_for_engine(&*self.store, id).await? else { return Ok(None) };
        let ForEngine { application, version, endpoints_deleted_at } = found;
        if let Some(base) = base.as_ref().filter(|base| base.version == version) {
            return Ok(Some(Arc::clone(base)));
        }
        // The application's rate is part of each endpoint's policy.
        let rate_of = |origin: &Origin| origin.application.as_ref().and_then(|application| application.rate_limit);
        let base = base.filter(|base| base.tenant == application.tenant && rate_of(base) == application.rate_limit);
        let since = base.as_ref().map(|base| base.version);
        let changed = endpoints::with_secrets_since(&*self.store, application.tenant, id, since).await?;
        let changed = changed.into_iter().map(|endpoint| self.route(endpoint, &application, version).map(Arc::new));
        let changed = changed.collect::<Result<Vec<_>, _>>()?;
        let routes = match base {
            None => changed,
            Some(base) => {
                let mut routes = merge(&base.routes, changed);
                if endpoints_deleted_at > base.version {
                    let existing = endpoints::ids(&*self.store, application.tenant, id).await?;
                    routes.retain(|route| existing.binary_search_by_key(&route.id, |id| RouteId::from(*id)).is_ok());
                }
                routes
            }
        };
        let meter = self.quotas.known_meter(&*self.store, application.tenant, self.clock.now()).await?;
        let tenant = application.tenant;
        Ok(Some(Arc::new(Origin { tenant, version, routes, meter, target_state: self, application: Some(application) })))
    }
}

#[async_trait]
impl TargetState for ApplicationFront {
    async fn record_holds(&self, tenant: Tenant, origin: OriginId, holds: &[(TargetId, Option<Hold>)]) -> Result<(), Error> {
        let holds: Vec<_> = holds.iter().map(|(target, hold)| ((*target).into(), *hold)).collect();
        endpoints::record_holds(&*self.store, tenant, origin.into(), &holds, self.clock.now()).await
    }

    async fn record_health(&self, health: &[Health]) -> Result<(), Error> {
        let health: Vec<_> = health.iter().map(|(key, failing_since)| (endpoint_key(*key), *failing_since)).collect();
        endpoints::record_health(&*self.store, &health, self.clock.now()).await
    }

    async fn disable(&self, act: &AuditContext, key: TargetKey, reason: DisabledReason, since: Timestamp) -> Result<bool, Error> {
        match reason {
            DisabledReason::Gone | DisabledReason::AskedToStop => endpoints::disable(&*self.store, act, endpoint_key(key), reason).await,
            DisabledReason::KeptFailing => endpoints::disable_failing(&*self.store, act, endpoint_key(key), since).await,
        }
    }

    fn route_deleted(&self) -> CancelReason {
        CancelReason::EndpointDeleted
    }
}
