//! All SQL of Hookstream, and only that.
//!
//! Two kinds of operations:
//!
//! - **Plain resources** ([`identity`], [`operations`], [`outbound`]) are functions over a [`Database`]. Each
//!   statement is portable and is written once; a database only knows how to run statements. A change of an
//!   organization's resource takes its audit context and adds an audit entry in the same commit
//!   ([`operations::audit_log`]).
//! - **The hot path** (messages, deliveries, attempts) is the trait [`Store`]: whole operations of the domain, one
//!   transaction each, implemented for each database with its own means.
//!
//! Secrets are sealed in their rows ([`db::vault`]).
//!
//! To add a plain resource: a table in each `migrations/` folder and in the list of [`db::transfer`], a file with its
//! statements beside [`outbound::applications`], and a test in `tests/conformance`. To add a hot operation: a method
//! of [`Store`] that states its atomicity, a test in `tests/conformance`, then the method for each database.

pub mod db;
pub mod delivery;
pub mod identity;
pub mod operations;
pub mod outbound;
pub mod postgres;
pub mod sqlite;

use std::{sync::Arc, time::Duration};

pub use crate::db::error::Error;
pub use crate::db::page::{Page, PageRequest};
pub use crate::db::statement::Database;
use async_trait::async_trait;
use hookstream_model::{
    base::{
        ids::{ApplicationId, EnvironmentId, MessageId},
        time::{Day, Timestamp},
    },
    delivery::queue::{Backlog, Shards},
    identity::tenancy::Tenant,
    operations::job::{Candidate, Job},
};
use tokio::sync::broadcast;

use crate::{
    delivery::{
        audit::ConsistencyReport,
        counts::DayCounts,
        deliveries::{
            BacklogHead, BacklogRequest, Claim, ClaimLimits, Claimed, IdempotencyKey, Owner, Publication, Published, Redelivered,
            Redelivery, Settled,
        },
        finding::{AttemptPosition, AttemptSearch, Direction, Found, FoundAttempt, IdBytes, MessageFilter, MessageSearch, Range},
        messages::{Message, MessageDetail, MessageRemoval, RemovedMessages},
        nodes::{LeaseRenewal, Node, NodeReport, NodeSelf, Nudge},
        payloads::{Expired, Removal, Removed},
    },
    operations::{
        jobs::{JobSlice, Survey},
        quotas::DayEvents,
    },
};

/// Operations that each database provides to the engine. A method is one transaction unless its comment says otherwise.
#[async_trait]
pub trait Store: Database {
    /// Registers this process as an owner of deliveries, with a number higher than all earlier ones. Releases the
    /// deliveries of expired owners.
    async fn enlist(&self, node: &NodeSelf, now: Timestamp) -> Result<Owner, Error>;

    /// Returns the time for which an owner stays valid without renewal; `None` if it stays valid as long as its process.
    fn lease(&self) -> Option<Duration>;

    /// Renews an owner and releases the deliveries of expired owners.
    async fn renew(&self, owner: Owner, report: NodeReport, now: Timestamp) -> Result<LeaseRenewal, Error>;

    /// Releases shards of an owner to other nodes. The owner must hold none of their deliveries in memory.
    async fn release_shards(&self, owner: Owner, shards: Shards) -> Result<(), Error>;

    /// Ends an owner and releases its deliveries.
    async fn retire(&self, owner: Owner, now: Timestamp) -> Result<(), Error>;

    /// Returns the registered owners, oldest first.
    async fn nodes(&self) -> Result<Vec<Node>, Error>;

    /// Returns the notifications of other processes on the same database. Notifications may be missing: they only
    /// shorten the wait for the next poll.
    fn nudges(&self) -> broadcast::Receiver<Nudge>;

    /// Finishes running operations and closes the store. Later operations fail.
    async fn close(&self);

    /// Returns whether the store refuses new messages because the disk is full.
    fn is_full(&self) -> bool {
        false
    }

    /// Stores a message with its deliveries, its idempotency key and its `event_id`, all or nothing. On return, the
    /// message is durable and scheduled. Nothing is stored if the versions from which the deliveries were decided are
    /// no longer current.
    async fn publish(&self, publication: Publication) -> Result<Published, Error>;

    /// Returns the result for an earlier message with this key since `window_start`: a repetition, or another use of
    /// the key. Returns `None` if the key is unused.
    async fn find_earlier(&self, tenant: Tenant, key: IdempotencyKey, window_start: Timestamp) -> Result<Option<Published>, Error>;

    /// Claims due deliveries that have no owner and wait in no backlog, oldest due first.
    async fn claim_due(&self, owner: Owner, now: Timestamp, limits: ClaimLimits) -> Result<Claim, Error>;

    /// Returns the non-empty backlogs of some shards in the order of their numbers: at most `limit` of them after
    /// `after`, or from the first.
    async fn backlogs(&self, shards: Shards, after: Option<Backlog>, limit: usize) -> Result<Vec<BacklogHead>, Error>;

    /// Returns the number of deliveries in each of these backlogs, counted up to `at_most`.
    async fn backlog_lengths(&self, backlogs: Vec<Backlog>, at_most: usize) -> Result<Vec<usize>, Error>;

    /// Claims deliveries from backlogs, oldest due first; in ordered backlogs, in acceptance order.
    async fn claim_backlogs(&self, owner: Owner, now: Timestamp, wants: Vec<BacklogRequest>, bytes: usize) -> Result<Vec<Claimed>, Error>;

    /// Records attempts and the new states of their deliveries. Returns for each whether it counted: a delivery that
    /// `owner` does not own, or no longer owns, is left unchanged and its attempt is not recorded.
    async fn settle(&self, owner: Owner, batch: Arc<Vec<Settled>>) -> Result<Vec<bool>, Error>;

