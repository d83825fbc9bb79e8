//! Jobs: requeue an endpoint's missed deliveries, or any set of its deliveries, slice by slice.
//!
//! A query without locks finds a slice, and one small transaction requeues it and advances the job. This node keeps
//! only the start time of a job's next slice: the job's row holds its progress, so any node can continue it. Requeued
//! deliveries are delivered like any other due delivery.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hookstream_model::{
    InvalidField,
    base::ids::{EndpointId, JobId, MessageId},
    identity::tenancy::Tenant,
    operations::job::{Candidate, Job, JobFailure, JobRequest, JobState, Progress, duration_at},
};
use hookstream_store::{
    Error,
    delivery::deliveries::Owner,
    operations::jobs::{self, JobSlice, Survey},
};
use tokio::time::Instant;

use crate::{EndpointRoute, Handle, core::Core, realtime::event::Event, upkeep::metrics::Subject};

/// Interval between looks for jobs; a job created here starts at once.
const PERIOD: Duration = Duration::from_secs(1);
/// Maximum number of jobs that one node works on at once; others wait or run on another node.
const MAX_JOBS: usize = 64;
/// Maximum number of an environment's running jobs, because each takes its turn in the store.
const MAX_RUNNING: u64 = 1_000;
/// Deliveries examined for each one that a slice may take, and the minimum: if few match, many are passed over; if many
/// match, no work is wasted.
const LOOK_PER_TAKEN: usize = 4;
const MIN_LOOK: usize = 100;
/// Deliveries examined at once while counting.
const COUNT: usize = 5_000;
/// Time limit of the count. If it is exceeded, the total is known only at the end.
const COUNT_LIMIT: Duration = Duration::from_secs(3);
/// Number of messages in a dry run's sample.
const SAMPLE: usize = 10;

