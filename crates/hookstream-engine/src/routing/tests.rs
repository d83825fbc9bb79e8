//! Second front of the engine, for these tests only: relays, whose targets speak no HTTP.
//!
//! A relay is no application, two of its routes may lead to one target, and the limits of a target are its own. The
//! engine under it is the real one, so nothing in it assumes applications and endpoints.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use hookstream_destinations::{AddressRefused, Envelope, Registry, RenderedRequest, Sent, Target as Receiver};
use hookstream_model::{
    base::{
        ids::{IdSource, LimitScopeId, MessageId, OriginId, RouteId, TargetId},
        time::{Clock, Timestamp},
    },
    delivery::{
        hold::{Hold, HoldReason},
        ordering::{OnFailure, Ordering},
        outcome::{Failure, FailureKind, Outcome},
        queue::Backlog,
        retry::RetrySchedule,
        state::{CancelReason, DeliveryState, DisabledReason, Trigger},
        timings::Timings,
    },
    identity::tenancy::Tenant,
    operations::audit_log::AuditContext,
    outbound::{
        hops::Hops,
        message::{ContentType, Message, Payload},
        signature::{SigningAlgorithm, SigningKey, SigningKeys},
    },
};
use hookstream_store::{
    Error, History,
    delivery::deliveries::{NewState, Publication, Published, Versions},
    identity::organizations,
    sqlite::SqliteStore,
};
use hookstream_testkit::clock::ManualClock;
use rand::{SeedableRng, rngs::StdRng};

use crate::{
    Handle, Options, Parts,
    intake::publish::{First, publish},
    routing::{
        front::Front,
        origin::Origin,
        route::Route,
        target::{Limits, Switch, Target, TargetSettings},
        target_state::{Health, TargetKey, TargetState},
    },
    upkeep::quotas::{EventMeter, Reservation},
};

/// Step of the clocks while a test waits.
const STEP: Duration = Duration::from_millis(50);
/// Version of the relay's configuration.
const VERSION: i64 = 3;

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Target that keeps what arrives, after it has refused some attempts.
#[derive(Debug, Default)]
struct Inbox {
    refuses: Mutex<u32>,
    arrived: Mutex<Vec<(String, u32)>>,
}

#[async_trait]
impl Receiver for Inbox {
    async fn check_address(&self) -> Result<(), AddressRefused> {
        Ok(())
    }

    async fn send(&self, envelope: &Envelope<'_>, _: Duration) -> Sent {
        let is_refused = {
            let mut refuses = lock(&self.refuses);
            let is_refused = *refuses > 0;
            *refuses = refuses.saturating_sub(1);
            is_refused
        };
        let outcome = if is_refused {
            Outcome::Retryable(Failure::new(FailureKind::ConnectionRefused, "the inbox is closed"))
        } else {
            lock(&self.arrived).push((envelope.id.to_string(), envelope.attempt));
            Outcome::Accepted { response: None, asks_to_stop: false }
        };
        Sent { outcome, timings: Timings::default() }
    }

    fn rendered(&self, _: &Envelope<'_>) -> Option<RenderedRequest> {
        None
    }
}

/// Front of one relay.
struct Relay {
    id: OriginId,
    tenant: Tenant,
    /// Routes with their targets.
    routes: Mutex<Vec<(RouteId, TargetId, Arc<Inbox>)>>,
    /// Holds that the engine has recorded.
    holds: Mutex<Vec<(TargetId, Option<Hold>)>>,
}

impl Relay {
    fn target(&self, id: TargetId, inbox: &Arc<Inbox>) -> Target {
        let key = SigningKey::parse(&SigningKey::generate(SigningAlgorithm::HmacSha256, &[7; 32])).expect("a key");
        Target::new(TargetSettings {
            key: TargetKey { tenant: self.tenant, origin: self.id, id },
            receiver: Arc::clone(inbox) as Arc<dyn Receiver>,
            keys: SigningKeys::new(key, Vec::new()),
            schedule: RetrySchedule::from_seconds(vec![1, 1]).expect("a schedule"),
            timeout: Duration::from_secs(5),
            ordering: Ordering::None,
            on_failure: OnFailure::Block,
            switch: Switch::default(),
            failing_since: None,
            limits: Limits {
                version: VERSION,
                scope: LimitScopeId::from_bytes(*id.as_bytes()),
                scope_rate: None,
                rate: NonZeroU32::new(1_000),
                batch: None,
                batch_bytes: 1_000,
                hold: None,
                is_paused: false,
            },
        })
    }
}

