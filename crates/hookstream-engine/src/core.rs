//! What the engine's parts share.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use hookstream_destinations::Transport;
use hookstream_model::{
    base::{
        ids::{ApplicationId, EnvironmentId, IdSource, NewId},
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
    attempts::pending_record::PendingRecord,
    cluster::lease::Lease,
    intake::schemas::Checks,
    queues::lanes::{LanePolicy, Lanes, Now},
    routing::directory::RouteDirectory,
    upkeep::{budgets::Budgets, health::Health, holds::Holds, quotas::Quotas},
};

pub(crate) struct Core {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
    lease: Mutex<Lease>,
    /// Asks for a new number to own deliveries under.
    pub(crate) rotate_owner: Notify,
    pub(crate) routes: RouteDirectory,
    pub(crate) budgets: Budgets,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) checks: Arc<Checks>,
    /// Outcomes on their way to be recorded.
    pub(crate) outcomes: mpsc::Sender<PendingRecord>,
    lanes: Mutex<Lanes<Claimed>>,
    /// Held while deliveries are on their way from backlogs into the lanes.
    pub(crate) line_claims: tokio::sync::Mutex<()>,
    /// Wakes whoever waits for the lanes' next timer, which has become earlier.
    pub(crate) timer_moved: Notify,
    health: Mutex<Health>,
    holds: Mutex<Holds>,
    /// Wakes whoever writes holds.
    pub(crate) holds_changed: Notify,
    ids: Mutex<IdSource<StdRng>>,
    rng: Mutex<StdRng>,
    /// Wakes whoever claims what is due; it carries no data.
    pub(crate) nudge: Notify,
    /// Wakes whoever works on jobs; it carries no data.
    pub(crate) jobs: Notify,
    /// When something that nobody has in memory is due next, as far as is known, in milliseconds.
    next_due: AtomicI64,
    /// Grows with each change of environments and keys that is heard of.
    generation: AtomicU64,
    /// When it was last asked, with success, what others have changed.
    heard_at: Mutex<Option<Instant>>,
    /// Wakes whoever waits for the end of what is under way.
    pub(crate) idle: Notify,
    pub(crate) tasks: TaskTracker,
    /// No further try is begun.
    pub(crate) stop: CancellationToken,
    /// What is still under way is let go.
    pub(crate) finished: CancellationToken,
}

impl Core {
    pub(crate) fn new(parts: Parts, options: Options, lease: Lease, outcomes: mpsc::Sender<PendingRecord>, mut rng: StdRng) -> Self {
        let Parts { store, transport, clock } = parts;
        let (quotas, checks) = (Arc::<Quotas>::default(), Arc::<Checks>::default());
        Self {
            routes: RouteDirectory::new(Arc::clone(&store), Arc::clone(&quotas), Arc::clone(&checks), Arc::clone(&clock), &options),
            quotas,
            checks,
            budgets: Budgets::default(),
            lanes: Mutex::new(Lanes::new(&options)),
            line_claims: tokio::sync::Mutex::new(()),
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
            heard_at: Mutex::default(),
            idle: Notify::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            finished: CancellationToken::new(),
            store,
            transport,
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

    pub(crate) fn jitter(&self) -> Jitter {
        Jitter::from_random(lock(&self.rng).random())
    }

    /// The present by both clocks.
    pub(crate) fn both_clocks(&self) -> Now {
        Now { wall: self.now(), monotonic: Instant::now() }
    }

    /// The lanes; held for a few backlogs, never across an await.
    pub(crate) fn lanes(&self) -> MutexGuard<'_, Lanes<Claimed>> {
        lock(&self.lanes)
    }

    /// This node's standing; held for a few backlogs, never across an await, and after the lanes where both
    /// are.
    pub(crate) fn lease(&self) -> MutexGuard<'_, Lease> {
        lock(&self.lease)
    }

    /// Whether a try may be begun now.
    pub(crate) fn may_begin(&self) -> bool {
        !self.stop.is_cancelled() && self.lease().is_valid()
    }

    /// The number to own new deliveries under, where this node delivers.
    pub(crate) fn owner(&self) -> Owner {
        self.lease().current()
    }

    /// Asks for a new number, since something may stand under this one that is in no memory.
    pub(crate) fn suspect_owner(&self) {
        self.lease().doubt();
        self.rotate_owner.notify_one();
    }

    /// For how long the oldest delivery that is known to be due and to be nobody's waits.
    pub(crate) fn lag_ms(&self) -> u64 {
        self.noted_due().map_or(0, |due| u64::try_from(self.now().since(due).as_millis()).unwrap_or(u64::MAX))
    }

    /// The endpoints' health; held for a few backlogs, never across an await.
    pub(crate) fn health(&self) -> MutexGuard<'_, Health> {
        lock(&self.health)
    }

    /// Holds that are to be written; held for a few backlogs, never across an await, and after the lanes where
    /// both are.
    pub(crate) fn holds(&self) -> MutexGuard<'_, Holds> {
        lock(&self.holds)
    }

    /// What goes for a target that is not there (any more): nothing keeps it back, and it is not sent.
    pub(crate) fn unrestricted(&self, application: ApplicationId) -> Arc<LanePolicy> {
        Arc::new(LanePolicy {
            version: -1,
            environment: EnvironmentId::from_bytes([0; 16]),
            application,
            rate: None,
            application_rate: None,
            is_ordered: false,
            gather: None,
            hold: None,
            is_paused: false,
        })
    }

    /// Since when this node works on a backlog's shard, where it does.
    pub(crate) fn has_line(&self, backlog: Backlog) -> Option<Instant> {
        self.lease().works_on(backlog.shard())
    }

    /// Says that something in the store falls due then, so that it is not found by the poll only.
    pub(crate) fn note_due(&self, at: Timestamp) {
        let before = self.next_due.fetch_min(at.as_millis(), Ordering::AcqRel);
        if at.as_millis() < before {
            self.nudge.notify_one();
        }
    }

    /// The earliest that was noted.
    pub(crate) fn noted_due(&self) -> Option<Timestamp> {
        let noted = self.next_due.load(Ordering::Acquire);
        (noted != i64::MAX).then(|| Timestamp::from_millis(noted))
    }

    /// Forgets what was noted, since the store is about to be asked.
    pub(crate) fn forget_noted_due(&self) {
        self.next_due.store(i64::MAX, Ordering::Release);
    }

    /// An environment, its event types or its API keys have changed.
    pub(crate) fn environment_changed(&self, environment: EnvironmentId) {
        self.routes.forget_schemas(environment);
        self.budgets.changed();
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Something about organizations or API keys has changed.
    pub(crate) fn installation_changed(&self) {
        self.budgets.changed();
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// What was changed until `asked` is known here.
    pub(crate) fn heard(&self, asked: Instant) {
        *lock(&self.heard_at) = Some(asked);
    }

    /// See [`Handle::generation`](crate::Handle::generation).
    pub(crate) fn generation(&self) -> Option<u64> {
        let is_alone = self.store.lease().is_none();
        let relies = is_alone || lock(&self.heard_at).is_some_and(|at| at.elapsed() < crate::UNHEARD);
        relies.then(|| self.generation.load(Ordering::Acquire))
    }

    /// Waits until no try is under way and all is recorded.
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
    // What is guarded stays whole: no holder runs code that panics halfway through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
