//! History of a simulation as plain data, for the oracle.
//!
//! Each event is noted when the outside world sees it: an attempt when it is sent and when its receiver has decided, a
//! settlement when it is committed.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
};

use hookstream_model::{
    base::ids::{ApplicationId, EndpointId, MessageId},
    delivery::ordering::OnFailure,
};
use tokio::time::Instant;

/// Maximum number of messages in one request.
pub(super) const LARGEST_BATCH: u32 = 4;

/// Maximum number of requests of all nodes in one millisecond; more mean that time does not advance.
const MAX_REQUESTS: u32 = 20_000;

/// Time of an event: milliseconds of the monotonic clock since the beginning, and the position among all events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Moment {
    pub(super) position: u64,
    pub(super) ms: u64,
}

/// Message and endpoint of a delivery.
pub(super) type Delivery = (MessageId, EndpointId);

/// Endpoint and its changes.
#[derive(Debug, Clone)]
pub(super) struct EndpointPast {
    pub(super) id: EndpointId,
    pub(super) application: ApplicationId,
    /// Failure policy, if the endpoint is ordered.
    pub(super) ordered: Option<OnFailure>,
    /// Whether each key has its own order.
    pub(super) by_key: bool,
    /// Rates, each with its start.
    pub(super) rates: Vec<(Moment, Option<u32>)>,
    pub(super) was_disabled: bool,
    /// Response to its deletion: the time, and the informed node, if one was up.
    pub(super) deleted: Option<(Moment, Option<u32>)>,
}

/// Message with an accepting response.
#[derive(Debug, Clone)]
pub(super) struct AcceptedMessage {
    pub(super) id: MessageId,
    pub(super) application: ApplicationId,
    pub(super) key: u8,
    pub(super) idempotency: Option<String>,
    pub(super) sent: Moment,
    pub(super) responded: Moment,
}

/// Attempt, as its receiver sees it.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) node: u32,
    pub(super) delivery: Delivery,
    /// Ordering key in the payload.
    pub(super) key: u8,
    /// Whether it shares the request of another attempt.
    pub(super) is_batched: bool,
    pub(super) begun: Moment,
    /// Time of the receiver's decision or of the lost connection.
    pub(super) ended: Option<Moment>,
    pub(super) accepted: bool,
}

/// Effect of a commit on a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Succeeded,
    Ended,
    Retried,
    Postponed,
    /// Made pending again by a user or a job.
    Requeued,
}

/// Commit that changed a delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct HistoryEvent {
    pub(super) at: Moment,
    pub(super) delivery: Delivery,
    pub(super) how: How,
}

/// Reason why a node lost track of its deliveries or their ownership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// The node was killed or has stopped.
    Ended,
    /// The lease expired, and other nodes have the deliveries.
    LeaseExpired,
    /// The node registered a new owner id and lost the deliveries of the previous one.
    Reenlisted,
    /// The node was frozen and continues with requests decided before.
    Thawed,
}

/// All events.
#[derive(Debug, Clone, Default)]
pub(super) struct Past {
    pub(super) endpoints: Vec<EndpointPast>,
    /// Rates over all endpoints of an application; constant.
    pub(super) application_rates: Vec<(ApplicationId, u32)>,
    pub(super) accepted: Vec<AcceptedMessage>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) changes: Vec<HistoryEvent>,
    pub(super) losses: Vec<(Moment, u32, Loss)>,
    /// Intervals in which the wall clock was behind its furthest time.
    pub(super) clock_behind: Vec<(Moment, Option<Moment>)>,
    /// Settlements of expired owner ids, and how many of each counted nevertheless.
    pub(super) stale_settlements: Vec<(Moment, usize)>,
    /// Whether several nodes share the store. Then the order of ids does not give the order of acceptance.
    pub(super) is_shared: bool,
    /// Maximum number of attempts in flight to one target.
    pub(super) permits: usize,
    pub(super) trace: Vec<String>,
}

/// Growing history. Locked for a few lines, never across an await.
#[derive(Debug)]
pub(super) struct History {
    begun: Instant,
    state: Mutex<(u64, Past)>,
    /// Number of requests of all nodes in the current millisecond.
    requests: Mutex<(u64, u32)>,
}

impl History {
    pub(super) fn new(permits: usize, is_shared: bool) -> Self {
        Self { begun: Instant::now(), state: Mutex::new((0, Past { permits, is_shared, ..Past::default() })), requests: Mutex::default() }
    }

    /// Counts the requests of nodes, to detect a busy loop.
    pub(super) fn passed(&self) {
        let now = self.elapsed_ms();
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests = if requests.0 == now { (now, requests.1 + 1) } else { (now, 1) };
        assert!(requests.1 < MAX_REQUESTS, "a node loops without waiting at {now} ms:\n{}", self.look(|past| past.last_lines(40)));
    }

    /// Returns a moment after all earlier ones.
    pub(super) fn now(&self) -> Moment {
        let mut state = self.lock();
        state.0 += 1;
        Moment { position: state.0, ms: self.elapsed_ms() }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).expect("a simulation is short")
    }

    /// Adds a line to the trace.
    pub(super) fn note(&self, line: impl fmt::Display) {
        let line = format!("{:>8} ms  {line}", self.elapsed_ms());
        self.lock().1.trace.push(line);
    }

    /// Changes the history at a new moment.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Past, Moment) -> T) -> T {
        let now = self.now();
        change(&mut self.lock().1, now)
    }

    /// Reads the history.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Past) -> T) -> T {
        look(&self.lock().1)
    }

    fn lock(&self) -> MutexGuard<'_, (u64, Past)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Past {
    pub(super) fn endpoint(&self, id: EndpointId) -> Option<&EndpointPast> {
        self.endpoints.iter().find(|endpoint| endpoint.id == id)
    }

    /// Returns the last lines of the trace.
    pub(super) fn last_lines(&self, most: usize) -> String {
        self.trace[self.trace.len().saturating_sub(most)..].join("\n")
    }

    /// Returns a hash of the whole trace.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.trace.hash(&mut hasher);
        hasher.finish()
    }

    /// Returns the first line in which two histories differ.
    pub(super) fn difference(&self, other: &Self) -> Option<(String, String)> {
        let length = self.trace.len().max(other.trace.len());
        let line = |past: &Self, number: usize| past.trace.get(number).cloned().unwrap_or_default();
        (0..length).map(|number| (line(self, number), line(other, number))).find(|(ours, theirs)| ours != theirs)
    }

    /// Returns the number of lines of the trace.
    pub(super) fn length(&self) -> usize {
        self.trace.len()
    }
}
