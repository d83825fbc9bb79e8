//! World of a simulation: store, nodes, receivers and senders, all drawn from a seed.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use hookstream_destinations::{Destination, Registry};
use hookstream_model::{
    base::{
        ids::{ApplicationId, EndpointId, EntryId, IdSource},
        time::{Clock, Timestamp},
        vault::{Keys, VaultKey},
    },
    delivery::{
        batch::BatchPolicy,
        hold::BreakerPolicy,
        ordering::{OnFailure, Ordering},
        retry::RetrySchedule,
        state::DeliveryState,
    },
    identity::tenancy::Tenant,
    operations::audit_log::AuditContext,
    outbound::{
        application::{Application, ApplicationStatus},
        endpoint::{Endpoint, EndpointStatus, EndpointUrl},
        signature::{SigningAlgorithm, SigningKey},
        target::TargetKind,
    },
};
use hookstream_store::{
    History as _,
    db::vault_keys,
    identity::organizations,
    operations::jobs,
    outbound::{
        applications,
        endpoints::{self, EndpointKey},
    },
    sqlite::SqliteStore,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    acts::{Outgoing, send},
    clock::SimClock,
    gate::Gate,
    history::{EndpointPast, History, LARGEST_BATCH},
    hub::Hub,
    oracle::{self, FinalState},
    receivers::{Receivers, Wire},
    store::{Faults, NodeStore, Planted},
};
use crate::{Handle, Options, Parts};

/// Maximum number of attempts in flight to one target.
const PERMITS: usize = 4;
/// Time for which a sender waits for its response.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// Time in seconds within which all pending deliveries must end after the repair.
const UNTIL_QUIET: u64 = 600;
/// Noon, and a minute before midnight.
pub(super) const STARTS: [i64; 2] = [1_795_521_600_000, 1_795_564_740_000];

/// Running node.
pub(super) struct Node {
    pub(super) gate: Arc<Gate>,
    pub(super) handle: Handle,
}

/// State of a simulation.
pub(super) struct Simulation {
    pub(super) rng: StdRng,
    pub(super) inner: Arc<SqliteStore>,
    pub(super) hub: Option<Arc<Hub>>,
    pub(super) receivers: Arc<Receivers>,
    pub(super) faults: Arc<Faults>,
    pub(super) history: Arc<History>,
    pub(super) clock: SimClock,
    pub(super) tenant: Tenant,
    pub(super) ids: IdSource<StdRng>,
    pub(super) applications: Vec<ApplicationId>,
    pub(super) endpoints: Vec<EndpointKey>,
    pub(super) nodes: Vec<Node>,
    pub(super) nodes_made: u32,
    pub(super) messages_made: u32,
    pub(super) unacknowledged: Vec<Outgoing>,
    /// Whether some endpoints take batches. Two worlds of five have them; the others are unchanged from before batches
    /// existed, so that seeds that once failed keep their meaning.
    has_batches: bool,
}

/// Result of a check; faults end the simulation.
pub(super) type Verdict = Result<(), Vec<String>>;

impl Simulation {
    /// Builds the initial world of a seed.
    pub(super) async fn new(seed: u64, planted: Option<Planted>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let is_shared = rng.random_ratio(1, 2);
        let history = Arc::new(History::new(PERMITS, is_shared));
        let inner = Arc::new(SqliteStore::in_memory().expect("a store in memory"));
        let keys = Keys::new([VaultKey::from_bytes([1; 32])]).expect("a key");
        vault_keys::unlock(&*inner, keys, StdRng::seed_from_u64(seed)).await.expect("unlocked");
        let clock = SimClock::new(Timestamp::from_millis(STARTS[usize::from(rng.random_ratio(1, 4))]));
        let mut ids = IdSource::new(StdRng::from_rng(&mut rng));
        let now = clock.now();
        let tenant = Tenant { organization: ids.next(now).into(), environment: ids.next(now).into() };
        organizations::create(&*inner, tenant, "world", "test", now).await.expect("an organization");
        let mut world = Self {
            hub: is_shared.then(|| Arc::new(Hub::new(Arc::clone(&inner)))),
            receivers: Arc::new(Receivers::new(StdRng::from_rng(&mut rng), Arc::clone(&history))),
            faults: Arc::new(Faults::new(StdRng::from_rng(&mut rng), planted)),
            rng,
            inner,
            history,
            clock,
            tenant,
            ids,
            applications: Vec::new(),
            endpoints: Vec::new(),
            nodes: Vec::new(),
            nodes_made: 0,
            messages_made: 0,
            unacknowledged: Vec::new(),
            has_batches: seed % 5 >= 3,
        };
        for number in 0..world.rng.random_range(1..=2) {
            world.add_application(number).await;
        }
        for _ in 0..world.rng.random_range(2..=5) {
            world.add_endpoint().await;
        }
        world
    }

