//! Jobs: sending a set of deliveries of one endpoint again, in the background.
//!
//! A job goes through messages in the order of their ids, a slice at a time. What it takes is decided
//! here from where a delivery stands when the job comes to it.

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

/// Deliveries a second where a request does not say: a receiver that has just come back is not flooded,
/// and 360,000 an hour are enough for most of what was missed.
pub const RATE_DEFAULT: u32 = 100;
/// The rates that may be asked for. Above them the endpoint's lane decides anyway.
pub const RATES: RangeInclusive<u32> = 1..=1_000;
/// The most names in `event_types`.
pub const EVENT_TYPES_MAX: usize = 100;
/// Slices a second, where the rate allows more than one delivery in each: so prompt is a cancellation,
/// and so even the flow.
const SLICES_PER_SECOND: u32 = 10;
/// The least pause between two slices, so that a job which finds little to do leaves the store to others.
const BREATH: Duration = Duration::from_millis(10);

/// What a job is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// What the endpoint missed.
    Recover,
    /// Any set, delivered or not.
    Replay,
}

impl JobKind {
    /// Its word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recover => "recover",
            Self::Replay => "replay",
        }
    }

    /// Reads a word that [`Self::as_str`] wrote.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Recover, Self::Replay].into_iter().find(|kind| kind.as_str() == word)
    }

    /// What its deliveries' next tries happen for.
    pub const fn trigger(self) -> Trigger {
        match self {
            Self::Recover => Trigger::Recover,
            Self::Replay => Trigger::Replay,
        }
    }

    /// Which deliveries it can be about, and is about where a request does not say.
    const fn statuses(self) -> (&'static [Status], &'static [Status]) {
        match self {
            Self::Recover => (&[Status::Exhausted, Status::Skipped], &[Status::Exhausted, Status::Skipped]),
            Self::Replay => (&Status::ALL, &[Status::Delivered, Status::Exhausted, Status::Skipped]),
        }
    }
}

/// How a delivery stands that a job can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It arrived.
    Delivered,
    /// It was given up.
    Exhausted,
    /// It was not sent.
    Skipped,
    /// There is none: the message was never for the endpoint, which wants its type now.
    Missing,
}

impl Status {
    const ALL: [Self; 4] = [Self::Delivered, Self::Exhausted, Self::Skipped, Self::Missing];

    /// Its word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
            Self::Skipped => "skipped",
            Self::Missing => "missing",
        }
    }

    /// Reads a word, also those that messages and deliveries use for the same.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "succeeded" => Some(Self::Delivered),
            "failed" => Some(Self::Exhausted),
            word => Self::ALL.into_iter().find(|status| status.as_str() == word),
        }
    }
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRequest {
    /// What the job is for.
    pub kind: JobKind,
    /// Messages accepted then or later.
    pub since: Timestamp,
    /// Messages accepted before then; `None` is now.
    pub until: Option<Timestamp>,
    /// How deliveries have to stand; `None` is what goes with the kind.
    pub statuses: Option<Vec<String>>,
    /// The types that messages have to have; `None` and empty are all.
    pub event_types: Option<Vec<String>>,
    /// Deliveries a second.
    pub rate_limit: Option<u32>,
    /// The most deliveries.
    pub max_messages: Option<u32>,
}

/// Which deliveries a job takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Messages accepted then or later.
    pub since: Timestamp,
    /// Messages accepted before then.
    pub until: Timestamp,
    /// How deliveries have to stand, in order and each once.
    pub statuses: Vec<Status>,
    /// The types that messages have to have; `None` is all.
    pub event_types: Option<Vec<String>>,
    /// The most deliveries.
    pub max_messages: Option<u32>,
    /// When it was asked for. What was tried or has ended since is not taken: so a slice that is done
    /// twice sends nothing twice.
    pub asked_at: Timestamp,
}

/// Where a delivery stands as a job comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// It is owed.
    Pending,
    /// It arrived; it was last tried then.
    Delivered(Timestamp),
    /// It was given up then.
    Exhausted(Timestamp),
    /// It was skipped then.
    Skipped(Timestamp),
    /// It was called off.
    Cancelled,
    /// There is none.
    Missing,
    /// There is none, and the message is a test of another endpoint.
    TestOfAnother,
}

