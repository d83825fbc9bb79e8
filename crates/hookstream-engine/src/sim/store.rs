//! Store as a node sees it: the real one, with faults, delays and crashes between any two operations.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use hookstream_model::{
    base::{
        ids::{EndpointId, EnvironmentId, MessageId, OriginId, TargetId},
        time::{Clock, Day, Timestamp},
    },
    delivery::queue::{Backlog, Shards},
    identity::tenancy::Tenant,
    operations::job::{Candidate, Job},
};
use hookstream_store::{
    Cluster, Database, Deliveries, Error, Outbox, Retention, Store,
    db::{
        installation_quotas::InstallationQuotas,
        listeners::Listeners,
        statement::{Row, Statement, Written, announced},
        vault::Vault,
    },
    delivery::{
        cluster::{LeaseRenewal, Node, NodeReport, NodeSelf, Nudge},
        consistency::{ConsistencyReport, PendingBalance},
        counts::DayCounts,
        deliveries::{
            BacklogHead, BacklogRequest, Claim, ClaimLimits, Claimed, IdempotencyKey, NewState, Next, Owner, Publication, Published,
            Redelivered, Redelivery, Settled,
        },
        finding::{AttemptPosition, AttemptSearch, Found, FoundAttempt, IdBytes, MessageSearch},
        messages::{Message, MessageDetail, MessageRemoval, RemovedMessages},
        outbox::Outgoing,
        payloads::{Expired, Removal, Removed},
    },
    operations::{
        jobs::{JobSlice, Survey},
        quotas::DayEvents,
    },
    sqlite::SqliteStore,
};
use rand::{RngExt, rngs::StdRng};
use tokio::sync::broadcast;

use super::{
    clock::SimClock,
    gate::Gate,
    history::{History, HistoryEvent, How, Loss},
    hub::{Hub, LEASE},
};

/// Faults of the store, drawn for each operation.
pub(super) struct Faults {
    rng: Mutex<StdRng>,
    /// Operations of 1,000 that fail before their commit.
    pub(super) before: Mutex<u32>,
    /// Operations of 1,000 whose commit succeeds with an unknown result, if the store can have that.
    pub(super) after: Mutex<u32>,
    pub(super) planted: Option<Planted>,
}

/// Bug that is planted to test the oracle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Planted {
    /// Confirms some settlements without making them.
    LosesSettlements,
    /// Reverses the order of deliveries claimed from a backlog.
    ReversesBacklogs,
}

impl Faults {
    pub(super) fn new(rng: StdRng, planted: Option<Planted>) -> Self {
        Self { rng: Mutex::new(rng), before: Mutex::new(0), after: Mutex::new(0), planted }
    }

    pub(super) fn set(&self, before: u32, after: u32) {
        *lock(&self.before) = before;
        *lock(&self.after) = after;
    }

    fn happens(&self, of_thousand: u32) -> bool {
        of_thousand > 0 && lock(&self.rng).random_ratio(of_thousand, 1_000)
    }

