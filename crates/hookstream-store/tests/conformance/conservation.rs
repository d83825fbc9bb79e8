//! Conservation: accepted = succeeded + pending + exhausted + skipped + cancelled after every step, by the counts and
//! by the rows. Nothing is lost or counted twice.

use std::sync::Arc;

use hookstream_model::{
    base::{
        ids::{EndpointId, MessageId, RouteId},
        time::Timestamp,
    },
    delivery::state::{CancelReason, DeliveryState, ExhaustedReason, SkipReason, Trigger},
    operations::job::{Job, JobKind, JobRequest, JobState, Progress},
};
use hookstream_store::{
    delivery::{
        consistency::Balance,
        counts::Counts,
        deliveries::{Claimed, NewDelivery, NewState, Next, Owner, Publication, Published, Redelivered, Redelivery, Settled, Wait},
    },
    operations::jobs::{self, JobSlice, Survey},
};

use crate::support::{DAY, Fixture, NOON, SECOND, pending, settled};

const EXHAUSTED: DeliveryState = DeliveryState::Exhausted { reason: ExhaustedReason::ScheduleEnded };
const SKIPPED: DeliveryState = DeliveryState::Skipped { reason: SkipReason::EndpointDisabled };
const CANCELLED: DeliveryState = DeliveryState::Cancelled { reason: CancelReason::EndpointDeleted };
const ASKED: Timestamp = Timestamp::from_millis(NOON.as_millis() + 3 * 24 * 3_600_000);

/// Checks that the counts equal the rows. Some tests settle a success without an attempt, so other findings are ignored.
pub(crate) async fn check_balances(world: &Fixture) {
    let audit = world.store.check_consistency().await.expect("read");
    assert!(audit.balances.iter().all(Balance::holds), "{audit:#?}");
}

/// Checks that the store is consistent in all respects. Returns the counts of the fixture's tenant.
pub(crate) async fn check_conservation(world: &Fixture) -> Counts {
    let audit = world.store.check_consistency().await.expect("read");
    assert!(audit.is_sound(), "{audit:#?}");
    let mut total = Counts::default();
    for of_day in world.store.delivery_counts(world.tenant).await.expect("read") {
        let balance = audit.balances.iter().find(|balance| (balance.day, balance.environment_id) == (of_day.day, world.tenant.environment));
        assert_eq!(balance.map(|balance| balance.counted), Some(of_day.counts));
        let Counts { succeeded, exhausted, skipped, cancelled, .. } = of_day.counts;
        let parts = [succeeded, of_day.counts.pending(), exhausted, skipped, cancelled];
        assert!(parts.iter().all(|part| *part >= 0), "{of_day:?}");
        total += of_day.counts;
    }
    total
}

/// Returns the numbers of messages and of deliveries accepted, succeeded, pending, exhausted, skipped, cancelled.
async fn numbers(world: &Fixture) -> [i64; 7] {
    let counts = check_conservation(world).await;
    let Counts { messages, accepted, succeeded, exhausted, skipped, cancelled, .. } = counts;
    [messages, accepted, succeeded, counts.pending(), exhausted, skipped, cancelled]
}

/// Claims all due deliveries, and settles each as `next` decides for its target.
async fn settle_all(world: &Fixture, owner: Owner, at: Timestamp, next: impl Fn(RouteId) -> Next) {
    let mut batch = Vec::new();
    for claimed in world.claim(owner, at).await {
        let next = next(claimed.route_id);
        let was_attempted = matches!(next, Next::Succeeded | Next::Retry { .. } | Next::Ended(DeliveryState::Exhausted { .. }, _));
        let attempt = was_attempted.then(|| world.attempt(&claimed, at));
        batch.push(settled(&claimed, attempt, next));
    }
    assert!(world.store.settle(owner, Arc::new(batch)).await.expect("settled").into_iter().all(|counted| counted));
}