    /// Makes this many steps, repairs the world, and waits until no delivery is pending.
    pub(super) async fn run(&mut self, steps: usize) -> Verdict {
        self.start_node().await;
        if self.hub.is_some() {
            self.start_node().await;
        }
        for step in 0..steps {
            self.step(step).await;
            self.remove_dead();
            self.check().await?;
        }
        self.repair().await;
        self.until_quiet().await?;
        self.check().await?;
        let final_states = self.final_states().await;
        judge(self.history.look(|past| oracle::all_messages_are_accounted_for(past, &final_states)))
    }

    async fn add_application(&mut self, number: u32) {
        let now = self.clock.now();
        let application = Application {
            id: self.ids.next(now).into(),
            tenant: self.tenant,
            name: "Simulation".to_owned(),
            uid: Some(format!("world-{number}")),
            description: None,
            metadata: None,
            status: ApplicationStatus::Active,
            portal_theme: None,
            rate_limit: self.rng.random_ratio(1, 5).then(|| self.rng.random_range(5..20)),
            created_at: now,
            updated_at: now,
        };
        // The audit entry has the same id: drawing another would change the meaning of the seeds.
        let act = AuditContext::of_system(EntryId::from_bytes(*application.id.as_bytes()), now);
        applications::create(&*self.inner, &act, &application, None).await.expect("an application");
        self.applications.push(application.id);
        if let Some(rate) = application.rate_limit {
            self.history.change(|past, _| past.application_rates.push((application.id, rate)));
        }
    }

    async fn add_endpoint(&mut self) {
        let now = self.clock.now();
        let id: EndpointId = self.ids.next(now).into();
        let application_id = self.applications[self.rng.random_range(0..self.applications.len())];
        let ordering = match self.rng.random_range(0..5) {
            0 | 1 => Ordering::None,
            2 => Ordering::Strict,
            _ => Ordering::from_parts("key", Some("$.k")).expect("a path"),
        };
        let on_failure = [OnFailure::Block, OnFailure::Skip, OnFailure::Park][self.rng.random_range(0..3)];
        let schedule = [vec![1], vec![1, 2], vec![0, 1, 1], vec![]][self.rng.random_range(0..4)].clone();
        let rate = self.rng.random_ratio(1, 3).then(|| self.rng.random_range(2..12));
        let takes_batches = self.has_batches && self.rng.random_ratio(1, 2);
        let batch = takes_batches.then(|| BatchPolicy::new(LARGEST_BATCH, self.rng.random_range(0..400)).expect("a policy"));
        let endpoint = Endpoint {
            id,
            tenant: self.tenant,
            application_id,
            kind: TargetKind::Http,
            url: EndpointUrl::parse("https://example.com/").expect("a URL"),
            config: None,
            description: None,
            signing_algorithm: SigningAlgorithm::HmacSha256,
            status: EndpointStatus::Active,
            disabled_reason: None,
            disabled_at: None,
            uid: None,
            metadata: None,
            channels: None,
            filter_types: None,
            rate_limit_per_second: rate,
            expires_at: None,
            headers: None,
            retry_schedule: Some(RetrySchedule::from_seconds(schedule).expect("a schedule")),
            timeout_ms: None,
            ordering: ordering.clone(),
            on_failure,
            batch,
            failing_since: None,
            hold: None,
            created_at: now,
            updated_at: now,
        };
        let secret = SigningKey::generate(SigningAlgorithm::HmacSha256, &[7; 32]);
        let act = AuditContext::of_system(EntryId::from_bytes(*id.as_bytes()), now);
        endpoints::create(&*self.inner, &act, &endpoint, &secret, None, None).await.expect("an endpoint");
        self.endpoints.push(EndpointKey::from(&endpoint));
        self.history.note(format_args!("endpoint {id}: {} {} rate {rate:?} batch {batch:?}", ordering.as_str(), on_failure.as_str()));
        let is_ordered = ordering != Ordering::None;
        self.history.change(|past, at| {
            past.endpoints.push(EndpointPast {
                id,
                application: application_id,
                ordered: is_ordered.then_some(on_failure),
                by_key: ordering.key_path().is_some(),
                rates: vec![(at, rate)],
                was_disabled: false,
                deleted: None,
            });
        });
    }

