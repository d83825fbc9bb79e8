//! Lanes: what is due for each target waits in a lane of its own, and the lanes take turns.
//!
//! Nothing here waits or sends. Environments take turns, each as many in a row as it weighs, within each its applications, and within
//! each of those its lanes. A lane has its turn
//! while it has something to send and neither its order, its rate, a hold nor its number of tries keeps it
//! back; what is kept back by a rate has its turn again when that allows it ([`Lanes::next_timer`]).
//!
//! No lane can use up what others need, neither tries nor memory: it may have a part of what is still free,
//! so that the more lanes want, the less each has, and something is always left for one that has nothing.

mod concurrency;
mod invariants;
mod lane;
mod pace;
mod policy;
mod rate;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use hookstream_model::{
    base::{
        ids::{ApplicationId, EnvironmentId, TargetId},
        time::Timestamp,
    },
    delivery::{
        hold::{BreakerPolicy, Hold, HoldReason},
        outcome::Outcome,
        queue::Backlog,
    },
};
use tokio::time::Instant;

use self::{lane::Lane, rate::Window};
use crate::Options;

pub use self::policy::LaneView;
pub(crate) use self::{
    lane::{Batch, Now, Slot},
    policy::{Gather, LanePolicy},
};

/// Empty queues that are kept, at most.
const SPARE: usize = 16;

/// A lane may have this part of the tries that are free.
const PART_OF_OPEN: usize = 4;

/// An application may have so many times the attempts that are free: seven eighths of all where it is alone. What is left
/// is for others, however many endpoints it has that do not answer.
const APPLICATION_TIMES_FREE: usize = 7;

/// First tries, and further ones, may have all tries but this part: neither can keep out the other.
const RESERVED: usize = 8;

/// Outcomes on their way to be recorded, for each try that may be under way: recording shards them,
/// and a target need not wait for it.
const UNRECORDED: usize = 4;

/// Of so many lanes the totals are checked with each try that is recorded, in a build for tests.
const FEW: usize = 16;

/// How many lanes that had their part are looked at again where no other may send.
const LOOKED_AGAIN: usize = 16;

/// A map with the same order in each run, so that a simulation can be repeated. Its keys are made by us.
type Map<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// All lanes of a process.
#[derive(Debug)]
pub(crate) struct Lanes<D> {
    lanes: Map<TargetId, Lane<D>>,
    /// The environments with lanes that have a turn, in the order of their turns.
    turns: VecDeque<EnvironmentId>,
    /// The lanes of each, in the order of theirs.
    turns_within: Map<EnvironmentId, Share>,
    /// How many turns an environment has in a row, where that is more than one.
    weights: Map<EnvironmentId, u32>,
    /// The environment that was last to have a turn, and how many it has left, where no lane of it had one more.
    broken_off: Option<(EnvironmentId, u32)>,
    /// Lanes that have their part of what is free, and wait for more to be.
    had_their_part: VecDeque<TargetId>,
    /// Lanes of applications that have theirs.
    of_full_applications: Turns,
    /// Attempts under way for each application.
    open_of: Map<ApplicationId, usize>,
    /// What went for each application that has a rate.
    applications: Map<ApplicationId, Window>,
    /// Lanes that a rate keeps back, and until when.
    timers: BTreeSet<(Instant, TargetId)>,
    timer_moved: bool,
    /// Lanes that have more in the store.
    with_more: Vec<TargetId>,
    needs_refill: bool,
    /// Tries under way: first ones, further ones.
    open: [usize; 2],
    /// Tries under way or not yet recorded.
    in_flight: usize,
    queued: usize,
    queued_bytes: usize,
    limits: Limits,
    breaker: BreakerPolicy,
}

/// Turns of an environment, and how many more of them come before another environment's.
#[derive(Debug, Default)]
struct Share {
    turns: Turns,
    left: u32,
}

/// Lanes in the order of their turns. Their applications take turns, and within each its lanes: an application with very
/// many endpoints has no more turns than one with a single endpoint.
#[derive(Debug, Default)]
struct Turns {
    applications: VecDeque<ApplicationId>,
    lanes: Map<ApplicationId, VecDeque<TargetId>>,
    /// Empty queues to use again: under load an application has one turn after the other.
    spare: Vec<VecDeque<TargetId>>,
}