    /// Requeues a message to some targets, due now; deliveries that are already pending become due now. Requeues
    /// nothing if the payload has expired.
    async fn redeliver(&self, redelivery: Redelivery) -> Result<Redelivered, Error>;

    /// Returns the jobs of `owner`, at most `limit`, oldest first. Jobs of expired owners and of the `earlier`
    /// numbers of the same process move to `owner`. A job has at most one owner at any moment.
    async fn take_jobs(&self, owner: Owner, earlier: Vec<Owner>, limit: usize, now: Timestamp) -> Result<Vec<Job>, Error>;

    /// Returns deliveries that a job may requeue, with their states. The result is a snapshot: each delivery may
    /// change afterwards.
    async fn survey(&self, survey: Survey) -> Result<Vec<Candidate>, Error>;

    /// Requeues a slice of a job's deliveries, due now, and advances the job. Both happen or neither; if they lie in
    /// different files, a repetition has no second effect. Deliveries that have changed state since are skipped.
    /// Returns the number of requeued deliveries; `None` if the job no longer runs, has another owner, or has
    /// advanced since it was read.
    async fn advance_job(&self, slice: JobSlice) -> Result<Option<usize>, Error>;

    /// Sets aside a slice of the pending deliveries of messages accepted until then: they become skipped because the
    /// store was restored. Deliveries of a live owner stay. Returns the number; 0 means the end.
    async fn set_aside(&self, until: Timestamp, limit: usize) -> Result<usize, Error>;

    /// Returns a message with its attempts and deliveries.
    async fn message(&self, tenant: Tenant, application: ApplicationId, id: MessageId) -> Result<Option<MessageDetail>, Error>;

    /// Returns the application of a message, if both belong to the tenant.
    async fn application_of(&self, tenant: Tenant, id: MessageId) -> Result<Option<ApplicationId>, Error>;

    /// Returns a page of messages. Examines a bounded number of messages, so a page may be short; the page names the
    /// position at which to continue.
    async fn find_messages(&self, search: MessageSearch) -> Result<Found<Message, IdBytes>, Error>;

    /// Returns a page of attempts, ordered by message and then by attempt; bounded like messages.
    async fn find_attempts(&self, search: AttemptSearch) -> Result<Found<FoundAttempt, AttemptPosition>, Error>;

    /// Returns a page of an application's messages, newest first.
    async fn messages(
        &self,
        tenant: Tenant,
        application: ApplicationId,
        event_type: Option<String>,
        page: PageRequest<MessageId>,
    ) -> Result<Page<Message>, Error> {
        let below = page.after.map_or(crate::db::page::ABOVE_ALL, |id| *id.as_bytes());
        let range = Range { tenant, application: Some(application), lowest: [0; 16], below, direction: Direction::Older };
        let filter = MessageFilter { event_types: event_type.into_iter().collect(), ..MessageFilter::default() };
        let found = self.find_messages(MessageSearch { range, filter, limit: page.limit }).await?;
        Ok(Page { items: found.items, has_more: found.next.is_some() })
    }

    /// Returns the number of stored messages of each application, in the order of the request.
    async fn message_counts(&self, applications: Vec<ApplicationId>) -> Result<Vec<u64>, Error>;

    /// Returns the counts of an environment's deliveries by day of their messages, oldest first.
    async fn delivery_counts(&self, tenant: Tenant) -> Result<Vec<DayCounts>, Error>;

    /// Returns the number of messages of these environments accepted on each day from `from` (inclusive) to `before`
    /// (exclusive). Removed messages count too. Dropped days are missing.
    async fn events(&self, from: Day, before: Day, environments: Vec<EnvironmentId>) -> Result<Vec<DayEvents>, Error>;

    /// Returns the disk usage of each day in bytes, oldest first.
    async fn day_sizes(&self) -> Result<Vec<(Day, u64)>, Error>;

    /// Compares the counts with the rows and looks for rows that contradict each other, each day at one moment. Reads
    /// everything except the contents of payloads and changes nothing.
    async fn audit(&self) -> Result<ConsistencyReport, Error>;

    /// Creates the storage for the messages of a day ahead of its first message.
    async fn prepare_day(&self, day: Day) -> Result<(), Error>;

    /// Removes a slice of the payloads of the oldest day before `day` that has payloads and no pending deliveries; the
    /// messages stay. A slice is short, so it delays no other operation. Returns `None` if there is nothing to remove.
    /// Deliveries that become pending afterwards still have their payloads.
    async fn expire_payloads(&self, before: Day) -> Result<Option<Expired>, Error>;

    /// Returns the bytes of each environment's payloads.
    async fn payload_bytes(&self) -> Result<Vec<(EnvironmentId, u64)>, Error>;

    /// Removes a slice of an environment's oldest payloads of messages without pending deliveries. A slice is short,
    /// so it delays no other operation.
    async fn remove_payloads(&self, removal: Removal) -> Result<Removed, Error>;

    /// Removes a slice of an environment's messages without pending deliveries, with everything recorded about them,
    /// oldest day first. A slice is short, so it delays no other operation. Idempotency keys stay until their window
    /// ends.
    async fn remove_messages(&self, removal: MessageRemoval) -> Result<RemovedMessages, Error>;

    /// Drops each day before `day` as a whole, except days with pending deliveries. Returns the dropped days.
    async fn drop_days_before(&self, day: Day) -> Result<Vec<Day>, Error>;

    /// Deletes the idempotency keys and event ids of messages before this time.
    async fn forget_keys_before(&self, before: Timestamp) -> Result<(), Error>;
}
