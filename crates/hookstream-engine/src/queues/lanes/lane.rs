//! Lane: one target's deliveries in memory, and the rules for when the next may be sent.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use hookstream_model::{
    base::{ids::TargetId, time::Timestamp},
    delivery::{
        hold::{self, BreakerPolicy, Hold, HoldReason},
        outcome::Outcome,
        queue::Backlog,
    },
};
use tokio::time::Instant;

use super::{
    Map,
    concurrency::{Bearing, Concurrency},
    invariants::{BacklogBook, LaneBook},
    pace::Pace,
    policy::{Census, Gather, LanePolicy, LaneView},
    rate::Window,
};

/// Maximum number of deliveries of one backlog in memory: those behind a failed one return to the store.
pub(super) const MAX_QUEUED_PER_BACKLOG: usize = 32;

/// Minimum change of a hold's end that is written; attempts in flight together report almost the same end.
const MIN_HOLD_CHANGE: Duration = Duration::from_secs(1);

/// Position of a delivery in its lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    /// Size of its payload in memory.
    pub(crate) bytes: usize,
    /// Whether it was attempted before.
    pub(crate) is_retry: bool,
    /// Backlog whose order it keeps.
    pub(crate) backlog: Option<Backlog>,
}

/// Delivery whose turn it is, and the others that share its attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Batch<D> {
    /// Target of all its deliveries.
    pub(crate) target: TargetId,
    pub(crate) delivery: D,
    /// Backlog in which it blocks the deliveries behind it.
    pub(crate) backlog: Option<Backlog>,
    /// Whether it counts as a retry.
    pub(crate) is_retry: bool,
    /// Other deliveries, each with its backlog.
    pub(crate) others: Vec<(D, Option<Backlog>)>,
}

impl<D> Batch<D> {
    /// Returns the number of deliveries.
    pub(crate) const fn len(&self) -> usize {
        1 + self.others.len()
    }
}

/// Queue in which the next delivery waits.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// First of the backlogs that are ready.
    Backlog,
    /// Queue of first attempts or of retries.
    Queue { is_retry: bool },
}

#[derive(Debug)]
pub(crate) struct Lane<D> {
    pub(super) policy: Arc<LanePolicy>,
    /// First attempts and retries, which take turns.
    queues: [VecDeque<(D, usize)>; 2],
    retries_next: bool,
    backlogs: Map<Backlog, BacklogQueue<D>>,
    /// Backlogs whose next delivery may be sent.
    ready: VecDeque<Backlog>,
    /// Time since which sendable deliveries gather.
    gathering_since: Option<Instant>,
    /// Size of the largest batch so far.
    largest: usize,
    pub(super) queued: usize,
    pub(super) queued_bytes: usize,
    pub(super) open: usize,
    pub(super) in_flight: usize,
    pub(super) has_turn: bool,
    /// Whether more due deliveries wait in the store.
    pub(super) has_more: bool,
    pub(super) timer: Option<Instant>,
    pub(super) window: Window,
    concurrency: Concurrency,
    pace: Pace,
    failures: u32,
    hold: Option<(Hold, Instant)>,
    /// Whether the hold is still to be written; the stored one is older.
    is_unsaved: bool,
}

/// Deliveries of one backlog in memory.
#[derive(Debug)]
struct BacklogQueue<D> {
    queue: VecDeque<(D, usize)>,
    /// Number of deliveries in flight or not yet recorded: one, or a batch.
    busy: usize,
    /// Number of deliveries on their way back to the store; until they are stored, the next ones must not be claimed.
    leaving: usize,
}

impl<D> BacklogQueue<D> {
    fn is_done(&self) -> bool {
        self.queue.is_empty() && self.busy == 0 && self.leaving == 0
    }
}

