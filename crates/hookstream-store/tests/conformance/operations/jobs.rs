//! Jobs: their rows, their candidates, and that each slice is requeued once.

use hookstream_model::{
    base::{
        ids::{EndpointId, MessageId, RouteId},
        time::Timestamp,
    },
    delivery::state::{CancelReason, DeliveryState, ExhaustedReason, SkipReason, Trigger},
    operations::job::{DeliveryStatus, Job, JobFailure, JobKind, JobRequest, JobState, Progress},
    outbound::message::MessageStatus,
};
use hookstream_store::{
    PageRequest,
    delivery::deliveries::{NewDelivery, NewState, Next, Owner, Redelivery, Wait},
    operations::jobs::{self, JobSlice, Survey},
    outbound::applications::Created,
};

use crate::support::{DAY, Fixture, NOON, SECOND, settled};

const EXHAUSTED: DeliveryState = DeliveryState::Exhausted { reason: ExhaustedReason::ScheduleEnded };
const CANCELLED: DeliveryState = DeliveryState::Cancelled { reason: CancelReason::EndpointDeleted };
/// Time at which jobs are requested.
const ASKED: Timestamp = Timestamp::from_millis(NOON.as_millis() + 3 * 24 * 3_600_000);

fn request(kind: JobKind, statuses: &[&str]) -> JobRequest {
    JobRequest {
        kind,
        since: NOON,
        until: None,
        statuses: Some(statuses.iter().map(|word| (*word).to_owned()).collect()),
        event_types: None,
        rate_limit: None,
        max_messages: None,
    }
}

/// Builds a job for a target, without storing it.
pub(crate) fn job(world: &Fixture, target: RouteId, request: &JobRequest) -> Job {
    let (selection, rate_limit) = request.check(ASKED).expect("a request");
    Job {
        id: world.new_id(ASKED).into(),
        tenant: world.tenant,
        application_id: world.application,
        endpoint_id: EndpointId::from(target),
        kind: request.kind,
        rate_limit,
        fingerprint: request.fingerprint(&selection),
        state: JobState::Running,
        progress: Progress { total: Some(3), requeued: 0, skipped: 0, position: selection.start() },
        selection,
        started_at: None,
        updated_at: ASKED,
    }
}

/// Stores a job for a target and takes it.
async fn begun(world: &Fixture, owner: Owner, target: RouteId, request: &JobRequest) -> Job {
    let job = job(world, target, request);
    assert_eq!(jobs::create(&*world.store, &world.context(), &job, None).await.expect("stored"), Created::Stored);
    taken(world, owner, &job).await.expect("the job is taken")
}

/// Returns a job as its owner reads it.
async fn taken(world: &Fixture, owner: Owner, job: &Job) -> Option<Job> {
    let taken = world.store.take_jobs(owner, vec![], 10, ASKED).await.expect("taken");
    taken.into_iter().find(|taken| taken.id == job.id)
}

async fn kept(world: &Fixture, job: &Job) -> Job {
    jobs::find(&*world.store, world.tenant, job.id).await.expect("read").expect("exists")
}

/// Builds the next slice of a job, with at most `most` deliveries.
async fn slice(world: &Fixture, owner: Owner, job: &Job, most: usize) -> Option<JobSlice> {
    let found = world.store.survey(Survey::of(job, 3)).await.expect("found");
    let (mut messages, mut position) = (Vec::new(), found.first()?.message_id);
    for candidate in &found {
        if messages.len() == most {
            break;
        }
        position = candidate.message_id;
        if job.selection.takes(candidate, true) {
            messages.push(candidate.message_id);
        }
    }
    Some(JobSlice { job: job.clone(), owner, messages, position, now: ASKED })
}

/// Runs a job to its end. Returns the number of requeued deliveries of each slice.
async fn run(world: &Fixture, owner: Owner, mut job: Job, most: usize) -> Vec<usize> {
    let mut slices = Vec::new();
    while let Some(slice) = slice(world, owner, &job, most).await {
        slices.push(world.store.advance_job(slice).await.expect("done").expect("the job runs and is owned"));
        job = taken(world, owner, &job).await.expect("the job still runs");
    }
    slices
}