#[async_trait]
impl Front for Relay {
    async fn read(self: Arc<Self>, id: OriginId, _: Option<Arc<Origin>>) -> Result<Option<Arc<Origin>>, Error> {
        if id != self.id {
            return Ok(None);
        }
        let route = |(id, target, inbox): &(RouteId, TargetId, Arc<Inbox>)| {
            let (target, target_state) = (self.target(*target, inbox), Arc::clone(&self) as Arc<dyn TargetState>);
            Arc::new(Route { id: *id, target, target_state, endpoint: None })
        };
        let routes = lock(&self.routes).iter().map(route).collect();
        let (tenant, meter) = (self.tenant, Arc::<EventMeter>::default());
        Ok(Some(Arc::new(Origin { tenant, version: VERSION, routes, meter, target_state: self, application: None })))
    }
}

#[async_trait]
impl TargetState for Relay {
    async fn record_holds(&self, _: Tenant, _: OriginId, holds: &[(TargetId, Option<Hold>)]) -> Result<(), Error> {
        lock(&self.holds).extend_from_slice(holds);
        Ok(())
    }

    async fn record_health(&self, _: &[Health]) -> Result<(), Error> {
        Ok(())
    }

    async fn disable(&self, _: &AuditContext, _: TargetKey, _: DisabledReason, _: Timestamp) -> Result<bool, Error> {
        Ok(false)
    }

    fn route_deleted(&self) -> CancelReason {
        CancelReason::EndpointDeleted
    }
}

/// Engine with a relay of three routes, two of which lead to the first target.
struct Fixture {
    handle: Handle,
    store: Arc<SqliteStore>,
    clock: ManualClock,
    relay: Arc<Relay>,
    inboxes: [Arc<Inbox>; 2],
}

impl Fixture {
    async fn start() -> Self {
        let store = Arc::new(SqliteStore::in_memory().expect("a store in memory"));
        let clock = ManualClock::default();
        let now = clock.now();
        let mut ids = IdSource::new(StdRng::seed_from_u64(7));
        let tenant = Tenant { organization: ids.next(now).into(), environment: ids.next(now).into() };
        organizations::create(&*store, tenant, "relays", "test", now).await.expect("an organization");
        let id = ids.next(now).into();
        store.add_origin(id, tenant.environment, VERSION).await.expect("an origin");
        let inboxes = [Arc::<Inbox>::default(), Arc::default()];
        let targets: [TargetId; 2] = [ids.next(now).into(), ids.next(now).into()];
        let routes = [0, 1, 0].map(|number: usize| (ids.next(now).into(), targets[number], Arc::clone(&inboxes[number])));
        let relay = Arc::new(Relay { id, tenant, routes: Mutex::new(routes.to_vec()), holds: Mutex::default() });
        let parts = Parts { store: store.clone(), destinations: Arc::new(Registry::of([])), clock: Arc::new(clock.clone()), tracer: None };
        let fronts = vec![Arc::clone(&relay) as Arc<dyn Front>];
        let handle = Handle::start_with(parts, Options::default(), StdRng::seed_from_u64(8), fronts).await.expect("an engine");
        Self { handle, store, clock, relay, inboxes }
    }

    /// Publishes a message of the relay, as an intake does.
    async fn publish(&self) -> MessageId {
        let core = &self.handle.core;
        let origin = core.origins.get(self.relay.id).await.expect("read").expect("the relay exists");
        let payload = Payload { body: "{}".into(), content_type: ContentType::Json };
        let id: MessageId = self.handle.new_id().into();
        let firsts = origin.routes.iter().map(|route| First::of(core, route, &payload, self.clock.now()));
        let (deliveries, ours): (Vec<_>, Vec<_>) = firsts.map(|first| (first.delivery, first.ours)).unzip();
        let message = Message { id, origin_id: self.relay.id, event_type: "a.b".to_owned(), payload, hops: Hops::default(), trace: None };
        let publication = Publication {
            tenant: self.relay.tenant,
            message: Arc::new(message),
            deliveries,
            owner: core.owner(),
            trigger: Trigger::Initial,
            seen: Versions { origin: VERSION, environment: 1 },
            event_id: None,
            channels: vec![],
            idempotency: None,
            window_start: self.clock.now(),
            is_event: true,
        };
        let published = publish(Arc::clone(core), publication, ours, Reservation::uncounted()).await.expect("published");
        assert_eq!(published, Published::Stored);
        id
    }