impl<D> Lane<D> {
    pub(super) fn new(policy: Arc<LanePolicy>, most: usize, since: Option<Instant>, now: Now) -> Self {
        let mut lane = Self {
            queues: [VecDeque::new(), VecDeque::new()],
            retries_next: false,
            backlogs: Map::default(),
            ready: VecDeque::new(),
            gathering_since: None,
            largest: 1,
            queued: 0,
            queued_bytes: 0,
            open: 0,
            in_flight: 0,
            has_turn: false,
            has_more: false,
            timer: None,
            window: Window::since(since),
            concurrency: Concurrency::full(most),
            pace: Pace::default(),
            failures: 0,
            hold: None,
            is_unsaved: false,
            policy,
        };
        lane.take_hold(lane.policy.hold, now);
        lane
    }

    /// Takes a policy, unless a newer one is known.
    pub(super) fn set_policy(&mut self, policy: &Arc<LanePolicy>, now: Now) {
        if Arc::ptr_eq(&self.policy, policy) || policy.version < self.policy.version {
            return;
        }
        self.policy = Arc::clone(policy);
        if !self.is_unsaved {
            self.take_hold(policy.hold, now);
        }
    }

    fn take_hold(&mut self, hold: Option<Hold>, now: Now) {
        if self.hold.map(|(hold, _)| hold) == hold {
            return;
        }
        if self.hold.is_some() && hold.is_none() {
            self.failures = 0;
            self.concurrency.begin_slowly();
        }
        self.hold = hold.map(|hold| (hold, now.monotonic + hold.until.since(now.wall)));
    }

    /// Returns the reason of the lane's hold.
    pub(super) fn hold_reason(&self) -> Option<HoldReason> {
        self.hold.map(|(hold, _)| hold.reason)
    }

    /// Ends an expired `Retry-After` hold.
    pub(super) fn end_hold(&mut self, now: Instant) {
        if self.hold.is_some_and(|(hold, until)| hold.reason == HoldReason::RetryAfter && until <= now) {
            self.hold = None;
            self.concurrency.begin_slowly();
        }
    }

    /// Clears the failures and the hold of a deleted target.
    pub(super) fn clear_hold(&mut self) {
        self.failures = 0;
        self.hold = None;
        self.is_unsaved = false;
    }

    pub(super) fn saved(&mut self) {
        self.is_unsaved = false;
    }

