//! State shared by the engine's parts.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use hookstream_model::{
    base::{
        ids::{EnvironmentId, IdSource, LimitScopeId, NewId, OriginId, RouteId, TargetId},
        time::{Clock, Timestamp},
    },
    delivery::{queue::Backlog, retry::Jitter},
};
use hookstream_store::{
    Store,
    delivery::deliveries::{Claimed, Owner},
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Options, Parts,
    attempts::{attempt_log::AttemptLog, pending_record::PendingRecord},
    cluster::lease::Lease,
    instruments::Instruments,
    intake::schemas::Checks,
    operational::{heights::Heights, told::Told},
    queues::lanes::{LanePolicy, Lanes, Now},
    realtime::Realtime,
    routing::{
        application_front::ApplicationFront, applications::Applications, directory::OriginDirectory, event_types::EventTypes, front::Front,
    },
    spans::Spans,
    upkeep::{budgets::Budgets, health::Health, holds::Holds, metrics::Metrics, quotas::Quotas},
};

pub(crate) struct Core {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
    lease: Mutex<Lease>,
    /// Requests a new owner id.
    pub(crate) rotate_owner: Notify,
    pub(crate) origins: Arc<OriginDirectory>,
    pub(crate) applications: Applications,
    pub(crate) event_types: EventTypes,
    pub(crate) budgets: Budgets,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) metrics: Metrics,
    pub(crate) instruments: Instruments,
    pub(crate) attempt_log: AttemptLog,
    pub(crate) told: Told,
    pub(crate) spans: Spans,
    pub(crate) heights: Heights,
    pub(crate) realtime: Realtime,
    pub(crate) checks: Arc<Checks>,
    /// Outcomes to record.
    pub(crate) outcomes: mpsc::Sender<PendingRecord>,
    lanes: Mutex<Lanes<Claimed>>,
    /// Serializes the transfer of deliveries from backlogs into the lanes.
    pub(crate) backlog_claims: tokio::sync::Mutex<()>,
    /// Wakes the timer task because the lanes' next timer has become earlier.
    pub(crate) timer_moved: Notify,
    health: Mutex<Health>,
    holds: Mutex<Holds>,
    /// Wakes the task that writes holds.
    pub(crate) holds_changed: Notify,
    ids: Mutex<IdSource<StdRng>>,
    rng: Mutex<StdRng>,
    /// Wakes the claiming task; carries no data.
    pub(crate) nudge: Notify,
    /// Wakes the job task; carries no data.
    pub(crate) jobs: Notify,
    /// Earliest known due time of an unclaimed delivery, in milliseconds.
    next_due: AtomicI64,
    /// Grows with each known change of environments and keys.
    generation: AtomicU64,
    /// Time of the last successful query for changes.
    changes_known_at: Mutex<Option<Instant>>,
    /// Wakes waiters for the end of all attempts.
    pub(crate) idle: Notify,
    pub(crate) tasks: TaskTracker,
    /// Cancelled when no further attempt may begin.
    pub(crate) stop: CancellationToken,
    /// Cancelled when the remaining attempts must be dropped.
    pub(crate) finished: CancellationToken,
}

