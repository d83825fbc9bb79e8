//! Jobs: sending a set of deliveries of one endpoint again, in the background.
//!
//! A job processes messages in the order of their ids, one slice at a time. The state of a delivery when the job
//! reaches it decides whether the job takes it.

use std::{ops::RangeInclusive, time::Duration};

use crate::{
    InvalidField,
    base::{
        ids::{ApplicationId, EndpointId, JobId, MessageId},
        time::Timestamp,
    },
    delivery::state::{SkipReason, Trigger},
    identity::tenancy::Tenant,
    outbound::event_type,
};

/// Default rate, in deliveries per second. It does not flood a receiver that has just recovered, and 360,000 per hour
/// are enough for most recoveries.
pub const RATE_DEFAULT: u32 = 100;
/// Allowed rates, in deliveries per second. Above them the endpoint's lane is the limit anyway.
pub const RATES: RangeInclusive<u32> = 1..=1_000;
/// Maximum number of names in `event_types`.
pub const EVENT_TYPES_MAX: usize = 100;
/// Slices per second, if the rate allows more than one delivery per slice. More slices make cancellation prompt and
/// the flow even.
const SLICES_PER_SECOND: u32 = 10;
/// Minimum pause between two slices, so that a job with few matches leaves the store to others.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// Purpose of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Send the deliveries that the endpoint missed.
    Recover,
    /// Send any set of deliveries, delivered or not.
    Replay,
}

impl JobKind {
    /// Word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recover => "recover",
            Self::Replay => "replay",
        }
    }

    /// Parses a word that [`Self::as_str`] returned.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Recover, Self::Replay].into_iter().find(|kind| kind.as_str() == word)
    }

    /// Trigger of the attempts that the job causes.
    pub const fn trigger(self) -> Trigger {
        match self {
            Self::Recover => Trigger::Recover,
            Self::Replay => Trigger::Replay,
        }
    }

    /// Returns the statuses that a request may select, and the default ones.
    const fn statuses(self) -> (&'static [Status], &'static [Status]) {
        match self {
            Self::Recover => (&[Status::Exhausted, Status::Skipped], &[Status::Exhausted, Status::Skipped]),
            Self::Replay => (&Status::ALL, &[Status::Delivered, Status::Exhausted, Status::Skipped]),
        }
    }
}

/// Status of a delivery that a job can select.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// The delivery succeeded.
    Delivered,
    /// The delivery is exhausted.
    Exhausted,
    /// The delivery was skipped.
    Skipped,
    /// There is no delivery: the endpoint did not match the message at that time, but matches its type now.
    Missing,
}

impl Status {
    const ALL: [Self; 4] = [Self::Delivered, Self::Exhausted, Self::Skipped, Self::Missing];

    /// Word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
            Self::Skipped => "skipped",
            Self::Missing => "missing",
        }
    }

    /// Parses a word, including the synonyms that messages and deliveries use.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "succeeded" => Some(Self::Delivered),
            "failed" => Some(Self::Exhausted),
            word => Self::ALL.into_iter().find(|status| status.as_str() == word),
        }
    }
}

/// Request to start a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRequest {
    /// Purpose of the job.
    pub kind: JobKind,
    /// Start of the range: messages accepted at or after this time.
    pub since: Timestamp,
    /// End of the range: messages accepted before this time; `None` is now.
    pub until: Option<Timestamp>,
    /// Statuses of deliveries to select; `None` selects the default of the kind.
    pub statuses: Option<Vec<String>>,
    /// Event types of messages to select; `None` and empty mean all.
    pub event_types: Option<Vec<String>>,
    /// Rate in deliveries per second.
    pub rate_limit: Option<u32>,
    /// Maximum number of deliveries.
    pub max_messages: Option<u32>,
}