/// Publishes a message whose only delivery is settled as `next` after an attempt.
async fn end(world: &Fixture, owner: Owner, at: Timestamp, target: RouteId, next: Next) -> MessageId {
    let id = world.publish(at, &[target]).await;
    let claimed = world.claim(owner, at).await;
    let mut attempt = world.attempt(&claimed[0], at);
    attempt.succeeded = next == Next::Succeeded;
    assert!(world.settle(owner, settled(&claimed[0], Some(attempt), next)).await);
    id
}

/// Claims the pending deliveries. Returns their messages and triggers.
async fn claim_pending(world: &Fixture, owner: Owner) -> Vec<(MessageId, Trigger)> {
    let mut claim_pending: Vec<_> = world.claim(owner, ASKED).await.iter().map(|claimed| (claimed.message.id, claimed.trigger)).collect();
    claim_pending.sort_unstable_by_key(|(id, _)| *id);
    claim_pending
}

pub(crate) async fn job_keeps_all_fields_and_is_visible_to_its_tenant_only(world: &Fixture) {
    let full = JobRequest {
        until: Some(NOON + DAY),
        event_types: Some(vec!["a.b".to_owned(), "c.d".to_owned()]),
        rate_limit: Some(7),
        max_messages: Some(9),
        ..request(JobKind::Replay, &["missing", "delivered"])
    };
    let mut stored = Vec::new();
    for request in [full, request(JobKind::Recover, &["skipped"]), request(JobKind::Replay, &["skipped"])] {
        let job = job(world, world.target(), &request);
        assert_eq!(jobs::create(&*world.store, &world.context(), &job, None).await.expect("stored"), Created::Stored);
        assert_eq!(kept(world, &job).await, job);
        assert_eq!(jobs::find(&*world.store, world.stranger, job.id).await.expect("read"), None);
        assert_eq!(jobs::cancel(&*world.store, &world.context_at(ASKED), world.stranger, job.id).await.expect("done"), None);
        stored.push(job);
    }
    let cancelled =
        jobs::cancel(&*world.store, &world.context_at(ASKED + SECOND), world.tenant, stored[1].id).await.expect("done").expect("exists");
    assert_eq!(cancelled.state, JobState::Cancelled { at: ASKED + SECOND });
    let again = jobs::cancel(&*world.store, &world.context_at(ASKED + DAY), world.tenant, stored[1].id).await.expect("done");
    assert_eq!(again, Some(cancelled.clone()));

    let list = async |status, after, limit| {
        let page = jobs::list(&*world.store, world.tenant, status, PageRequest { after, limit }).await.expect("listed");
        (page.items.iter().map(|job| job.id).collect::<Vec<_>>(), page.has_more)
    };
    assert_eq!(list(None, None, 2).await, (vec![stored[2].id, stored[1].id], true));
    assert_eq!(list(None, Some(stored[1].id), 2).await, (vec![stored[0].id], false));
    assert_eq!(list(Some("cancelled"), None, 2).await, (vec![stored[1].id], false));
    assert_eq!(list(Some("running"), None, 2).await, (vec![stored[2].id, stored[0].id], false));
    assert_eq!(jobs::count_running(&*world.store, world.tenant).await.expect("counted"), 2);
    assert_eq!(jobs::count_running(&*world.store, world.stranger).await.expect("counted"), 0);

    jobs::forget_ended_before(&*world.store, ASKED + SECOND).await.expect("done");
    assert_eq!(list(None, None, 9).await.0.len(), 3);
    jobs::forget_ended_before(&*world.store, ASKED + DAY).await.expect("done");
    assert_eq!(list(None, None, 9).await.0, [stored[2].id, stored[0].id]);
    jobs::fail_restored(&*world.store, ASKED + DAY).await.expect("done");
    assert_eq!(kept(world, &stored[0]).await.state, JobState::Failed { at: ASKED + DAY, reason: JobFailure::Restored });
}

