//! A lane: what waits in memory for one target, and what decides when the next of it may go.

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
    policy::{Gather, LanePolicy, LaneView},
    rate::Window,
};

/// The most of one backlog in memory: what is behind one that fails goes back to the store.
pub(super) const OF_A_LINE: usize = 32;

/// A hold that ends later by less is the same: what is under way together says so many times.
const WORTH_A_WRITE: Duration = Duration::from_secs(1);

/// Where a delivery belongs in its lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    /// How much memory its payload takes.
    pub(crate) bytes: usize,
    /// Whether it was tried before.
    pub(crate) is_retry: bool,
    /// The backlog whose order it keeps.
    pub(crate) backlog: Option<Backlog>,
}

/// A delivery whose turn it is, and those that go with it in one try.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Batch<D> {
    pub(crate) delivery: D,
    /// The backlog in which it keeps back what is behind it.
    pub(crate) backlog: Option<Backlog>,
    /// Whether it counts as a further try.
    pub(crate) is_retry: bool,
    /// The others, each with its backlog.
    pub(crate) others: Vec<(D, Option<Backlog>)>,
}

impl<D> Batch<D> {
    /// How many deliveries go.
    pub(crate) const fn len(&self) -> usize {
        1 + self.others.len()
    }
}

/// Where in a lane the next delivery waits.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// First in the backlog that is ready first.
    Backlog,
    /// In the queue of first tries or of further ones.
    Queue { is_retry: bool },
}

#[derive(Debug)]
pub(crate) struct Lane<D> {
    pub(super) policy: Arc<LanePolicy>,
    /// First tries and further ones, which take turns.
    queues: [VecDeque<(D, usize)>; 2],
    retries_next: bool,
    backlogs: Map<Backlog, BacklogQueue<D>>,
    /// Backlogs whose next may go.
    ready: VecDeque<Backlog>,
    /// Since when something that could go gathers.
    gathering_since: Option<Instant>,
    /// How many went in the largest try.
    largest: usize,
    pub(super) queued: usize,
    pub(super) queued_bytes: usize,
    pub(super) open: usize,
    pub(super) in_flight: usize,
    pub(super) has_turn: bool,
    /// More waits in the store and is due.
    pub(super) has_more: bool,
    pub(super) timer: Option<Instant>,
    pub(super) window: Window,
    concurrency: Concurrency,
    pace: Pace,
    failures: u32,
    hold: Option<(Hold, Instant)>,
    /// The hold is to be written; what the store says is older.
    is_unsaved: bool,
}

/// What of one backlog is in memory.
#[derive(Debug)]
struct BacklogQueue<D> {
    queue: VecDeque<(D, usize)>,
    /// So many are under way or not yet recorded: one, or those of one try.
    busy: usize,
    /// So many are on their way back to the store: until they are there, what is behind them must not be taken.
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

    /// Takes what is configured, unless something newer is known.
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

    /// Reason of its hold, if it has one.
    pub(super) fn hold_reason(&self) -> Option<HoldReason> {
        self.hold.map(|(hold, _)| hold.reason)
    }

    /// Ends a hold that is over by itself.
    pub(super) fn end_hold(&mut self, now: Instant) {
        if self.hold.is_some_and(|(hold, until)| hold.reason == HoldReason::RetryAfter && until <= now) {
            self.hold = None;
            self.concurrency.begin_slowly();
        }
    }

    /// Forgets what was held against a target that is not there any more.
    pub(super) fn clear_hold(&mut self) {
        self.failures = 0;
        self.hold = None;
        self.is_unsaved = false;
    }

    pub(super) fn saved(&mut self) {
        self.is_unsaved = false;
    }