async fn redeliver(world: &Fixture, message_id: MessageId, targets: &[RouteId]) {
    let redelivery = Redelivery {
        tenant: world.tenant,
        origin_id: world.application.into(),
        message_id,
        routes: targets.to_vec(),
        trigger: Trigger::Manual,
        now: ASKED,
    };
    assert_eq!(world.store.redeliver(redelivery).await.expect("done"), Redelivered::Requeued(targets.len()));
}

/// Runs a job to its end in slices of two.
async fn run_job(world: &Fixture, owner: Owner, target: RouteId, kind: JobKind, statuses: &[&str]) {
    let request = JobRequest {
        kind,
        since: NOON,
        until: None,
        statuses: Some(statuses.iter().map(|word| (*word).to_owned()).collect()),
        event_types: None,
        rate_limit: None,
        max_messages: None,
    };
    let (selection, rate_limit) = request.check(ASKED).expect("a request");
    let job = Job {
        id: world.new_id(ASKED).into(),
        tenant: world.tenant,
        application_id: world.application,
        endpoint_id: EndpointId::from(target),
        kind,
        rate_limit,
        fingerprint: request.fingerprint(&selection),
        state: JobState::Running,
        progress: Progress { total: None, requeued: 0, skipped: 0, position: selection.start() },
        selection,
        started_at: None,
        updated_at: ASKED,
    };
    jobs::create(&*world.store, &world.context(), &job, None).await.expect("stored");
    loop {
        let taken = world.store.take_jobs(owner, vec![], 10, ASKED).await.expect("taken");
        let now = taken.into_iter().find(|taken| taken.id == job.id).expect("the job runs");
        let messages: Vec<_> =
            world.store.survey(Survey::of(&now, 2)).await.expect("found").into_iter().map(|candidate| candidate.message_id).collect();
        let Some(position) = messages.last().copied() else { break };
        let slice = JobSlice { job: now, owner, messages, position, now: ASKED };
        world.store.advance_job(slice.clone()).await.expect("done").expect("the job is owned");
        assert_eq!(world.store.advance_job(slice).await.expect("done"), None, "the job has advanced");
        check_conservation(world).await;
    }
    let done = JobState::Completed { at: ASKED };
    jobs::end(&*world.store, &job, owner, done, job.progress.completed()).await.expect("ended");
}

pub(crate) async fn every_transition_is_counted(world: &Fixture) {
    let owner = world.enlist().await;
    let [good, slow, dead, off, gone] = [(); 5].map(|()| world.target());
    assert_eq!(numbers(world).await, [0; 7]);

    // Accepted on two days: a message without deliveries, several pending deliveries, and one that is skipped at once.
    let first = world.publish(NOON, &[good, slow, dead, off, gone]).await;
    let skipped = NewDelivery { route_id: off, state: NewState::Skipped(SkipReason::EndpointDisabled) };
    let publication = world.publication(world.message(NOON + DAY, "{}"), vec![pending(good), skipped]);
    let second = publication.message.id;
    assert_eq!(world.store.publish(publication).await.expect("published"), Published::Stored);
    let unwanted = world.publish(NOON + DAY, &[]).await;
    assert_eq!(numbers(world).await, [3, 7, 0, 6, 0, 1, 0]);

    // Settled: succeeded, due later, exhausted, skipped, cancelled.
    let later = Next::Retry { wait: Wait::until(NOON + DAY * 2), failed: 1 };
    settle_all(world, owner, NOON + DAY + SECOND, |target| match target {
        _ if target == good => Next::Succeeded,
        _ if target == slow => later,
        _ if target == dead => Next::Ended(EXHAUSTED, NOON + DAY),
        _ if target == off => Next::Ended(SKIPPED, NOON + DAY),
        _ => Next::Ended(CANCELLED, NOON + DAY),
    })
    .await;
    assert_eq!(numbers(world).await, [3, 7, 2, 1, 1, 2, 1]);
    settle_all(world, owner, NOON + DAY * 2, |_| Next::Postponed { wait: Wait::until(NOON + DAY * 4) }).await;
    assert_eq!(numbers(world).await, [3, 7, 2, 1, 1, 2, 1]);

    // Requeued manually: succeeded, ended in each way, pending, and new targets; repeated without effect.
    redeliver(world, first, &[good, slow, dead, off, gone]).await;
    assert_eq!(numbers(world).await, [3, 7, 1, 5, 0, 1, 0]);
    redeliver(world, first, &[dead, good]).await;
    redeliver(world, unwanted, &[good]).await;
    assert_eq!(numbers(world).await, [3, 8, 1, 6, 0, 1, 0]);
    settle_all(world, owner, ASKED, |target| if target == good { Next::Succeeded } else { Next::Ended(EXHAUSTED, ASKED - SECOND) }).await;
    assert_eq!(numbers(world).await, [3, 8, 3, 0, 4, 1, 0]);

    // Jobs: failed deliveries, then delivered and missing ones.
    run_job(world, owner, dead, JobKind::Recover, &["failed"]).await;
    assert_eq!(numbers(world).await, [3, 8, 3, 1, 3, 1, 0]);
    run_job(world, owner, dead, JobKind::Replay, &["missing"]).await;
    assert_eq!(numbers(world).await, [3, 10, 3, 3, 3, 1, 0]);
    run_job(world, owner, off, JobKind::Recover, &["skipped"]).await;
    let before = numbers(world).await;
    assert_eq!((before[1], before[5]), (10, 0), "{second}");

    // Released by one owner and set aside.
    world.claim(owner, ASKED).await;
    world.store.retire(owner, ASKED).await.expect("retired");
    check_conservation(world).await;
    while world.store.set_aside(ASKED, 1).await.expect("set aside") > 0 {
        check_conservation(world).await;
    }
    let after = numbers(world).await;
    assert_eq!((after[1], after[3], after[5]), (10, 0, before[3]));
}