impl DeliveryStatus {
    /// Reads what a store knows of a delivery: whether it is owed; how and when it ended, where it did not arrive;
    /// when it was last tried; and whether its message was ever tried as a test.
    pub fn read(is_pending: bool, undelivered: Option<&str>, ended_at: Option<i64>, last_try: Option<i64>, is_test: bool) -> Self {
        let ended_at = Timestamp::from_millis(ended_at.unwrap_or(i64::MAX));
        match (is_pending, undelivered, last_try) {
            (true, _, _) => Self::Pending,
            (false, Some("exhausted"), _) => Self::Exhausted(ended_at),
            (false, Some("skipped"), _) => Self::Skipped(ended_at),
            // Or what only a newer version can name: that one is left alone.
            (false, Some(_), _) => Self::Cancelled,
            (false, None, Some(at)) => Self::Delivered(Timestamp::from_millis(at)),
            (false, None, None) if is_test => Self::TestOfAnother,
            (false, None, None) => Self::Missing,
        }
    }
}

/// A delivery that a job comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its message.
    pub message_id: MessageId,
    /// What the message is about.
    pub event_type: String,
    /// The channels of the message.
    pub channels: Vec<String>,
    /// Where it stands.
    pub standing: DeliveryStatus,
    /// Whether the payload is there still; without it nothing can be sent.
    pub has_payload: bool,
}

impl JobRequest {
    /// Reads the request, made at `now`, into which deliveries it means and at which rate.
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
            statuses: self.read_statuses()?,
            event_types: self.read_event_types()?,
            max_messages: self.max_messages,
            asked_at: now,
        };
        Ok((selection, rate_limit))
    }

    /// The request as a text that is the same for the same request, whenever it is made and at whatever
    /// rate: two such jobs at once for one endpoint are a double click.
    pub fn fingerprint(&self, selection: &Selection) -> String {
        let until = self.until.map_or_else(|| "now".to_owned(), |until| until.as_millis().to_string());
        let statuses = selection.statuses.iter().map(|status| status.as_str()).collect::<Vec<_>>().join(",");
        let types = selection.event_types.as_deref().unwrap_or_default().join(",");
        let most = self.max_messages.map_or_else(|| "all".to_owned(), |most| most.to_string());
        format!("{} {} {until} {statuses} [{types}] {most}", self.kind.as_str(), self.since.as_millis())
    }

    fn read_statuses(&self) -> Result<Vec<Status>, InvalidField> {
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

    fn read_event_types(&self) -> Result<Option<Vec<String>>, InvalidField> {
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
    /// Whether a delivery is meant. `is_wanted` says whether the endpoint wants the message's type now, which
    /// matters only where the message was never for it.
    pub fn means(&self, candidate: &Candidate, is_wanted: bool) -> bool {
        let is_of_type = self.event_types.as_ref().is_none_or(|types| types.contains(&candidate.event_type));
        is_of_type
            && match candidate.standing {
                DeliveryStatus::Delivered(at) => at < self.asked_at && self.statuses.contains(&Status::Delivered),
                DeliveryStatus::Exhausted(at) => at <= self.asked_at && self.statuses.contains(&Status::Exhausted),
                DeliveryStatus::Skipped(at) => at <= self.asked_at && self.statuses.contains(&Status::Skipped),
                DeliveryStatus::Missing => is_wanted && self.statuses.contains(&Status::Missing),
                DeliveryStatus::Pending | DeliveryStatus::Cancelled | DeliveryStatus::TestOfAnother => false,
            }
    }

    /// Whether a delivery is taken: it is meant and can be sent.
    pub fn takes(&self, candidate: &Candidate, is_wanted: bool) -> bool {
        candidate.has_payload && self.means(candidate, is_wanted)
    }

    /// Whether all that is meant has not arrived: then there is little to look through.
    pub fn is_of_undelivered(&self) -> bool {
        self.statuses.iter().all(|status| match status {
            Status::Exhausted | Status::Skipped => true,
            Status::Delivered | Status::Missing => false,
        })
    }

    /// Where a job begins: after this.
    pub fn start(&self) -> MessageId {
        MessageId::before_all_at(self.since)
    }

    /// Where it ends: before this.
    pub fn end(&self) -> MessageId {
        MessageId::before_all_at(self.until)
    }
}

/// Sending a set of deliveries of one endpoint again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub tenant: Tenant,
    /// The endpoint's application.
    pub application_id: ApplicationId,
    /// To whom.
    pub endpoint_id: EndpointId,
    /// What it is for.
    pub kind: JobKind,
    /// Which deliveries it takes.
    pub selection: Selection,
    /// How many of them it makes owed a second, at the most.
    pub rate_limit: u32,
    /// See [`JobRequest::fingerprint`].
    pub fingerprint: String,
    /// Whether it still runs.
    pub state: JobState,
    /// How far it is.
    pub progress: Progress,
    /// When it was first worked on.
    pub started_at: Option<Timestamp>,
    /// When it last went on.
    pub updated_at: Timestamp,
}