/// Reason why a job cannot start.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The tenant has no such endpoint in such an application.
    #[error("the endpoint does not exist")]
    NotFound,
    /// Requeued deliveries would be skipped.
    #[error("the endpoint receives nothing: {0}")]
    Skips(&'static str),
    /// A field breaks its rule.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// Too many jobs run already.
    #[error("{0} jobs are already running")]
    TooMany(u64),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Forecast of a job.
#[derive(Debug)]
pub struct Forecast {
    /// Number of deliveries.
    pub count: u64,
    /// Number of selected deliveries that cannot be sent because their payload has expired.
    pub expired: u64,
    /// Whether there may be more, because the count reached its time limit.
    pub is_partial: bool,
    /// First deliveries.
    pub sample: Vec<Candidate>,
    /// Deliveries requeued a second.
    pub rate_limit: u32,
    /// Expected duration.
    pub duration: Duration,
}

impl Handle {
    /// Builds the job of a request, without storing it, and its forecast.
    ///
    /// # Errors
    /// If the request is invalid, the endpoint does not exist or is disabled, or the store fails.
    pub async fn plan(
        &self,
        tenant: Tenant,
        application: &str,
        endpoint: EndpointId,
        request: &JobRequest,
    ) -> Result<(Job, Forecast), JobError> {
        let core = &self.core;
        let now = core.now();
        let (selection, rate_limit) = request.check(now)?;
        let routes = core.applications.resolve_now(tenant, application).await?.ok_or(JobError::NotFound)?;
        let route = routes.endpoint(endpoint).ok_or(JobError::NotFound)?;
        if let Some(reason) = route.endpoint.skips(now) {
            return Err(JobError::Skips(reason.as_str()));
        }
        let running = jobs::count_running(&*core.store, tenant).await?;
        if running >= MAX_RUNNING {
            return Err(JobError::TooMany(running));
        }
        let mut job = Job {
            id: core.new_id().into(),
            tenant,
            application_id: routes.id(),
            endpoint_id: endpoint,
            kind: request.kind,
            rate_limit,
            fingerprint: request.fingerprint(&selection),
            state: JobState::Running,
            progress: Progress { total: None, requeued: 0, skipped: 0, position: selection.start() },
            selection,
            started_at: None,
            updated_at: now,
        };
        let forecast = forecast(core, &job, route).await?;
        job.progress.total = (!forecast.is_partial).then_some(forecast.count + forecast.expired);
        Ok((job, forecast))
    }

    /// Wakes the job task after a job was stored.
    pub fn note_job(&self) {
        self.core.jobs.notify_one();
    }

    /// Publishes in the live stream that a job was created or cancelled.
    pub fn announce_job(&self, job: &Job) {
        announce(&self.core, job);
    }
}

/// Counts a job's deliveries, up to the time limit.
async fn forecast(core: &Core, job: &Job, route: EndpointRoute<'_>) -> Result<Forecast, Error> {
    let begun = Instant::now();
    let most = job.selection.max_messages.map_or(u64::MAX, u64::from);
    let mut survey = Survey::of(job, COUNT);
    let (mut count, mut expired, mut sample) = (0, 0, Vec::new());
    let is_partial = loop {
        let found = core.store.survey(survey.clone()).await?;
        let is_end = found.len() < survey.limit;
        survey.after = found.last().map_or(survey.after, |last| last.message_id);
        for candidate in found.into_iter().filter(|candidate| is_selected(job, candidate, route)) {
            if !candidate.has_payload {
                expired += 1;
                continue;
            }
            count += 1;
            if sample.len() < SAMPLE {
                sample.push(candidate);
            }
        }
        if is_end || count >= most {
            break false;
        }
        if begun.elapsed() >= COUNT_LIMIT {
            break true;
        }
    };
    let count = count.min(most);
    sample.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    Ok(Forecast { count, expired, is_partial, sample, rate_limit: job.rate_limit, duration: duration_at(job.rate_limit, count) })
}

fn is_selected(job: &Job, candidate: &Candidate, route: EndpointRoute<'_>) -> bool {
    job.selection.selects(candidate, route.endpoint.wants(&candidate.event_type, &candidate.channels))
}

/// Start time of each job's next slice.
pub(crate) type Pace = BTreeMap<JobId, Instant>;

/// Works on jobs until the engine stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut pace = Pace::new();
    let mut wait = Duration::ZERO;
    loop {
        tokio::select! {
            biased;
            () = core.stop.cancelled() => return,
            () = core.jobs.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
        wait = step(&core, &mut pace).await;
    }
}

/// Continues each job whose next slice is due. Returns the time until the next slice.
pub(crate) async fn step(core: &Core, pace: &mut Pace) -> Duration {
    if !core.may_begin() {
        return PERIOD;
    }
    let (owner, earlier) = (core.owner(), core.lease().earlier());
    let jobs = match core.store.take_jobs(owner, earlier, MAX_JOBS, core.now()).await {
        Ok(jobs) => jobs,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "could not claim jobs; retrying");
            return PERIOD;
        }
    };
    pace.retain(|id, _| jobs.iter().any(|job| job.id == *id));
    for job in jobs {
        let begun = Instant::now();
        if core.stop.is_cancelled() || pace.get(&job.id).is_some_and(|next| *next > begun) {
            continue;
        }
        let id = job.id;
        let pause = advance(core, job, owner).await.unwrap_or_else(|error| {
            tracing::error!(job.id = %id, error = &error as &dyn std::error::Error, "could not continue a job; retrying");
            PERIOD
        });
        pace.insert(id, begun + pause);
    }
    let now = Instant::now();
    pace.values().map(|next| next.saturating_duration_since(now)).min().unwrap_or(PERIOD).min(PERIOD)
}