/// Selection of deliveries for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Start of the range: messages accepted at or after this time.
    pub since: Timestamp,
    /// End of the range: messages accepted before this time.
    pub until: Timestamp,
    /// Statuses of deliveries to select, sorted and without duplicates.
    pub statuses: Vec<Status>,
    /// Event types of messages to select; `None` selects all.
    pub event_types: Option<Vec<String>>,
    /// Maximum number of deliveries.
    pub max_messages: Option<u32>,
    /// Time of the request. Deliveries attempted or ended since then are not taken, so a slice that runs twice sends
    /// nothing twice.
    pub asked_at: Timestamp,
}

/// State of a delivery when a job reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// The delivery is pending.
    Pending,
    /// The delivery succeeded; the time is that of its last attempt.
    Delivered(Timestamp),
    /// The delivery was exhausted at this time.
    Exhausted(Timestamp),
    /// The delivery was skipped at this time.
    Skipped(Timestamp),
    /// The delivery was cancelled.
    Cancelled,
    /// There is no delivery.
    Missing,
    /// There is no delivery, and the message is a test of another endpoint.
    TestOfAnother,
}

impl DeliveryStatus {
    /// Interprets stored facts about a delivery: whether it is pending; its final state and time if it did not
    /// succeed; the time of the last attempt; and whether its message was ever attempted as a test.
    pub fn read(is_pending: bool, undelivered: Option<&str>, ended_at: Option<i64>, last_attempt: Option<i64>, is_test: bool) -> Self {
        let ended_at = Timestamp::from_millis(ended_at.unwrap_or(i64::MAX));
        match (is_pending, undelivered, last_attempt) {
            (true, _, _) => Self::Pending,
            (false, Some("exhausted"), _) => Self::Exhausted(ended_at),
            (false, Some("skipped"), _) => Self::Skipped(ended_at),
            // Also a state that only a newer version knows; the job leaves it alone.
            (false, Some(_), _) => Self::Cancelled,
            (false, None, Some(at)) => Self::Delivered(Timestamp::from_millis(at)),
            (false, None, None) if is_test => Self::TestOfAnother,
            (false, None, None) => Self::Missing,
        }
    }
}

/// Delivery that a job has reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Id of the message.
    pub message_id: MessageId,
    /// Event type of the message.
    pub event_type: String,
    /// Channels of the message.
    pub channels: Vec<String>,
    /// State of the delivery.
    pub status: DeliveryStatus,
    /// True if the payload still exists; without it nothing can be sent.
    pub has_payload: bool,
}

impl JobRequest {
    /// Validates the request, made at `now`, and returns its selection and rate.
    ///
    /// # Errors
    /// Names the first field that breaks its rule.
    pub fn check(&self, now: Timestamp) -> Result<(Selection, u32), InvalidField> {
        let after_now = now + Duration::from_millis(1);
        let until = self.until.map_or(after_now, |until| until.min(after_now));
        if self.since >= until {
            let problem = if self.since >= after_now { "must be in the past" } else { "must be before `until`" };
            return Err(InvalidField::new("since", problem));
        }
        let rate_limit = self.rate_limit.unwrap_or(RATE_DEFAULT);
        if !RATES.contains(&rate_limit) {
            let problem = format!("must be from {} to {} deliveries per second", RATES.start(), RATES.end());
            return Err(InvalidField::new("rate_limit", problem));
        }
        if self.max_messages == Some(0) {
            return Err(InvalidField::new("max_messages", "must be at least 1"));
        }
        let selection = Selection {
            since: self.since,
            until,
            statuses: self.parse_statuses()?,
            event_types: self.parse_event_types()?,
            max_messages: self.max_messages,
            asked_at: now,
        };
        Ok((selection, rate_limit))
    }

    /// Returns a text that is equal for equal requests, regardless of time and rate. Two running jobs with the same
    /// fingerprint for one endpoint are a duplicate request.
    pub fn fingerprint(&self, selection: &Selection) -> String {
        let until = self.until.map_or_else(|| "now".to_owned(), |until| until.as_millis().to_string());
        let statuses = selection.statuses.iter().map(|status| status.as_str()).collect::<Vec<_>>().join(",");
        let types = selection.event_types.as_deref().unwrap_or_default().join(",");
        let most = self.max_messages.map_or_else(|| "all".to_owned(), |most| most.to_string());
        format!("{} {} {until} {statuses} [{types}] {most}", self.kind.as_str(), self.since.as_millis())
    }

