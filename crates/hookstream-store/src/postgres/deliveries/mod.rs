//! Deliveries on PostgreSQL: publish, claim, settle, requeue.

pub(crate) mod claim;
pub(crate) mod jobs;
pub(crate) mod publish;
pub(crate) mod redeliver;
pub(crate) mod settle;

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use hookstream_model::{
    base::time::Timestamp,
    delivery::queue::{Backlog, Shards},
    identity::tenancy::Tenant,
    operations::job::{Candidate, Job},
};

use crate::{
    Deliveries,
    db::error::Error,
    delivery::deliveries::{
        BacklogHead, BacklogRequest, Claim, ClaimLimits, Claimed, IdempotencyKey, NewState, Owner, Publication, Published, Redelivered,
        Redelivery, Settled,
    },
    operations::jobs::{self as job_rows, JobSlice, Survey},
    postgres::PostgresStore,
};

/// Time for which one message refused for a full disk marks the store as full; then another is let through as a test.
const FULL_FOR: Duration = Duration::from_secs(5);

#[async_trait]
impl Deliveries for PostgresStore {
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
        publish::find_earlier(&self.plain, tenant, &key, window_start).await
    }

    async fn claim_due(&self, owner: Owner, now: Timestamp, limits: ClaimLimits) -> Result<Claim, Error> {
        claim::claim_due(&self.hot, &self.floor, owner, now, limits).await
    }

    async fn backlogs(&self, shards: Shards, after: Option<Backlog>, limit: usize) -> Result<Vec<BacklogHead>, Error> {
        claim::backlogs(&self.hot, &shards.ranges(), after, limit).await
    }

    async fn backlog_lengths(&self, backlogs: Vec<Backlog>, at_most: usize) -> Result<Vec<usize>, Error> {
        claim::backlog_lengths(&self.plain, &backlogs, at_most).await
    }

    async fn claim_backlogs(&self, owner: Owner, now: Timestamp, wants: Vec<BacklogRequest>, bytes: usize) -> Result<Vec<Claimed>, Error> {
        claim::claim_backlogs(&self.hot, owner, now, &wants, bytes).await
    }

    async fn settle(&self, owner: Owner, batch: Arc<Vec<Settled>>) -> Result<Vec<bool>, Error> {
        let has_packed = batch.iter().any(|settled| settled.packed.is_some());
        let _settling = if has_packed { Some(self.settling.lock().await) } else { None };
        let begun = Instant::now();
        let settled = settle::settle(&self.hot, owner, &batch).await;
        self.settles.note(batch.len(), begun.elapsed());
        settled
    }

    async fn redeliver(&self, redelivery: Redelivery) -> Result<Redelivered, Error> {
        let redelivered = redeliver::redeliver(&self.plain, &redelivery).await?;
        self.notify.notify_one();
        Ok(redelivered)
    }

    async fn take_jobs(&self, owner: Owner, earlier: Vec<Owner>, limit: usize, now: Timestamp) -> Result<Vec<Job>, Error> {
        let owned = job_rows::owned(self, owner, limit).await?;
        if owned.len() == limit || !job_rows::waiting(self, owner).await? {
            return Ok(owned);
        }
        jobs::take(&self.plain, owner, &earlier, limit - owned.len(), now).await?;
        job_rows::owned(self, owner, limit).await
    }

    async fn survey(&self, survey: Survey) -> Result<Vec<Candidate>, Error> {
        jobs::survey(&self.plain, &survey).await
    }

    async fn advance_job(&self, slice: JobSlice) -> Result<Option<usize>, Error> {
        let requeued = jobs::advance(&self.plain, &slice).await?;
        if requeued.is_some_and(|requeued| requeued > 0) {
            self.notify.notify_one();
        }
        Ok(requeued)
    }

    async fn set_aside(&self, until: Timestamp, limit: usize) -> Result<usize, Error> {
        redeliver::set_aside(&self.plain, until, limit).await
    }
}
