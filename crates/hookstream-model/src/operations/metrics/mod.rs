//! Metrics: what is counted of deliveries and attempts, for whom, and in which steps of time.
//!
//! All numbers are additive, so rows of several nodes, scopes or times add up. There are two time axes. Deliveries count
//! at the time at which their message was **accepted**: the success rate of a window is the share of what fell due in it
//! that has arrived by now. Attempts count at the time at which they were **made**.

pub mod health;
pub mod latency;

use std::{ops::AddAssign, time::Duration};

use self::latency::Latencies;
use crate::{
    base::{
        ids::{EnvironmentId, OriginId, RouteId},
        time::Timestamp,
    },
    delivery::{attempt::Attempt, outcome::FailureKind, state::Trigger},
};

/// Subject of a count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Whole environment.
    Environment,
    /// Origin of the messages: an application.
    Origin(OriginId),
    /// Route of the deliveries: an endpoint.
    Route(RouteId),
    /// Event type, by name.
    EventType(String),
}

impl Scope {
    /// Number of the kind, in the store.
    pub const fn kind(&self) -> i64 {
        match self {
            Self::Environment => 0,
            Self::Origin(_) => 1,
            Self::Route(_) => 2,
            Self::EventType(_) => 3,
        }
    }

    /// Id within its kind, in the store.
    pub fn id(&self) -> &[u8] {
        match self {
            Self::Environment => &[],
            Self::Origin(id) => id.as_bytes(),
            Self::Route(id) => id.as_bytes(),
            Self::EventType(name) => name.as_bytes(),
        }
    }
}

/// Step of time in which numbers are kept.
///
/// Half hours, because the health of an endpoint is shown as 48 of them: from hours they could not be had, and hours are
/// the sum of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// Minutes, kept for 48 hours.
    Minute,
    /// Half hours, kept as long as messages.
    HalfHour,
    /// Days (UTC), kept as long as messages.
    Day,
}

impl Resolution {
    /// All, finest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::HalfHour, Self::Day];

    /// Time for which minutes are kept.
    pub const MINUTES_KEPT: Duration = Duration::from_secs(48 * 3600);

    /// Length of a step.
    pub const fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::Minute => 60,
            Self::HalfHour => 30 * 60,
            Self::Day => 24 * 3600,
        })
    }

    /// Number of the resolution, in the store.
    pub const fn number(self) -> i64 {
        match self {
            Self::Minute => 0,
            Self::HalfHour => 1,
            Self::Day => 2,
        }
    }

    /// Returns the start of the step that contains a time.
    pub fn start(self, at: Timestamp) -> Timestamp {
        floor(at, self.length())
    }
}

/// Returns the last multiple of `length` since the epoch that is not after `at`.
pub fn floor(at: Timestamp, length: Duration) -> Timestamp {
    let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1);
    Timestamp::from_millis(at.as_millis().div_euclid(length) * length)
}

/// Key of a row of numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Environment.
    pub environment: EnvironmentId,
    /// Subject within the environment.
    pub scope: Scope,
    /// Length of the step.
    pub resolution: Resolution,
    /// Start of the step.
    pub start: Timestamp,
}

/// Class of an attempt's response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseClass {
    /// 2xx, or an acknowledgement of a target without HTTP statuses.
    Success,
    /// 1xx and 3xx.
    Redirection,
    /// 4xx.
    ClientError,
    /// 5xx and above.
    ServerError,
    /// No response.
    None,
}

impl ResponseClass {
    /// Number of classes.
    pub const COUNT: usize = 5;

    /// Returns the class of an attempt.
    pub const fn of(status: Option<u16>, succeeded: bool) -> Self {
        match status {
            Some(200..=299) => Self::Success,
            Some(0..=199 | 300..=399) => Self::Redirection,
            Some(400..=499) => Self::ClientError,
            Some(500..) => Self::ServerError,
            None if succeeded => Self::Success,
            None => Self::None,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Success => 0,
            Self::Redirection => 1,
            Self::ClientError => 2,
            Self::ServerError => 3,
            Self::None => 4,
        }
    }
}