    fn parse_statuses(&self) -> Result<Vec<Status>, InvalidField> {
        let (possible, default) = self.kind.statuses();
        let Some(words) = &self.statuses else { return Ok(default.to_vec()) };
        let read = |word: &String| {
            Status::parse(word).filter(|status| possible.contains(status)).ok_or_else(|| {
                let words = possible.iter().map(|status| format!("`{}`", status.as_str())).collect::<Vec<_>>().join(", ");
                InvalidField::new("statuses", format!("contains {word:?}; allowed: {words}"))
            })
        };
        let mut statuses = words.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if statuses.is_empty() {
            return Err(InvalidField::new("statuses", "must not be empty. Leave it out for the default"));
        }
        statuses.sort_unstable();
        statuses.dedup();
        Ok(statuses)
    }

    fn parse_event_types(&self) -> Result<Option<Vec<String>>, InvalidField> {
        let Some(mut types) = self.event_types.clone().filter(|types| !types.is_empty()) else { return Ok(None) };
        if types.len() > EVENT_TYPES_MAX {
            return Err(InvalidField::new("event_types", format!("must have at most {EVENT_TYPES_MAX} entries")));
        }
        for name in &types {
            event_type::check_name(name)
                .map_err(|error| InvalidField::new("event_types", format!("contains {name:?}, which {}", error.problem)))?;
        }
        types.sort_unstable();
        types.dedup();
        Ok(Some(types))
    }
}

impl Selection {
    /// Returns true if a delivery is selected. `is_wanted` is true if the endpoint matches the message now; it
    /// matters only if there is no delivery.
    pub fn selects(&self, candidate: &Candidate, is_wanted: bool) -> bool {
        let is_of_type = self.event_types.as_ref().is_none_or(|types| types.contains(&candidate.event_type));
        is_of_type
            && match candidate.status {
                DeliveryStatus::Delivered(at) => at < self.asked_at && self.statuses.contains(&Status::Delivered),
                DeliveryStatus::Exhausted(at) => at <= self.asked_at && self.statuses.contains(&Status::Exhausted),
                DeliveryStatus::Skipped(at) => at <= self.asked_at && self.statuses.contains(&Status::Skipped),
                DeliveryStatus::Missing => is_wanted && self.statuses.contains(&Status::Missing),
                DeliveryStatus::Pending | DeliveryStatus::Cancelled | DeliveryStatus::TestOfAnother => false,
            }
    }

    /// Returns true if a delivery is selected and can be sent.
    pub fn takes(&self, candidate: &Candidate, is_wanted: bool) -> bool {
        candidate.has_payload && self.selects(candidate, is_wanted)
    }

    /// Returns true if only undelivered deliveries are selected; then there is little to search.
    pub fn is_of_undelivered(&self) -> bool {
        self.statuses.iter().all(|status| match status {
            Status::Exhausted | Status::Skipped => true,
            Status::Delivered | Status::Missing => false,
        })
    }

    /// Exclusive lower bound of the job's messages.
    pub fn start(&self) -> MessageId {
        MessageId::before_all_at(self.since)
    }

    /// Exclusive upper bound of the job's messages.
    pub fn end(&self) -> MessageId {
        MessageId::before_all_at(self.until)
    }
}

