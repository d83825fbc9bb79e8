//! Embedded store: SQLite in one data directory, for one process.
//!
//! `core.db` holds the configuration, `days/<date>.db` the messages of that day. One thread writes: it runs all
//! waiting operations in one transaction per file, commits (an fsync in WAL mode with `synchronous = FULL`) and then
//! replies. Several connections read at the same time.
//!
//! A transaction spans one file. Everything about a message is in its day's file, so each operation on a message is
//! atomic. An operation over several days is one transaction per day.

pub(crate) mod db;
pub(crate) mod deliveries;
pub(crate) mod history;
pub(crate) mod retention;
mod transfer;

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
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
use tokio::sync::broadcast;

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
            BacklogHead, BacklogRequest, Claim, ClaimLimits, Claimed, IdempotencyKey, Owner, Publication, Published, Redelivered,
            Redelivery, Settled,
        },
        finding::{AttemptPosition, AttemptSearch, Found, FoundAttempt, IdBytes, MessageSearch, Range},
        messages::{Message, MessageDetail, MessageRemoval, RemovedMessages},
        nodes::{LeaseRenewal, Node, NodeReport, NodeSelf, Nudge},
        payloads::{Expired, Removal, Removed, Sealed, opened},
    },
    operations::{
        jobs::{self as job_rows, JobSlice, Survey},
        quotas::{self, DayEvents},
    },
    sqlite::db::{
        checkpoint::Checkpointer,
        directory::{core_path, create_directory, day_path, lock},
        files::{Files, KnownDays},
        readers::Readers,
        space::Space,
        writer::Writer,
    },
};

const OF_ENVIRONMENT: &str = "select id from applications where environment_id = $1";

/// The only node.
#[derive(Debug, Default)]
struct SingleNode {
    node: Option<Node>,
    /// Former owner numbers that still have deliveries.
    earlier: Vec<Owner>,
}

/// Store in a data directory.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    readers: Arc<Readers>,
    known: Arc<KnownDays>,
    node: Mutex<SingleNode>,
    /// Data directory; `None` for a store in memory.
    directory: Option<PathBuf>,
    /// Never sends: no other process shares the directory.
    nudges: broadcast::Sender<Nudge>,
    vault: Vault,
    quotas: InstallationQuotas,
    /// State of the free disk space, if there is a directory.
    space: Option<Arc<Space>>,
    /// Background thread and lock of the directory, if there is one.
    _guards: Option<(Checkpointer, File)>,
}

impl SqliteStore {
    /// Returns whether `directory` contains a store.
    pub fn is_in(directory: &Path) -> bool {
        core_path(directory).is_file()
    }

