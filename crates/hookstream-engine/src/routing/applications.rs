//! Applications by their id or `uid`.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use hookstream_model::{
    base::ids::{ApplicationId, EnvironmentId},
    identity::tenancy::Tenant,
};
use hookstream_store::{Error, Store, outbound::applications};

use crate::routing::{directory::OriginDirectory, origin::ApplicationRoutes};

/// Maximum number of cached `uid`s; beyond it, all are dropped and read again when needed.
const MAX_UIDS: usize = 100_000;

/// Directory of applications. A cached `uid` is only a hint: the application that it leads to must still have it.
pub struct Applications {
    store: Arc<dyn Store>,
    origins: Arc<OriginDirectory>,
    uids: RwLock<HashMap<(EnvironmentId, String), ApplicationId>>,
}

impl Applications {
    pub(crate) fn new(store: Arc<dyn Store>, origins: Arc<OriginDirectory>) -> Self {
        Self { store, origins, uids: RwLock::default() }
    }

    /// Returns a tenant's application by its id or `uid`; `None` if it does not exist.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn resolve(&self, tenant: Tenant, reference: &str) -> Result<Option<ApplicationRoutes>, Error> {
        let of_tenant = |routes: &ApplicationRoutes| routes.application().tenant == tenant;
        if let Ok(id) = reference.parse()
            && let Some(routes) = self.get(id).await?.filter(of_tenant)
        {
            return Ok(Some(routes));
        }
        let matches = |routes: &ApplicationRoutes| of_tenant(routes) && routes.application().uid.as_deref() == Some(reference);
        if let Some(id) = self.known(tenant, reference)
            && let Some(routes) = self.get(id).await?.filter(matches)
        {
            return Ok(Some(routes));
        }
        // Unknown, or now another application's `uid`.
        let Some(application) = applications::find_by_uid(&*self.store, tenant, reference).await? else { return Ok(None) };
        self.remember(tenant, reference, application.id);
        Ok(self.get(application.id).await?.filter(matches))
    }

    /// Returns a tenant's application in its current stored state.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn resolve_now(&self, tenant: Tenant, reference: &str) -> Result<Option<ApplicationRoutes>, Error> {
        let found = self.resolve(tenant, reference).await?;
        if self.store.lease().is_none() {
            // Only this process changes applications, and each commit marks its changes in the cache.
            return Ok(found);
        }
        if let Some(found) = found {
            self.origins.forget(found.id().into());
        }
        self.forget(tenant, reference);
        self.resolve(tenant, reference).await
    }

    /// Returns an application of any tenant.
    pub(crate) async fn get(&self, id: ApplicationId) -> Result<Option<ApplicationRoutes>, Error> {
        Ok(self.origins.get(id.into()).await?.and_then(ApplicationRoutes::of))
    }

    fn known(&self, tenant: Tenant, uid: &str) -> Option<ApplicationId> {
        let uids = self.uids.read().unwrap_or_else(PoisonError::into_inner);
        uids.get(&(tenant.environment, uid.to_owned())).copied()
    }

    fn remember(&self, tenant: Tenant, uid: &str, id: ApplicationId) {
        let mut uids = self.uids.write().unwrap_or_else(PoisonError::into_inner);
        if uids.len() >= MAX_UIDS {
            uids.clear();
        }
        uids.insert((tenant.environment, uid.to_owned()), id);
    }

    fn forget(&self, tenant: Tenant, uid: &str) {
        self.uids.write().unwrap_or_else(PoisonError::into_inner).remove(&(tenant.environment, uid.to_owned()));
    }
}