pub(crate) async fn same_job_runs_once_at_a_time(world: &Fixture) {
    let owner = world.enlist().await;
    let target = world.target();
    let requested = request(JobKind::Recover, &["skipped"]);
    let first = begun(world, owner, target, &requested).await;
    let twin = job(world, target, &requested);
    assert_eq!(jobs::create(&*world.store, &world.context(), &twin, None).await.expect("a result"), Created::NameTaken);
    let same = async |since| jobs::find_same(&*world.store, &twin, since).await.expect("read").map(|job| job.id);
    assert_eq!(same(ASKED + DAY).await, Some(first.id));
    let other_target = job(world, world.target(), &requested);
    assert_eq!(jobs::create(&*world.store, &world.context(), &other_target, None).await.expect("stored"), Created::Stored);

    let done = JobState::Completed { at: ASKED + SECOND };
    let other_owner = world.enlist().await;
    jobs::end(&*world.store, &first, other_owner, done, first.progress.completed()).await.expect("done");
    assert_eq!(kept(world, &first).await.state, JobState::Running, "only the owner ends a job");
    jobs::end(&*world.store, &first, owner, done, first.progress.completed()).await.expect("done");
    let ended = kept(world, &first).await;
    assert_eq!((ended.state, ended.progress.skipped, ended.updated_at), (done, 3, ASKED + SECOND));
    assert_eq!(same(ASKED).await, Some(first.id), "requested recently");
    assert_eq!(same(ASKED + SECOND).await, None);
    assert_eq!(jobs::create(&*world.store, &world.context(), &twin, None).await.expect("stored"), Created::Stored);
}

pub(crate) async fn survey_returns_delivery_states(world: &Fixture) {
    let owner = world.enlist().await;
    let (target, other) = (world.target(), world.target());
    let delivered = end(world, owner, NOON, target, Next::Succeeded).await;
    let exhausted = end(world, owner, NOON + SECOND, target, Next::Ended(EXHAUSTED, NOON + SECOND * 2)).await;
    let cancelled = end(world, owner, NOON + DAY, target, Next::Ended(CANCELLED, NOON + DAY)).await;
    let pending = end(world, owner, NOON + DAY + SECOND, target, Next::Retry { wait: Wait::until(NOON + DAY * 9), failed: 1 }).await;
    let missing = end(world, owner, NOON + DAY * 2, other, Next::Succeeded).await;
    let skipped = NewDelivery { route_id: target, state: NewState::Skipped(SkipReason::EndpointDisabled) };
    let at = NOON + DAY * 2 + SECOND;
    let publication = world.publication(world.message(at, "{}"), vec![skipped]);
    let skipped = publication.message.id;
    world.store.publish(publication).await.expect("published");
    let test = end_test(world, owner, NOON + DAY * 2 + SECOND * 2, other).await;

    let all = job(world, target, &request(JobKind::Replay, &["delivered", "skipped"]));
    let standings = async |job: &Job, limit| {
        let mut survey = Survey::of(job, limit);
        let mut standings = Vec::new();
        loop {
            let found = world.store.survey(survey.clone()).await.expect("found");
            assert!(found.len() <= limit && found.iter().all(|candidate| candidate.event_type == "invoice.paid"));
            let Some(last) = found.last() else { return standings };
            survey.after = last.message_id;
            standings.extend(found.into_iter().map(|candidate| (candidate.message_id, candidate.status)));
        }
    };
    let expected = [
        (delivered, DeliveryStatus::Delivered(NOON)),
        (exhausted, DeliveryStatus::Exhausted(NOON + SECOND * 2)),
        (cancelled, DeliveryStatus::Cancelled),
        (pending, DeliveryStatus::Pending),
        (missing, DeliveryStatus::Missing),
        (skipped, DeliveryStatus::Skipped(at)),
        (test, DeliveryStatus::TestOfAnother),
    ];
    for limit in [1, 2, 100] {
        assert_eq!(standings(&all, limit).await, expected);
    }
    let undelivered = job(world, target, &request(JobKind::Recover, &["exhausted", "skipped"]));
    assert_eq!(standings(&undelivered, 2).await, [expected[1], expected[2], expected[5]]);
    let strangers = Job { tenant: world.stranger, ..all };
    assert_eq!(standings(&strangers, 100).await, []);
}

/// Publishes and settles a test message to `target`.
async fn end_test(world: &Fixture, owner: Owner, at: Timestamp, target: RouteId) -> MessageId {
    let mut publication = world.publication(world.message(at, "{}"), vec![crate::support::pending(target)]);
    publication.trigger = Trigger::Test;
    let id = publication.message.id;
    world.store.publish(publication).await.expect("published");
    let claimed = world.claim(owner, at).await;
    let attempt = world.attempt(&claimed[0], at);
    assert!(world.settle(owner, settled(&claimed[0], Some(attempt), Next::Succeeded)).await);
    id
}

