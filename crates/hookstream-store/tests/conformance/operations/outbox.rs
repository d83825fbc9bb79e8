//! Outbox: events are written in the commit of their cause, for environments where someone is told, and once.

use hookstream_model::{
    base::{
        ids::{EnvironmentId, ResourceId},
        secret::Secret,
    },
    delivery::{
        attempt::Attempt,
        hold::{Hold, HoldReason},
        state::{DeliveryState, DisabledReason, ExhaustedReason},
    },
    operations::{
        job::{JobKind, JobRequest, JobState},
        operational_event::{EndpointCause, OperationalEvent, OperationalType, SystemApplication},
    },
    outbound::endpoint::EndpointStatus,
};
use hookstream_store::{
    delivery::{
        deliveries::{Claimed, Next, Settled},
        outbox,
    },
    identity::environments,
    operations::{jobs, system_environment},
    outbound::{
        applications::{self, Created},
        endpoints::{self, EndpointKey, Rotation},
    },
};
use serde_json::Map;

use super::jobs::job;
use crate::support::{DAY, Fixture, NOON, SECOND, settled};

/// Returns the types of the events that wait, and removes the events.
async fn take(world: &Fixture) -> Vec<&'static str> {
    let mut waiting = world.store.outbox(100).await.expect("read");
    waiting.sort_by_key(|outgoing| (outgoing.event.at, outgoing.event.id, outgoing.event.kind));
    let kinds = waiting.iter().map(|outgoing| outgoing.event.kind.as_str()).collect();
    world.store.remove_from_outbox(waiting).await.expect("removed");
    kinds
}

/// Returns the event of an attempt after which a delivery is exhausted.
pub(crate) fn exhausted(world: &Fixture, claimed: &Claimed, attempt: &Attempt) -> OperationalEvent {
    OperationalEvent {
        id: ResourceId::from_bytes(*attempt.id.as_bytes()),
        tenant: world.tenant,
        kind: OperationalType::AttemptExhausted,
        at: attempt.created_at,
        application: Some(world.application),
        endpoint: None,
        data: Map::from_iter([("message_id".to_owned(), claimed.message.id.to_string().into())]),
    }
}

/// Creates a system environment and a mark, for the transfer.
pub(crate) async fn fill(world: &Fixture) {
    system_environment::ensure(&*world.store, world.tenant, SystemApplication::Operational, NOON).await.expect("made");
    let event = OperationalEvent {
        id: ResourceId::from_bytes([7; 16]),
        tenant: world.tenant,
        kind: OperationalType::QuotaNear,
        at: NOON,
        application: None,
        endpoint: None,
        data: Map::new(),
    };
    assert!(outbox::warn(&*world.store, "quota", 80, &event).await.expect("written"));
}

async fn endpoint(world: &Fixture) -> EndpointKey {
    let endpoint = world.endpoint("https://a.example/");
    let created = endpoints::create(&*world.store, &world.context(), &endpoint, &Secret::new("whsec_c2VjcmV0"), None, None).await;
    assert_eq!(created.expect("stored"), Created::Stored);
    EndpointKey::from(&endpoint)
}

pub(crate) async fn nothing_is_written_where_no_one_is_told(world: &Fixture) {
    endpoint(world).await;
    assert_eq!(take(world).await, [""; 0]);
    system_environment::ensure(&*world.store, world.tenant, SystemApplication::Operational, NOON).await.expect("made");
    system_environment::ensure(&*world.store, world.tenant, SystemApplication::Operational, NOON).await.expect("made already");
    endpoint(world).await;
    assert_eq!(take(world).await, ["endpoint.created"]);
    assert_eq!(take(world).await, [""; 0], "removed");
}