/// Numbers of one subject and step of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Messages accepted in the step.
    pub messages: i64,
    /// Deliveries of messages accepted in the step: they fell due then.
    pub accepted: i64,
    /// Of these, how many have arrived.
    pub arrived: i64,
    /// Of these, how many ended without arriving: exhausted, skipped or cancelled.
    pub ended: i64,
    /// Attempts made in the step that succeeded.
    pub succeeded: i64,
    /// Attempts made in the step that failed.
    pub failed: i64,
    /// Attempts made in the step because an earlier one had failed.
    pub retried: i64,
    /// Attempts by the class of their response, in the order of [`ResponseClass`].
    pub responses: [i64; ResponseClass::COUNT],
    /// Latencies of attempts that got a response or ran into their time limit. The others say nothing about the target's
    /// speed: a refused connection is quick.
    pub latencies: Latencies,
}

/// Number of the columns before the latencies.
const PLAIN: usize = 7 + ResponseClass::COUNT;

impl Stats {
    /// Number of columns in the store.
    pub const COLUMNS: usize = PLAIN + Latencies::BUCKETS;

    /// Returns the numbers in the order of the columns.
    pub fn columns(&self) -> [i64; Self::COLUMNS] {
        let Self { messages, accepted, arrived, ended, succeeded, failed, retried, responses, latencies } = self;
        let mut columns = [0; Self::COLUMNS];
        columns[..7].copy_from_slice(&[*messages, *accepted, *arrived, *ended, *succeeded, *failed, *retried]);
        columns[7..PLAIN].copy_from_slice(responses);
        columns[PLAIN..].copy_from_slice(latencies.buckets());
        columns
    }

    /// Builds the numbers from the order of the columns.
    pub fn from_columns(columns: &[i64; Self::COLUMNS]) -> Self {
        let mut latencies = [0; Latencies::BUCKETS];
        latencies.copy_from_slice(&columns[PLAIN..]);
        let mut responses = [0; ResponseClass::COUNT];
        responses.copy_from_slice(&columns[7..PLAIN]);
        let [messages, accepted, arrived, ended, succeeded, failed, retried, ..] = *columns;
        let latencies = Latencies::from_buckets(latencies);
        Self { messages, accepted, arrived, ended, succeeded, failed, retried, responses, latencies }
    }

    /// Counts an attempt.
    pub fn note_attempt(&mut self, attempt: &Attempt) {
        let Attempt { succeeded, response_status, trigger, duration, .. } = attempt;
        self.succeeded += i64::from(*succeeded);
        self.failed += i64::from(!succeeded);
        self.retried += i64::from(*trigger == Trigger::Automatic);
        self.responses[ResponseClass::of(*response_status, *succeeded).index()] += 1;
        let timed_out = attempt.error.as_deref().is_some_and(|error| error_word(error) == FailureKind::Timeout.as_str());
        if *succeeded || response_status.is_some() || timed_out {
            self.latencies.note(*duration);
        }
    }

    /// Returns the number of attempts with a response of this class.
    pub const fn responses_of(&self, class: ResponseClass) -> i64 {
        self.responses[class.index()]
    }

    /// Returns the number of attempts.
    pub const fn attempts(&self) -> i64 {
        self.succeeded + self.failed
    }

    /// Returns the number of deliveries that are still pending.
    pub fn pending(&self) -> i64 {
        (self.accepted - self.arrived - self.ended).max(0)
    }

    /// Returns the share of what fell due that has arrived, in percent with two decimals; `None` if nothing fell due.
    pub fn success_rate(&self) -> Option<f64> {
        (self.accepted > 0).then(|| {
            // Lost increments of a crash must not show as more than all.
            let share = self.arrived.clamp(0, self.accepted) as f64 / self.accepted as f64;
            // Rounded down: 100 means that all has arrived.
            (share * 10_000.0).floor() / 100.0
        })
    }

    /// Returns whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Stats {
    fn add_assign(&mut self, more: Self) {
        self.messages += more.messages;
        self.accepted += more.accepted;
        self.arrived += more.arrived;
        self.ended += more.ended;
        self.succeeded += more.succeeded;
        self.failed += more.failed;
        self.retried += more.retried;
        for (number, more) in self.responses.iter_mut().zip(more.responses) {
            *number += more;
        }
        self.latencies += more.latencies;
    }
}

/// Failure as it is counted: the error's word, and the status where the word is about one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorKey {
    /// Word of the fixed vocabulary, or [`ErrorKey::OTHER`].
    pub word: String,
    /// Status of the response; 0 without one.
    pub status: u16,
}

impl ErrorKey {
    /// Word for failures beyond [`MAX`](Self::MAX).
    pub const OTHER: &'static str = "other";
    /// Maximum number of different failures that one row keeps apart, so that a receiver with changing statuses cannot
    /// fill the store.
    pub const MAX: usize = 24;