pub(crate) async fn recovery_requeues_only_selected_failures(world: &Fixture) {
    let owner = world.enlist().await;
    let (target, other) = (world.target(), world.target());
    let exhausted = |at| Next::Ended(EXHAUSTED, at);
    let too_early = end(world, owner, NOON - SECOND, target, exhausted(NOON)).await;
    let first = end(world, owner, NOON, target, exhausted(NOON)).await;
    end(world, owner, NOON + SECOND, target, Next::Succeeded).await;
    let second = end(world, owner, NOON + SECOND * 2, target, exhausted(NOON + DAY)).await;
    let next_day = end(world, owner, NOON + DAY, target, exhausted(NOON + DAY)).await;
    let ended_since = end(world, owner, NOON + DAY + SECOND, target, exhausted(ASKED + SECOND)).await;
    let too_late = end(world, owner, NOON + DAY * 2, target, exhausted(NOON + DAY * 2)).await;
    let others = end(world, owner, NOON, other, exhausted(NOON)).await;

    let requested = JobRequest { until: Some(NOON + DAY * 2), ..request(JobKind::Recover, &["failed"]) };
    let job = begun(world, owner, target, &requested).await;
    assert_eq!(run(world, owner, job.clone(), 2).await.iter().sum::<usize>(), 3);
    let progress = kept(world, &job).await.progress;
    assert_eq!((progress.requeued, progress.skipped), (3, 0));
    assert_eq!(claim_pending(world, owner).await, [first, second, next_day].map(|id| (id, Trigger::Recover)));
    for untouched in [too_early, ended_since, too_late, others] {
        assert_eq!(world.detail(untouched).await.message.counts.status(), MessageStatus::Failed);
    }
}

pub(crate) async fn replay_requeues_delivered_and_missing(world: &Fixture) {
    let owner = world.enlist().await;
    let (target, other) = (world.target(), world.target());
    let delivered = end(world, owner, NOON, target, Next::Succeeded).await;
    let missing = end(world, owner, NOON + DAY, other, Next::Succeeded).await;
    let job = begun(world, owner, target, &request(JobKind::Replay, &["delivered", "missing"])).await;
    assert_eq!(run(world, owner, job, 10).await.iter().sum::<usize>(), 2);
    let counts = async |id| world.detail(id).await.message.counts;
    assert_eq!((counts(delivered).await.total, counts(delivered).await.pending), (1, 1));
    assert_eq!((counts(missing).await.total, counts(missing).await.pending), (2, 1));

    let mut claimed = world.claim(owner, ASKED).await;
    claimed.sort_by_key(|claimed| claimed.message.id);
    let found: Vec<_> = claimed.iter().map(|claimed| (claimed.message.id, claimed.attempts, claimed.failed, claimed.trigger)).collect();
    assert_eq!(found, [(delivered, 1, 0, Trigger::Replay), (missing, 0, 0, Trigger::Replay)]);
    for claimed in &claimed {
        let mut attempt = world.attempt(claimed, ASKED + SECOND);
        attempt.succeeded = true;
        assert!(world.settle(owner, settled(claimed, Some(attempt), Next::Succeeded)).await);
    }
    for id in [delivered, missing] {
        assert_eq!(counts(id).await.status(), MessageStatus::Delivered);
    }
}

pub(crate) async fn slice_is_requeued_once(world: &Fixture) {
    let owner = world.enlist().await;
    let target = world.target();
    let ids = [end(world, owner, NOON, target, Next::Succeeded).await, end(world, owner, NOON + SECOND, target, Next::Succeeded).await];
    let job = begun(world, owner, target, &request(JobKind::Replay, &["delivered"])).await;
    let first = slice(world, owner, &job, 1).await.expect("one exists");
    assert_eq!(world.store.advance_job(first.clone()).await.expect("done"), Some(1));
    assert_eq!(world.store.advance_job(first.clone()).await.expect("done"), None, "the job has advanced");
    assert_eq!(claim_pending(world, owner).await, [(ids[0], Trigger::Replay)]);
    let progress = kept(world, &job).await.progress;
    assert_eq!((progress.requeued, progress.position), (1, ids[0]));

    // A message attempted since the job was requested is skipped, regardless of who requeued it.
    let now = taken(world, owner, &job).await.expect("the job runs");
    let second = slice(world, owner, &now, 1).await.expect("one exists");
    let manual = Redelivery {
        tenant: world.tenant,
        origin_id: world.application.into(),
        message_id: ids[1],
        routes: vec![target],
        trigger: Trigger::Manual,
        now: ASKED,
    };
    world.store.redeliver(manual).await.expect("done");
    assert_eq!(world.store.advance_job(second).await.expect("done"), Some(0));
    let progress = kept(world, &job).await.progress;
    assert_eq!((progress.requeued, progress.skipped, progress.position), (1, 1, ids[1]));
    assert_eq!(claim_pending(world, owner).await, [(ids[1], Trigger::Manual)]);
    assert_eq!(world.detail(ids[1]).await.message.counts.pending, 1);
}