/// Whether a job still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It does, or waits for its turn.
    Running,
    /// It came to its end.
    Completed {
        /// When.
        at: Timestamp,
    },
    /// Somebody called it off. What it had made owed stays so.
    Cancelled {
        /// When.
        at: Timestamp,
    },
    /// It could not go on.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        reason: JobFailure,
    },
}

impl JobState {
    /// Its word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed { .. } => "completed",
            Self::Cancelled { .. } => "cancelled",
            Self::Failed { .. } => "failed",
        }
    }

    /// All of its words.
    pub const WORDS: [&str; 4] = ["running", "completed", "cancelled", "failed"];

    /// Reads what [`Self::as_str`] wrote, with when and why.
    pub fn parse(word: &str, at: Option<Timestamp>, reason: Option<&str>) -> Option<Self> {
        match (word, at) {
            ("running", None) => Some(Self::Running),
            ("completed", Some(at)) => Some(Self::Completed { at }),
            ("cancelled", Some(at)) => Some(Self::Cancelled { at }),
            ("failed", Some(at)) => JobFailure::parse(reason?).map(|reason| Self::Failed { at, reason }),
            _ => None,
        }
    }

    /// When it ended.
    pub const fn ended_at(self) -> Option<Timestamp> {
        match self {
            Self::Running => None,
            Self::Completed { at } | Self::Cancelled { at } | Self::Failed { at, .. } => Some(at),
        }
    }
}

/// Why a job could not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobFailure {
    /// The application was deleted.
    ApplicationDeleted,
    /// The endpoint was deleted.
    EndpointDeleted,
    /// The endpoint was switched off.
    EndpointDisabled,
    /// The endpoint's `expires_at` came.
    EndpointExpired,
    /// The store was restored from a backup that was made while the job ran.
    Restored,
}

impl JobFailure {
    const ALL: [Self; 5] = [Self::ApplicationDeleted, Self::EndpointDeleted, Self::EndpointDisabled, Self::EndpointExpired, Self::Restored];

    /// Its word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApplicationDeleted => "application_deleted",
            Self::EndpointDeleted => "endpoint_deleted",
            Self::EndpointDisabled => "endpoint_disabled",
            Self::EndpointExpired => "endpoint_expired",
            Self::Restored => "restored",
        }
    }

    /// What happened and what to do, for people.
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

    /// Reads a word that [`Self::as_str`] wrote.
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

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many deliveries were meant when it was asked for; `None` where that took too long to count.
    pub total: Option<u64>,
    /// How many it has made owed.
    pub requeued: u64,
    /// How many of the total were owed already, had been tried otherwise or had no payload any more when their turn came.
    pub skipped: u64,
    /// The last message it has looked at.
    pub position: MessageId,
}

impl Progress {
    /// The progress of a job that has come to its end: what was counted and not made owed was skipped.
    pub fn completed(self) -> Self {
        let total = self.total.unwrap_or(0).max(self.requeued);
        Self { total: Some(total), skipped: total - self.requeued, ..self }
    }
}

impl Job {
    /// How many deliveries its next slice may make owed; 0 where it has as many as were asked for.
    pub fn next_slice(&self) -> usize {
        let slice = u64::from((self.rate_limit / SLICES_PER_SECOND).max(1));
        let most = self.selection.max_messages.map_or(u64::MAX, u64::from);
        usize::try_from(slice.min(most.saturating_sub(self.progress.requeued))).unwrap_or(usize::MAX)
    }

    /// How long after the beginning of a slice the next may begin.
    pub fn pause_after(&self, requeued: usize) -> Duration {
        (Duration::from_secs(1) * u32::try_from(requeued).unwrap_or(u32::MAX) / self.rate_limit.max(1)).max(BREATH)
    }
}

