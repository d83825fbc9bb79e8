//! Shared store: PostgreSQL (15 or later), for any number of equal nodes.
//!
//! A node holds no durable state. The deliveries that a node works on carry its number in `pending`. A node that does
//! not renew its lease in time loses its number, and its deliveries are released. Nodes never talk to each other
//! directly: they share the database, and notify each other through it.
//!
//! Required features beyond plain SQL: `for update skip locked`, `unnest` of several arrays, data-modifying `with`,
//! range partitions, `pg_advisory_xact_lock` (for migrations and days), and `listen`/`notify` (optional: nodes poll
//! without it).

pub(crate) mod cluster;
pub(crate) mod db;
pub(crate) mod deliveries;
pub(crate) mod history;
pub(crate) mod retention;

mod transfer;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

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
use tokio::sync::{Notify, broadcast};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Store,
    db::{
        error::Error,
        installation_quotas::InstallationQuotas,
        statement::{Database, Row, Statement, Written},
        vault::Vault,
    },
    delivery::{
        audit::ConsistencyReport,
        counts::DayCounts,
        deliveries::{
            BacklogHead, BacklogRequest, Claim, ClaimLimits, Claimed, IdempotencyKey, NewState, Owner, Publication, Published, Redelivered,
            Redelivery, Settled,
        },
        finding::{AttemptPosition, AttemptSearch, Found, FoundAttempt, IdBytes, MessageSearch},
        messages::{Message, MessageDetail, MessageRemoval, RemovedMessages},
        nodes::{LeaseRenewal, Node, NodeReport, NodeSelf, Nudge},
        payloads::{Expired, Removal, Removed},
    },
    operations::{
        jobs::{self as job_rows, JobSlice, Survey},
        quotas::DayEvents,
    },
    postgres::{
        db::connection::{Connector, Pool},
        deliveries::publish::Publisher,
    },
};

pub use crate::postgres::db::{connection::Options, migrate::SchemaState};

/// Maximum number of unread nudges. A slower reader loses some, and learns that from its channel.
const NUDGES: usize = 64;

/// Time for which one message refused for a full disk marks the store as full; then another is let through as a test.
const FULL_FOR: Duration = Duration::from_secs(5);