pub(crate) async fn concurrent_operations_are_counted(world: &Fixture) {
    const EACH: usize = 60;
    let owners = [world.enlist().await, world.enlist().await];
    let (good, dead) = (world.target(), world.target());
    let mut known = Vec::new();
    for number in 0..10 {
        known.push(world.publish(NOON + DAY * (number % 2), &[good]).await);
    }
    // Like a node: publishes owned deliveries, and settles them later.
    let work = async |owner| {
        for number in 0..EACH {
            let at = NOON + DAY * u32::try_from(number % 3).expect("small");
            let owned = world.publish_owned(owner, at, &[good, dead]).await;
            let settle = |taken: &Claimed, next| settled(taken, Some(world.attempt(taken, at)), next);
            let batch = vec![settle(&owned[0], Next::Succeeded), settle(&owned[1], Next::Ended(EXHAUSTED, at))];
            assert_eq!(world.store.settle(owner, Arc::new(batch)).await.expect("settled"), [true, true]);
        }
    };
    let redeliver = async || {
        for number in 0..EACH {
            redeliver(world, known[number % known.len()], &[good, dead]).await;
        }
    };
    let check = async || {
        for _ in 0..5 {
            let audit = world.store.check_consistency().await.expect("read");
            assert!(audit.is_sound(), "{audit:#?}");
        }
    };
    tokio::join!(work(owners[0]), work(owners[0]), work(owners[1]), redeliver(), redeliver(), check());
    settle_all(world, owners[0], ASKED, |_| Next::Succeeded).await;
    let each = i64::try_from(EACH).expect("small");
    assert_eq!(numbers(world).await, [10 + 3 * each, 20 + 6 * each, 20 + 3 * each, 0, 3 * each, 0, 0]);
}

