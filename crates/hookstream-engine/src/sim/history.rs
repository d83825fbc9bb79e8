//! What happened in a simulation, as plain data: the oracle judges it, and nothing else remembers it.
//!
//! Everything is told at the moment when the outside world sees it: a try when it is on its way and when its
//! receiver has decided, a settlement when it is committed.

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

/// The most messages that go in one request.
pub(super) const LARGEST_BATCH: u32 = 4;

/// How often nodes may ask for something in one millisecond; where they do so more often, time stands still.
const ASKED_MAX: u32 = 20_000;

/// When something happened: milliseconds of the monotonic clock since the beginning, and its place among all
/// that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Moment {
    pub(super) place: u64,
    pub(super) ms: u64,
}

/// One delivery.
pub(super) type Delivery = (MessageId, EndpointId);

/// An endpoint and what was changed about it.
#[derive(Debug, Clone)]
pub(super) struct EndpointPast {
    pub(super) id: EndpointId,
    pub(super) application: ApplicationId,
    /// What a failure does, where it keeps an order.
    pub(super) ordered: Option<OnFailure>,
    /// Whether each key has its own order.
    pub(super) by_key: bool,
    /// Its rates, each from then on.
    pub(super) rates: Vec<(Moment, Option<u32>)>,
    pub(super) was_disabled: bool,
    /// When its deletion was answered, and by which node; `None` for a node is that none was up.
    pub(super) deleted: Option<(Moment, Option<u32>)>,
}

/// A message that was answered as accepted.
#[derive(Debug, Clone)]
pub(super) struct AcceptedMessage {
    pub(super) id: MessageId,
    pub(super) application: ApplicationId,
    pub(super) key: u8,
    pub(super) idempotency: Option<String>,
    pub(super) sent: Moment,
    pub(super) answered: Moment,
}

/// One try, as its receiver sees it.
#[derive(Debug, Clone)]
pub(super) struct Try {
    pub(super) node: u32,
    pub(super) delivery: Delivery,
    /// The key in the payload, by which some endpoints keep an order.
    pub(super) key: u8,
    /// Whether it goes with another, in one request.
    pub(super) rides: bool,
    pub(super) begun: Moment,
    /// When the receiver had decided, or the connection was gone.
    pub(super) ended: Option<Moment>,
    pub(super) accepted: bool,
}

/// What a commit made of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Succeeded,
    Ended,
    Retried,
    Postponed,
    /// By an operator or a job.
    OwedAgain,
}

/// A commit that changed where a delivery stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct HistoryEvent {
    pub(super) at: Moment,
    pub(super) delivery: Delivery,
    pub(super) how: How,
}

/// Why a node no longer knows of, or no longer owns, what it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// It was killed, or has stopped.
    Ended,
    /// Its lease ran out, and others have what it had.
    Lapsed,
    /// It took a new number, and does not have what it had under the one before.
    BegunAnew,
    /// It was frozen and goes on: what it was about to do, it does now.
    Thawed,
}

/// Everything that happened.
#[derive(Debug, Clone, Default)]
pub(super) struct Past {
    pub(super) endpoints: Vec<EndpointPast>,
    /// Rates over all endpoints of an application; they are not changed.
    pub(super) application_rates: Vec<(ApplicationId, u32)>,
    pub(super) accepted: Vec<AcceptedMessage>,
    pub(super) tries: Vec<Try>,
    pub(super) changes: Vec<HistoryEvent>,
    pub(super) losses: Vec<(Moment, u32, Loss)>,
    /// When the wall's clock was behind where it had been, from when and until when.
    pub(super) clock_behind: Vec<(Moment, Option<Moment>)>,
    /// Settlements under a number that owned nothing any more, and how many of each counted all the same.
    pub(super) stale_settlements: Vec<(Moment, usize)>,
    /// Whether several nodes share the store. Then ids tell nothing about the order of what was accepted.
    pub(super) is_shared: bool,
    /// Tries that one target may have under way at once.
    pub(super) permits: usize,
    pub(super) trace: Vec<String>,
}

/// The past that goes on. Held for a few lines, never across an await.
#[derive(Debug)]
pub(super) struct History {
    begun: Instant,
    state: Mutex<(u64, Past)>,
    /// How often nodes have asked for something in this millisecond.
    asked: Mutex<(u64, u32)>,
}

impl History {
    pub(super) fn new(permits: usize, is_shared: bool) -> Self {
        Self { begun: Instant::now(), state: Mutex::new((0, Past { permits, is_shared, ..Past::default() })), asked: Mutex::default() }
    }

    /// Counts what nodes ask for, so that one that goes round and round is found.
    pub(super) fn passed(&self) {
        let now = self.elapsed_ms();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        *asked = if asked.0 == now { (now, asked.1 + 1) } else { (now, 1) };
        assert!(asked.1 < ASKED_MAX, "a node goes round and round at {now} ms:\n{}", self.look(|past| past.last_lines(40)));
    }

    /// A moment after all that was before.
    pub(super) fn now(&self) -> Moment {
        let mut state = self.lock();
        state.0 += 1;
        Moment { place: state.0, ms: self.elapsed_ms() }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).expect("a simulation is shorter")
    }

    /// Notes a line of the trace.
    pub(super) fn note(&self, line: impl fmt::Display) {
        let line = format!("{:>8} ms  {line}", self.elapsed_ms());
        self.lock().1.trace.push(line);
    }

    /// Changes what is remembered.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Past, Moment) -> T) -> T {
        let now = self.now();
        change(&mut self.lock().1, now)
    }

    /// Looks at it.
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

    /// The last lines of the trace.
    pub(super) fn last_lines(&self, most: usize) -> String {
        self.trace[self.trace.len().saturating_sub(most)..].join("\n")
    }

    /// A number for the whole trace.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.trace.hash(&mut hasher);
        hasher.finish()
    }

    /// The first line in which two histories differ.
    pub(super) fn difference(&self, other: &Self) -> Option<(String, String)> {
        let length = self.trace.len().max(other.trace.len());
        let line = |past: &Self, number: usize| past.trace.get(number).cloned().unwrap_or_default();
        (0..length).map(|number| (line(self, number), line(other, number))).find(|(ours, theirs)| ours != theirs)
    }

    /// How long the trace is.
    pub(super) fn length(&self) -> usize {
        self.trace.len()
    }
}
