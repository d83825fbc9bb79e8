//! All SQL of Hookstream, and nothing but.
//!
//! Two kinds of operations, for two reasons:
//!
//! - **Plain resources** ([`organizations`], [`api_keys`], [`applications`], [`endpoints`],
//!   [`environments`], [`event_types`], [`quotas`], [`idempotency`], [`jobs`], [`users`], [`sessions`], [`members`], [`links`],
//!   [`device_codes`]) are functions over a [`Database`]. Their statements are portable
//!   and stand once; each database only knows how to run a statement. Each change of what an organization has takes the
//!   act that it is and leaves an entry of it in the same commit: [`audit_log`].
//! - **The hot path** (messages, deliveries, attempts) is the trait [`Store`]: whole operations of the
//!   domain, each one transaction, written for each database with the means it has.
//!
//! What is secret is sealed in the rows: [`vault`].
//!
//! To add a plain resource: a table in each `migrations/` folder and in [`transfer`]'s tables, a file with
//! its statements beside [`applications`], a test of it in `tests/conformance`. To add a hot operation: a method of [`Store`]
//! that says what is atomic, its test in `tests/conformance`, then the method of each database.

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
        finding::{AttemptPlace, AttemptSearch, Direction, Found, FoundAttempt, IdBytes, MessageFilter, MessageSearch, Range},
        messages::{Message, MessageDetail, MessageRemoval, RemovedMessages},
        nodes::{LeaseRenewal, Node, NodeReport, NodeSelf, Nudge},
        payloads::{Expired, Removal, Removed},
    },
    operations::{
        jobs::{JobSlice, Survey},
        quotas::DayEvents,
    },
};

/// What every database does for the engine. Each method is one transaction, or says what it is.
#[async_trait]
pub trait Store: Database {
    /// Makes this process an owner of deliveries, with a number that no earlier one had, and releases
    /// what owners that are gone had claimed.
    async fn enlist(&self, node: &NodeSelf, now: Timestamp) -> Result<Owner, Error>;

    /// For how long an owner stands without being renewed; `None` where it stands as long as its process.
    fn lease(&self) -> Option<Duration>;

    /// Renews an owner, and releases what owners that have lapsed had claimed.
    async fn renew(&self, owner: Owner, report: NodeReport, now: Timestamp) -> Result<LeaseRenewal, Error>;

    /// Lets others have shards of backlogs that an owner works on: nothing that waits in them is in its memory.
    async fn release_shards(&self, owner: Owner, shards: Shards) -> Result<(), Error>;

    /// Ends an owner: what it still has is anybody's again.
    async fn retire(&self, owner: Owner, now: Timestamp) -> Result<(), Error>;

    /// The owners there are, oldest first.
    async fn nodes(&self) -> Result<Vec<Node>, Error>;

    /// What other processes on the same database tell. They may tell nothing: a nudge only saves the
    /// wait for the next poll.
    fn nudges(&self) -> broadcast::Receiver<Nudge>;

    /// Finishes what was begun and closes the store. Operations begun later fail.
    async fn close(&self);

    /// Whether new messages are refused at present because the disk is full.
    fn is_full(&self) -> bool {
        false
    }

    /// Stores a message with its deliveries, its idempotency key and its `event_id`, all or nothing.
    /// When this returns, it is durable and scheduled. Nothing is stored where the versions that the
    /// deliveries were decided by are no longer current.
    async fn publish(&self, publication: Publication) -> Result<Published, Error>;

    /// What became of an earlier message with this key since `window_start`: that it is repeated, or that the key
    /// stands for something else; `None` where there is none.
    async fn find_earlier(&self, tenant: Tenant, key: IdempotencyKey, window_start: Timestamp) -> Result<Option<Published>, Error>;

    /// Takes deliveries that are due, that nobody owns and that wait in no backlog, those due longest first.
    async fn claim_due(&self, owner: Owner, now: Timestamp, limits: ClaimLimits) -> Result<Claim, Error>;

    /// The backlogs of some shards that have something in them, by their numbers: `limit` of them after
    /// `after`, or after the first where that is none.
    async fn backlogs(&self, shards: Shards, after: Option<Backlog>, limit: usize) -> Result<Vec<BacklogHead>, Error>;

    /// How many deliveries wait in each of these backlogs, counted up to `at_most`.
    async fn backlog_lengths(&self, backlogs: Vec<Backlog>, at_most: usize) -> Result<Vec<usize>, Error>;

    /// Takes deliveries from backlogs, those due longest first: those whose message was accepted first, where
    /// they keep their place.
    async fn claim_backlogs(&self, owner: Owner, now: Timestamp, wants: Vec<BacklogRequest>, bytes: usize) -> Result<Vec<Claimed>, Error>;