/// Job that sends a set of deliveries of one endpoint again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Unique id.
    pub id: JobId,
    /// Tenant that owns it.
    pub tenant: Tenant,
    /// Application of the endpoint.
    pub application_id: ApplicationId,
    /// Endpoint that receives the deliveries.
    pub endpoint_id: EndpointId,
    /// Purpose of the job.
    pub kind: JobKind,
    /// Selection of deliveries.
    pub selection: Selection,
    /// Maximum number of deliveries requeued per second.
    pub rate_limit: u32,
    /// See [`JobRequest::fingerprint`].
    pub fingerprint: String,
    /// State of the job.
    pub state: JobState,
    /// Progress of the job.
    pub progress: Progress,
    /// Time at which work on it began.
    pub started_at: Option<Timestamp>,
    /// Time of its last progress.
    pub updated_at: Timestamp,
}

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// The job runs, or waits for its turn.
    Running,
    /// The job has finished.
    Completed {
        /// Time of completion.
        at: Timestamp,
    },
    /// A user cancelled the job. Deliveries that it has requeued stay pending.
    Cancelled {
        /// Time of cancellation.
        at: Timestamp,
    },
    /// The job could not continue.
    Failed {
        /// Time of the failure.
        at: Timestamp,
        /// Reason for the failure.
        reason: JobFailure,
    },
}

impl JobState {
    /// Word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed { .. } => "completed",
            Self::Cancelled { .. } => "cancelled",
            Self::Failed { .. } => "failed",
        }
    }

    /// All words of [`Self::as_str`].
    pub const WORDS: [&str; 4] = ["running", "completed", "cancelled", "failed"];

    /// Parses a word that [`Self::as_str`] returned, with its time and reason.
    pub fn parse(word: &str, at: Option<Timestamp>, reason: Option<&str>) -> Option<Self> {
        match (word, at) {
            ("running", None) => Some(Self::Running),
            ("completed", Some(at)) => Some(Self::Completed { at }),
            ("cancelled", Some(at)) => Some(Self::Cancelled { at }),
            ("failed", Some(at)) => JobFailure::parse(reason?).map(|reason| Self::Failed { at, reason }),
            _ => None,
        }
    }

    /// Time at which the job ended.
    pub const fn ended_at(self) -> Option<Timestamp> {
        match self {
            Self::Running => None,
            Self::Completed { at } | Self::Cancelled { at } | Self::Failed { at, .. } => Some(at),
        }
    }
}

/// Reason why a job could not continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobFailure {
    /// The application was deleted.
    ApplicationDeleted,
    /// The endpoint was deleted.
    EndpointDeleted,
    /// The endpoint was disabled.
    EndpointDisabled,
    /// The endpoint's `expires_at` passed.
    EndpointExpired,
    /// The store was restored from a backup that was made while the job ran.
    Restored,
}

impl JobFailure {
    const ALL: [Self; 5] = [Self::ApplicationDeleted, Self::EndpointDeleted, Self::EndpointDisabled, Self::EndpointExpired, Self::Restored];

    /// Word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApplicationDeleted => "application_deleted",
            Self::EndpointDeleted => "endpoint_deleted",
            Self::EndpointDisabled => "endpoint_disabled",
            Self::EndpointExpired => "endpoint_expired",
            Self::Restored => "restored",
        }
    }

    /// Sentence for users: the reason and the remedy.
    pub const fn explained(self) -> &'static str {
        match self {
            Self::ApplicationDeleted => "the application was deleted",
            Self::EndpointDeleted => "the endpoint was deleted",
            Self::EndpointDisabled => "the endpoint was disabled; enable it, then start the job again",
            Self::EndpointExpired => "the endpoint has expired; change its expires_at, then start the job again",
            Self::Restored => {
                "the store was restored from a backup that was created while the job ran; start the job again for the remaining deliveries"
            }
        }
    }

    /// Parses a word that [`Self::as_str`] returned.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| failure.as_str() == word)
    }
}

impl From<SkipReason> for JobFailure {
    fn from(reason: SkipReason) -> Self {
        match reason {
            SkipReason::EndpointDisabled => Self::EndpointDisabled,
            SkipReason::EndpointExpired => Self::EndpointExpired,
            SkipReason::Restored => Self::Restored,
        }
    }
}

