//! Messages and attempts on PostgreSQL: pages, counts and their consistency check.

pub(crate) mod consistency;
pub(crate) mod counts;
pub(crate) mod finding;
pub(crate) mod messages;

use async_trait::async_trait;
use hookstream_model::{
    base::{
        ids::{EnvironmentId, MessageId, OriginId},
        time::Day,
    },
    identity::tenancy::Tenant,
};

use crate::{
    db::error::Error,
    delivery::{
        consistency::{ConsistencyReport, PendingBalance},
        counts::DayCounts,
        finding::{AttemptPosition, AttemptSearch, Found, FoundAttempt, IdBytes, MessageSearch},
        history::History,
        messages::{Message, MessageDetail},
    },
    operations::quotas::DayEvents,
    postgres::PostgresStore,
};

#[async_trait]
impl History for PostgresStore {
    async fn message(&self, tenant: Tenant, origin: OriginId, id: MessageId) -> Result<Option<MessageDetail>, Error> {
        messages::find(&self.plain, tenant, origin, id).await
    }

    async fn origin_of(&self, tenant: Tenant, id: MessageId) -> Result<Option<OriginId>, Error> {
        finding::origin_of(&self.plain, tenant, id).await
    }

    async fn find_messages(&self, search: MessageSearch) -> Result<Found<Message, IdBytes>, Error> {
        finding::messages(&self.plain, &search).await
    }

    async fn find_attempts(&self, search: AttemptSearch) -> Result<Found<FoundAttempt, AttemptPosition>, Error> {
        finding::attempts(&self.plain, &search).await
    }

    async fn message_counts(&self, applications: Vec<OriginId>) -> Result<Vec<u64>, Error> {
        messages::counts(&self.plain, &applications).await
    }

    async fn delivery_counts(&self, tenant: Tenant) -> Result<Vec<DayCounts>, Error> {
        counts::read(&self.plain, tenant).await
    }

    async fn events(&self, from: Day, before: Day, environments: Vec<EnvironmentId>) -> Result<Vec<DayEvents>, Error> {
        counts::events(&self.plain, from, before, &environments).await
    }

    async fn day_sizes(&self) -> Result<Vec<(Day, u64)>, Error> {
        crate::postgres::retention::days::sizes(&self.plain).await
    }

    async fn pending_balance(&self) -> Result<PendingBalance, Error> {
        crate::postgres::history::consistency::pending_balance(&self.plain).await
    }

    async fn check_consistency(&self) -> Result<ConsistencyReport, Error> {
        consistency::check(&self.plain).await
    }
}