    /// Returns the key of failures that are not kept apart.
    pub fn other() -> Self {
        Self { word: Self::OTHER.to_owned(), status: 0 }
    }
}

/// Returns the word of an attempt's error.
pub fn error_word(error: &str) -> &str {
    error.split_once(':').map_or(error, |(word, _)| word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{AttemptId, MessageId};

    fn attempt(status: Option<u16>, error: Option<&str>, trigger: Trigger) -> Attempt {
        Attempt {
            id: AttemptId::from_bytes([1; 16]),
            message_id: MessageId::from_bytes([2; 16]),
            route_id: RouteId::from_bytes([3; 16]),
            number: 1,
            trigger,
            succeeded: error.is_none(),
            response_status: status,
            response_body: None,
            response_headers: None,
            duration: Duration::from_millis(20),
            waterfall: None,
            error: error.map(ToOwned::to_owned),
            created_at: Timestamp::EPOCH,
        }
    }

    fn stats_of(attempts: &[Attempt]) -> Stats {
        let mut stats = Stats::default();
        attempts.iter().for_each(|attempt| stats.note_attempt(attempt));
        stats
    }

    #[test]
    fn attempts_are_counted_by_result_and_class() {
        let stats = stats_of(&[
            attempt(Some(204), None, Trigger::Initial),
            attempt(Some(302), Some("redirect_refused: to elsewhere"), Trigger::Initial),
            attempt(Some(404), Some("http_status: 404"), Trigger::Manual),
            attempt(Some(503), Some("http_status: 503"), Trigger::Automatic),
            attempt(None, Some("timeout: no answer"), Trigger::Automatic),
            attempt(None, Some("connection_refused: port 1"), Trigger::Automatic),
            // RabbitMQ acknowledges without a status.
            attempt(None, None, Trigger::Initial),
        ]);
        assert_eq!((stats.succeeded, stats.failed, stats.retried, stats.attempts()), (2, 5, 3, 7));
        assert_eq!(stats.responses, [2, 1, 1, 1, 2]);
        // All but the refused connection.
        assert_eq!(stats.latencies.count(), 6);
    }

    #[test]
    fn success_rate_is_the_arrived_share_of_the_accepted() {
        let check = |accepted, arrived, ended, rate, pending| {
            let stats = Stats { accepted, arrived, ended, ..Stats::default() };
            assert_eq!((stats.success_rate(), stats.pending()), (rate, pending), "{accepted} {arrived} {ended}");
        };
        check(0, 0, 0, None, 0);
        check(4, 3, 0, Some(75.0), 1);
        check(3, 2, 1, Some(66.66), 0);
        check(1_000_000, 999_999, 0, Some(99.99), 1);
        check(7, 7, 0, Some(100.0), 0);
        // Numbers lost in a crash.
        check(1, 2, 0, Some(100.0), 0);
        check(1, -1, 0, Some(0.0), 2);
    }

    #[test]
    fn columns_round_trip_and_add_up() {
        let mut columns = [0; Stats::COLUMNS];
        columns.iter_mut().zip(1..).for_each(|(column, number)| *column = number);
        let stats = Stats::from_columns(&columns);
        assert_eq!(stats.columns(), columns);
        assert_eq!((stats.messages, stats.retried, stats.responses[0], stats.latencies.buckets()[25]), (1, 7, 8, 38));
        let mut twice = stats;
        twice += stats;
        assert_eq!(twice.columns(), columns.map(|number| number * 2));
    }

    #[test]
    fn step_starts_at_a_whole_multiple() {
        let check = |resolution: Resolution, at: &str, expected: &str| {
            let (at, expected): (Timestamp, Timestamp) = (at.parse().expect("a time"), expected.parse().expect("a time"));
            assert_eq!(resolution.start(at), expected);
        };
        check(Resolution::Minute, "2027-01-31T12:34:56.789Z", "2027-01-31T12:34:00Z");
        check(Resolution::HalfHour, "2027-01-31T12:34:56Z", "2027-01-31T12:30:00Z");
        check(Resolution::HalfHour, "2027-01-31T12:00:00Z", "2027-01-31T12:00:00Z");
        check(Resolution::Day, "2027-01-31T23:59:59Z", "2027-01-31T00:00:00Z");
    }

    #[test]
    fn error_word_ends_at_the_colon() {
        assert_eq!(error_word("timeout: no answer: really"), "timeout");
        assert_eq!(error_word("timeout"), "timeout");
    }
}