    /// Waits until the states of a message's deliveries, by route, satisfy a condition.
    async fn until(&self, id: MessageId, is_reached: impl Fn(&[DeliveryState]) -> bool) -> Vec<DeliveryState> {
        let mut states = Vec::new();
        for _ in 0..2_000 {
            let detail = self.store.message(self.relay.tenant, self.relay.id, id).await.expect("read").expect("stored");
            states = detail.deliveries.iter().map(|delivery| delivery.state).collect();
            if is_reached(&states) {
                return states;
            }
            // The runtime's time is paused: it advances once every task waits. The engine's clock follows.
            tokio::time::sleep(STEP).await;
            self.clock.advance(STEP);
        }
        panic!("not reached: {states:?}");
    }

    fn arrived(&self) -> [Vec<u32>; 2] {
        [0, 1].map(|number| lock(&self.inboxes[number].arrived).iter().map(|(_, attempt)| *attempt).collect())
    }
}

fn all_succeeded(states: &[DeliveryState]) -> bool {
    states.len() == 3 && states.iter().all(|state| *state == DeliveryState::Succeeded)
}

#[tokio::test(start_paused = true)]
async fn message_takes_every_route_of_its_origin() {
    let fixture = Fixture::start().await;
    let id = fixture.publish().await;
    fixture.until(id, all_succeeded).await;
    assert_eq!(fixture.arrived(), [vec![1, 1], vec![1]], "two routes to one target are two deliveries");
    assert!(lock(&fixture.inboxes[0].arrived).iter().all(|(arrived, _)| *arrived == id.to_string()));
}

#[tokio::test(start_paused = true)]
async fn failing_target_holds_only_its_own_lane() {
    let fixture = Fixture::start().await;
    // All deliveries fail twice: the breaker opens at the fifth failure in a row.
    *lock(&fixture.inboxes[0].refuses) = 8;
    let ids = [fixture.publish().await, fixture.publish().await];
    for id in ids {
        fixture.until(id, all_succeeded).await;
    }
    let [first, second] = fixture.arrived();
    assert_eq!((first.len(), second), (4, vec![1, 1]));
    assert!(first.iter().any(|attempt| *attempt > 1), "{first:?}");
    let holds = lock(&fixture.relay.holds).clone();
    let target = lock(&fixture.relay.routes)[0].1;
    let reasons: Vec<_> = holds.iter().map(|(held, hold)| (*held == target, hold.map(|hold| hold.reason))).collect();
    assert!(reasons.contains(&(true, Some(HoldReason::Failing))), "{reasons:?}");
    assert!(reasons.iter().all(|(is_of_target, _)| *is_of_target), "{reasons:?}");
}

#[tokio::test(start_paused = true)]
async fn delivery_over_a_deleted_route_is_cancelled() {
    let fixture = Fixture::start().await;
    *lock(&fixture.inboxes[0].refuses) = 2;
    let id = fixture.publish().await;
    fixture.until(id, |states| states.contains(&DeliveryState::Succeeded)).await;
    let removed = lock(&fixture.relay.routes).pop().expect("three routes").0;
    fixture.handle.core.origins.forget(fixture.relay.id);
    let is_settled = |states: &[DeliveryState]| states.iter().all(|state| !matches!(state, DeliveryState::Pending { .. }));
    fixture.until(id, is_settled).await;
    let detail = fixture.store.message(fixture.relay.tenant, fixture.relay.id, id).await.expect("read").expect("stored");
    let of_removed = detail.deliveries.iter().find(|delivery| delivery.route_id == removed).expect("recorded");
    assert_eq!(of_removed.state, DeliveryState::Cancelled { reason: CancelReason::EndpointDeleted });
}

#[tokio::test(start_paused = true)]
async fn each_target_has_the_shard_of_its_own_scope() {
    let fixture = Fixture::start().await;
    let origin = fixture.handle.core.origins.get(fixture.relay.id).await.expect("read").expect("the relay exists");
    let payload = Payload { body: "{}".into(), content_type: ContentType::Json };
    for route in &origin.routes {
        let target = route.target.key.id;
        let backlog = Backlog::of_target(LimitScopeId::from_bytes(*target.as_bytes()), target);
        // The node has no shard yet, and the target has a rate.
        let first = First::of(&fixture.handle.core, route, &payload, fixture.clock.now());
        let state = first.delivery.state;
        assert!(matches!(state, NewState::Waiting { backlog: Some(found), in_order: false } if found == backlog), "{state:?}");
    }
}
