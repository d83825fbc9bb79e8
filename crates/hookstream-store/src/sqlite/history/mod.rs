//! Messages and attempts on SQLite: pages, counts and their consistency check.

pub(crate) mod consistency;
pub(crate) mod counts;
pub(crate) mod finding;
pub(crate) mod messages;

use std::collections::HashSet;

use async_trait::async_trait;
use hookstream_model::{
    base::{
        ids::{EnvironmentId, MessageId, OriginId},
        time::Day,
    },
    identity::tenancy::Tenant,
};

use crate::{
    db::{
        error::Error,
        statement::{Database, Statement},
    },
    delivery::{
        consistency::{ConsistencyReport, PendingBalance},
        counts::DayCounts,
        finding::{AttemptPosition, AttemptSearch, Found, FoundAttempt, IdBytes, MessageSearch, Range},
        history::History,
        messages::{Message, MessageDetail},
    },
    operations::quotas::DayEvents,
    sqlite::SqliteStore,
};

const OF_ENVIRONMENT: &str = "select id from applications where environment_id = $1";

impl SqliteStore {
    /// Returns the applications of the environment for a search over all of them; empty for a search in one application.
    async fn applications_in(&self, range: &Range) -> Result<HashSet<OriginId>, Error> {
        if range.origin.is_some() {
            return Ok(HashSet::new());
        }
        let of_environment = Statement::new(OF_ENVIRONMENT, vec![range.tenant.environment.as_bytes().into()]);
        let rows = self.read(of_environment).await?;
        rows.into_iter().map(|row| row.columns().id("origin id", OriginId::from_bytes)).collect()
    }
}

#[async_trait]
impl History for SqliteStore {
    async fn message(&self, tenant: Tenant, origin: OriginId, id: MessageId) -> Result<Option<MessageDetail>, Error> {
        self.readers.days(move |days| messages::find(days, tenant, origin, id)).await
    }

    async fn origin_of(&self, tenant: Tenant, id: MessageId) -> Result<Option<OriginId>, Error> {
        self.readers.days(move |days| finding::origin_of(days, tenant, id)).await
    }

    async fn find_messages(&self, search: MessageSearch) -> Result<Found<Message, IdBytes>, Error> {
        let of_environment = self.applications_in(&search.range).await?;
        self.readers.days(move |days| finding::messages(days, &of_environment, &search)).await
    }

    async fn find_attempts(&self, search: AttemptSearch) -> Result<Found<FoundAttempt, AttemptPosition>, Error> {
        let of_environment = self.applications_in(&search.range).await?;
        self.readers.days(move |days| finding::attempts(days, &of_environment, &search)).await
    }

    async fn message_counts(&self, applications: Vec<OriginId>) -> Result<Vec<u64>, Error> {
        self.readers.days(move |days| messages::counts(days, &applications)).await
    }

    async fn delivery_counts(&self, tenant: Tenant) -> Result<Vec<DayCounts>, Error> {
        self.readers.days(move |days| counts::read(days, tenant)).await
    }

    async fn events(&self, from: Day, before: Day, environments: Vec<EnvironmentId>) -> Result<Vec<DayEvents>, Error> {
        let environments: HashSet<_> = environments.into_iter().collect();
        let mut found = self.readers.days(move |days| counts::events(days, from, before)).await?;
        found.retain(|of_day| environments.contains(&of_day.environment));
        Ok(found)
    }

    async fn day_sizes(&self) -> Result<Vec<(Day, u64)>, Error> {
        self.readers.days(|days| Ok(days.sizes())).await
    }

    async fn pending_balance(&self) -> Result<PendingBalance, Error> {
        self.readers.days(crate::sqlite::history::consistency::pending_balance).await
    }

    async fn check_consistency(&self) -> Result<ConsistencyReport, Error> {
        self.readers.days(consistency::check).await
    }
}