pub(crate) async fn system_environment_is_hidden_and_goes_with_its_environment(world: &Fixture) {
    system_environment::ensure(&*world.store, world.tenant, SystemApplication::Operational, NOON).await.expect("made");
    let (db, system) = (&*world.store, world.tenant.of_system());
    let is_system = |id: EnvironmentId| id == system.environment;
    let listed = environments::list(db, world.tenant.organization).await.expect("read");
    assert!(!listed.iter().any(|environment| is_system(environment.id)));
    assert_eq!(environments::find(db, system.organization, system.environment).await.expect("read"), None);
    let all = environments::all(db).await.expect("read");
    assert!(all.iter().any(|environment| is_system(environment.id)), "it is kept like any other");
    assert!(applications::find(db, system, SystemApplication::Operational.id(system)).await.expect("read").is_some());
    assert!(applications::find(db, world.tenant, SystemApplication::Operational.id(system)).await.expect("read").is_none());

    let second = hookstream_model::identity::environment::Environment {
        id: world.new_id(NOON).into(),
        slug: "second".to_owned(),
        ..listed[0].clone()
    };
    environments::create(db, &world.context(), &second, world.tenant, None).await.expect("created");
    assert_eq!(environments::delete(db, &world.context(), world.tenant).await.expect("done"), environments::Deleted::Done);
    let deleted = async || environments::find_any(db, system.environment).await.expect("read").expect("exists").deleted_at;
    assert_eq!(deleted().await, Some(NOON));
    assert_eq!(environments::restore(db, &world.context(), world.tenant).await.expect("done"), environments::Restored::Done);
    assert_eq!(deleted().await, None);
}

pub(crate) async fn changes_of_an_endpoint_write_their_events(world: &Fixture) {
    system_environment::ensure(&*world.store, world.tenant, SystemApplication::Operational, NOON).await.expect("made");
    let (db, key) = (&*world.store, endpoint(world).await);
    take(world).await;
    let status = async |status| {
        let context = world.context();
        let set = |endpoint: &mut hookstream_model::outbound::endpoint::Endpoint| {
            endpoint.status = status;
            Ok::<_, hookstream_store::Error>(())
        };
        endpoints::update(db, &context, key, set).await.expect("updated");
        take(world).await
    };
    assert_eq!(status(EndpointStatus::Disabled).await, ["endpoint.updated", "endpoint.disabled"]);
    assert_eq!(status(EndpointStatus::Active).await, ["endpoint.updated", "endpoint.enabled"]);
    assert_eq!(status(EndpointStatus::Active).await, [""; 0], "nothing changed");
    assert!(endpoints::disable(db, &world.context(), key, DisabledReason::Gone).await.expect("done"));
    assert!(!endpoints::disable(db, &world.context(), key, DisabledReason::Gone).await.expect("done"));
    assert_eq!(take(world).await, ["endpoint.disabled"], "once");
    let secret = Secret::new("whsec_YW5vdGhlcg==");
    let rotation = Rotation { secret: &secret, old_until: NOON + DAY };
    endpoints::rotate_secret(db, &world.context(), key, rotation, None).await.expect("rotated");
    assert_eq!(take(world).await, ["endpoint.secret_rotated"]);
    assert!(endpoints::delete(db, &world.context(), key).await.expect("deleted"));
    assert_eq!(take(world).await, ["endpoint.deleted"]);
}

pub(crate) async fn circuit_tells_of_its_changes_only(world: &Fixture) {
    system_environment::ensure(&*world.store, world.tenant, SystemApplication::Operational, NOON).await.expect("made");
    let (db, key) = (&*world.store, endpoint(world).await);
    take(world).await;
    let record = async |reason: Option<HoldReason>, minutes: u32| {
        let hold = reason.map(|reason| Hold { until: NOON + SECOND * 60 * minutes, reason, since: NOON, probes: 0 });
        endpoints::record_holds(db, key.tenant, key.application_id, &[(key.id, hold)], NOON + SECOND * minutes).await.expect("recorded");
        take(world).await
    };
    assert_eq!(record(Some(HoldReason::RetryAfter), 1).await, [""; 0]);
    assert_eq!(record(Some(HoldReason::Failing), 2).await, ["circuit.opened"]);
    assert_eq!(record(Some(HoldReason::Failing), 3).await, [""; 0], "open already");
    assert_eq!(record(None, 4).await, ["circuit.closed"]);
    assert_eq!(record(None, 5).await, [""; 0]);
    assert_eq!(record(Some(HoldReason::Failing), 6).await, ["circuit.opened"]);
    assert!(endpoints::reset_hold(db, &world.context(), key).await.expect("reset"));
    assert_eq!(take(world).await, ["circuit.closed"]);
}