    /// Opens the store in `directory`, creates both if they do not exist, and migrates the files to the schema of this version.
    ///
    /// # Errors
    /// Fails if the directory cannot be used, another process uses it, or a newer version wrote it.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        create_directory(directory)?;
        let lock = lock(directory)?;
        let space = Arc::new(Space::prepare(directory));
        let known = KnownDays::find(directory)?;
        let files = Files::open(directory, Arc::clone(&known))?;
        Ok(Self {
            writer: Writer::start(files)?,
            readers: Arc::new(Readers::new(directory.to_owned(), Arc::clone(&known))),
            _guards: Some((Checkpointer::start(directory.to_owned(), Arc::clone(&known), Arc::clone(&space))?, lock)),
            space: Some(space),
            known,
            node: Mutex::default(),
            directory: Some(directory.to_owned()),
            nudges: broadcast::channel(1).0,
            vault: Vault::default(),
            quotas: InstallationQuotas::default(),
        })
    }

    /// Returns the applications of the environment for a search over all of them; empty for a search in one application.
    async fn applications_in(&self, range: &Range) -> Result<HashSet<ApplicationId>, Error> {
        if range.application.is_some() {
            return Ok(HashSet::new());
        }
        let of_environment = Statement::new(OF_ENVIRONMENT, vec![range.tenant.environment.as_bytes().into()]);
        let rows = self.read(of_environment).await?;
        rows.into_iter().map(|row| row.columns().id("application id", ApplicationId::from_bytes)).collect()
    }

    fn single_node(&self) -> MutexGuard<'_, SingleNode> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Database for SqliteStore {
    async fn read(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        self.readers.core(move |connection| crate::sqlite::db::plain::read(connection, &statement)).await
    }

    async fn write(&self, operation: &'static str, statements: Vec<Statement>) -> Result<Written, Error> {
        let written = self.writer.run(move |files| crate::sqlite::db::plain::write(files, operation, &statements)).await;
        if let (Err(Error::Full { .. }), Some(space)) = (&written, &self.space) {
            space.note_full();
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
impl Store for SqliteStore {
    async fn enlist(&self, node: &NodeSelf, now: Timestamp) -> Result<Owner, Error> {
        let replaces = node.replaces;
        let enlist = move |files: &mut Files| match replaces {
            None => crate::sqlite::deliveries::claim::enlist(files, now),
            // Deliveries of the former number are still in the process's memory.
            Some(_) => crate::sqlite::deliveries::claim::add_owner(files, now),
        };
        let owner = self.writer.run(enlist).await?;
        let mut single_node = self.single_node();
        match replaces {
            None => single_node.earlier.clear(),
            Some(before) => single_node.earlier.push(before),
        }
        single_node.node = Some(Node {
            owner,
            name: node.name.clone(),
            role: node.role.to_owned(),
            version: node.version.to_owned(),
            started_at: now,
            renewed_at: now,
            lapses_at: None,
            report: NodeReport::default(),
        });
        Ok(owner)
    }

    fn lease(&self) -> Option<Duration> {
        None
    }

    async fn renew(&self, owner: Owner, report: NodeReport, now: Timestamp) -> Result<LeaseRenewal, Error> {
        let mut single_node = self.single_node();
        let is_known = single_node.node.as_ref().is_some_and(|node| node.owner == owner) || single_node.earlier.contains(&owner);
        if let Some(node) = single_node.node.as_mut().filter(|node| node.owner == owner) {
            node.renewed_at = now;
            node.report = report;
        }
        Ok(if is_known { LeaseRenewal::Held { released: 0, shards: Shards::ALL, surplus: 0 } } else { LeaseRenewal::Expired })
    }

    async fn retire(&self, owner: Owner, _: Timestamp) -> Result<(), Error> {
        {
            let mut single_node = self.single_node();
            single_node.node.take_if(|node| node.owner == owner);
            single_node.earlier.retain(|earlier| *earlier != owner);
        }
        self.writer.run(move |files| crate::sqlite::deliveries::claim::retire(files, owner)).await
    }

    async fn nodes(&self) -> Result<Vec<Node>, Error> {
        Ok(self.single_node().node.clone().into_iter().collect())
    }

    fn nudges(&self) -> broadcast::Receiver<Nudge> {
        self.nudges.subscribe()
    }

    async fn close(&self) {
        self.writer.stop().await;
        self.readers.close();
    }

    async fn publish(&self, publication: Publication) -> Result<Published, Error> {
        if self.space.as_ref().is_some_and(|space| space.refuses_messages()) {
            return Err(Error::Full { operation: "store a message" });
        }
        let publication = Sealed::of(publication).await?;
        let published = self.writer.run(move |files| crate::sqlite::deliveries::publish::publish(files, &publication)).await;
        if let (Err(Error::Full { .. }), Some(space)) = (&published, &self.space) {
            space.note_full();
        }
        published
    }

    fn is_full(&self) -> bool {
        self.space.as_ref().is_some_and(|space| space.is_full())
    }

    async fn find_earlier(&self, tenant: Tenant, key: IdempotencyKey, window_start: Timestamp) -> Result<Option<Published>, Error> {
        self.readers.days(move |days| crate::sqlite::deliveries::publish::find_earlier(days, tenant, &key, window_start)).await
    }

    async fn claim_due(&self, owner: Owner, now: Timestamp, limits: ClaimLimits) -> Result<Claim, Error> {
        let days = self.known.that_may_have_pending();
        // Each day gets a share, so that many due deliveries of one day do not starve the others.
        let among = days.len().max(1);
        let share = ClaimLimits { deliveries: (limits.deliveries / among).max(1), bytes: limits.bytes / among };
        let mut claim = Claim::default();
        for day in days {
            match self.writer.run(move |files| crate::sqlite::deliveries::claim::claim_due(files, day, owner, now, share)).await {
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
                    crate::sqlite::deliveries::claim::backlogs(connection, &ranges, after, limit)
                        .map_err(crate::sqlite::db::connection::failed("find backlogs"))
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
                        crate::sqlite::deliveries::claim::backlog_length(connection, *backlog, room)
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
            match self
                .writer
                .run(move |files| crate::sqlite::deliveries::claim::claim_backlogs(files, day, owner, now, &of_day, room))
                .await
            {
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

    async fn release_shards(&self, _: Owner, _: Shards) -> Result<(), Error> {
        // No other node exists.
        Ok(())
    }

    async fn settle(&self, owner: Owner, batch: Arc<Vec<Settled>>) -> Result<Vec<bool>, Error> {
        self.writer.run(move |files| crate::sqlite::deliveries::settle::settle(files, owner, &batch)).await
    }

    async fn redeliver(&self, redelivery: Redelivery) -> Result<Redelivered, Error> {
        self.writer.run(move |files| crate::sqlite::deliveries::redeliver::redeliver(files, &redelivery)).await
    }

    async fn take_jobs(&self, owner: Owner, _: Vec<Owner>, limit: usize, now: Timestamp) -> Result<Vec<Job>, Error> {
        if job_rows::waiting(self, owner).await? {
            self.writer.run(move |files| crate::sqlite::deliveries::jobs::take(files, owner, limit, now)).await?;
        }
        job_rows::owned(self, owner, limit).await
    }

    async fn survey(&self, survey: Survey) -> Result<Vec<Candidate>, Error> {
        self.readers.days(move |days| crate::sqlite::deliveries::jobs::survey(days, &survey)).await
    }

    async fn advance_job(&self, slice: JobSlice) -> Result<Option<usize>, Error> {
        let slice = Arc::new(slice);
        let requeued = Arc::clone(&slice);
        let Some(done) = self.writer.run(move |files| crate::sqlite::deliveries::jobs::requeue(files, &requeued)).await? else {
            return Ok(None);
        };
        // Separate commit: otherwise the job's row could become durable without the day file's change.
        self.writer.run(move |files| crate::sqlite::deliveries::jobs::follow(files, &slice, done)).await?;
        Ok(Some(done.requeued))
    }

    async fn message(&self, tenant: Tenant, application: ApplicationId, id: MessageId) -> Result<Option<MessageDetail>, Error> {
        self.readers.days(move |days| crate::sqlite::history::messages::find(days, tenant, application, id)).await
    }

    async fn application_of(&self, tenant: Tenant, id: MessageId) -> Result<Option<ApplicationId>, Error> {
        self.readers.days(move |days| crate::sqlite::history::finding::application_of(days, tenant, id)).await
    }

    async fn find_messages(&self, search: MessageSearch) -> Result<Found<Message, IdBytes>, Error> {
        let of_environment = self.applications_in(&search.range).await?;
        self.readers.days(move |days| crate::sqlite::history::finding::messages(days, &of_environment, &search)).await
    }

    async fn find_attempts(&self, search: AttemptSearch) -> Result<Found<FoundAttempt, AttemptPosition>, Error> {
        let of_environment = self.applications_in(&search.range).await?;
        self.readers.days(move |days| crate::sqlite::history::finding::attempts(days, &of_environment, &search)).await
    }

    async fn message_counts(&self, applications: Vec<ApplicationId>) -> Result<Vec<u64>, Error> {
        self.readers.days(move |days| crate::sqlite::history::messages::counts(days, &applications)).await
    }

    async fn delivery_counts(&self, tenant: Tenant) -> Result<Vec<DayCounts>, Error> {
        self.readers.days(move |days| crate::sqlite::history::counts::read(days, tenant)).await
    }

    async fn events(&self, from: Day, before: Day, environments: Vec<EnvironmentId>) -> Result<Vec<DayEvents>, Error> {
        let environments: HashSet<_> = environments.into_iter().collect();
        let mut found = self.readers.days(move |days| crate::sqlite::history::counts::events(days, from, before)).await?;
        found.retain(|of_day| environments.contains(&of_day.environment));
        Ok(found)
    }

    async fn day_sizes(&self) -> Result<Vec<(Day, u64)>, Error> {
        self.readers.days(|days| Ok(days.sizes())).await
    }

    async fn audit(&self) -> Result<ConsistencyReport, Error> {
        self.readers.days(crate::sqlite::history::audit::audit).await
    }

    async fn prepare_day(&self, day: Day) -> Result<(), Error> {
        self.writer.run(move |files| files.day(day).map(|_| ())).await
    }

    async fn expire_payloads(&self, before: Day) -> Result<Option<Expired>, Error> {
        for day in self.known.that_may_have_payloads().into_iter().take_while(|day| *day < before) {
            let Some(slice) = self.writer.run(move |files| crate::sqlite::retention::expiry::remove_slice(files, day)).await? else {
                continue;
            };
            if slice.is_done {
                self.known.note_payloads(day, false);
                if let Some(directory) = &self.directory {
                    let path = day_path(directory, day);
                    let shrunk = tokio::task::spawn_blocking(move || crate::sqlite::retention::expiry::shrink(&path)).await;
                    shrunk.map_err(|cause| Error::Failed { operation: "release disk space", cause: cause.into() })?;
                }
            }
            return Ok(Some(slice));
        }
        Ok(None)
    }

    async fn payload_bytes(&self) -> Result<Vec<(EnvironmentId, u64)>, Error> {
        self.readers.days(crate::sqlite::history::counts::payload_bytes).await
    }

    async fn remove_payloads(&self, removal: Removal) -> Result<Removed, Error> {
        let Some(found) = self.readers.days(move |days| crate::sqlite::retention::expiry::find(days, removal)).await? else {
            return Ok(Removed { bytes: 0, position: None });
        };
        let position = found.last();
        let bytes =
            self.writer.run(move |files| crate::sqlite::retention::expiry::remove_found(files, removal.environment, &found)).await?;
        Ok(Removed { bytes, position })
    }

    async fn remove_messages(&self, removal: MessageRemoval) -> Result<RemovedMessages, Error> {
        let Some(found) = self.readers.days(move |days| crate::sqlite::retention::removal::find(days, removal)).await? else {
            return Ok(RemovedMessages { messages: 0, position: None });
        };
        let position = found.last();
        let messages = self.writer.run(move |files| crate::sqlite::retention::removal::remove(files, removal.environment, &found)).await?;
        Ok(RemovedMessages { messages, position })
    }

    async fn drop_days_before(&self, day: Day) -> Result<Vec<Day>, Error> {
        // Separate commit before the removal. If the process ends in between, the day's file still counts, and takes
        // precedence over the kept numbers.
        let events = self.readers.days(move |days| crate::sqlite::history::counts::events(days, Day::of_number(0), day)).await?;
        if !events.is_empty() {
            let statements = events.iter().map(quotas::keep_events).chain([quotas::forget_events(day)]).collect();
            self.write("store counts of events", statements).await?;
        }
        let dropped = self.writer.run_alone(move |files| crate::sqlite::retention::days::drop_days_before(files, day)).await?;
        self.readers.forget(&dropped);
        Ok(dropped)
    }

    async fn set_aside(&self, until: Timestamp, limit: usize) -> Result<usize, Error> {
        self.writer.run(move |files| crate::sqlite::deliveries::redeliver::set_aside(files, until, limit)).await
    }

    async fn forget_keys_before(&self, _: Timestamp) -> Result<(), Error> {
        // Keys are in the file of their day and are deleted with it.
        Ok(())
    }
}