impl Core {
    /// Builds the state. `fronts` are those besides the applications.
    pub(crate) fn new(
        parts: Parts,
        options: Options,
        lease: Lease,
        outcomes: mpsc::Sender<PendingRecord>,
        mut rng: StdRng,
        fronts: Vec<Arc<dyn Front>>,
    ) -> Self {
        let Parts { store, destinations, clock, tracer } = parts;
        let (quotas, checks) = (Arc::<Quotas>::default(), Arc::<Checks>::default());
        let applications = ApplicationFront::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&quotas), destinations, &options);
        let fronts = std::iter::once(Arc::new(applications) as Arc<dyn Front>).chain(fronts).collect();
        let origins = Arc::new(OriginDirectory::new(fronts));
        Self {
            applications: Applications::new(Arc::clone(&store), Arc::clone(&origins)),
            event_types: EventTypes::new(Arc::clone(&store), Arc::clone(&checks)),
            origins,
            quotas,
            checks,
            budgets: Budgets::default(),
            metrics: Metrics::default(),
            instruments: Instruments::of(&options),
            attempt_log: AttemptLog::new(options.log_lines_per_second),
            told: Told::default(),
            spans: Spans::new(tracer),
            heights: Heights::default(),
            realtime: Realtime::default(),
            lanes: Mutex::new(Lanes::new(&options)),
            backlog_claims: tokio::sync::Mutex::new(()),
            timer_moved: Notify::new(),
            health: Mutex::default(),
            holds: Mutex::default(),
            holds_changed: Notify::new(),
            ids: Mutex::new(IdSource::new(StdRng::from_rng(&mut rng))),
            rng: Mutex::new(rng),
            nudge: Notify::new(),
            jobs: Notify::new(),
            next_due: AtomicI64::new(i64::MAX),
            generation: AtomicU64::new(0),
            changes_known_at: Mutex::default(),
            idle: Notify::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            finished: CancellationToken::new(),
            store,
            clock,
            options,
            lease: Mutex::new(lease),
            rotate_owner: Notify::new(),
            outcomes,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn new_id(&self) -> NewId {
        lock(&self.ids).next(self.now())
    }

    pub(crate) fn random_bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        lock(&self.rng).fill_bytes(&mut bytes);
        bytes
    }

    /// Returns a tag that tells this process from the others on the database: a random one where there are others.
    pub(crate) fn process_tag(&self) -> [u8; 8] {
        let mut tag = [0; 8];
        if self.store.relayed().is_some() {
            lock(&self.rng).fill_bytes(&mut tag);
        }
        tag
    }

    pub(crate) fn jitter(&self) -> Jitter {
        Jitter::from_random(lock(&self.rng).random())
    }

    /// Returns the present by both clocks.
    pub(crate) fn both_clocks(&self) -> Now {
        Now { wall: self.now(), monotonic: Instant::now() }
    }

    /// Locks the lanes, for a few lines and never across an await.
    pub(crate) fn lanes(&self) -> MutexGuard<'_, Lanes<Claimed>> {
        lock(&self.lanes)
    }

    /// Locks this node's lease, for a few lines and never across an await. Lock order: after the lanes.
    pub(crate) fn lease(&self) -> MutexGuard<'_, Lease> {
        lock(&self.lease)
    }

    /// Returns whether an attempt may begin now.
    pub(crate) fn may_begin(&self) -> bool {
        !self.stop.is_cancelled() && self.lease().is_valid()
    }

    /// Returns the owner id for new deliveries, if this node delivers.
    pub(crate) fn owner(&self) -> Owner {
        self.lease().current()
    }

    /// Requests a new owner id, because the store may hold deliveries under this one that are in no memory.
    pub(crate) fn suspect_owner(&self) {
        self.lease().suspect();
        self.rotate_owner.notify_one();
    }

    /// Returns the waiting time of the oldest known due and unclaimed delivery.
    pub(crate) fn lag_ms(&self) -> u64 {
        self.noted_due().map_or(0, |due| u64::try_from(self.now().since(due).as_millis()).unwrap_or(u64::MAX))
    }

    /// Locks the endpoints' health, for a few lines and never across an await.
    pub(crate) fn health(&self) -> MutexGuard<'_, Health> {
        lock(&self.health)
    }

    /// Locks the holds to write, for a few lines and never across an await. Lock order: after the lanes.
    pub(crate) fn holds(&self) -> MutexGuard<'_, Holds> {
        lock(&self.holds)
    }

    /// Returns the policy for a route that does not exist (any more): nothing holds its deliveries back, and they are not
    /// sent. They have a lane of their own, by the id of the route.
    pub(crate) fn unrestricted(&self, origin: OriginId, route: RouteId) -> Arc<LanePolicy> {
        Arc::new(LanePolicy {
            version: -1,
            target: TargetId::from_bytes(*route.as_bytes()),
            environment: EnvironmentId::from_bytes([0; 16]),
            scope: LimitScopeId::from_bytes(*origin.as_bytes()),
            rate: None,
            scope_rate: None,
            is_ordered: false,
            gather: None,
            hold: None,
            is_paused: false,
        })
    }

    /// Returns since when this node works on a backlog's shard, if it does.
    pub(crate) fn works_on_backlog_since(&self, backlog: Backlog) -> Option<Instant> {
        self.lease().works_on(backlog.shard())
    }

    /// Notes the due time of a stored delivery, so that it is claimed before the next poll.
    pub(crate) fn note_due(&self, at: Timestamp) {
        let before = self.next_due.fetch_min(at.as_millis(), Ordering::AcqRel);
        if at.as_millis() < before {
            self.nudge.notify_one();
        }
    }

    /// Returns the earliest noted due time.
    pub(crate) fn noted_due(&self) -> Option<Timestamp> {
        let noted = self.next_due.load(Ordering::Acquire);
        (noted != i64::MAX).then(|| Timestamp::from_millis(noted))
    }

    /// Clears the noted due time, because the store is about to be asked.
    pub(crate) fn forget_noted_due(&self) {
        self.next_due.store(i64::MAX, Ordering::Release);
    }

    /// Takes a change of organizations or API keys.
    pub(crate) fn installation_changed(&self) {
        self.budgets.changed();
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes that this node knows all changes committed before `asked`.
    pub(crate) fn note_changes_known(&self, asked: Instant) {
        *lock(&self.changes_known_at) = Some(asked);
    }

    /// Implements [`Handle::generation`](crate::Handle::generation).
    pub(crate) fn generation(&self) -> Option<u64> {
        let is_alone = self.store.lease().is_none();
        let relies = is_alone || lock(&self.changes_known_at).is_some_and(|at| at.elapsed() < crate::MAX_STALENESS);
        relies.then(|| self.generation.load(Ordering::Acquire))
    }

    /// Waits until no attempt is in flight and all outcomes are recorded.
    pub(crate) async fn until_idle(&self) {
        loop {
            let woken = self.idle.notified();
            if self.lanes().in_flight() == 0 {
                return;
            }
            tokio::select! {
                biased;
                () = woken => {}
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Poisoning is harmless: no holder panics in the middle of a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