pub(crate) async fn cancelled_job_requeues_nothing(world: &Fixture) {
    let owner = world.enlist().await;
    let target = world.target();
    let ids = [end(world, owner, NOON, target, Next::Succeeded).await, end(world, owner, NOON + SECOND, target, Next::Succeeded).await];
    let job = begun(world, owner, target, &request(JobKind::Replay, &["delivered"])).await;
    let first = slice(world, owner, &job, 1).await.expect("one exists");
    assert_eq!(world.store.advance_job(first).await.expect("done"), Some(1));
    let now = taken(world, owner, &job).await.expect("the job runs");
    let second = slice(world, owner, &now, 1).await.expect("one exists");
    let cancelled = jobs::cancel(&*world.store, &world.context_at(ASKED), world.tenant, job.id).await.expect("done").expect("exists");
    assert_eq!(cancelled.progress.requeued, 1);
    assert_eq!(world.store.advance_job(second).await.expect("done"), None);
    assert_eq!(taken(world, owner, &job).await, None);
    assert_eq!(claim_pending(world, owner).await, [(ids[0], Trigger::Replay)], "requeued deliveries stay pending");
}

pub(crate) async fn job_of_retired_owner_is_taken_over(world: &Fixture) {
    let gone = world.enlist().await;
    let target = world.target();
    for second in 0..3 {
        end(world, gone, NOON + SECOND * second, target, Next::Succeeded).await;
    }
    let job = begun(world, gone, target, &request(JobKind::Replay, &["delivered"])).await;
    assert_eq!(job.started_at, Some(ASKED));
    let first = slice(world, gone, &job, 1).await.expect("one exists");
    assert_eq!(world.store.advance_job(first).await.expect("done"), Some(1));
    let stale = slice(world, gone, &taken(world, gone, &job).await.expect("the job runs"), 1).await.expect("one exists");
    world.store.retire(gone, ASKED).await.expect("retired");

    let owner = world.enlist().await;
    let taken_over = taken(world, owner, &job).await.expect("the job is free");
    assert_eq!(taken_over.progress.requeued, 1);
    assert_eq!(world.store.advance_job(stale).await.expect("done"), None, "another owner has the job");
    assert_eq!(run(world, owner, taken_over, 10).await.iter().sum::<usize>(), 2);
    assert_eq!(claim_pending(world, owner).await.len(), 3);
    assert_eq!(kept(world, &job).await.progress.requeued, 3);
}

pub(crate) async fn new_number_takes_over_jobs_of_former_number(world: &Fixture) {
    let before = world.enlist().await;
    let job = begun(world, before, world.target(), &request(JobKind::Recover, &["skipped"])).await;
    let owner = world.enlist().await;
    let taken = world.store.take_jobs(owner, vec![before], 10, ASKED).await.expect("taken");
    assert_eq!(taken.iter().map(|taken| taken.id).collect::<Vec<_>>(), [job.id]);
}

pub(crate) async fn full_node_takes_no_more_jobs(world: &Fixture) {
    let owner = world.enlist().await;
    for _ in 0..3 {
        let job = job(world, world.target(), &request(JobKind::Recover, &["skipped"]));
        jobs::create(&*world.store, &world.context(), &job, None).await.expect("stored");
    }
    for limit in [2, 2, 3] {
        assert_eq!(world.store.take_jobs(owner, vec![], limit, ASKED).await.expect("taken").len(), limit);
    }
}