/// How long so many deliveries take at a rate.
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

    fn candidate(standing: DeliveryStatus) -> Candidate {
        Candidate {
            message_id: MessageId::before_all_at(NOW - SECOND),
            event_type: "a.b".to_owned(),
            channels: vec![],
            standing,
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
    fn what_is_left_out_of_a_request_has_a_default() {
        let statuses = |kind| request(kind).check(NOW).expect("a request").0.statuses;
        assert_eq!(statuses(JobKind::Recover), [Status::Exhausted, Status::Skipped]);
        assert_eq!(statuses(JobKind::Replay), [Status::Delivered, Status::Exhausted, Status::Skipped]);
        let (selection, rate) = request(JobKind::Recover).check(NOW).expect("a request");
        assert_eq!((selection.until, rate), (NOW + Duration::from_millis(1), RATE_DEFAULT));
        let future = JobRequest { until: Some(NOW + SECOND), ..request(JobKind::Recover) };
        assert_eq!(future.check(NOW).expect("a request").0.until, NOW + Duration::from_millis(1), "nothing of the future is meant");
    }

    #[test]
    fn what_breaks_a_rule_is_refused_by_the_name_of_its_field() {
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
    fn the_same_request_at_another_time_and_rate_is_the_same() {
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
    fn a_delivery_is_taken_where_it_stands_as_was_asked_for_and_has_not_moved_since() {
        let before = NOW - SECOND;
        let after = NOW + SECOND;
        let check = |standing, statuses: &[&str], expected| {
            let (selection, _) = JobRequest { statuses: words(statuses), ..request(JobKind::Replay) }.check(NOW).expect("a request");
            assert_eq!(selection.takes(&candidate(standing), true), expected, "{standing:?} {statuses:?}");
        };
        let all = ["delivered", "exhausted", "skipped", "missing"];
        for standing in [DeliveryStatus::Pending, DeliveryStatus::Cancelled, DeliveryStatus::TestOfAnother] {
            check(standing, &all, false);
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
    fn where_a_delivery_stands_follows_from_what_is_kept_of_it() {
        let check = |known: (bool, Option<&str>, Option<i64>, Option<i64>, bool), expected| {
            assert_eq!(DeliveryStatus::read(known.0, known.1, known.2, known.3, known.4), expected, "{known:?}");
        };
        let at = Timestamp::from_millis;
        check((true, None, None, Some(7), false), DeliveryStatus::Pending);
        check((false, Some("exhausted"), Some(5), Some(7), false), DeliveryStatus::Exhausted(at(5)));
        check((false, Some("skipped"), Some(5), None, false), DeliveryStatus::Skipped(at(5)));
        check((false, Some("cancelled"), Some(5), None, false), DeliveryStatus::Cancelled);
        check((false, Some("unheard_of"), Some(5), None, false), DeliveryStatus::Cancelled);
        check((false, None, None, Some(7), true), DeliveryStatus::Delivered(at(7)));
        check((false, None, None, None, true), DeliveryStatus::TestOfAnother);
        check((false, None, None, None, false), DeliveryStatus::Missing);
    }

    #[test]
    fn types_are_those_asked_for_and_of_what_is_missing_those_wanted() {
        let check = |types: &[&str], is_wanted, standing, expected| {
            let request = JobRequest { event_types: words(types), statuses: words(&["delivered", "missing"]), ..request(JobKind::Replay) };
            let selection = request.check(NOW).expect("a request").0;
            assert_eq!(selection.takes(&candidate(standing), is_wanted), expected, "{types:?} {standing:?}");
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
    fn a_slice_is_a_tenth_of_a_second_and_ends_with_what_was_asked_for() {
        let check = |rate, most, requeued, expected| assert_eq!(job(rate, most, requeued).next_slice(), expected, "{rate} {most:?}");
        check(1, None, 0, 1);
        check(19, None, 0, 1);
        check(100, None, 1_000_000, 10);
        check(1_000, Some(150), 0, 100);
        check(1_000, Some(150), 100, 50);
        check(1_000, Some(150), 150, 0);
    }

    #[test]
    fn the_pause_keeps_the_rate() {
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
    fn at_its_end_all_is_accounted_for() {
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
    fn words_read_back_as_what_they_were() {
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