impl Turns {
    fn is_empty(&self) -> bool {
        self.applications.is_empty()
    }

    fn push(&mut self, application: ApplicationId, target: TargetId) {
        let of_application = self.lanes.entry(application).or_insert_with(|| self.spare.pop().unwrap_or_default());
        if of_application.is_empty() {
            self.applications.push_back(application);
        }
        of_application.push_back(target);
    }

    fn pop(&mut self) -> Option<TargetId> {
        let application = self.applications.pop_front()?;
        let of_application = self.lanes.get_mut(&application)?;
        let target = of_application.pop_front();
        if !of_application.is_empty() {
            self.applications.push_back(application);
        } else if let Some(empty) = self.lanes.remove(&application)
            && self.spare.len() < SPARE
        {
            self.spare.push(empty);
        }
        target
    }
}

#[derive(Debug)]
struct Limits {
    open: usize,
    open_per_target: usize,
    queued: usize,
    queued_per_target: usize,
    queued_bytes: usize,
}

/// What came of a try for its lane.
#[derive(Debug)]
pub(crate) struct Answered<D> {
    /// Reason of the target's hold before this attempt.
    pub(crate) held_before: Option<HoldReason>,
    /// What the target's hold has become, where it has changed.
    pub(crate) hold: Option<Option<Hold>>,
    /// What is to wait in the store instead.
    pub(crate) evict: Vec<D>,
}