    /// Starts one more node, trying until it succeeds.
    pub(super) async fn start_node(&mut self) {
        loop {
            self.nodes_made += 1;
            let gate = Arc::new(Gate::new(self.nodes_made, Arc::clone(&self.history)));
            let store = NodeStore {
                inner: Arc::clone(&self.inner),
                hub: self.hub.clone(),
                gate: Arc::clone(&gate),
                faults: Arc::clone(&self.faults),
                history: Arc::clone(&self.history),
                clock: self.clock.clone(),
                has_enlisted: AtomicBool::new(false),
                listeners: hookstream_store::db::listeners::Listeners::default(),
            };
            let wire = Wire { receivers: Arc::clone(&self.receivers), gate: Arc::clone(&gate) };
            let destinations = Arc::new(Registry::of([(TargetKind::Http, Box::new(wire) as Box<dyn Destination>)]));
            let parts = Parts { store: Arc::new(store), destinations, clock: Arc::new(self.clock.clone()), tracer: None };
            let rng = StdRng::from_rng(&mut self.rng);
            self.history.note(format_args!("node {} starts", gate.node));
            match tokio::time::timeout(PATIENCE, Handle::start(parts, options(), rng)).await {
                Ok(Ok(handle)) => return self.nodes.push(Node { gate, handle }),
                Ok(Err(_)) | Err(_) => gate.kill(),
            }
        }
    }

    /// Stops the tasks of dead nodes, which wait at their gate.
    fn remove_dead(&mut self) {
        for node in self.nodes.extract_if(.., |node| node.gate.is_dead()) {
            node.handle.core.stop.cancel();
            node.handle.core.finished.cancel();
        }
    }

    /// Repairs everything that is broken.
    async fn repair(&mut self) {
        self.history.note("everything is repaired");
        self.faults.set(0, 0);
        self.receivers.accept_all();
        self.nodes.iter().for_each(|node| {
            node.gate.kill_after(0);
            node.gate.thaw();
        });
        self.clock.repair();
        self.remove_dead();
        if self.nodes.is_empty() {
            self.start_node().await;
        }
        let unacknowledged = std::mem::take(&mut self.unacknowledged);
        for message in unacknowledged {
            send(Arc::clone(&self.history), self.nodes[0].handle.clone(), self.tenant, message).await;
        }
    }

    /// Waits until no delivery is pending and no job runs.
    async fn until_quiet(&mut self) -> Verdict {
        // A hold that a node read while the clock was behind lasts longer by the difference, which is at most an hour.
        let was_behind = self.history.look(|past| !past.clock_behind.is_empty());
        let seconds = if was_behind { UNTIL_QUIET + 3_600 } else { UNTIL_QUIET };
        let mut passed = 0;
        while passed < seconds {
            // Most worlds are quiet soon.
            let look_after = if passed < 60 { 2 } else { 60 };
            passed += look_after;
            tokio::time::sleep(Duration::from_secs(look_after)).await;
            let audit = self.inner.check_consistency().await.expect("an audit");
            let pending: i64 = audit.balances.iter().map(|balance| balance.found.pending()).sum();
            if pending == 0 && jobs::count_running(&*self.inner, self.tenant).await.expect("a count") == 0 {
                return Ok(());
            }
        }
        let final_states = self.final_states().await;
        let pending = final_states.iter().flat_map(|found| found.deliveries.iter().flatten().map(|delivery| (found.message, delivery)));
        let pending = pending.filter(|(_, (_, state))| matches!(state, DeliveryState::Pending { .. }));
        let first = pending.take(5).map(|(message, delivery)| format!("{message} {delivery:?}")).collect::<Vec<_>>();
        let mut faults = vec![format!("deliveries are still pending after the repair at {}: {first:?}", self.clock.now())];
        for node in &self.nodes {
            let (lanes, shards) = (node.handle.lanes(self.tenant.environment), node.handle.core.lease().shards());
            faults.push(format!("node {} has {} shards and {lanes:?}", node.gate.node, shards.count()));
        }
        Err(faults)
    }

    /// Checks everything that must hold at any moment.
    async fn check(&self) -> Verdict {
        let mut faults = self.history.look(oracle::faults_of);
        let audit = self.inner.check_consistency().await.expect("an audit");
        if !audit.is_sound() {
            faults.push(format!("the store does not agree with itself: {audit:?}"));
        }
        for node in &self.nodes {
            faults.extend(node.handle.core.lanes().fault().map(|fault| format!("node {}: {fault}", node.gate.node)));
        }
        judge(faults)
    }

    /// Returns the final state of each accepted message.
    async fn final_states(&self) -> Vec<FinalState> {
        let accepted = self.history.look(|past| past.accepted.clone());
        let mut final_states = Vec::new();
        for message in accepted {
            let found = self.inner.message(self.tenant, message.application.into(), message.id).await.expect("read");
            let deliveries =
                found.map(|found| found.deliveries.into_iter().map(|delivery| (delivery.route_id.into(), delivery.state)).collect());
            final_states.push(FinalState { message: message.id, deliveries });
        }
        final_states
    }
}

fn judge(faults: Vec<String>) -> Verdict {
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn options() -> Options {
    Options {
        timeout: Duration::from_millis(1_500),
        breaker: BreakerPolicy { threshold: 5, cooldown: Duration::from_secs(3) },
        max_in_flight: 24,
        max_in_flight_per_target: PERMITS,
        max_queued: 60,
        max_queued_per_target: 12,
        ..Options::default()
    }
}