/// Progress of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Number of selected deliveries at the time of the request; `None` if counting took too long.
    pub total: Option<u64>,
    /// Number of requeued deliveries.
    pub requeued: u64,
    /// Number of selected deliveries that were not requeued: already pending, attempted meanwhile, or without
    /// payload.
    pub skipped: u64,
    /// Last message that the job has processed.
    pub position: MessageId,
}

impl Progress {
    /// Returns the progress at completion: counted deliveries that were not requeued were skipped.
    pub fn completed(self) -> Self {
        let total = self.total.unwrap_or(0).max(self.requeued);
        Self { total: Some(total), skipped: total - self.requeued, ..self }
    }
}

impl Job {
    /// Returns the maximum number of deliveries in the next slice; 0 if `max_messages` is reached.
    pub fn next_slice(&self) -> usize {
        let slice = u64::from((self.rate_limit / SLICES_PER_SECOND).max(1));
        let most = self.selection.max_messages.map_or(u64::MAX, u64::from);
        usize::try_from(slice.min(most.saturating_sub(self.progress.requeued))).unwrap_or(usize::MAX)
    }

    /// Returns the minimum time from the start of a slice to the start of the next.
    pub fn pause_after(&self, requeued: usize) -> Duration {
        (Duration::from_secs(1) * u32::try_from(requeued).unwrap_or(u32::MAX) / self.rate_limit.max(1)).max(PAUSE_MIN)
    }
}

