//! Trait of reading: messages, attempts and their counts.

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
        page::{Page, PageRequest},
    },
    delivery::{
        consistency::{ConsistencyReport, PendingBalance},
        counts::DayCounts,
        finding::{AttemptPosition, AttemptSearch, Direction, Found, FoundAttempt, IdBytes, MessageFilter, MessageSearch, Payloads, Range},
        messages::{Message, MessageDetail},
    },
    operations::quotas::DayEvents,
};

/// Messages, attempts and their counts as they are read back.
#[async_trait]
pub trait History {
    /// Returns a message with its attempts and deliveries.
    async fn message(&self, tenant: Tenant, origin: OriginId, id: MessageId) -> Result<Option<MessageDetail>, Error>;

    /// Returns the origin of a message, if both belong to the tenant.
    async fn origin_of(&self, tenant: Tenant, id: MessageId) -> Result<Option<OriginId>, Error>;

    /// Returns a page of messages. Examines a bounded number of messages, so a page may be short; the page names the
    /// position at which to continue.
    async fn find_messages(&self, search: MessageSearch) -> Result<Found<Message, IdBytes>, Error>;

    /// Returns a page of attempts, ordered by message and then by attempt; bounded like messages.
    async fn find_attempts(&self, search: AttemptSearch) -> Result<Found<FoundAttempt, AttemptPosition>, Error>;

    /// Returns a page of an origin's messages, newest first.
    async fn messages(
        &self,
        tenant: Tenant,
        origin: OriginId,
        event_type: Option<String>,
        page: PageRequest<MessageId>,
    ) -> Result<Page<Message>, Error> {
        let below = page.after.map_or(crate::db::page::ABOVE_ALL, |id| *id.as_bytes());
        let range = Range { tenant, origin: Some(origin), lowest: [0; 16], below, direction: Direction::Older };
        let filter = MessageFilter { event_types: event_type.into_iter().collect(), ..MessageFilter::default() };
        let found = self.find_messages(MessageSearch { range, filter, limit: page.limit, payloads: Payloads::Included }).await?;
        Ok(Page { items: found.items, has_more: found.next.is_some() })
    }

    /// Returns the number of stored messages of each origin, in the order of the request.
    async fn message_counts(&self, applications: Vec<OriginId>) -> Result<Vec<u64>, Error>;

    /// Returns the counts of an environment's deliveries by day of their messages, oldest first.
    async fn delivery_counts(&self, tenant: Tenant) -> Result<Vec<DayCounts>, Error>;

    /// Returns the number of messages of these environments accepted on each day from `from` (inclusive) to `before`
    /// (exclusive). Removed messages count too. Dropped days are missing.
    async fn events(&self, from: Day, before: Day, environments: Vec<EnvironmentId>) -> Result<Vec<DayEvents>, Error>;

    /// Returns the disk usage of each day in bytes, oldest first.
    async fn day_sizes(&self) -> Result<Vec<(Day, u64)>, Error>;

    /// Returns the number of pending deliveries by the counts, and how far the rows differ from it: 0 unless a change was not
    /// counted. Each day is read at one moment.
    async fn pending_balance(&self) -> Result<PendingBalance, Error>;

    /// Compares the counts with the rows and looks for rows that contradict each other, each day at one moment. Reads
    /// everything except the contents of payloads and changes nothing.
    async fn check_consistency(&self) -> Result<ConsistencyReport, Error>;
}