impl<D> Lanes<D> {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            lanes: Map::default(),
            turns: VecDeque::new(),
            turns_within: Map::default(),
            weights: Map::default(),
            broken_off: None,
            had_their_part: VecDeque::new(),
            of_full_applications: Turns::default(),
            open_of: Map::default(),
            applications: Map::default(),
            timers: BTreeSet::new(),
            timer_moved: false,
            with_more: Vec::new(),
            needs_refill: false,
            open: [0; 2],
            in_flight: 0,
            queued: 0,
            queued_bytes: 0,
            limits: Limits {
                open: options.max_in_flight,
                open_per_target: options.max_in_flight_per_target,
                queued: options.max_queued,
                queued_per_target: options.max_queued_per_target,
                queued_bytes: options.max_queued_bytes,
            },
            breaker: options.breaker,
        }
    }

    /// Whether a delivery to `target` may wait in memory.
    pub(crate) fn has_room(&self, target: TargetId, policy: &LanePolicy) -> bool {
        let (free, free_bytes) = self.free();
        let Some(lane) = self.lanes.get(&target) else { return free > 0 && free_bytes > 0 };
        let is_of_use = !policy.has_rate() || lane.room(self.limits.queued_per_target) > 0;
        is_of_use && lane.queued < self.limits.queued_per_target.min(free) && lane.queued_bytes < free_bytes
    }

    /// How many deliveries and bytes may be claimed from the store; none until half of the room is
    /// free, so that each claim is worth its transaction.
    pub(crate) fn room_to_claim(&self) -> Option<(usize, usize)> {
        let (free, free_bytes) = self.free();
        (free >= self.limits.queued / 2 && free_bytes >= self.limits.queued_bytes / 2).then_some((free, free_bytes))
    }

    fn free(&self) -> (usize, usize) {
        (self.limits.queued.saturating_sub(self.queued), self.limits.queued_bytes.saturating_sub(self.queued_bytes))
    }

    /// How many deliveries are to be taken from a backlog of `target` in the store.
    pub(crate) fn wants_from(&self, target: TargetId, backlog: Backlog, policy: &LanePolicy, now: Now) -> usize {
        let (free, _) = self.free();
        let most = self.limits.queued_per_target.min(free / 2);
        match self.lanes.get(&target) {
            Some(lane) => lane.wants_from(backlog, most, now.monotonic),
            None => Lane::<D>::new(Arc::new(policy.clone()), 1, None, now).wants_from(backlog, most, now.monotonic),
        }
    }

    /// When a hold of `target` ends, where it is known here.
    pub(crate) fn held_until(&self, target: TargetId) -> Option<Instant> {
        self.lanes.get(&target)?.held_until()
    }

    /// Notes which lanes have more in the store that is due.
    pub(crate) fn note_more(&mut self, targets: Vec<TargetId>) {
        for target in std::mem::replace(&mut self.with_more, targets) {
            if let Some(lane) = self.lanes.get_mut(&target) {
                lane.has_more = false;
            }
        }
        for target in &self.with_more {
            if let Some(lane) = self.lanes.get_mut(target) {
                lane.has_more = true;
            }
        }
    }

    /// Takes a delivery that is due. Since when what goes to the target is known is `since`; `None` is for ever.
    pub(crate) fn offer(&mut self, target: TargetId, delivery: D, spot: Slot, policy: &Arc<LanePolicy>, since: Option<Instant>, now: Now) {
        self.queued += 1;
        self.queued_bytes += spot.bytes;
        let most = self.limits.open_per_target;
        let lane = self.lanes.entry(target).or_insert_with(|| Lane::new(Arc::clone(policy), most, since, now));
        lane.set_policy(policy, now);
        lane.window.known_since(since);
        lane.push(delivery, spot);
        if policy.application_rate.is_some() {
            self.applications.entry(policy.application).or_default().known_since(since);
        }
        self.give_turn(target, now.monotonic);
        debug_assert_eq!(self.fault_at(target), None);
    }

    /// Takes what is configured for a lane that there is. Returns what is to wait in the store instead.
    pub(crate) fn set_policy(&mut self, target: TargetId, policy: &Arc<LanePolicy>, now: Now) -> Vec<D> {
        let Some(lane) = self.lanes.get_mut(&target) else { return Vec::new() };
        lane.set_policy(policy, now);
        let evict = self.let_go_if_held(target, now.monotonic);
        self.give_turn(target, now.monotonic);
        self.forget_if_idle(target, now.monotonic);
        evict
    }

    /// Holds back nothing of an application's targets that are not there any more: what waits for them is
    /// cancelled when its turn comes.
    pub(crate) fn clear_hold(&mut self, application: ApplicationId, is_there: impl Fn(TargetId) -> bool, now: Instant) {
        let of_application = self.lanes.iter().filter(|(_, lane)| lane.policy.application == application);
        let gone: Vec<_> = of_application.map(|(target, _)| *target).filter(|target| !is_there(*target)).collect();
        self.clear_each_hold(gone, now);
    }

    /// The same of these targets, which are not there any more.
    pub(crate) fn clear_each_hold(&mut self, gone: impl IntoIterator<Item = TargetId>, now: Instant) {
        for target in gone {
            if let Some(lane) = self.lanes.get_mut(&target) {
                lane.clear_hold();
                self.give_turn(target, now);
                self.forget_if_idle(target, now);
            }
        }
    }

    /// Takes how many turns environments have in a row; one that is not named has one.
    pub(crate) fn set_weights(&mut self, weights: HashMap<EnvironmentId, u32>) {
        self.weights = weights.into_iter().collect();
    }

    /// The hold of a target is written.
    pub(crate) fn saved(&mut self, target: TargetId) {
        if let Some(lane) = self.lanes.get_mut(&target) {
            lane.saved();
        }
    }

    /// The next delivery to try, from the lane whose turn it is; `None` where nothing may be tried now.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Batch<D>> {
        self.fire_timers(now);
        let open: usize = self.open.iter().sum();
        if open >= self.limits.open || self.in_flight >= self.limits.open * UNRECORDED {
            return None;
        }
        let most_of_a_kind = self.limits.open - self.limits.open / RESERVED;
        let free = self.open.map(|of_kind| most_of_a_kind.saturating_sub(of_kind).min(self.limits.open - open));
        // One that had its part has a turn with each that is given, so that it is not forgotten.
        self.readmit();
        let mut looked_again = 0;
        loop {
            let Some(target) = self.take_turn() else {
                looked_again += 1;
                if looked_again > LOOKED_AGAIN || !self.readmit() {
                    return None;
                }
                continue;
            };
            if let Some(turn) = self.begin(target, free, now) {
                return Some(turn);
            }
        }
    }

    /// Begins what is next in a lane whose turn it is, if it may go.
    fn begin(&mut self, target: TargetId, free: [usize; 2], now: Instant) -> Option<Batch<D>> {
        let lane = self.lanes.get_mut(&target).expect("a lane with a turn is not removed");
        lane.has_turn = false;
        if !lane.may_send(self.limits.open_per_target, UNRECORDED, now) || !self.rate_allows(target, now) {
            self.forget_if_idle(target, now);
            return None;
        }
        let lane = self.lanes.get_mut(&target).expect("it was there just now");
        let application = lane.policy.application;
        let of_application = self.open_of.get(&application).copied().unwrap_or(0);
        if free.iter().all(|free| of_application >= free.saturating_mul(APPLICATION_TIMES_FREE)) {
            lane.has_turn = true;
            self.of_full_applications.push(application, target);
            return None;
        }
        let kinds =
            free.map(|free| lane.open < free.div_ceil(PART_OF_OPEN) && of_application < free.saturating_mul(APPLICATION_TIMES_FREE));
        let Some((turn, bytes)) = lane.pop(kinds) else {
            lane.has_turn = true;
            self.had_their_part.push_back(target);
            return None;
        };
        self.open[usize::from(turn.is_retry)] += 1;
        *self.open_of.entry(application).or_default() += 1;
        self.in_flight += turn.len();
        self.queued -= turn.len();
        self.queued_bytes -= bytes;
        self.note_gone(target, now);
        self.give_turn(target, now);
        debug_assert_eq!(self.fault_at(target), None);
        Some(turn)
    }

    /// Gives a lane that had its part of what was free another turn, and one of an application that had its part. Returns
    /// whether there was any.
    fn readmit(&mut self) -> bool {
        let of_lanes = self.had_their_part.pop_front();
        let of_applications = self.of_full_applications.pop();
        let is_any = of_lanes.is_some() || of_applications.is_some();
        of_lanes.into_iter().chain(of_applications).for_each(|target| self.append_turn(target));
        is_any
    }

    /// A try that [`next`](Self::next) began is over; what went is yet to be recorded. `outcome` is what came of it,
    /// where it was made, begun at `begun`.
    pub(crate) fn answered(
        &mut self,
        target: TargetId,
        is_retry: bool,
        outcome: Option<&Outcome>,
        begun: Instant,
        now: Now,
    ) -> Answered<D> {
        let nothing = Answered { held_before: None, hold: None, evict: Vec::new() };
        self.open[usize::from(is_retry)] = self.open[usize::from(is_retry)].saturating_sub(1);
        let breaker = self.breaker;
        let Some(lane) = self.lanes.get_mut(&target) else { return nothing };
        lane.open = lane.open.saturating_sub(1);
        let application = lane.policy.application;
        if let Some(open) = self.open_of.get_mut(&application) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                self.open_of.remove(&application);
            }
        }
        let held_before = lane.hold_reason();
        let hold = outcome.and_then(|outcome| lane.tried(outcome, begun, breaker, now));
        let evict = if hold.is_some() { self.let_go_if_held(target, now.monotonic) } else { Vec::new() };
        if hold == Some(None) {
            // What waited in the store goes again.
            self.needs_refill = true;
        }
        self.give_turn(target, now.monotonic);
        debug_assert_eq!(self.fault_at(target), None);
        Answered { held_before, hold, evict }
    }

    /// What is [`answered`](Self::answered) is recorded. `moves_on` says whether what is behind it in its
    /// backlog may go. Returns what is to wait in the store instead.
    pub(crate) fn finish(&mut self, target: TargetId, backlog: Option<Backlog>, moves_on: bool, now: Instant) -> Vec<D> {
        let Some(lane) = self.lanes.get_mut(&target) else { return Vec::new() };
        let before = (lane.queued, lane.queued_bytes);
        let evict = lane.finish(backlog, moves_on);
        self.queued -= before.0 - lane.queued;
        self.queued_bytes -= before.1 - lane.queued_bytes;
        self.needs_refill |= lane.runs_low(self.limits.queued_per_target);
        self.in_flight = self.in_flight.saturating_sub(1);
        self.give_turn(target, now);
        self.forget_if_idle(target, now);
        debug_assert_eq!(self.fault_at(target), None);
        debug_assert!(self.lanes.len() > FEW || self.fault().is_none(), "{:?}", self.fault());
        evict
    }

    /// Lets go of what waits and is not to be kept.
    pub(crate) fn evict(&mut self, keep: impl Fn(&D) -> bool, now: Instant) -> Vec<D> {
        let mut all = Vec::new();
        for lane in self.lanes.values_mut() {
            let before = (lane.queued, lane.queued_bytes);
            all.extend(lane.evict(&keep));
            self.queued -= before.0 - lane.queued;
            self.queued_bytes -= before.1 - lane.queued_bytes;
        }
        // What went before counts still, also where nothing is left.
        let idle: Vec<TargetId> = self.lanes.iter().filter(|(_, lane)| lane.is_idle()).map(|(target, _)| *target).collect();
        idle.into_iter().for_each(|target| self.forget_if_idle(target, now));
        all
    }

    /// One of a backlog that was let go is in the store again, or lost to this process.
    pub(crate) fn requeue(&mut self, target: TargetId, backlog: Backlog, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(&target) {
            self.needs_refill |= lane.requeue(backlog);
            self.forget_if_idle(target, now);
        }
    }

    /// The policies of lanes of which something is in this process's hands.
    pub(crate) fn policies_at_work(&self) -> impl Iterator<Item = &LanePolicy> {
        self.lanes.values().filter(|lane| lane.is_at_work()).map(|lane| &*lane.policy)
    }

    /// When a rate lets something go next.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Whether [`next_timer`](Self::next_timer) has become earlier since this was last asked.
    pub(crate) fn take_timer_moved(&mut self) -> bool {
        std::mem::take(&mut self.timer_moved)
    }

    /// Whether the store should be asked for more, since this was last asked.
    pub(crate) fn take_needs_refill(&mut self) -> bool {
        std::mem::take(&mut self.needs_refill)
    }

    /// The lanes of an environment with something in them; `due_of` tells when a delivery fell due.
    pub(crate) fn views(&self, environment: EnvironmentId, due_of: impl Fn(&D) -> Timestamp, now: Now) -> Vec<LaneView> {
        let lanes = self.lanes.iter().filter(|(_, lane)| lane.policy.environment == environment);
        let views = lanes.map(|(target, lane)| lane.view(*target, &due_of, now));
        views.filter(|view| view.queued > 0 || view.in_flight > 0 || view.hold.is_some()).collect()
    }

    /// What waits for its turn.
    pub(crate) const fn queued(&self) -> usize {
        self.queued
    }

    /// Tries under way or not yet recorded.
    pub(crate) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// What is wrong with a lane's invariants.
    fn fault_at(&self, target: TargetId) -> Option<&'static str> {
        let (permits, unrecorded) = (self.limits.open_per_target, self.limits.open_per_target * UNRECORDED);
        self.lanes.get(&target).and_then(|lane| invariants::fault_of_lane(&lane.book(), permits, unrecorded))
    }

    /// What is wrong with the invariants of all lanes.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let totals = invariants::Totals { queued: self.queued, open: self.open.iter().sum(), in_flight: self.in_flight };
        let figures: Vec<_> = self.lanes.values().map(Lane::book).collect();
        let of_lanes = self.lanes.keys().find_map(|target| self.fault_at(*target));
        of_lanes.or_else(|| invariants::fault_of_totals(totals, &figures))
    }

    fn let_go_if_held(&mut self, target: TargetId, now: Instant) -> Vec<D> {
        let Some(lane) = self.lanes.get_mut(&target) else { return Vec::new() };
        if !lane.is_shut(now) {
            return Vec::new();
        }
        let before = (lane.queued, lane.queued_bytes);
        let evict = lane.evict(&|_| false);
        self.queued -= before.0 - lane.queued;
        self.queued_bytes -= before.1 - lane.queued_bytes;
        evict
    }

    fn give_turn(&mut self, target: TargetId, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&target) else { return };
        lane.end_hold(now);
        if lane.policy.is_paused {
            return;
        }
        if let Some(until) = lane.held_until().filter(|until| *until > now) {
            self.set_timer(target, until);
            return;
        }
        lane.gather(now);
        if let Some(until) = lane.gathers_until(now) {
            self.set_timer(target, until);
            return;
        }
        if !lane.has_turn && lane.may_send(self.limits.open_per_target, UNRECORDED, now) && self.rate_allows(target, now) {
            self.append_turn(target);
        }
    }

    fn append_turn(&mut self, target: TargetId) {
        let Some(lane) = self.lanes.get_mut(&target) else { return };
        lane.has_turn = true;
        let (environment, application) = (lane.policy.environment, lane.policy.application);
        let share = self.turns_within.entry(environment).or_default();
        if share.turns.is_empty() {
            match self.broken_off.take_if(|(of, _)| *of == environment) {
                Some((_, left)) => {
                    share.left = left;
                    self.turns.push_front(environment);
                }
                None => {
                    share.left = self.weights.get(&environment).copied().unwrap_or(1);
                    self.turns.push_back(environment);
                }
            }
        }
        share.turns.push(application, target);
    }

    fn take_turn(&mut self) -> Option<TargetId> {
        loop {
            let environment = self.turns.pop_front()?;
            let Some(share) = self.turns_within.get_mut(&environment) else { continue };
            let target = share.turns.pop();
            share.left = share.left.saturating_sub(1);
            self.broken_off = None;
            if share.turns.is_empty() {
                self.broken_off = (share.left > 0).then_some((environment, share.left));
                self.turns_within.remove(&environment);
            } else if share.left > 0 {
                self.turns.push_front(environment);
            } else {
                share.left = self.weights.get(&environment).copied().unwrap_or(1);
                self.turns.push_back(environment);
            }
            if target.is_some() {
                return target;
            }
        }
    }

    /// Whether the rates of a lane let something go now; where not, it has its turn when they do.
    fn rate_allows(&mut self, target: TargetId, now: Instant) -> bool {
        let Some(lane) = self.lanes.get_mut(&target) else { return false };
        let of_lane = lane.policy.rate.map(|rate| lane.window.next_at(rate, now));
        let application = lane.policy.application;
        let of_application = lane.policy.application_rate.map(|rate| self.applications.entry(application).or_default().next_at(rate, now));
        match of_lane.max(of_application).filter(|at| *at > now) {
            Some(at) => {
                self.set_timer(target, at);
                false
            }
            None => true,
        }
    }

    fn note_gone(&mut self, target: TargetId, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&target) else { return };
        if lane.policy.rate.is_some() {
            lane.window.go(now);
        }
        if lane.policy.application_rate.is_some() {
            self.applications.entry(lane.policy.application).or_default().go(now);
        }
        self.needs_refill |= lane.runs_low(self.limits.queued_per_target);
    }

    fn set_timer(&mut self, target: TargetId, at: Instant) {
        let Some(lane) = self.lanes.get_mut(&target) else { return };
        if lane.timer.is_some_and(|timer| timer <= at) {
            return;
        }
        if let Some(timer) = lane.timer.replace(at) {
            self.timers.remove(&(timer, target));
        }
        self.timer_moved |= self.timers.first().is_none_or(|(first, _)| at < *first);
        self.timers.insert((at, target));
    }

    /// Lets those have a turn again that were kept back until now.
    pub(crate) fn fire_timers(&mut self, now: Instant) {
        while let Some((at, target)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(lane) = self.lanes.get_mut(&target) {
                lane.timer = None;
            }
            self.give_turn(target, now);
            self.forget_if_idle(target, now);
        }
    }

    /// A lane that has nothing is forgotten, once what went to it no longer counts.
    fn forget_if_idle(&mut self, target: TargetId, now: Instant) {
        let Some(lane) = self.lanes.get(&target) else { return };
        if !lane.is_idle() {
            return;
        }
        let of_application = self.applications.get(&lane.policy.application).and_then(Window::counts_until);
        let counts_until = lane.window.counts_until().max(of_application).filter(|until| *until > now);
        match counts_until {
            Some(until) => self.set_timer(target, until),
            None => {
                let application = lane.policy.application;
                if lane.policy.application_rate.is_some() {
                    self.applications.remove(&application);
                }
                if let Some(timer) = lane.timer {
                    self.timers.remove(&(timer, target));
                }
                self.lanes.remove(&target);
            }
        }
    }
}
