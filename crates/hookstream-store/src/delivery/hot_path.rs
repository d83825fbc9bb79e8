//! Trait of the hot path: deliveries from their acceptance to their end.

use std::sync::Arc;

use async_trait::async_trait;
use hookstream_model::{
    base::time::Timestamp,
    delivery::queue::{Backlog, Shards},
    identity::tenancy::Tenant,
    operations::job::{Candidate, Job},
};

use crate::{
    db::error::Error,
    delivery::deliveries::{
        BacklogHead, BacklogRequest, Claim, ClaimLimits, Claimed, IdempotencyKey, Owner, Publication, Published, Redelivered, Redelivery,
        Settled,
    },
    operations::jobs::{JobSlice, Survey},
};

/// Deliveries from their acceptance to their end. A method is one transaction unless its comment says otherwise.
#[async_trait]
pub trait Deliveries {
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

    /// Requeues a message over some routes, due now; deliveries that are already pending become due now. Requeues
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
}