pub(crate) async fn stored_payload_bytes_are_counted(world: &Fixture) {
    let bytes = async || check_conservation(world).await.payload_bytes;
    assert_eq!(bytes().await, 0);
    world.publish(NOON, &[world.target()]).await;
    world.publish(NOON + DAY, &[]).await;
    assert_eq!(bytes().await, 4);
    let mut long = world.message(NOON + DAY, "");
    long.payload.body = r#"{"same":"again"} "#.repeat(1_000).into();
    let size = i64::try_from(long.payload.body.len()).expect("small");
    assert_eq!(world.store.publish(world.publication(long, vec![])).await.expect("published"), Published::Stored);
    let counted = bytes().await;
    assert!((5..size / 10).contains(&counted), "{counted}");
    // A refused message is not counted.
    let mut stale = world.publication(world.message(NOON, "[1]"), vec![]);
    stale.seen.origin += 1;
    assert_eq!(world.store.publish(stale).await.expect("a result"), Published::Stale);
    assert_eq!(bytes().await, counted);
    let of_days: Vec<_> =
        world.store.delivery_counts(world.tenant).await.expect("read").iter().map(|day| day.counts.payload_bytes).collect();
    assert_eq!(of_days, [2, counted - 2]);
}

pub(crate) async fn tenants_are_counted_separately(world: &Fixture) {
    world.publish(NOON, &[world.target(), world.target()]).await;
    assert_eq!(numbers(world).await, [1, 2, 0, 2, 0, 0, 0]);
    assert_eq!(world.store.delivery_counts(world.stranger).await.expect("read"), []);
    let strangers = world.publication(world.message(NOON, "{}"), vec![pending(world.target())]);
    let strangers = Publication { tenant: world.stranger, ..strangers };
    assert_eq!(world.store.publish(strangers).await.expect("published"), Published::Stored);
    assert_eq!(numbers(world).await, [1, 2, 0, 2, 0, 0, 0]);
    let of_stranger = world.store.delivery_counts(world.stranger).await.expect("read");
    assert_eq!(of_stranger.iter().map(|day| day.counts.accepted).collect::<Vec<_>>(), [1]);
    // Each message of a shared commit is counted.
    let publications: Vec<Publication> =
        (0..50).map(|_| world.publication(world.message(NOON, "{}"), vec![pending(world.target())])).collect();
    let stored = publications.into_iter().map(|publication| world.store.publish(publication));
    for published in futures_util::future::join_all(stored).await {
        assert_eq!(published.expect("published"), Published::Stored);
    }
    assert_eq!(numbers(world).await, [51, 52, 0, 52, 0, 0, 0]);
}

pub(crate) async fn day_is_dropped_with_its_counts(world: &Fixture) {
    let owner = world.enlist().await;
    let (target, slow) = (world.target(), world.target());
    world.publish(NOON, &[target]).await;
    world.publish(NOON + DAY, &[slow]).await;
    world.publish(NOON + DAY * 2, &[target]).await;
    let later = Next::Retry { wait: Wait::until(NOON + DAY * 9), failed: 1 };
    settle_all(world, owner, NOON + DAY * 2 + SECOND, |at| if at == slow { later } else { Next::Succeeded }).await;
    assert_eq!(numbers(world).await, [3, 3, 2, 1, 0, 0, 0]);
    // The second day has a pending delivery, so it stays with its counts.
    let dropped = world.store.drop_days_before((NOON + DAY * 2).day()).await.expect("dropped");
    assert_eq!(dropped, [NOON.day()]);
    assert_eq!(numbers(world).await, [2, 2, 1, 1, 0, 0, 0]);
    assert_eq!(world.store.message_counts(vec![world.application.into()]).await.expect("counted"), [2]);
}

pub(crate) async fn stale_settlement_counts_nothing(world: &Fixture) {
    let (first, second) = (world.enlist().await, world.enlist().await);
    world.publish(NOON, &[world.target()]).await;
    let claimed = world.claim(second, NOON).await;
    let settle = async |owner| {
        let attempt = world.attempt(&claimed[0], NOON);
        let settled: Settled = settled(&claimed[0], Some(attempt), Next::Succeeded);
        world.settle(owner, settled).await
    };
    assert!(!settle(first).await);
    assert_eq!(numbers(world).await, [1, 1, 0, 1, 0, 0, 0]);
    assert!(settle(second).await);
    assert!(!settle(second).await, "already settled");
    assert_eq!(numbers(world).await, [1, 1, 1, 0, 0, 0, 0]);
}
