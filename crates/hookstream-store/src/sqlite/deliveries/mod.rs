//! Deliveries on SQLite: publish, claim, settle, requeue.

pub(crate) mod claim;
pub(crate) mod jobs;
pub(crate) mod publish;
pub(crate) mod redeliver;
pub(crate) mod settle;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use async_trait::async_trait;
use hookstream_model::{
    base::time::Timestamp,
    delivery::queue::{Backlog, Shards},
    identity::tenancy::Tenant,
    operations::job::{Candidate, Job},
};

use crate::{
    db::error::Error,
    delivery::{
        deliveries::{
            BacklogHead, BacklogRequest, Claim, ClaimLimits, Claimed, IdempotencyKey, Owner, Publication, Published, Redelivered,
            Redelivery, Settled,
        },
        hot_path::Deliveries,
        payloads::{Sealed, opened},
    },
    operations::jobs::{self as job_rows, JobSlice, Survey},
    sqlite::SqliteStore,
};

#[async_trait]
impl Deliveries for SqliteStore {
    async fn publish(&self, publication: Publication) -> Result<Published, Error> {
        if self.space.as_ref().is_some_and(|space| space.refuses_messages()) {
            return Err(Error::Full { operation: "store a message" });
        }
        let publication = Sealed::of(publication).await?;
        let published = self.writer.run(move |files| publish::publish(files, &publication)).await;
        if let (Err(Error::Full { .. }), Some(space)) = (&published, &self.space) {
            space.note_full();
        }
        published
    }

    fn is_full(&self) -> bool {
        self.space.as_ref().is_some_and(|space| space.is_full())
    }

    async fn find_earlier(&self, tenant: Tenant, key: IdempotencyKey, window_start: Timestamp) -> Result<Option<Published>, Error> {
        self.readers.days(move |days| publish::find_earlier(days, tenant, &key, window_start)).await
    }

    async fn claim_due(&self, owner: Owner, now: Timestamp, limits: ClaimLimits) -> Result<Claim, Error> {
        let days = self.known.that_may_have_pending();
        // Each day gets a share, so that many due deliveries of one day do not starve the others.
        let among = days.len().max(1);
        let share = ClaimLimits { deliveries: (limits.deliveries / among).max(1), bytes: limits.bytes / among };
        let mut claim = Claim::default();
        for day in days {
            match self.writer.run(move |files| claim::claim_due(files, day, owner, now, share)).await {
                Ok(more) => {
                    claim.deliveries.extend(opened(more.deliveries));
                    claim.next_due = [claim.next_due, more.next_due].into_iter().flatten().min();
                }
                Err(error) if claim.deliveries.is_empty() => return Err(error),
                // Deliveries claimed before are delivered; the next claim meets the error again.
                Err(_) => break,
            }
        }
        Ok(claim)
    }

