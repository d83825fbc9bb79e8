//! State of targets that the engine finds out: holds, health, and being disabled.

use async_trait::async_trait;
use hookstream_model::{
    base::{
        ids::{OriginId, TargetId},
        time::Timestamp,
    },
    delivery::{
        hold::Hold,
        state::{CancelReason, DisabledReason},
    },
    identity::tenancy::Tenant,
    operations::audit_log::AuditContext,
};
use hookstream_store::Error;

/// Target, with the origin whose version grows with each change of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TargetKey {
    pub(crate) tenant: Tenant,
    pub(crate) origin: OriginId,
    pub(crate) id: TargetId,
}

/// Time since which a target fails; `None` for a healthy one.
pub(crate) type Health = (TargetKey, Option<Timestamp>);

/// Keeper of the state of one kind of target.
#[async_trait]
pub(crate) trait TargetState: Send + Sync + 'static {
    /// Records the holds of an origin's targets, or their ends, in one commit.
    async fn record_holds(&self, tenant: Tenant, origin: OriginId, holds: &[(TargetId, Option<Hold>)]) -> Result<(), Error>;

    /// Records the health of targets in one commit.
    async fn record_health(&self, health: &[Health]) -> Result<(), Error>;

    /// Disables a target. With [`DisabledReason::KeptFailing`] the target must be recorded as failing since `since` or
    /// earlier. Returns whether it was enabled and that held.
    async fn disable(&self, act: &AuditContext, key: TargetKey, reason: DisabledReason, since: Timestamp) -> Result<bool, Error>;

    /// Reason to cancel a delivery whose route does not exist any more.
    fn route_deleted(&self) -> CancelReason;
}
