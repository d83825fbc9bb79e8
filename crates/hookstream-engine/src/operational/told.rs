//! Environments that are told of operational events: those with a system environment.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use hookstream_model::{
    base::ids::{EnvironmentId, OrganizationId},
    identity::environment::Environment,
};
use tokio::sync::Notify;

/// Environments that are told, as this process knows them. The commits check it again.
#[derive(Debug, Default)]
pub(crate) struct Told {
    environments: RwLock<HashMap<EnvironmentId, Option<OrganizationId>>>,
    /// Wakes the publishing task; carries no data.
    pub(crate) written: Notify,
}

impl Told {
    /// Learns which environments have a system environment.
    pub(crate) fn learn(&self, environments: &[Environment]) {
        let system = environments.iter().filter(|environment| environment.id.is_system() && environment.deleted_at.is_none());
        let told: HashMap<_, _> = system.map(|environment| (environment.id.counterpart(), Some(environment.organization_id))).collect();
        let mut environments = self.environments.write().unwrap_or_else(PoisonError::into_inner);
        let is_first = environments.is_empty() && !told.is_empty();
        *environments = told;
        drop(environments);
        if is_first {
            self.written.notify_one();
        }
    }

    /// Learns that an environment has a system environment now.
    pub(crate) fn note(&self, environment: EnvironmentId) {
        self.environments.write().unwrap_or_else(PoisonError::into_inner).entry(environment).or_default();
        // The publishing task may sleep long, because no one was told so far.
        self.written.notify_one();
    }

    /// Returns whether an environment is told. A system environment never is, which ends loops.
    pub(crate) fn contains(&self, environment: EnvironmentId) -> bool {
        self.environments.read().unwrap_or_else(PoisonError::into_inner).contains_key(&environment)
    }

    /// Returns the environments of an organization that are told.
    pub(crate) fn of(&self, organization: OrganizationId) -> Vec<EnvironmentId> {
        let environments = self.environments.read().unwrap_or_else(PoisonError::into_inner);
        environments.iter().filter(|(_, of)| **of == Some(organization)).map(|(environment, _)| *environment).collect()
    }

    /// Returns whether any environment is told.
    pub(crate) fn is_any(&self) -> bool {
        !self.environments.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}