    /// When the hold ends, where there is one.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.hold.map(|(_, until)| until)
    }

    /// Whether nothing at all goes for now.
    pub(super) fn is_shut(&self, now: Instant) -> bool {
        self.policy.is_paused || self.hold.is_some_and(|(_, until)| until > now)
    }

    pub(super) fn push(&mut self, delivery: D, spot: Slot) {
        self.queued += 1;
        self.queued_bytes += spot.bytes;
        let Some(backlog) = spot.backlog else {
            self.queues[usize::from(spot.is_retry)].push_back((delivery, spot.bytes));
            return;
        };
        let of_line = self.backlogs.entry(backlog).or_insert_with(|| BacklogQueue { queue: VecDeque::new(), busy: 0, leaving: 0 });
        if of_line.queue.is_empty() && of_line.busy == 0 {
            self.ready.push_back(backlog);
        }
        of_line.queue.push_back((delivery, spot.bytes));
    }

    /// Notes since when what could go gathers.
    pub(super) fn gather(&mut self, now: Instant) {
        if self.has_next() {
            self.gathering_since.get_or_insert(now);
        } else {
            self.gathering_since = None;
        }
    }

    /// Until when what could go waits for more to go with it; `None` where it need not. What keeps an order has
    /// gathered in the store.
    pub(super) fn gathers_until(&self, now: Instant) -> Option<Instant> {
        let gather = self.policy.gather.filter(|_| !self.policy.is_ordered)?;
        let until = self.gathering_since? + gather.wait;
        (until > now && !self.is_full(gather)).then_some(until)
    }

    /// Whether a try as large as may be could be made.
    fn is_full(&self, gather: Gather) -> bool {
        let in_lines = self.ready.iter().filter_map(|backlog| self.backlogs.get(backlog)).map(|of_line| &of_line.queue);
        let (mut count, mut bytes) = (0, 0);
        for queue in self.queues.iter().chain(in_lines) {
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

    /// Whether nothing keeps the next one back but the rate.
    pub(super) fn may_send(&self, permits: usize, unrecorded: usize, now: Instant) -> bool {
        let most = match self.hold {
            _ if self.policy.is_paused => 0,
            Some((_, until)) if until > now => 0,
            Some((Hold { reason: HoldReason::Failing, .. }, _)) => 1,
            Some(_) | None => permits.min(self.concurrency.allowed()),
        };
        self.has_next() && self.gathers_until(now).is_none() && self.open < most && self.in_flight < permits * unrecorded
    }

    /// Takes the next try, of the kinds that may go: first tries, further ones. What is in a backlog counts as a
    /// first; what goes with another counts as that.
    pub(super) fn pop(&mut self, kinds: [bool; 2]) -> Option<(Batch<D>, usize)> {
        let (source, mut bytes) = self.source(kinds)?;
        let (delivery, backlog) = self.take(source)?;
        let is_retry = matches!(source, Source::Queue { is_retry: true });
        let mut others = Vec::new();
        // Whether a receiver is well again is tried with one.
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
        // What is left of a backlog waits for what was taken from it.
        if self.ready.front().and_then(|backlog| self.backlogs.get(backlog)).is_some_and(|of_line| of_line.busy > 0) {
            self.ready.pop_front();
        }
        self.open += 1;
        self.largest = self.largest.max(1 + others.len());
        self.gathering_since = None;
        Some((Batch { delivery, backlog, is_retry, others }, bytes))
    }

    /// Where the next one of these kinds waits, and its bytes.
    fn source(&self, kinds: [bool; 2]) -> Option<(Source, usize)> {
        let of_line = self.ready.front().filter(|_| kinds[0]).and_then(|backlog| self.backlogs.get(backlog));
        if let Some((_, bytes)) = of_line.and_then(|of_line| of_line.queue.front()) {
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
                let of_line = self.backlogs.get_mut(&backlog)?;
                let first = of_line.queue.pop_front()?;
                of_line.busy += 1;
                if of_line.queue.is_empty() {
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

    /// Notes what came of a try. Returns the hold where it has changed.
    pub(super) fn tried(&mut self, outcome: &Outcome, begun: Instant, breaker: BreakerPolicy, now: Now) -> Option<Option<Hold>> {
        self.pace.answered(now.monotonic);
        self.concurrency.note(Bearing::of(outcome, now.monotonic - begun), begun, now.monotonic);
        self.failures = if outcome.is_accepted() { 0 } else { self.failures.saturating_add(1) };
        // By the monotonic clock, so that a clock that is set neither ends nor lengthens it.
        let seen = self.hold.map(|(hold, until)| Hold { until: now.wall + until.saturating_duration_since(now.monotonic), ..hold });
        let after = hold::after_attempt(seen, outcome, self.failures, breaker, now.wall);
        let is_same = |(after, seen): (Hold, Hold)| after.reason == seen.reason && after.until.since(seen.until) < WORTH_A_WRITE;
        if after == seen || after.zip(seen).is_some_and(is_same) {
            return None;
        }
        self.take_hold(after, now);
        self.is_unsaved = true;
        Some(after)
    }

    /// One that was popped is recorded. What is behind it in its backlog and must wait for it is let go.
    pub(super) fn finish(&mut self, backlog: Option<Backlog>, moves_on: bool) -> Vec<D> {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some(backlog) = backlog else { return Vec::new() };
        let Some(of_line) = self.backlogs.get_mut(&backlog) else { return Vec::new() };
        of_line.busy = of_line.busy.saturating_sub(1);
        if moves_on && !of_line.queue.is_empty() {
            if of_line.busy == 0 {
                self.ready.push_back(backlog);
            }
            return Vec::new();
        }
        let evict = std::mem::take(&mut of_line.queue);
        of_line.leaving += evict.len();
        if of_line.is_done() {
            self.backlogs.remove(&backlog);
        }
        self.count_out(evict)
    }

    /// One of a backlog that was let go is in the store again. Returns whether the backlog may be taken from.
    pub(super) fn requeue(&mut self, backlog: Backlog) -> bool {
        let Some(of_line) = self.backlogs.get_mut(&backlog) else { return true };
        of_line.leaving = of_line.leaving.saturating_sub(1);
        let is_done = of_line.is_done();
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

    /// Lets go of what waits and is not to be kept.
    pub(super) fn evict(&mut self, keep: &impl Fn(&D) -> bool) -> Vec<D> {
        let mut evict = Vec::new();
        let mut part = |queue: &mut VecDeque<(D, usize)>| {
            let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(queue).into_iter().partition(|(delivery, _)| keep(delivery));
            queue.extend(kept);
            let count = gone.len();
            evict.extend(gone);
            count
        };
        for queue in &mut self.queues {
            part(queue);
        }
        for of_line in self.backlogs.values_mut() {
            of_line.leaving += part(&mut of_line.queue);
        }
        let backlogs = &self.backlogs;
        self.ready.retain(|backlog| backlogs.get(backlog).is_some_and(|of_line| !of_line.queue.is_empty()));
        self.count_out(evict)
    }

    /// How many more are of use in memory.
    pub(super) fn room(&self, most: usize) -> usize {
        most.min(self.policy.queue_of_use()).saturating_sub(self.queued)
    }

    /// How many may be taken from a backlog in the store.
    pub(super) fn wants_from(&self, backlog: Backlog, most: usize, now: Instant) -> usize {
        if self.policy.is_ordered && self.backlogs.contains_key(&backlog) {
            return 0;
        }
        match self.hold {
            _ if self.policy.is_paused => 0,
            Some((_, until)) if until > now => 0,
            Some((Hold { reason: HoldReason::Failing, .. }, _)) => usize::from(self.queued == 0 && self.in_flight == 0),
            Some(_) | None if self.policy.is_ordered => self.room(most).min(OF_A_LINE.max(self.policy.together())),
            Some(_) | None => self.room(most),
        }
    }

    /// Whether it would be worth asking the store for more.
    pub(super) fn runs_low(&self, most: usize) -> bool {
        self.has_more && self.queued <= most.min(self.policy.queue_of_use()) / 2
    }

    /// What can be seen of it; `due_of` tells when a delivery fell due.
    pub(super) fn view(&self, target: TargetId, due_of: &impl Fn(&D) -> Timestamp, now: Now) -> LaneView {
        let in_lines = self.backlogs.values().map(|of_line| &of_line.queue);
        let fronts = self.queues.iter().chain(in_lines).filter_map(|queue| queue.front());
        let hold = self.hold.map(|(hold, until)| Hold { until: now.wall + until.saturating_duration_since(now.monotonic), ..hold });
        LaneView {
            target,
            application: self.policy.application,
            queued: self.queued,
            in_flight: self.in_flight,
            at_once: self.concurrency.allowed(),
            oldest_due: fronts.map(|(delivery, _)| due_of(delivery)).min(),
            per_second: self.pace.per_second(),
            hold: hold.filter(|hold| hold.holds(now.wall)),
        }
    }

    /// Its figures, to be checked.
    pub(super) fn book(&self) -> LaneBook {
        let mut backlogs: Map<Backlog, BacklogBook> = Map::default();
        for (backlog, of_line) in &self.backlogs {
            let book = BacklogBook { waiting: of_line.queue.len(), busy: of_line.busy, turns: 0, leaving: of_line.leaving };
            backlogs.insert(*backlog, book);
        }
        for backlog in &self.ready {
            backlogs.entry(*backlog).or_default().turns += 1;
        }
        let in_queues = self.queues.iter().map(VecDeque::len).sum();
        let backlogs = backlogs.into_values().collect();
        LaneBook { queued: self.queued, in_queues, backlogs, open: self.open, in_flight: self.in_flight, largest: self.largest }
    }

    /// Whether anything of it is in this process's hands.
    pub(super) fn is_at_work(&self) -> bool {
        self.queued > 0 || self.in_flight > 0 || !self.backlogs.is_empty()
    }

    /// Whether nothing of it is worth remembering but what counts until then.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_at_work() && !self.has_turn && self.failures == 0 && self.hold.is_none() && !self.is_unsaved
    }
}

/// The present by both clocks: the wall's for what is stored, the other for what is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) wall: Timestamp,
    pub(crate) monotonic: Instant,
}