/// Requeues the next slice of a job, or ends the job. Returns how long after the slice's start the next may begin.
async fn advance(core: &Core, job: Job, owner: Owner) -> Result<Duration, Error> {
    let now = core.now();
    let routes = core.applications.get(job.application_id).await?;
    let route = match &routes {
        None => Err(JobFailure::ApplicationDeleted),
        Some(routes) => routes.endpoint(job.endpoint_id).ok_or(JobFailure::EndpointDeleted),
    };
    let route = route.and_then(|route| match route.endpoint.skips(now) {
        Some(reason) => Err(JobFailure::from(reason)),
        None => Ok(route),
    });
    let route = match route {
        Ok(route) => route,
        Err(reason) => return end(core, &job, owner, JobState::Failed { at: now, reason }, job.progress).await,
    };
    let most = job.next_slice();
    let look = (most * LOOK_PER_TAKEN).max(MIN_LOOK);
    let found = if most == 0 { Vec::new() } else { core.store.survey(Survey::of(&job, look)).await? };
    let Some((chosen, position)) = choose(&job, &found, route, most) else {
        return end(core, &job, owner, JobState::Completed { at: now }, job.progress.completed()).await;
    };
    let messages = chosen.iter().map(|candidate| candidate.message_id).collect();
    let slice = JobSlice { owner, messages, position, now, job };
    let mut job = slice.job.clone();
    let advanced = core.store.advance_job(slice).await?;
    let requeued = advanced.unwrap_or(0);
    if requeued > 0 {
        // A delivery that changed since the query was left out; which one is not known, and matters little here.
        for candidate in chosen.into_iter().take(requeued) {
            note_requeued(core, &job, candidate);
        }
        core.note_due(now);
    }
    if advanced.is_some() {
        job.progress.requeued += u64::try_from(requeued).unwrap_or(u64::MAX);
        job.updated_at = now;
        announce(core, &job);
    }
    Ok(job.pause_after(requeued))
}

/// Publishes the state of a job in the live stream.
fn announce(core: &Core, job: &Job) {
    if core.realtime.wants(job.tenant.environment) {
        core.realtime.publish(Event::of_job(job));
    }
}

/// Counts a requeued delivery in the metrics.
fn note_requeued(core: &Core, job: &Job, candidate: &Candidate) {
    let subject = Subject {
        environment: job.tenant.environment,
        origin: job.application_id.into(),
        event_type: &candidate.event_type,
        message: candidate.message_id,
    };
    core.metrics.requeued(subject, job.endpoint_id.into(), candidate.status.into(), core.now());
}

/// Returns at most `most` matching messages and the last position examined; `None` if nothing was found.
fn choose<'a>(job: &Job, found: &'a [Candidate], route: EndpointRoute<'_>, most: usize) -> Option<(Vec<&'a Candidate>, MessageId)> {
    let mut position = found.first()?.message_id;
    let mut messages = Vec::new();
    for candidate in found {
        if messages.len() == most {
            break;
        }
        position = candidate.message_id;
        if candidate.has_payload && is_selected(job, candidate, route) {
            messages.push(candidate);
        }
    }
    Some((messages, position))
}