pub(crate) async fn warning_is_given_once_for_each_level_until_the_endpoint_recovers(world: &Fixture) {
    system_environment::ensure(&*world.store, world.tenant, SystemApplication::Operational, NOON).await.expect("made");
    let (db, key) = (&*world.store, endpoint(world).await);
    take(world).await;
    let mut number = 0;
    let mut warn = async |level| {
        number += 1;
        let cause = EndpointCause {
            id: ResourceId::from_bytes([number; 16]),
            tenant: key.tenant,
            application: key.application_id,
            endpoint: key.id,
            at: NOON,
        };
        let event = cause.event(OperationalType::EndpointFailing, Map::new());
        outbox::warn_of_endpoint(db, key.id, level, &event).await.expect("done")
    };
    assert_eq!([warn(50).await, warn(50).await, warn(90).await, warn(70).await], [true, false, true, false]);
    assert_eq!(take(world).await, ["endpoint.failing"; 2]);
    endpoints::record_health(db, &[(key, None)], NOON).await.expect("recorded");
    assert_eq!(take(world).await, ["endpoint.recovered"]);
    endpoints::record_health(db, &[(key, None)], NOON + SECOND).await.expect("recorded");
    assert_eq!(take(world).await, [""; 0]);
    assert!(warn(50).await, "the next failure is told again");
}

pub(crate) async fn event_of_a_delivery_is_written_with_its_settlement(world: &Fixture) {
    system_environment::ensure(&*world.store, world.tenant, SystemApplication::Operational, NOON).await.expect("made");
    let (stranger, owner) = (world.enlist().await, world.enlist().await);
    let target = world.target();
    let claimed = &world.publish_owned(owner, NOON, &[target]).await[0];
    let attempt = world.attempt(claimed, NOON + SECOND);
    let event = exhausted(world, claimed, &attempt);
    let ended = Next::Ended(DeliveryState::Exhausted { reason: ExhaustedReason::Gone }, NOON + SECOND);
    let row = |event| Settled { event, ..settled(claimed, Some(attempt.clone()), ended) };
    assert!(!world.settle(stranger, row(Some(Box::new(event.clone())))).await, "not the owner");
    assert_eq!(world.store.outbox(10).await.expect("read"), []);
    assert!(world.settle(owner, row(Some(Box::new(event.clone())))).await);
    let waiting = world.store.outbox(10).await.expect("read");
    assert_eq!(waiting.iter().map(|outgoing| &outgoing.event).collect::<Vec<_>>(), [&event]);
    assert_eq!(take(world).await, ["message.attempt.exhausted"]);
    assert_eq!(take(world).await, [""; 0]);
}

pub(crate) async fn ended_job_is_told_once(world: &Fixture) {
    system_environment::ensure(&*world.store, world.tenant, SystemApplication::Operational, NOON).await.expect("made");
    let owner = world.enlist().await;
    let request = JobRequest {
        kind: JobKind::Replay,
        since: NOON,
        until: None,
        statuses: None,
        event_types: None,
        rate_limit: None,
        max_messages: None,
    };
    let job = job(world, world.target(), &request);
    assert_eq!(jobs::create(&*world.store, &world.context(), &job, None).await.expect("stored"), Created::Stored);
    let taken = world.store.take_jobs(owner, vec![], 10, NOON).await.expect("taken");
    let done = JobState::Completed { at: NOON + SECOND };
    for _ in 0..2 {
        jobs::end(&*world.store, &taken[0], owner, done, taken[0].progress.completed()).await.expect("ended");
    }
    let waiting = world.store.outbox(10).await.expect("read");
    assert_eq!(waiting[0].event.data["status"], "completed");
    assert_eq!(take(world).await, ["job.finished"]);
}