    /// Records attempts and what becomes of their deliveries. Returns for each whether it counted: one
    /// whose delivery `owner` does not own (any more) leaves no trace.
    async fn settle(&self, owner: Owner, batch: Arc<Vec<Settled>>) -> Result<Vec<bool>, Error>;

    /// Makes a message owed again to some targets, due now; what is already owed becomes due now.
    /// Nothing is, where its payload has expired.
    async fn redeliver(&self, redelivery: Redelivery) -> Result<Redelivered, Error>;

    /// The jobs that `owner` works on, at most `limit`, oldest first; those of owners that are gone, and of the
    /// `earlier` numbers of the same process, become its own. At any moment a job has one owner at the most.
    async fn take_jobs(&self, owner: Owner, earlier: Vec<Owner>, limit: usize, now: Timestamp) -> Result<Vec<Job>, Error>;

    /// Deliveries that a job may take, with where they stand. It is a look, no promise: each may have moved on.
    async fn survey(&self, survey: Survey) -> Result<Vec<Candidate>, Error>;

    /// Makes a job's deliveries owed, due now, and moves the job on: both or neither, or, where they stand in
    /// different files, so that doing it again does nothing twice. Those that stand otherwise by now are passed
    /// over. Returns how many were made owed; `None` where the job does not run any more, is another owner's, or
    /// has moved on since it was read.
    async fn advance_job(&self, slice: JobSlice) -> Result<Option<usize>, Error>;

    /// Sets aside a slice of what is owed of messages accepted until then, as skipped because the store
    /// was restored; what an owner has that is at work is left alone. Returns how many; none means the end.
    async fn set_aside(&self, until: Timestamp, limit: usize) -> Result<usize, Error>;

    /// A message with its attempts and deliveries.
    async fn message(&self, tenant: Tenant, application: ApplicationId, id: MessageId) -> Result<Option<MessageDetail>, Error>;

    /// The application of a message, where the tenant has both.
    async fn application_of(&self, tenant: Tenant, id: MessageId) -> Result<Option<ApplicationId>, Error>;

    /// A page of messages. It looks at a bounded number of them: it may be short, and tells where it goes on.
    async fn find_messages(&self, search: MessageSearch) -> Result<Found<Message, IdBytes>, Error>;

    /// A page of attempts, ordered by their messages and within each by themselves; bounded as messages are.
    async fn find_attempts(&self, search: AttemptSearch) -> Result<Found<FoundAttempt, AttemptPlace>, Error>;

    /// A page of an application's messages, newest first.
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

    /// How many messages of each application are kept, in the order asked.
    async fn message_counts(&self, applications: Vec<ApplicationId>) -> Result<Vec<u64>, Error>;

    /// How many of an environment's deliveries stand where, by day of their messages, oldest first.
    async fn delivery_counts(&self, tenant: Tenant) -> Result<Vec<DayCounts>, Error>;

    /// How many messages of these environments were accepted on each day from `from` on and before `before`, whatever
    /// is kept of them, as far as the days are there.
    async fn events(&self, from: Day, before: Day, environments: Vec<EnvironmentId>) -> Result<Vec<DayEvents>, Error>;

    /// What the store takes on disk, in bytes: of each day, oldest first.
    async fn day_sizes(&self) -> Result<Vec<(Day, u64)>, Error>;

    /// Compares the counts with the rows and looks for rows that contradict each other, all at one moment
    /// of each day. It reads everything but what is in the payloads and changes nothing.
    async fn audit(&self) -> Result<ConsistencyReport, Error>;

    /// Makes room for the messages of a day, ahead of its first.
    async fn prepare_day(&self, day: Day) -> Result<(), Error>;

    /// Removes payloads of the oldest day before `day` that has some and of which nothing is owed: the messages stay.
    /// It is a slice, which holds nobody up; `None` where there is nothing to remove. What is owed afterwards has its
    /// payload.
    async fn expire_payloads(&self, before: Day) -> Result<Option<Expired>, Error>;

    /// How many bytes each environment's payloads take.
    async fn payload_bytes(&self) -> Result<Vec<(EnvironmentId, u64)>, Error>;

    /// Removes the oldest payloads of an environment of whose messages nothing is owed: a slice, which holds nobody up.
    async fn remove_payloads(&self, removal: Removal) -> Result<Removed, Error>;

    /// Removes messages of an environment of which nothing is owed, with all that is known of them, oldest day first: a
    /// slice, which holds nobody up. Their keys stay until their window ends.
    async fn remove_messages(&self, removal: MessageRemoval) -> Result<RemovedMessages, Error>;

    /// Drops each day before `day` whole, unless something of it is still owed. Returns which.
    async fn drop_days_before(&self, day: Day) -> Result<Vec<Day>, Error>;

    /// Forgets the idempotency keys and event ids of messages before a moment; they no longer count.
    async fn forget_keys_before(&self, before: Timestamp) -> Result<(), Error>;
}