async fn end(core: &Core, job: &Job, owner: Owner, state: JobState, progress: Progress) -> Result<Duration, Error> {
    jobs::end(&*core.store, job, owner, state, progress).await?;
    core.told.written.notify_one();
    announce(core, &Job { state, progress, updated_at: state.ended_at().unwrap_or(job.updated_at), ..job.clone() });
    let requeued = progress.requeued;
    match state {
        JobState::Failed { reason, .. } => {
            tracing::warn!(job.id = %job.id, endpoint.id = %job.endpoint_id, requeued = requeued, reason = reason.as_str(), "job failed");
        }
        JobState::Running | JobState::Completed { .. } | JobState::Cancelled { .. } => {
            tracing::info!(job.id = %job.id, endpoint.id = %job.endpoint_id, requeued = requeued, "job completed");
        }
    }
    Ok(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use hookstream_destinations::{AddressRefused, Destination, Envelope, Registry, RenderedRequest, Sent, Settings, Target};
    use hookstream_model::{
        InvalidField,
        base::{
            ids::{ApplicationId, IdSource},
            time::Clock,
            vault::{Keys, VaultKey},
        },
        delivery::{
            ordering::{OnFailure, Ordering},
            outcome::{Failure, FailureKind, Outcome},
            state::{DisabledReason, SkipReason, Trigger},
            timings::Timings,
        },
        operations::{audit_log::AuditContext, job::JobKind},
        outbound::{
            application::{Application, ApplicationStatus},
            endpoint::{Endpoint, EndpointStatus, EndpointUrl},
            hops::Hops,
            message::{ContentType, Message, Payload},
            signature::{SigningAlgorithm, SigningKey},
            target::TargetKind,
        },
    };
    use hookstream_store::{
        Store,
        db::vault_keys,
        delivery::deliveries::{ClaimLimits, NewDelivery, NewState, Owner, Publication, Versions},
        identity::organizations,
        outbound::{
            applications,
            endpoints::{self, EndpointKey},
        },
        sqlite::SqliteStore,
    };
    use hookstream_testkit::clock::ManualClock;
    use rand::{SeedableRng, rngs::StdRng};
    use tokio::sync::mpsc;

    use super::*;
    use crate::{Options, Parts, cluster::lease};

    /// Target that gets nothing.
    #[derive(Debug)]
    struct Nowhere;

    impl Destination for Nowhere {
        fn check(&self, _: &Settings<'_>) -> Result<Arc<dyn Target>, InvalidField> {
            Ok(Arc::new(Self))
        }
    }

    #[async_trait]
    impl Target for Nowhere {
        async fn check_address(&self) -> Result<(), AddressRefused> {
            Ok(())
        }

        async fn send(&self, _: &Envelope<'_>, _: Duration) -> Sent {
            let outcome = Outcome::Retryable(Failure::new(FailureKind::Timeout, "no receiver"));
            Sent { outcome, timings: Timings::default() }
        }

        fn rendered(&self, _: &Envelope<'_>) -> Option<RenderedRequest> {
            None
        }
    }

    /// Engine without its tasks, and an endpoint that has missed three messages.
    struct Fixture {
        handle: Handle,
        clock: ManualClock,
        tenant: Tenant,
        application: ApplicationId,
        endpoint: EndpointId,
        _directory: tempfile::TempDir,
    }

    impl Fixture {
        async fn new() -> Self {
            let directory = tempfile::tempdir().expect("a scratch directory");
            let store: Arc<dyn Store> = Arc::new(SqliteStore::open(directory.path()).expect("a store"));
            let keys = Keys::new([VaultKey::from_bytes([1; 32])]).expect("a key");
            vault_keys::unlock(&*store, keys, StdRng::seed_from_u64(1)).await.expect("unlocked");
            let clock = ManualClock::default();
            let now = clock.now();
            let mut ids = IdSource::new(StdRng::seed_from_u64(7));
            let tenant = Tenant { organization: ids.next(now).into(), environment: ids.next(now).into() };
            organizations::create(&*store, tenant, "world", "test", now).await.expect("made");
            let application = Application {
                id: ids.next(now).into(),
                tenant,
                name: "Fixture".to_owned(),
                uid: Some("world".to_owned()),
                description: None,
                metadata: None,
                status: ApplicationStatus::Active,
                rate_limit: None,
                portal_theme: None,
                created_at: now,
                updated_at: now,
            };
            let act = AuditContext::of_system(ids.next(now), now);
            applications::create(&*store, &act, &application, None).await.expect("made");
            let endpoint = endpoint(ids.next(now).into(), &application);
            let secret = SigningKey::generate(SigningAlgorithm::HmacSha256, &[7; 32]);
            let act = AuditContext::of_system(ids.next(now), now);
            endpoints::create(&*store, &act, &endpoint, &secret, None, None).await.expect("made");
            for _ in 0..3 {
                let message = Message {
                    id: ids.next(now).into(),
                    origin_id: application.id.into(),
                    event_type: "a.b".to_owned(),
                    payload: Payload { body: "{}".into(), content_type: ContentType::Json },
                    hops: Hops::default(),
                    trace: None,
                };
                let skipped = NewState::Skipped(SkipReason::EndpointDisabled);
                let publication = Publication {
                    tenant,
                    message: Arc::new(message),
                    deliveries: vec![NewDelivery { route_id: endpoint.id.into(), state: skipped }],
                    owner: Owner::NONE,
                    trigger: Trigger::Initial,
                    seen: Versions { origin: 2, environment: 1 },
                    event_id: None,
                    channels: vec![],
                    idempotency: None,
                    window_start: now,
                    is_event: true,
                };
                store.publish(publication).await.expect("published");
            }
            clock.advance(Duration::from_secs(1));
            let options = Options::default();
            let owner = store.enlist(&crate::cluster::renewal::introduction(&options, None), now).await.expect("enlisted");
            let lease = lease::Lease::new(owner, Instant::now(), None);
            let destinations = Arc::new(Registry::of([(TargetKind::Http, Box::new(Nowhere) as Box<dyn Destination>)]));
            let parts = Parts { store, destinations, clock: Arc::new(clock.clone()), tracer: None };
            let (outcomes, _) = mpsc::channel(1);
            let core = Core::new(parts, options, lease, outcomes, StdRng::seed_from_u64(8), Vec::new());
            let handle = Handle { core: Arc::new(core) };
            Self { handle, clock, tenant, application: application.id, endpoint: endpoint.id, _directory: directory }
        }

        fn act(&self) -> AuditContext {
            AuditContext::of_system(self.handle.new_id(), self.clock.now())
        }

        /// Stores a job for all missed deliveries.
        async fn create_job(&self, rate_limit: u32) -> Job {
            let request = JobRequest {
                kind: JobKind::Recover,
                since: self.clock.now() - Duration::from_secs(60),
                until: None,
                statuses: None,
                event_types: None,
                rate_limit: Some(rate_limit),
                max_messages: None,
            };
            let (job, _) = self.handle.plan(self.tenant, "world", self.endpoint, &request).await.expect("planned");
            jobs::create(&*self.handle.core.store, &self.act(), &job, None).await.expect("stored");
            job
        }

        async fn step(&self, pace: &mut Pace) -> Duration {
            step(&self.handle.core, pace).await
        }

        /// Returns a job's state and number of requeued deliveries.
        async fn state_of(&self, job: &Job) -> (&'static str, u64) {
            let job = jobs::find(&*self.handle.core.store, self.tenant, job.id).await.expect("read").expect("the job exists");
            (job.state.as_str(), job.progress.requeued)
        }
    }

    fn endpoint(id: EndpointId, application: &Application) -> Endpoint {
        Endpoint {
            id,
            tenant: application.tenant,
            application_id: application.id,
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
            rate_limit_per_second: None,
            expires_at: None,
            headers: None,
            retry_schedule: None,
            timeout_ms: None,
            ordering: Ordering::None,
            on_failure: OnFailure::Block,
            batch: None,
            failing_since: None,
            hold: None,
            created_at: application.created_at,
            updated_at: application.created_at,
        }
    }

    #[tokio::test]
    async fn step_requeues_one_slice_and_waits_for_the_next() {
        let fixture = Fixture::new().await;
        let job = fixture.create_job(1).await;
        assert_eq!(job.progress.total, Some(3));
        let mut pace = Pace::new();
        for requeued in 1..=3 {
            assert!(fixture.step(&mut pace).await > Duration::from_millis(500));
            assert_eq!(fixture.state_of(&job).await, ("running", requeued));
            // Too early: no slice is due.
            fixture.step(&mut pace).await;
            assert_eq!(fixture.state_of(&job).await, ("running", requeued));
            pace.clear();
        }
        fixture.step(&mut pace).await;
        assert_eq!(fixture.state_of(&job).await, ("completed", 3));
        assert_eq!(fixture.step(&mut pace).await, PERIOD);
        assert!(pace.is_empty());
        let limits = ClaimLimits { deliveries: 10, bytes: 1_000 };
        let core = &fixture.handle.core;
        let claim = core.store.claim_due(core.owner(), fixture.clock.now(), limits).await.expect("claimed");
        assert_eq!(claim.deliveries.iter().map(|claimed| claimed.trigger).collect::<Vec<_>>(), [Trigger::Recover; 3]);
    }

    #[tokio::test]
    async fn disabled_endpoint_fails_the_job_and_keeps_its_progress() {
        let fixture = Fixture::new().await;
        let job = fixture.create_job(1).await;
        let mut pace = Pace::new();
        fixture.step(&mut pace).await;
        let (core, key) =
            (&fixture.handle.core, EndpointKey { tenant: fixture.tenant, application_id: fixture.application, id: fixture.endpoint });
        endpoints::disable(&*core.store, &fixture.act(), key, DisabledReason::KeptFailing).await.expect("disabled");
        core.origins.forget(fixture.application.into());
        pace.clear();
        fixture.step(&mut pace).await;
        assert_eq!(fixture.state_of(&job).await, ("failed", 1));
    }

    #[tokio::test]
    async fn stopped_engine_starts_no_slice() {
        let fixture = Fixture::new().await;
        let job = fixture.create_job(1).await;
        fixture.handle.core.stop.cancel();
        fixture.step(&mut Pace::new()).await;
        assert_eq!(fixture.state_of(&job).await, ("running", 0));
    }
}