/// Store in a PostgreSQL database.
pub struct PostgresStore {
    /// Connections for requests.
    plain: Pool,
    /// Connections for the engine's work, which requests must not delay.
    hot: Pool,
    publisher: Publisher,
    floor: crate::postgres::deliveries::claim::Floor,
    /// Held while packed rows are settled: two statements that clear different bits of one row at the same moment could
    /// each leave the row to the other.
    settling: tokio::sync::Mutex<()>,
    lease: Duration,
    nudges: broadcast::Sender<Nudge>,
    vault: Vault,
    quotas: InstallationQuotas,
    /// Time of the last message refused for a full disk; `None` once one was stored.
    full_at: Mutex<Option<Instant>>,
    /// Trigger for notifying the other nodes.
    notify: Arc<Notify>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl PostgresStore {
    /// Opens the store and migrates its database to the schema of this version.
    ///
    /// # Errors
    /// Fails if the database cannot be reached, or a newer version has migrated it.
    pub async fn open(options: &Options) -> Result<Self, Error> {
        let connector = Connector::new(options)?;
        let plain = connector.pool(options.max_connections)?;
        let hot = connector.hot_pool()?;
        crate::postgres::db::migrate::apply(&plain).await?;
        let (publisher, publishing) = Publisher::new(hot.clone());
        let store = Self {
            plain,
            hot,
            publisher,
            floor: crate::postgres::deliveries::claim::Floor::default(),
            settling: tokio::sync::Mutex::default(),
            lease: options.lease,
            nudges: broadcast::channel(NUDGES).0,
            vault: Vault::default(),
            quotas: InstallationQuotas::default(),
            full_at: Mutex::default(),
            notify: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let stop = store.stop.clone();
        store.tasks.spawn(async move { stop.run_until_cancelled(publishing).await });
        store.tasks.spawn(crate::postgres::db::nudge::notify(store.plain.clone(), Arc::clone(&store.notify), store.stop.clone()));
        if connector.can_listen() {
            store.tasks.spawn(crate::postgres::db::nudge::listen(connector, store.nudges.clone(), store.stop.clone()));
        }
        Ok(store)
    }

    /// Notes whether the last message found disk space. Logs each change once.
    fn note_full(&self, at: Option<Instant>) {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        match (full_at.is_some(), at.is_some()) {
            (false, true) => tracing::error!(
                "the database's disk is full: messages are refused until there is room; accepted ones continue to be delivered"
            ),
            (true, false) => tracing::info!("there is room on the database's disk again: messages are accepted"),
            (false, false) | (true, true) => {}
        }
        *full_at = at;
    }

    /// Returns the schema state of the database, without changing it.
    ///
    /// # Errors
    /// Fails if the database cannot be reached.
    pub async fn schema(options: &Options) -> Result<SchemaState, Error> {
        crate::postgres::db::migrate::check(&Connector::new(options)?.pool(1)?).await
    }

    /// Migrates the database to the schema of this version, and does nothing else.
    ///
    /// # Errors
    /// Fails if the database cannot be reached, or a newer version has migrated it.
    pub async fn migrate(options: &Options) -> Result<SchemaState, Error> {
        crate::postgres::db::migrate::apply(&Connector::new(options)?.pool(1)?).await
    }
}

#[async_trait]
impl Database for PostgresStore {
    async fn read(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        crate::postgres::db::plain::read(&self.plain, &statement).await
    }

    async fn write(&self, operation: &'static str, statements: Vec<Statement>) -> Result<Written, Error> {
        let written = crate::postgres::db::plain::write(&self.plain, operation, &statements).await;
        if matches!(written, Err(Error::Full { .. })) {
            self.note_full(Some(Instant::now()));
        }
        written
    }

    fn vault(&self) -> &Vault {
        &self.vault
    }

    fn installation_quotas(&self) -> &InstallationQuotas {
        &self.quotas
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn enlist(&self, node: &NodeSelf, _: Timestamp) -> Result<Owner, Error> {
        let owner = crate::postgres::cluster::enlist(&self.hot, node, self.lease).await?;
        self.publisher.count_as(owner);
        Ok(owner)
    }

    fn lease(&self) -> Option<Duration> {
        Some(self.lease)
    }

    async fn renew(&self, owner: Owner, report: NodeReport, now: Timestamp) -> Result<LeaseRenewal, Error> {
        let renewal = crate::postgres::cluster::renew(&self.hot, owner, report, self.lease, now).await?;
        if matches!(renewal, LeaseRenewal::Held { released: 1.., .. }) {
            self.notify.notify_one();
        }
        Ok(renewal)
    }

    async fn retire(&self, owner: Owner, now: Timestamp) -> Result<(), Error> {
        crate::postgres::cluster::retire(&self.hot, owner, now).await?;
        self.notify.notify_one();
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<Node>, Error> {
        crate::postgres::cluster::list(&self.plain).await
    }

    fn nudges(&self) -> broadcast::Receiver<Nudge> {
        self.nudges.subscribe()
    }

    async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.plain.close();
        self.hot.close();
    }

    async fn publish(&self, publication: Publication) -> Result<Published, Error> {
        let has_unowned = publication.deliveries.iter().any(|delivery| matches!(delivery.state, NewState::Waiting { .. }));
        let published = self.publisher.publish(publication).await;
        match &published {
            Err(Error::Full { .. }) => self.note_full(Some(Instant::now())),
            Ok(_) => self.note_full(None),
            Err(_) => {}
        }
        let published = published?;
        if has_unowned && published == Published::Stored {
            self.notify.notify_one();
        }
        Ok(published)
    }

    fn is_full(&self) -> bool {
        let full_at = *self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        full_at.is_some_and(|at| at.elapsed() < FULL_FOR)
    }

    async fn find_earlier(&self, tenant: Tenant, key: IdempotencyKey, window_start: Timestamp) -> Result<Option<Published>, Error> {
        crate::postgres::deliveries::publish::find_earlier(&self.plain, tenant, &key, window_start).await
    }

    async fn claim_due(&self, owner: Owner, now: Timestamp, limits: ClaimLimits) -> Result<Claim, Error> {
        crate::postgres::deliveries::claim::claim_due(&self.hot, &self.floor, owner, now, limits).await
    }

    async fn backlogs(&self, shards: Shards, after: Option<Backlog>, limit: usize) -> Result<Vec<BacklogHead>, Error> {
        crate::postgres::deliveries::claim::backlogs(&self.hot, &shards.ranges(), after, limit).await
    }

    async fn backlog_lengths(&self, backlogs: Vec<Backlog>, at_most: usize) -> Result<Vec<usize>, Error> {
        crate::postgres::deliveries::claim::backlog_lengths(&self.plain, &backlogs, at_most).await
    }

    async fn claim_backlogs(&self, owner: Owner, now: Timestamp, wants: Vec<BacklogRequest>, bytes: usize) -> Result<Vec<Claimed>, Error> {
        crate::postgres::deliveries::claim::claim_backlogs(&self.hot, owner, now, &wants, bytes).await
    }

    async fn release_shards(&self, owner: Owner, shards: Shards) -> Result<(), Error> {
        crate::postgres::cluster::release_shards(&self.hot, owner, shards).await
    }

    async fn settle(&self, owner: Owner, batch: Arc<Vec<Settled>>) -> Result<Vec<bool>, Error> {
        let has_packed = batch.iter().any(|settled| settled.packed.is_some());
        let _settling = if has_packed { Some(self.settling.lock().await) } else { None };
        crate::postgres::deliveries::settle::settle(&self.hot, owner, &batch).await
    }

    async fn redeliver(&self, redelivery: Redelivery) -> Result<Redelivered, Error> {
        let redelivered = crate::postgres::deliveries::redeliver::redeliver(&self.plain, &redelivery).await?;
        self.notify.notify_one();
        Ok(redelivered)
    }

    async fn take_jobs(&self, owner: Owner, earlier: Vec<Owner>, limit: usize, now: Timestamp) -> Result<Vec<Job>, Error> {
        let owned = job_rows::owned(self, owner, limit).await?;
        if owned.len() == limit || !job_rows::waiting(self, owner).await? {
            return Ok(owned);
        }
        crate::postgres::deliveries::jobs::take(&self.plain, owner, &earlier, limit - owned.len(), now).await?;
        job_rows::owned(self, owner, limit).await
    }

    async fn survey(&self, survey: Survey) -> Result<Vec<Candidate>, Error> {
        crate::postgres::deliveries::jobs::survey(&self.plain, &survey).await
    }

    async fn advance_job(&self, slice: JobSlice) -> Result<Option<usize>, Error> {
        let requeued = crate::postgres::deliveries::jobs::advance(&self.plain, &slice).await?;
        if requeued.is_some_and(|requeued| requeued > 0) {
            self.notify.notify_one();
        }
        Ok(requeued)
    }

    async fn message(&self, tenant: Tenant, application: ApplicationId, id: MessageId) -> Result<Option<MessageDetail>, Error> {
        crate::postgres::history::messages::find(&self.plain, tenant, application, id).await
    }

    async fn application_of(&self, tenant: Tenant, id: MessageId) -> Result<Option<ApplicationId>, Error> {
        crate::postgres::history::finding::application_of(&self.plain, tenant, id).await
    }

    async fn find_messages(&self, search: MessageSearch) -> Result<Found<Message, IdBytes>, Error> {
        crate::postgres::history::finding::messages(&self.plain, &search).await
    }

    async fn find_attempts(&self, search: AttemptSearch) -> Result<Found<FoundAttempt, AttemptPosition>, Error> {
        crate::postgres::history::finding::attempts(&self.plain, &search).await
    }

    async fn message_counts(&self, applications: Vec<ApplicationId>) -> Result<Vec<u64>, Error> {
        crate::postgres::history::messages::counts(&self.plain, &applications).await
    }

    async fn delivery_counts(&self, tenant: Tenant) -> Result<Vec<DayCounts>, Error> {
        crate::postgres::history::counts::read(&self.plain, tenant).await
    }

    async fn events(&self, from: Day, before: Day, environments: Vec<EnvironmentId>) -> Result<Vec<DayEvents>, Error> {
        crate::postgres::history::counts::events(&self.plain, from, before, &environments).await
    }

    async fn day_sizes(&self) -> Result<Vec<(Day, u64)>, Error> {
        crate::postgres::retention::days::sizes(&self.plain).await
    }

    async fn audit(&self) -> Result<ConsistencyReport, Error> {
        crate::postgres::history::audit::audit(&self.plain).await
    }

    async fn prepare_day(&self, day: Day) -> Result<(), Error> {
        crate::postgres::retention::days::prepare(&self.hot, day).await
    }

    async fn expire_payloads(&self, before: Day) -> Result<Option<Expired>, Error> {
        crate::postgres::retention::expiry::expire(&self.hot, before).await
    }

    async fn payload_bytes(&self) -> Result<Vec<(EnvironmentId, u64)>, Error> {
        crate::postgres::history::counts::payload_bytes(&self.plain).await
    }

    async fn remove_payloads(&self, removal: Removal) -> Result<Removed, Error> {
        crate::postgres::retention::expiry::remove(&self.hot, removal).await
    }

    async fn remove_messages(&self, removal: MessageRemoval) -> Result<RemovedMessages, Error> {
        crate::postgres::retention::removal::remove(&self.hot, removal).await
    }

    async fn drop_days_before(&self, day: Day) -> Result<Vec<Day>, Error> {
        crate::postgres::retention::days::drop_before(&self.hot, day).await
    }

    async fn set_aside(&self, until: Timestamp, limit: usize) -> Result<usize, Error> {
        crate::postgres::deliveries::redeliver::set_aside(&self.plain, until, limit).await
    }

    async fn forget_keys_before(&self, before: Timestamp) -> Result<(), Error> {
        crate::postgres::retention::days::forget_keys(&self.hot, before).await
    }
}