    /// Yields to other tasks, or takes a little time.
    async fn wander(&self) {
        let drawn = lock(&self.rng).random_range(0..16_u64);
        match drawn {
            0..=9 => {}
            10..=13 => tokio::task::yield_now().await,
            _ => tokio::time::sleep(Duration::from_millis(drawn - 13)).await,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Store of one node.
pub(super) struct NodeStore {
    pub(super) inner: Arc<SqliteStore>,
    /// Set if several nodes share the store.
    pub(super) hub: Option<Arc<Hub>>,
    pub(super) gate: Arc<Gate>,
    pub(super) faults: Arc<Faults>,
    pub(super) history: Arc<History>,
    pub(super) clock: SimClock,
    /// Whether the node has got its first owner id.
    pub(super) has_enlisted: AtomicBool,
    pub(super) listeners: Listeners,
}

impl NodeStore {
    async fn call<T>(&self, operation: &'static str, is_write: bool, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.gate.pass().await;
        self.faults.wander().await;
        // The node may have been frozen or killed while it waited.
        self.gate.pass().await;
        if self.faults.happens(*lock(&self.faults.before)) {
            self.note(operation, "fails");
            return Err(self.error(operation));
        }
        let done = work.await;
        if is_write {
            self.note(operation, if done.is_ok() { "done" } else { "refused" });
        }
        self.gate.pass().await;
        self.faults.wander().await;
        self.gate.pass().await;
        if is_write && self.hub.is_some() && self.faults.happens(*lock(&self.faults.after)) {
            self.note(operation, "done, with an unknown result");
            return Err(unavailable(operation));
        }
        done
    }

    fn note(&self, operation: &'static str, what: &str) {
        self.history.note(format_args!("node {}: {operation} {what}", self.gate.node));
    }

    /// Returns a drawn error. On one node, the result of a commit is known; a connection to a shared store may break.
    fn error(&self, operation: &'static str) -> Error {
        if self.hub.is_some() && self.faults.happens(500) {
            return unavailable(operation);
        }
        if self.faults.happens(500) { Error::Full { operation } } else { Error::Failed { operation, cause: "simulated fault".into() } }
    }

    fn note_change(&self, delivery: (MessageId, TargetId), how: How) {
        let delivery = (delivery.0, delivery.1.into());
        self.history.change(|past, at| past.changes.push(HistoryEvent { at, delivery, how }));
    }

    /// Notifies the other nodes, usually.
    fn notify(&self, nudge: Nudge) {
        if let Some(hub) = &self.hub
            && !self.faults.happens(200)
        {
            let _ = hub.nudges.send(nudge);
        }
    }

    async fn settle_and_note(&self, owner: Owner, batch: Arc<Vec<Settled>>, now: Timestamp) -> Result<Vec<bool>, Error> {
        let is_stale = self.hub.as_ref().is_some_and(|hub| !hub.is_registered(owner));
        if self.faults.planted == Some(Planted::LosesSettlements) && self.faults.happens(100) {
            return Ok(vec![true; batch.len()]);
        }
        if let Some(hub) = self.hub.as_ref().filter(|_| is_stale) {
            // Any node may just have done so: the deliveries of such an owner id are released.
            hub.release(now).await?;
        }
        if self.hub.as_ref().is_some_and(|hub| hub.is_settled(&batch)) {
            return Ok(vec![true; batch.len()]);
        }
        let counted = self.inner.settle(owner, Arc::clone(&batch)).await?;
        if let Some(hub) = &self.hub {
            hub.note_settled(&batch, &counted);
        }
        self.note_settled(&batch, &counted, is_stale);
        Ok(counted)
    }

    fn note_settled(&self, batch: &[Settled], counted: &[bool], is_stale: bool) {
        for (settled, _) in batch.iter().zip(counted).filter(|(_, counted)| **counted) {
            let how = match settled.next {
                Next::Succeeded => How::Succeeded,
                Next::Retry { .. } => How::Retried,
                Next::Postponed { .. } => How::Postponed,
                Next::Ended(..) => How::Ended,
            };
            self.note_change((settled.message_id, TargetId::from(EndpointId::from(settled.route_id))), how);
        }
        if is_stale {
            let counted = counted.iter().filter(|counted| **counted).count();
            self.history.change(|past, now| past.stale_settlements.push((now, counted)));
        }
    }
}

fn unavailable(operation: &'static str) -> Error {
    Error::Unavailable { operation, cause: "simulated fault".into() }
}

#[async_trait]
impl Database for NodeStore {
    async fn read(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        self.call("read", false, self.inner.read(statement)).await
    }

    async fn write(&self, operation: &'static str, statements: Vec<Statement>) -> Result<Written, Error> {
        let changes = announced(&statements);
        let written = self.call(operation, true, self.inner.write(operation, statements)).await;
        if Written::may_be_committed(&written) {
            self.listeners.announce(&changes);
        }
        self.notify(Nudge::Changed);
        written
    }

    fn vault(&self) -> &Vault {
        self.inner.vault()
    }

    fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    fn installation_quotas(&self) -> &InstallationQuotas {
        self.inner.installation_quotas()
    }
}

#[async_trait]
impl Cluster for NodeStore {
    async fn enlist(&self, node: &NodeSelf, now: Timestamp) -> Result<Owner, Error> {
        let enlist = async {
            let owner = match &self.hub {
                Some(hub) => hub.enlist(&self.gate, node, now).await?,
                None => self.inner.enlist(node, now).await?,
            };
            // A node that rotates its owner id keeps its deliveries in memory; a node that enlists again does not.
            if node.replaces.is_none() && self.has_enlisted.swap(true, Ordering::SeqCst) {
                self.gate.lost(Loss::Reenlisted);
            }
            Ok(owner)
        };
        self.call("enlist", true, enlist).await
    }

    fn lease(&self) -> Option<Duration> {
        self.hub.is_some().then_some(LEASE)
    }

    async fn renew(&self, owner: Owner, report: NodeReport, now: Timestamp) -> Result<LeaseRenewal, Error> {
        let renew = async {
            match &self.hub {
                Some(hub) => hub.renew(owner, now).await,
                None => self.inner.renew(owner, report, now).await,
            }
        };
        self.call("renew", false, renew).await
    }

    async fn release_shards(&self, owner: Owner, shards: Shards) -> Result<(), Error> {
        let give_up = async {
            match &self.hub {
                Some(hub) => hub.release_shards(owner, shards),
                None => self.inner.release_shards(owner, shards).await?,
            }
            Ok(())
        };
        self.call("give up shards", true, give_up).await
    }

    async fn retire(&self, owner: Owner, now: Timestamp) -> Result<(), Error> {
        let retire = async {
            match &self.hub {
                Some(hub) => hub.retire(owner, now).await,
                None => self.inner.retire(owner, now).await,
            }
        };
        self.call("retire", true, retire).await
    }

    async fn nodes(&self) -> Result<Vec<Node>, Error> {
        self.call("list nodes", false, self.inner.nodes()).await
    }

    fn nudges(&self) -> broadcast::Receiver<Nudge> {
        self.hub.as_ref().map_or_else(|| self.inner.nudges(), |hub| hub.nudges.subscribe())
    }
}

#[async_trait]
impl Deliveries for NodeStore {
    async fn publish(&self, publication: Publication) -> Result<Published, Error> {
        let message = publication.message.id;
        let skipped = publication.deliveries.iter().filter(|delivery| matches!(delivery.state, NewState::Skipped(_)));
        let skipped: Vec<TargetId> = skipped.map(|delivery| TargetId::from(EndpointId::from(delivery.route_id))).collect();
        let publish = async {
            let published = self.inner.publish(publication).await?;
            if published == Published::Stored {
                skipped.into_iter().for_each(|target| self.note_change((message, target), How::Ended));
            }
            Ok(published)
        };
        let published = self.call("publish", true, publish).await;
        self.notify(Nudge::Due);
        published
    }

    async fn find_earlier(&self, tenant: Tenant, key: IdempotencyKey, window_start: Timestamp) -> Result<Option<Published>, Error> {
        self.call("find a key", false, self.inner.find_earlier(tenant, key, window_start)).await
    }

    async fn claim_due(&self, owner: Owner, now: Timestamp, limits: ClaimLimits) -> Result<Claim, Error> {
        let claim = async {
            let claim = self.inner.claim_due(owner, now, limits).await?;
            if !claim.deliveries.is_empty() {
                self.note("claim", "takes what is due");
            }
            Ok(claim)
        };
        self.call("claim", false, claim).await
    }

    async fn backlogs(&self, shards: Shards, after: Option<Backlog>, limit: usize) -> Result<Vec<BacklogHead>, Error> {
        self.call("find backlogs", false, self.inner.backlogs(shards, after, limit)).await
    }

    async fn backlog_lengths(&self, backlogs: Vec<Backlog>, at_most: usize) -> Result<Vec<usize>, Error> {
        self.call("count backlogs", false, self.inner.backlog_lengths(backlogs, at_most)).await
    }

    async fn claim_backlogs(&self, owner: Owner, now: Timestamp, wants: Vec<BacklogRequest>, bytes: usize) -> Result<Vec<Claimed>, Error> {
        let claim = async {
            if let Some(hub) = &self.hub {
                // Nothing is claimed in order while a delivery belongs to an owner id without a node.
                hub.release(now).await?;
            }
            let mut claimed = self.inner.claim_backlogs(owner, now, wants, bytes).await?;
            if self.faults.planted == Some(Planted::ReversesBacklogs) {
                claimed.reverse();
            }
            Ok(claimed)
        };
        self.call("claim from backlogs", true, claim).await
    }

    async fn settle(&self, owner: Owner, batch: Arc<Vec<Settled>>) -> Result<Vec<bool>, Error> {
        self.call("settle", true, self.settle_and_note(owner, batch, self.clock.now())).await
    }

    async fn redeliver(&self, redelivery: Redelivery) -> Result<Redelivered, Error> {
        let (message, targets) =
            (redelivery.message_id, redelivery.routes.iter().map(|route| TargetId::from(EndpointId::from(*route))).collect::<Vec<_>>());
        let redeliver = async {
            let done = self.inner.redeliver(redelivery).await?;
            targets.into_iter().for_each(|target| self.note_change((message, target), How::Requeued));
            Ok(done)
        };
        let redelivered = self.call("redeliver", true, redeliver).await;
        self.notify(Nudge::Due);
        redelivered
    }

    async fn take_jobs(&self, owner: Owner, earlier: Vec<Owner>, limit: usize, now: Timestamp) -> Result<Vec<Job>, Error> {
        if self.hub.as_ref().is_some_and(|hub| !hub.works_on_jobs(owner)) {
            return Ok(Vec::new());
        }
        self.call("take jobs", false, self.inner.take_jobs(owner, earlier, limit, now)).await
    }

    async fn survey(&self, survey: Survey) -> Result<Vec<Candidate>, Error> {
        self.call("survey", false, self.inner.survey(survey)).await
    }

    async fn advance_job(&self, slice: JobSlice) -> Result<Option<usize>, Error> {
        let (messages, target) = (slice.messages.clone(), TargetId::from(slice.job.endpoint_id));
        let advance = async {
            let done = self.inner.advance_job(slice).await?;
            if done.is_some_and(|requeued| requeued > 0) {
                messages.into_iter().for_each(|message| self.note_change((message, target), How::Requeued));
            }
            Ok(done)
        };
        self.call("advance job", true, advance).await
    }

    async fn set_aside(&self, until: Timestamp, limit: usize) -> Result<usize, Error> {
        self.call("set aside", true, self.inner.set_aside(until, limit)).await
    }
}

#[async_trait]
impl hookstream_store::History for NodeStore {
    async fn message(&self, tenant: Tenant, application: OriginId, id: MessageId) -> Result<Option<MessageDetail>, Error> {
        self.call("read message", false, self.inner.message(tenant, application, id)).await
    }

    async fn origin_of(&self, tenant: Tenant, id: MessageId) -> Result<Option<OriginId>, Error> {
        self.call("find an origin", false, self.inner.origin_of(tenant, id)).await
    }

    async fn find_messages(&self, search: MessageSearch) -> Result<Found<Message, IdBytes>, Error> {
        self.call("find messages", false, self.inner.find_messages(search)).await
    }

    async fn find_attempts(&self, search: AttemptSearch) -> Result<Found<FoundAttempt, AttemptPosition>, Error> {
        self.call("find attempts", false, self.inner.find_attempts(search)).await
    }

    async fn message_counts(&self, applications: Vec<OriginId>) -> Result<Vec<u64>, Error> {
        self.call("count messages", false, self.inner.message_counts(applications)).await
    }

    async fn delivery_counts(&self, tenant: Tenant) -> Result<Vec<DayCounts>, Error> {
        self.call("count deliveries", false, self.inner.delivery_counts(tenant)).await
    }

    async fn events(&self, from: Day, before: Day, environments: Vec<EnvironmentId>) -> Result<Vec<DayEvents>, Error> {
        self.call("count events", false, self.inner.events(from, before, environments)).await
    }

    async fn day_sizes(&self) -> Result<Vec<(Day, u64)>, Error> {
        self.call("measure days", false, self.inner.day_sizes()).await
    }

    async fn pending_balance(&self) -> Result<PendingBalance, Error> {
        self.call("compare pending deliveries", false, self.inner.pending_balance()).await
    }

    async fn check_consistency(&self) -> Result<ConsistencyReport, Error> {
        self.call("check consistency", false, self.inner.check_consistency()).await
    }
}

impl hookstream_store::TextIndex for NodeStore {}

#[async_trait]
impl Retention for NodeStore {
    async fn prepare_day(&self, day: Day) -> Result<(), Error> {
        self.call("prepare day", false, self.inner.prepare_day(day)).await
    }

    async fn expire_payloads(&self, before: Day) -> Result<Option<Expired>, Error> {
        self.call("expire payloads", false, self.inner.expire_payloads(before)).await
    }

    async fn payload_bytes(&self) -> Result<Vec<(EnvironmentId, u64)>, Error> {
        self.call("count bytes", false, self.inner.payload_bytes()).await
    }

    async fn remove_payloads(&self, removal: Removal) -> Result<Removed, Error> {
        self.call("remove payloads", false, self.inner.remove_payloads(removal)).await
    }

    async fn remove_messages(&self, removal: MessageRemoval) -> Result<RemovedMessages, Error> {
        self.call("remove messages", false, self.inner.remove_messages(removal)).await
    }

    async fn drop_days_before(&self, day: Day) -> Result<Vec<Day>, Error> {
        self.call("drop days", false, self.inner.drop_days_before(day)).await
    }

    async fn forget_keys_before(&self, before: Timestamp) -> Result<(), Error> {
        self.call("forget keys", false, self.inner.forget_keys_before(before)).await
    }
}

#[async_trait]
impl Outbox for NodeStore {
    async fn outbox(&self, limit: usize) -> Result<Vec<Outgoing>, Error> {
        self.call("read the outbox", false, self.inner.outbox(limit)).await
    }

    async fn remove_from_outbox(&self, published: Vec<Outgoing>) -> Result<(), Error> {
        self.call("remove published events", false, self.inner.remove_from_outbox(published)).await
    }
}

#[async_trait]
impl Store for NodeStore {
    fn instruments(&self) -> hookstream_store::Instruments {
        self.inner.instruments()
    }

    async fn close(&self) {}
}
