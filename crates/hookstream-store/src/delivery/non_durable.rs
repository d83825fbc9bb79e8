//! Store that keeps the configuration and discards every message.
//!
//! `hookstream bench --forget` uses it to measure the cost of durability.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use hookstream_model::{
    base::{
        ids::{EnvironmentId, MessageId, OriginId},
        time::{Day, Timestamp},
    },
    delivery::queue::{Backlog, Shards},
    identity::tenancy::Tenant,
    operations::job::{Candidate, Job},
};
use tokio::sync::broadcast;

use crate::{
    Cluster, Deliveries, Error, History, Outbox, Retention, Store, TextIndex,
    db::{
        installation_quotas::InstallationQuotas,
        listeners::Listeners,
        statement::{Database, Row, Statement, Written},
        vault::Vault,
    },
    delivery::{
        cluster::{Audience, LeaseRenewal, Node, NodeReport, NodeSelf, Nudge, Relayed},
        consistency::{ConsistencyReport, PendingBalance},
        counts::DayCounts,
        deliveries::{
            BacklogHead, BacklogRequest, Claim, ClaimLimits, Claimed, IdempotencyKey, Owner, Publication, Published, Redelivered,
            Redelivery, Settled,
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
};

/// Wrapper around the store that keeps the configuration.
pub struct NonDurableStore(pub Arc<dyn Store>);

#[async_trait]
impl Database for NonDurableStore {
    async fn read(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        self.0.read(statement).await
    }

    async fn write(&self, operation: &'static str, statements: Vec<Statement>) -> Result<Written, Error> {
        self.0.write(operation, statements).await
    }

    fn vault(&self) -> &Vault {
        self.0.vault()
    }

    fn listeners(&self) -> &Listeners {
        self.0.listeners()
    }

    fn installation_quotas(&self) -> &InstallationQuotas {
        self.0.installation_quotas()
    }
}

#[async_trait]
impl Cluster for NonDurableStore {
    async fn enlist(&self, node: &NodeSelf, now: Timestamp) -> Result<Owner, Error> {
        self.0.enlist(node, now).await
    }

    fn lease(&self) -> Option<Duration> {
        self.0.lease()
    }

    async fn renew(&self, owner: Owner, report: NodeReport, now: Timestamp) -> Result<LeaseRenewal, Error> {
        self.0.renew(owner, report, now).await
    }

    async fn release_shards(&self, owner: Owner, shards: Shards) -> Result<(), Error> {
        self.0.release_shards(owner, shards).await
    }

    async fn retire(&self, owner: Owner, now: Timestamp) -> Result<(), Error> {
        self.0.retire(owner, now).await
    }

    async fn nodes(&self) -> Result<Vec<Node>, Error> {
        self.0.nodes().await
    }

    fn nudges(&self) -> broadcast::Receiver<Nudge> {
        self.0.nudges()
    }

    async fn relay(&self, audience: Audience, texts: Vec<String>) -> Result<(), Error> {
        self.0.relay(audience, texts).await
    }

    fn relayed(&self) -> Option<broadcast::Receiver<Relayed>> {
        self.0.relayed()
    }

    fn listen_to_stream(&self, wanted: bool) {
        self.0.listen_to_stream(wanted);
    }
}

#[async_trait]
impl Deliveries for NonDurableStore {
    async fn publish(&self, _: Publication) -> Result<Published, Error> {
        Ok(Published::Stored)
    }

    async fn settle(&self, _: Owner, batch: Arc<Vec<Settled>>) -> Result<Vec<bool>, Error> {
        Ok(vec![true; batch.len()])
    }

    async fn find_earlier(&self, _: Tenant, _: IdempotencyKey, _: Timestamp) -> Result<Option<Published>, Error> {
        Ok(None)
    }

    async fn claim_due(&self, _: Owner, _: Timestamp, _: ClaimLimits) -> Result<Claim, Error> {
        Ok(Claim::default())
    }

    async fn backlogs(&self, _: Shards, _: Option<Backlog>, _: usize) -> Result<Vec<BacklogHead>, Error> {
        Ok(Vec::new())
    }

    async fn backlog_lengths(&self, backlogs: Vec<Backlog>, _: usize) -> Result<Vec<usize>, Error> {
        Ok(vec![0; backlogs.len()])
    }

    async fn claim_backlogs(&self, _: Owner, _: Timestamp, _: Vec<BacklogRequest>, _: usize) -> Result<Vec<Claimed>, Error> {
        Ok(Vec::new())
    }

    async fn redeliver(&self, redelivery: Redelivery) -> Result<Redelivered, Error> {
        self.0.redeliver(redelivery).await
    }

    async fn take_jobs(&self, owner: Owner, earlier: Vec<Owner>, limit: usize, now: Timestamp) -> Result<Vec<Job>, Error> {
        self.0.take_jobs(owner, earlier, limit, now).await
    }

    async fn survey(&self, survey: Survey) -> Result<Vec<Candidate>, Error> {
        self.0.survey(survey).await
    }

    async fn advance_job(&self, slice: JobSlice) -> Result<Option<usize>, Error> {
        self.0.advance_job(slice).await
    }

    async fn set_aside(&self, until: Timestamp, limit: usize) -> Result<usize, Error> {
        self.0.set_aside(until, limit).await
    }
}

#[async_trait]
impl History for NonDurableStore {
    async fn message(&self, tenant: Tenant, origin: OriginId, id: MessageId) -> Result<Option<MessageDetail>, Error> {
        self.0.message(tenant, origin, id).await
    }

    async fn origin_of(&self, tenant: Tenant, id: MessageId) -> Result<Option<OriginId>, Error> {
        self.0.origin_of(tenant, id).await
    }

    async fn find_messages(&self, search: MessageSearch) -> Result<Found<Message, IdBytes>, Error> {
        self.0.find_messages(search).await
    }

    async fn find_attempts(&self, search: AttemptSearch) -> Result<Found<FoundAttempt, AttemptPosition>, Error> {
        self.0.find_attempts(search).await
    }

    async fn message_counts(&self, applications: Vec<OriginId>) -> Result<Vec<u64>, Error> {
        self.0.message_counts(applications).await
    }

    async fn delivery_counts(&self, tenant: Tenant) -> Result<Vec<DayCounts>, Error> {
        self.0.delivery_counts(tenant).await
    }

    async fn events(&self, from: Day, before: Day, environments: Vec<EnvironmentId>) -> Result<Vec<DayEvents>, Error> {
        self.0.events(from, before, environments).await
    }

    async fn day_sizes(&self) -> Result<Vec<(Day, u64)>, Error> {
        self.0.day_sizes().await
    }

    async fn pending_balance(&self) -> Result<PendingBalance, Error> {
        self.0.pending_balance().await
    }

    async fn check_consistency(&self) -> Result<ConsistencyReport, Error> {
        self.0.check_consistency().await
    }
}

/// Discarded messages have no words.
impl TextIndex for NonDurableStore {}

#[async_trait]
impl Retention for NonDurableStore {
    async fn prepare_day(&self, day: Day) -> Result<(), Error> {
        self.0.prepare_day(day).await
    }

    async fn expire_payloads(&self, before: Day) -> Result<Option<Expired>, Error> {
        self.0.expire_payloads(before).await
    }

    async fn payload_bytes(&self) -> Result<Vec<(EnvironmentId, u64)>, Error> {
        self.0.payload_bytes().await
    }

    async fn remove_payloads(&self, removal: Removal) -> Result<Removed, Error> {
        self.0.remove_payloads(removal).await
    }

    async fn remove_messages(&self, removal: MessageRemoval) -> Result<RemovedMessages, Error> {
        self.0.remove_messages(removal).await
    }

    async fn drop_days_before(&self, day: Day) -> Result<Vec<Day>, Error> {
        self.0.drop_days_before(day).await
    }

    async fn forget_keys_before(&self, before: Timestamp) -> Result<(), Error> {
        self.0.forget_keys_before(before).await
    }
}

#[async_trait]
impl Outbox for NonDurableStore {
    async fn outbox(&self, limit: usize) -> Result<Vec<Outgoing>, Error> {
        self.0.outbox(limit).await
    }

    async fn remove_from_outbox(&self, published: Vec<Outgoing>) -> Result<(), Error> {
        self.0.remove_from_outbox(published).await
    }
}

#[async_trait]
impl Store for NonDurableStore {
    fn instruments(&self) -> crate::Instruments {
        self.0.instruments()
    }

    async fn close(&self) {
        self.0.close().await;
    }

    fn data_directory(&self) -> Option<&std::path::Path> {
        self.0.data_directory()
    }

    async fn between_commits(&self, work: Box<dyn FnOnce() + Send>) -> Result<(), Error> {
        self.0.between_commits(work).await
    }
}