/// Returns the time that `deliveries` deliveries take at a rate.
pub fn duration_at(rate_limit: u32, deliveries: u64) -> Duration {
    Duration::from_secs(deliveries.div_ceil(u64::from(rate_limit.max(1))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{EnvironmentId, OrganizationId};

    const NOW: Timestamp = Timestamp::from_millis(1_780_000_000_000);
    const SECOND: Duration = Duration::from_secs(1);
    const TENANT: Tenant = Tenant { organization: OrganizationId::from_bytes([1; 16]), environment: EnvironmentId::from_bytes([2; 16]) };

    fn request(kind: JobKind) -> JobRequest {
        JobRequest { kind, since: NOW - SECOND * 60, until: None, statuses: None, event_types: None, rate_limit: None, max_messages: None }
    }

    fn words(words: &[&str]) -> Option<Vec<String>> {
        Some(words.iter().map(|word| (*word).to_owned()).collect())
    }

    fn candidate(status: DeliveryStatus) -> Candidate {
        Candidate {
            message_id: MessageId::before_all_at(NOW - SECOND),
            event_type: "a.b".to_owned(),
            channels: vec![],
            status,
            has_payload: true,
        }
    }

    fn job(rate_limit: u32, max_messages: Option<u32>, requeued: u64) -> Job {
        let request = JobRequest { rate_limit: Some(rate_limit), max_messages, ..request(JobKind::Replay) };
        let (selection, rate_limit) = request.check(NOW).expect("a request");
        Job {
            id: JobId::from_bytes([5; 16]),
            tenant: TENANT,
            application_id: ApplicationId::from_bytes([4; 16]),
            endpoint_id: EndpointId::from_bytes([3; 16]),
            kind: request.kind,
            rate_limit,
            fingerprint: request.fingerprint(&selection),
            state: JobState::Running,
            progress: Progress { total: None, requeued, skipped: 0, position: selection.start() },
            selection,
            started_at: None,
            updated_at: NOW,
        }
    }

    #[test]
    fn request_has_defaults() {
        let statuses = |kind| request(kind).check(NOW).expect("a request").0.statuses;
        assert_eq!(statuses(JobKind::Recover), [Status::Exhausted, Status::Skipped]);
        assert_eq!(statuses(JobKind::Replay), [Status::Delivered, Status::Exhausted, Status::Skipped]);
        let (selection, rate) = request(JobKind::Recover).check(NOW).expect("a request");
        assert_eq!((selection.until, rate), (NOW + Duration::from_millis(1), RATE_DEFAULT));
        let future = JobRequest { until: Some(NOW + SECOND), ..request(JobKind::Recover) };
        assert_eq!(future.check(NOW).expect("a request").0.until, NOW + Duration::from_millis(1), "the future is not selected");
    }

    #[test]
    fn invalid_field_is_named() {
        let check = |request: JobRequest, field: &str| {
            assert_eq!(request.check(NOW).map_err(|error| error.field), Err(field), "{request:?}");
        };
        let (recover, replay) = (|| request(JobKind::Recover), || request(JobKind::Replay));
        check(JobRequest { since: NOW + SECOND, ..recover() }, "since");
        check(JobRequest { until: Some(NOW - SECOND * 60), ..recover() }, "since");
        check(JobRequest { statuses: words(&["pending"]), ..replay() }, "statuses");
        check(JobRequest { statuses: words(&["delivered"]), ..recover() }, "statuses");
        check(JobRequest { statuses: words(&[]), ..replay() }, "statuses");
        check(JobRequest { event_types: words(&["a b"]), ..replay() }, "event_types");
        check(JobRequest { event_types: Some(vec!["a".to_owned(); EVENT_TYPES_MAX + 1]), ..replay() }, "event_types");
        check(JobRequest { rate_limit: Some(0), ..replay() }, "rate_limit");
        check(JobRequest { rate_limit: Some(1_001), ..replay() }, "rate_limit");
        check(JobRequest { max_messages: Some(0), ..replay() }, "max_messages");
    }

    #[test]
    fn fingerprint_ignores_time_and_rate() {
        let fingerprint = |request: JobRequest, at| request.fingerprint(&request.check(at).expect("a request").0);
        let first = fingerprint(request(JobKind::Replay), NOW);
        let same =
            JobRequest { statuses: words(&["skipped", "failed", "succeeded", "skipped"]), rate_limit: Some(7), ..request(JobKind::Replay) };
        assert_eq!(fingerprint(same, NOW + SECOND), first);
        for other in [
            request(JobKind::Recover),
            JobRequest { until: Some(NOW), ..request(JobKind::Replay) },
            JobRequest { event_types: words(&["a"]), ..request(JobKind::Replay) },
            JobRequest { max_messages: Some(1), ..request(JobKind::Replay) },
        ] {
            assert_ne!(fingerprint(other, NOW), first);
        }
    }

    #[test]
    fn delivery_is_taken_if_its_status_is_selected_and_unchanged() {
        let before = NOW - SECOND;
        let after = NOW + SECOND;
        let check = |status, statuses: &[&str], expected| {
            let (selection, _) = JobRequest { statuses: words(statuses), ..request(JobKind::Replay) }.check(NOW).expect("a request");
            assert_eq!(selection.takes(&candidate(status), true), expected, "{status:?} {statuses:?}");
        };
        let all = ["delivered", "exhausted", "skipped", "missing"];
        for status in [DeliveryStatus::Pending, DeliveryStatus::Cancelled, DeliveryStatus::TestOfAnother] {
            check(status, &all, false);
        }
        for (status, at) in [
            ("delivered", DeliveryStatus::Delivered as fn(Timestamp) -> DeliveryStatus),
            ("exhausted", DeliveryStatus::Exhausted),
            ("skipped", DeliveryStatus::Skipped),
        ] {
            check(at(before), &[status], true);
            check(at(after), &[status], false);
            check(at(before), &all, true);
            check(at(before), &["missing"], false);
        }
        check(DeliveryStatus::Missing, &["missing"], true);
        check(DeliveryStatus::Missing, &["delivered", "exhausted", "skipped"], false);
    }

    #[test]
    fn delivery_status_follows_from_the_stored_facts() {
        let check = |known: (bool, Option<&str>, Option<i64>, Option<i64>, bool), expected| {
            assert_eq!(DeliveryStatus::read(known.0, known.1, known.2, known.3, known.4), expected, "{known:?}");
        };
        let at = Timestamp::from_millis;
        check((true, None, None, Some(7), false), DeliveryStatus::Pending);
        check((false, Some("exhausted"), Some(5), Some(7), false), DeliveryStatus::Exhausted(at(5)));
        check((false, Some("skipped"), Some(5), None, false), DeliveryStatus::Skipped(at(5)));
        check((false, Some("cancelled"), Some(5), None, false), DeliveryStatus::Cancelled);
        check((false, Some("unknown_state"), Some(5), None, false), DeliveryStatus::Cancelled);
        check((false, None, None, Some(7), true), DeliveryStatus::Delivered(at(7)));
        check((false, None, None, None, true), DeliveryStatus::TestOfAnother);
        check((false, None, None, None, false), DeliveryStatus::Missing);
    }

    #[test]
    fn selection_filters_types_and_missing_deliveries_match_the_endpoint() {
        let check = |types: &[&str], is_wanted, status, expected| {
            let request = JobRequest { event_types: words(types), statuses: words(&["delivered", "missing"]), ..request(JobKind::Replay) };
            let selection = request.check(NOW).expect("a request").0;
            assert_eq!(selection.takes(&candidate(status), is_wanted), expected, "{types:?} {status:?}");
        };
        let delivered = DeliveryStatus::Delivered(NOW - SECOND);
        check(&[], false, delivered, true);
        check(&["a.b"], false, delivered, true);
        check(&["other"], true, delivered, false);
        check(&[], false, DeliveryStatus::Missing, false);
        check(&[], true, DeliveryStatus::Missing, true);
        check(&["other"], true, DeliveryStatus::Missing, false);
    }

    #[test]
    fn slice_covers_a_tenth_of_a_second_up_to_the_maximum() {
        let check = |rate, most, requeued, expected| assert_eq!(job(rate, most, requeued).next_slice(), expected, "{rate} {most:?}");
        check(1, None, 0, 1);
        check(19, None, 0, 1);
        check(100, None, 1_000_000, 10);
        check(1_000, Some(150), 0, 100);
        check(1_000, Some(150), 100, 50);
        check(1_000, Some(150), 150, 0);
    }

    #[test]
    fn pause_keeps_the_rate() {
        let check = |rate, requeued, expected| assert_eq!(job(rate, None, 0).pause_after(requeued), Duration::from_millis(expected));
        check(1, 1, 1_000);
        check(100, 10, 100);
        check(1_000, 100, 100);
        check(1_000, 1, 10);
        check(1, 0, 10);
        assert_eq!(duration_at(100, 101), Duration::from_secs(2));
        assert_eq!(duration_at(100, 0), Duration::ZERO);
    }

    #[test]
    fn completed_progress_accounts_for_all() {
        let progress = |total, requeued| Progress { requeued, total, ..job(1, None, 0).progress };
        let check = |total, requeued, expected: (u64, u64)| {
            let done = progress(total, requeued).completed();
            assert_eq!((done.total.expect("known"), done.skipped), expected);
        };
        check(Some(10), 10, (10, 0));
        check(Some(10), 7, (10, 3));
        check(Some(10), 11, (11, 0));
        check(None, 7, (7, 0));
    }

    #[test]
    fn words_round_trip() {
        let failed = JobState::Failed { at: NOW, reason: JobFailure::EndpointDeleted };
        for state in [JobState::Running, JobState::Completed { at: NOW }, JobState::Cancelled { at: NOW }, failed] {
            let reason = match state {
                JobState::Failed { reason, .. } => Some(reason.as_str()),
                JobState::Running | JobState::Completed { .. } | JobState::Cancelled { .. } => None,
            };
            assert_eq!(JobState::parse(state.as_str(), state.ended_at(), reason), Some(state));
            assert!(JobState::WORDS.contains(&state.as_str()));
        }
        for failure in JobFailure::ALL {
            assert_eq!(JobFailure::parse(failure.as_str()), Some(failure));
        }
        for kind in [JobKind::Recover, JobKind::Replay] {
            assert_eq!(JobKind::parse(kind.as_str()), Some(kind));
        }
    }
}