    async fn backlogs(&self, shards: Shards, after: Option<Backlog>, limit: usize) -> Result<Vec<BacklogHead>, Error> {
        let days_to_read = self.known.that_may_have_pending();
        let read = move |days: &crate::sqlite::db::readers::Days<'_>| {
            let ranges = shards.ranges();
            let mut heads: BTreeMap<Backlog, BacklogHead> = BTreeMap::new();
            for day in days_to_read {
                let of_day = |connection: &rusqlite::Connection| {
                    claim::backlogs(connection, &ranges, after, limit).map_err(crate::sqlite::db::connection::failed("find backlogs"))
                };
                // The oldest day holds the head of a backlog.
                for head in days.read(day, of_day)?.unwrap_or_default() {
                    heads.entry(head.backlog).or_insert(head);
                }
            }
            Ok(heads.into_values().take(limit).collect())
        };
        self.readers.days(read).await
    }

    async fn backlog_lengths(&self, backlogs: Vec<Backlog>, at_most: usize) -> Result<Vec<usize>, Error> {
        let days_to_read = self.known.that_may_have_pending();
        let read = move |days: &crate::sqlite::db::readers::Days<'_>| {
            let mut lengths = vec![0; backlogs.len()];
            for day in days_to_read {
                for (backlog, length) in backlogs.iter().zip(&mut lengths) {
                    let room = at_most.saturating_sub(*length);
                    let of_day = |connection: &rusqlite::Connection| {
                        claim::backlog_length(connection, *backlog, room)
                            .map_err(crate::sqlite::db::connection::failed("count waiting deliveries"))
                    };
                    *length += days.read(day, of_day)?.unwrap_or(0);
                }
            }
            Ok(lengths)
        };
        self.readers.days(read).await
    }

    async fn claim_backlogs(
        &self,
        owner: Owner,
        now: Timestamp,
        mut wants: Vec<BacklogRequest>,
        bytes: usize,
    ) -> Result<Vec<Claimed>, Error> {
        let mut claimed: Vec<Claimed> = Vec::new();
        let mut room = bytes;
        for day in self.known.that_may_have_pending() {
            let of_day = wants.clone();
            match self.writer.run(move |files| claim::claim_backlogs(files, day, owner, now, &of_day, room)).await {
                Ok(found) => {
                    let taken: usize = found.claimed.iter().map(|delivery| delivery.payload.size().max(1)).sum();
                    room = room.saturating_sub(taken);
                    for want in &mut wants {
                        let of_backlog = found.claimed.iter().filter(|delivery| delivery.backlog == Some(want.backlog)).count();
                        want.deliveries = want.deliveries.saturating_sub(of_backlog);
                    }
                    wants.retain(|want| want.deliveries > 0 && !found.blocked.contains(&want.backlog));
                    claimed.extend(opened(found.claimed));
                }
                Err(error) if claimed.is_empty() => return Err(error),
                // Deliveries claimed before are delivered; the next claim meets the error again.
                Err(_) => break,
            }
            if wants.is_empty() {
                break;
            }
        }
        Ok(claimed)
    }

    async fn settle(&self, owner: Owner, batch: Arc<Vec<Settled>>) -> Result<Vec<bool>, Error> {
        let has_events = batch.iter().any(|settled| settled.event.is_some());
        let settled = self.writer.run(move |files| settle::settle(files, owner, &batch)).await;
        if has_events {
            // After the commit, so that a look in between does not miss them for good.
            self.may_have_events.store(true, Ordering::Release);
        }
        settled
    }

    async fn redeliver(&self, redelivery: Redelivery) -> Result<Redelivered, Error> {
        self.writer.run(move |files| redeliver::redeliver(files, &redelivery)).await
    }

    async fn take_jobs(&self, owner: Owner, _: Vec<Owner>, limit: usize, now: Timestamp) -> Result<Vec<Job>, Error> {
        if job_rows::waiting(self, owner).await? {
            self.writer.run(move |files| jobs::take(files, owner, limit, now)).await?;
        }
        job_rows::owned(self, owner, limit).await
    }

    async fn survey(&self, survey: Survey) -> Result<Vec<Candidate>, Error> {
        self.readers.days(move |days| jobs::survey(days, &survey)).await
    }

    async fn advance_job(&self, slice: JobSlice) -> Result<Option<usize>, Error> {
        let slice = Arc::new(slice);
        let requeued = Arc::clone(&slice);
        let Some(done) = self.writer.run(move |files| jobs::requeue(files, &requeued)).await? else {
            return Ok(None);
        };
        // Separate commit: otherwise the job's row could become durable without the day file's change.
        self.writer.run(move |files| jobs::follow(files, &slice, done)).await?;
        Ok(Some(done.requeued))
    }

    async fn set_aside(&self, until: Timestamp, limit: usize) -> Result<usize, Error> {
        self.writer.run(move |files| redeliver::set_aside(files, until, limit)).await
    }
}