    /// Returns the end of the hold.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.hold.map(|(_, until)| until)
    }

    /// Returns whether nothing may be sent now.
    pub(super) fn is_shut(&self, now: Instant) -> bool {
        self.policy.is_paused || self.hold.is_some_and(|(_, until)| until > now)
    }

    pub(super) fn push(&mut self, delivery: D, slot: Slot) {
        self.queued += 1;
        self.queued_bytes += slot.bytes;
        let Some(backlog) = slot.backlog else {
            self.queues[usize::from(slot.is_retry)].push_back((delivery, slot.bytes));
            return;
        };
        let of_backlog = self.backlogs.entry(backlog).or_insert_with(|| BacklogQueue { queue: VecDeque::new(), busy: 0, leaving: 0 });
        if of_backlog.queue.is_empty() && of_backlog.busy == 0 {
            self.ready.push_back(backlog);
        }
        of_backlog.queue.push_back((delivery, slot.bytes));
    }

    /// Notes since when sendable deliveries gather.
    pub(super) fn gather(&mut self, now: Instant) {
        if self.has_next() {
            self.gathering_since.get_or_insert(now);
        } else {
            self.gathering_since = None;
        }
    }

    /// Returns until when sendable deliveries wait for a fuller batch; `None` if they need not wait. Ordered deliveries
    /// gather in the store instead.
    pub(super) fn gathers_until(&self, now: Instant) -> Option<Instant> {
        let gather = self.policy.gather.filter(|_| !self.policy.is_ordered)?;
        let until = self.gathering_since? + gather.wait;
        (until > now && !self.is_full(gather)).then_some(until)
    }

    /// Returns whether a batch of maximum size is available.
    fn is_full(&self, gather: Gather) -> bool {
        let in_backlogs = self.ready.iter().filter_map(|backlog| self.backlogs.get(backlog)).map(|of_backlog| &of_backlog.queue);
        let (mut count, mut bytes) = (0, 0);
        for queue in self.queues.iter().chain(in_backlogs) {
            count += queue.len();
            if self.queued_bytes >= gather.bytes {
                bytes += queue.iter().map(|(_, bytes)| bytes).sum::<usize>();
            }
            if count >= gather.most || bytes >= gather.bytes {
                return true;
            }
        }
        false
    }

    fn has_next(&self) -> bool {
        self.queues.iter().any(|queue| !queue.is_empty()) || !self.ready.is_empty()
    }

    /// Returns whether nothing but the rate blocks the next delivery.
    pub(super) fn may_send(&self, permits: usize, unrecorded: usize, now: Instant) -> bool {
        let most = match self.hold {
            _ if self.policy.is_paused => 0,
            Some((_, until)) if until > now => 0,
            Some((Hold { reason: HoldReason::Failing, .. }, _)) => 1,
            Some(_) | None => permits.min(self.concurrency.allowed()),
        };
        self.has_next() && self.gathers_until(now).is_none() && self.open < most && self.in_flight < permits * unrecorded
    }

    /// Takes the next batch of the allowed kinds: first attempts, retries. A delivery of a backlog counts as a first
    /// attempt; the others of a batch count like its first delivery.
    pub(super) fn pop(&mut self, target: TargetId, kinds: [bool; 2]) -> Option<(Batch<D>, usize)> {
        let (source, mut bytes) = self.source(kinds)?;
        let (delivery, backlog) = self.take(source)?;
        let is_retry = matches!(source, Source::Queue { is_retry: true });
        let mut others = Vec::new();
        // A circuit breaker is probed with a single delivery.
        let is_probe = matches!(self.hold, Some((Hold { reason: HoldReason::Failing, .. }, _)));
        if let Some(gather) = self.policy.gather.filter(|_| !is_probe) {
            while 1 + others.len() < gather.most
                && let Some((source, more)) = self.source([true, true])
                && bytes + more <= gather.bytes
                && let Some(taken) = self.take(source)
            {
                bytes += more;
                others.push(taken);
            }
        }
        // The rest of a backlog waits for the deliveries taken from it.
        if self.ready.front().and_then(|backlog| self.backlogs.get(backlog)).is_some_and(|of_backlog| of_backlog.busy > 0) {
            self.ready.pop_front();
        }
        self.open += 1;
        self.largest = self.largest.max(1 + others.len());
        self.gathering_since = None;
        Some((Batch { target, delivery, backlog, is_retry, others }, bytes))
    }

    /// Returns the queue of the next delivery of these kinds, and its bytes.
    fn source(&self, kinds: [bool; 2]) -> Option<(Source, usize)> {
        let of_backlog = self.ready.front().filter(|_| kinds[0]).and_then(|backlog| self.backlogs.get(backlog));
        if let Some((_, bytes)) = of_backlog.and_then(|of_backlog| of_backlog.queue.front()) {
            return Some((Source::Backlog, *bytes));
        }
        let order = if self.retries_next { [true, false] } else { [false, true] };
        order.into_iter().filter(|is_retry| kinds[usize::from(*is_retry)]).find_map(|is_retry| {
            let (_, bytes) = self.queues[usize::from(is_retry)].front()?;
            Some((Source::Queue { is_retry }, *bytes))
        })
    }

    fn take(&mut self, source: Source) -> Option<(D, Option<Backlog>)> {
        let ((delivery, bytes), backlog) = match source {
            Source::Backlog => {
                let backlog = *self.ready.front()?;
                let of_backlog = self.backlogs.get_mut(&backlog)?;
                let first = of_backlog.queue.pop_front()?;
                of_backlog.busy += 1;
                if of_backlog.queue.is_empty() {
                    self.ready.pop_front();
                }
                (first, Some(backlog))
            }
            Source::Queue { is_retry } => {
                let first = self.queues[usize::from(is_retry)].pop_front()?;
                self.retries_next = !is_retry;
                (first, None)
            }
        };
        self.queued -= 1;
        self.queued_bytes -= bytes;
        self.in_flight += 1;
        Some((delivery, backlog))
    }

    /// Takes the outcome of an attempt. Returns the hold if it has changed.
    pub(super) fn attempted(&mut self, outcome: &Outcome, begun: Instant, breaker: BreakerPolicy, now: Now) -> Option<Option<Hold>> {
        self.pace.responded(now.monotonic);
        self.concurrency.note(Bearing::of(outcome, now.monotonic - begun), begun, now.monotonic);
        self.failures = if outcome.is_accepted() { 0 } else { self.failures.saturating_add(1) };
        // Measured by the monotonic clock, so that a change of the wall clock neither ends nor lengthens the hold.
        let seen = self.hold.map(|(hold, until)| Hold { until: now.wall + until.saturating_duration_since(now.monotonic), ..hold });
        let after = hold::after_attempt(seen, outcome, self.failures, breaker, now.wall);
        let is_same = |(after, seen): (Hold, Hold)| after.reason == seen.reason && after.until.since(seen.until) < MIN_HOLD_CHANGE;
        if after == seen || after.zip(seen).is_some_and(is_same) {
            return None;
        }
        self.take_hold(after, now);
        self.is_unsaved = true;
        Some(after)
    }

    /// Notes that a popped delivery is recorded. Evicts the deliveries behind it in its backlog if they must wait for
    /// it.
    pub(super) fn finish(&mut self, backlog: Option<Backlog>, moves_on: bool) -> Vec<D> {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some(backlog) = backlog else { return Vec::new() };
        let Some(of_backlog) = self.backlogs.get_mut(&backlog) else { return Vec::new() };
        of_backlog.busy = of_backlog.busy.saturating_sub(1);
        if moves_on && !of_backlog.queue.is_empty() {
            if of_backlog.busy == 0 {
                self.ready.push_back(backlog);
            }
            return Vec::new();
        }
        let evict = std::mem::take(&mut of_backlog.queue);
        of_backlog.leaving += evict.len();
        if of_backlog.is_done() {
            self.backlogs.remove(&backlog);
        }
        self.count_out(evict)
    }

    /// Notes that an evicted delivery is in the store again. Returns whether the backlog may be claimed from.
    pub(super) fn requeue(&mut self, backlog: Backlog) -> bool {
        let Some(of_backlog) = self.backlogs.get_mut(&backlog) else { return true };
        of_backlog.leaving = of_backlog.leaving.saturating_sub(1);
        let is_done = of_backlog.is_done();
        if is_done {
            self.backlogs.remove(&backlog);
        }
        is_done
    }

    fn count_out(&mut self, evict: impl IntoIterator<Item = (D, usize)>) -> Vec<D> {
        let evict = evict.into_iter().map(|(delivery, bytes)| {
            self.queued -= 1;
            self.queued_bytes -= bytes;
            delivery
        });
        evict.collect()
    }

    /// Removes and returns the waiting deliveries that `keep` rejects.
    pub(super) fn evict(&mut self, keep: &impl Fn(&LanePolicy, &D) -> bool) -> Vec<D> {
        let (mut evict, policy) = (Vec::new(), Arc::clone(&self.policy));
        let mut take_rejected = |queue: &mut VecDeque<(D, usize)>| {
            let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(queue).into_iter().partition(|(delivery, _)| keep(&policy, delivery));
            queue.extend(kept);
            let count = gone.len();
            evict.extend(gone);
            count
        };
        for queue in &mut self.queues {
            take_rejected(queue);
        }
        for of_backlog in self.backlogs.values_mut() {
            of_backlog.leaving += take_rejected(&mut of_backlog.queue);
        }
        let backlogs = &self.backlogs;
        self.ready.retain(|backlog| backlogs.get(backlog).is_some_and(|of_backlog| !of_backlog.queue.is_empty()));
        self.count_out(evict)
    }

    /// Returns how many more deliveries are useful in memory.
    pub(super) fn room(&self, most: usize) -> usize {
        most.min(self.policy.useful_queue()).saturating_sub(self.queued)
    }

    /// Returns how many deliveries to claim from a stored backlog.
    pub(super) fn wants_from(&self, backlog: Backlog, most: usize, now: Instant) -> usize {
        if self.policy.is_ordered && self.backlogs.contains_key(&backlog) {
            return 0;
        }
        match self.hold {
            _ if self.policy.is_paused => 0,
            Some((_, until)) if until > now => 0,
            Some((Hold { reason: HoldReason::Failing, .. }, _)) => usize::from(self.queued == 0 && self.in_flight == 0),
            Some(_) | None if self.policy.is_ordered => self.room(most).min(MAX_QUEUED_PER_BACKLOG.max(self.policy.batch_size())),
            Some(_) | None => self.room(most),
        }
    }

    /// Returns whether it is worth asking the store for more.
    pub(super) fn runs_low(&self, most: usize) -> bool {
        self.has_more && self.queued <= most.min(self.policy.useful_queue()) / 2
    }

    /// Counts the lane in a census.
    pub(super) fn count_in(&self, census: &mut Census, due_of: &impl Fn(&D) -> Timestamp, now: Now) {
        if self.in_flight > 0 {
            census.sending += 1;
        }
        let hold = self.hold.filter(|(_, until)| *until > now.monotonic).map(|(hold, _)| hold.reason);
        match (self.policy.is_paused, hold) {
            (true, _) => census.paused += 1,
            (false, Some(HoldReason::Failing)) => census.circuits_open += 1,
            (false, Some(HoldReason::RetryAfter)) => census.retry_after += 1,
            (false, None) if self.queued > 0 => {
                if self.in_flight == 0 {
                    census.waiting += 1;
                }
                let in_backlogs = self.backlogs.values().map(|of_backlog| &of_backlog.queue);
                let fronts = self.queues.iter().chain(in_backlogs).filter_map(|queue| queue.front());
                let oldest = fronts.map(|(delivery, _)| due_of(delivery)).min();
                census.oldest_due = census.oldest_due.max(oldest.map_or(Duration::ZERO, |due| now.wall.since(due)));
            }
            (false, None) => {}
        }
    }

    /// Returns the public view of the lane; `due_of` returns a delivery's due time.
    pub(super) fn view(&self, target: TargetId, due_of: &impl Fn(&D) -> Timestamp, now: Now) -> LaneView {
        let in_backlogs = self.backlogs.values().map(|of_backlog| &of_backlog.queue);
        let fronts = self.queues.iter().chain(in_backlogs).filter_map(|queue| queue.front());
        let hold = self.hold.map(|(hold, until)| Hold { until: now.wall + until.saturating_duration_since(now.monotonic), ..hold });
        LaneView {
            target,
            scope: self.policy.scope,
            queued: self.queued,
            in_flight: self.in_flight,
            at_once: self.concurrency.allowed(),
            oldest_due: fronts.map(|(delivery, _)| due_of(delivery)).min(),
            per_second: self.pace.per_second(),
            hold: hold.filter(|hold| hold.holds(now.wall)),
        }
    }

    /// Returns the figures to check.
    pub(super) fn book(&self) -> LaneBook {
        let mut backlogs: Map<Backlog, BacklogBook> = Map::default();
        for (backlog, of_backlog) in &self.backlogs {
            let book = BacklogBook { waiting: of_backlog.queue.len(), busy: of_backlog.busy, turns: 0, leaving: of_backlog.leaving };
            backlogs.insert(*backlog, book);
        }
        for backlog in &self.ready {
            backlogs.entry(*backlog).or_default().turns += 1;
        }
        let in_queues = self.queues.iter().map(VecDeque::len).sum();
        let backlogs = backlogs.into_values().collect();
        LaneBook { queued: self.queued, in_queues, backlogs, open: self.open, in_flight: self.in_flight, largest: self.largest }
    }

    /// Returns whether the lane has deliveries in this process.
    pub(super) fn is_at_work(&self) -> bool {
        self.queued > 0 || self.in_flight > 0 || !self.backlogs.is_empty()
    }

    /// Returns whether the lane has no state to keep, apart from sends that count against a rate.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_at_work() && !self.has_turn && self.failures == 0 && self.hold.is_none() && !self.is_unsaved
    }
}

/// Present by both clocks: the wall clock for stored times, the monotonic clock for durations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) wall: Timestamp,
    pub(crate) monotonic: Instant,
}
