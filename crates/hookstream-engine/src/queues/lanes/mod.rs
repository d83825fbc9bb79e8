//! Lanes: one in-memory queue per target, served in turns.
//!
//! Nothing here waits or sends. Environments take turns, as many in a row as their weight; scopes take turns
//! within an environment, and lanes within a scope. A lane has a turn while it has something to send and neither
//! its order, its rate, a hold nor its concurrency limit blocks it. A lane blocked by a rate gets its turn back when
//! the rate allows ([`Lanes::next_timer`]).
//!
//! A lane may use at most a fixed part of the free slots and memory. The more lanes compete, the less each gets, and an
//! idle lane always finds room.

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
        ids::{EnvironmentId, LimitScopeId, TargetId},
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
    policy::{Census, Gather, LanePolicy},
};

/// Maximum number of empty queues kept for reuse.
const MAX_SPARE: usize = 16;

/// Divisor: one lane may use at most a quarter of the free slots.
const LANE_SHARE: usize = 4;

/// Multiplier: a scope may use at most this many times the free slots, which is seven eighths of all if it is
/// alone. The rest stays free for other scopes, even if many of its endpoints do not respond.
const SCOPE_SHARE: usize = 7;

/// Divisor: first attempts and retries each leave one eighth of the slots to the other kind.
const RESERVED: usize = 8;

/// Unrecorded outcomes per slot of an attempt, because recording works in batches and a target must not wait for it.
const UNRECORDED_PER_SLOT: usize = 4;

/// Maximum number of lanes for which a test build checks the totals with each recorded attempt.
const MAX_CHECKED: usize = 16;

/// Maximum number of lanes over their share that are looked at again if no other may send.
const MAX_LOOKED_AGAIN: usize = 16;

/// Map with the same iteration order in each run, so that simulations repeat. The keys are generated here, not by
/// clients.
type Map<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// All lanes of a process.
#[derive(Debug)]
pub(crate) struct Lanes<D> {
    lanes: Map<TargetId, Lane<D>>,
    /// Environments with lanes that have a turn, in order.
    turns: VecDeque<EnvironmentId>,
    /// Lanes of each environment, in order.
    turns_within: Map<EnvironmentId, Share>,
    /// Turns in a row of each environment that has more than one.
    weights: Map<EnvironmentId, u32>,
    /// Last environment served and its remaining turns, if its lanes ran out of turns early.
    interrupted: Option<(EnvironmentId, u32)>,
    /// Lanes that use their share of the free slots and wait for more.
    over_lane_share: VecDeque<TargetId>,
    /// Lanes of scopes that use their share.
    over_scope_share: Turns,
    /// Attempts under way for each scope.
    open_of: Map<LimitScopeId, usize>,
    /// Send times of each scope with a rate.
    scopes: Map<LimitScopeId, Window>,
    /// Lanes blocked by a rate, with the end of the block.
    timers: BTreeSet<(Instant, TargetId)>,
    timer_moved: bool,
    /// Lanes with more due deliveries in the store.
    with_more: Vec<TargetId>,
    needs_refill: bool,
    /// Attempts in flight: first attempts, retries.
    open: [usize; 2],
    /// Deliveries in flight or not yet recorded.
    in_flight: usize,
    queued: usize,
    queued_bytes: usize,
    limits: Limits,
    breaker: BreakerPolicy,
}

/// Turns of an environment, and the number left before another environment's turn.
#[derive(Debug, Default)]
struct Share {
    turns: Turns,
    left: u32,
}

/// Lanes in the order of their turns. Scopes take turns, and lanes within each: a scope with many
/// endpoints has no more turns than one with a single endpoint.
#[derive(Debug, Default)]
struct Turns {
    scopes: VecDeque<LimitScopeId>,
    lanes: Map<LimitScopeId, VecDeque<TargetId>>,
    /// Empty queues for reuse: under load a scope has one turn after the other.
    spare: Vec<VecDeque<TargetId>>,
}

impl Turns {
    fn is_empty(&self) -> bool {
        self.scopes.is_empty()
    }

    fn push(&mut self, scope: LimitScopeId, target: TargetId) {
        let of_scope = self.lanes.entry(scope).or_insert_with(|| self.spare.pop().unwrap_or_default());
        if of_scope.is_empty() {
            self.scopes.push_back(scope);
        }
        of_scope.push_back(target);
    }

    fn pop(&mut self) -> Option<TargetId> {
        let scope = self.scopes.pop_front()?;
        let of_scope = self.lanes.get_mut(&scope)?;
        let target = of_scope.pop_front();
        if !of_scope.is_empty() {
            self.scopes.push_back(scope);
        } else if let Some(empty) = self.lanes.remove(&scope)
            && self.spare.len() < MAX_SPARE
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

/// Effect of an attempt on its lane.
#[derive(Debug)]
pub(crate) struct AttemptEffect<D> {
    /// Reason of the target's hold before this attempt.
    pub(crate) held_before: Option<HoldReason>,
    /// New hold of the target, if it has changed.
    pub(crate) hold: Option<Option<Hold>>,
    /// Deliveries that must wait in the store instead.
    pub(crate) evict: Vec<D>,
}

impl<D> Lanes<D> {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            lanes: Map::default(),
            turns: VecDeque::new(),
            turns_within: Map::default(),
            weights: Map::default(),
            interrupted: None,
            over_lane_share: VecDeque::new(),
            over_scope_share: Turns::default(),
            open_of: Map::default(),
            scopes: Map::default(),
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

    /// Returns whether a delivery to `target` may wait in memory.
    pub(crate) fn has_room(&self, target: TargetId, policy: &LanePolicy) -> bool {
        let (free, free_bytes) = self.free();
        let Some(lane) = self.lanes.get(&target) else { return free > 0 && free_bytes > 0 };
        let has_use = !policy.has_rate() || lane.room(self.limits.queued_per_target) > 0;
        has_use && lane.queued < self.limits.queued_per_target.min(free) && lane.queued_bytes < free_bytes
    }

    /// Returns how many deliveries and bytes may be claimed from the store. Returns `None` until half of the room is
    /// free, so that each claim is worth its transaction.
    pub(crate) fn room_to_claim(&self) -> Option<(usize, usize)> {
        let (free, free_bytes) = self.free();
        (free >= self.limits.queued / 2 && free_bytes >= self.limits.queued_bytes / 2).then_some((free, free_bytes))
    }

    fn free(&self) -> (usize, usize) {
        (self.limits.queued.saturating_sub(self.queued), self.limits.queued_bytes.saturating_sub(self.queued_bytes))
    }

    /// Returns how many deliveries to take from a stored backlog of `target`.
    pub(crate) fn wants_from(&self, target: TargetId, backlog: Backlog, policy: &LanePolicy, now: Now) -> usize {
        let (free, _) = self.free();
        let most = self.limits.queued_per_target.min(free / 2);
        match self.lanes.get(&target) {
            Some(lane) => lane.wants_from(backlog, most, now.monotonic),
            None => Lane::<D>::new(Arc::new(policy.clone()), 1, None, now).wants_from(backlog, most, now.monotonic),
        }
    }

    /// Returns the end of the target's hold, if known here.
    pub(crate) fn held_until(&self, target: TargetId) -> Option<Instant> {
        self.lanes.get(&target)?.held_until()
    }

    /// Notes which lanes have more due deliveries in the store.
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

    /// Takes a due delivery. `since` is the time from which all sends to the target are known; `None` means for ever.
    pub(crate) fn offer(&mut self, target: TargetId, delivery: D, slot: Slot, policy: &Arc<LanePolicy>, since: Option<Instant>, now: Now) {
        self.queued += 1;
        self.queued_bytes += slot.bytes;
        let most = self.limits.open_per_target;
        let lane = self.lanes.entry(target).or_insert_with(|| Lane::new(Arc::clone(policy), most, since, now));
        lane.set_policy(policy, now);
        lane.window.known_since(since);
        lane.push(delivery, slot);
        if policy.scope_rate.is_some() {
            self.scopes.entry(policy.scope).or_default().known_since(since);
        }
        self.give_turn(target, now.monotonic);
        debug_assert_eq!(self.fault_at(target), None);
    }

    /// Replaces the policy of an existing lane. Returns the deliveries that must wait in the store instead.
    pub(crate) fn set_policy(&mut self, target: TargetId, policy: &Arc<LanePolicy>, now: Now) -> Vec<D> {
        let Some(lane) = self.lanes.get_mut(&target) else { return Vec::new() };
        lane.set_policy(policy, now);
        let evict = self.evict_if_held(target, now.monotonic);
        self.give_turn(target, now.monotonic);
        self.forget_if_idle(target, now.monotonic);
        evict
    }

    /// Removes the holds of a scope's deleted targets, so that their deliveries are cancelled when their turn
    /// comes.
    pub(crate) fn clear_hold(&mut self, scope: LimitScopeId, is_there: impl Fn(TargetId) -> bool, now: Instant) {
        let of_scope = self.lanes.iter().filter(|(_, lane)| lane.policy.scope == scope);
        let gone: Vec<_> = of_scope.map(|(target, _)| *target).filter(|target| !is_there(*target)).collect();
        self.clear_each_hold(gone, now);
    }

    /// Removes the holds of these deleted targets.
    pub(crate) fn clear_each_hold(&mut self, gone: impl IntoIterator<Item = TargetId>, now: Instant) {
        for target in gone {
            if let Some(lane) = self.lanes.get_mut(&target) {
                lane.clear_hold();
                self.give_turn(target, now);
                self.forget_if_idle(target, now);
            }
        }
    }

    /// Sets the turns in a row of each environment; an environment without an entry has one.
    pub(crate) fn set_weights(&mut self, weights: HashMap<EnvironmentId, u32>) {
        self.weights = weights.into_iter().collect();
    }

    /// Notes that the hold of a target is written.
    pub(crate) fn saved(&mut self, target: TargetId) {
        if let Some(lane) = self.lanes.get_mut(&target) {
            lane.saved();
        }
    }

    /// Returns the next delivery to attempt, from the lane whose turn it is; `None` if nothing may be sent now.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Batch<D>> {
        self.fire_timers(now);
        let open: usize = self.open.iter().sum();
        if open >= self.limits.open || self.in_flight >= self.limits.open * UNRECORDED_PER_SLOT {
            return None;
        }
        let most_of_a_kind = self.limits.open - self.limits.open / RESERVED;
        let free = self.open.map(|of_kind| most_of_a_kind.saturating_sub(of_kind).min(self.limits.open - open));
        // One lane over its share gets a turn with each batch, so that none starves.
        self.readmit();
        let mut looked_again = 0;
        loop {
            let Some(target) = self.take_turn() else {
                looked_again += 1;
                if looked_again > MAX_LOOKED_AGAIN || !self.readmit() {
                    return None;
                }
                continue;
            };
            if let Some(turn) = self.begin(target, free, now) {
                return Some(turn);
            }
        }
    }

    /// Takes the next batch of a lane whose turn it is, if it may be sent.
    fn begin(&mut self, target: TargetId, free: [usize; 2], now: Instant) -> Option<Batch<D>> {
        let lane = self.lanes.get_mut(&target).expect("a lane with a turn is not removed");
        lane.has_turn = false;
        if !lane.may_send(self.limits.open_per_target, UNRECORDED_PER_SLOT, now) || !self.rate_allows(target, now) {
            self.forget_if_idle(target, now);
            return None;
        }
        let lane = self.lanes.get_mut(&target).expect("lane exists: looked up above");
        let scope = lane.policy.scope;
        let of_scope = self.open_of.get(&scope).copied().unwrap_or(0);
        if free.iter().all(|free| of_scope >= free.saturating_mul(SCOPE_SHARE)) {
            lane.has_turn = true;
            self.over_scope_share.push(scope, target);
            return None;
        }
        let kinds = free.map(|free| lane.open < free.div_ceil(LANE_SHARE) && of_scope < free.saturating_mul(SCOPE_SHARE));
        let Some((turn, bytes)) = lane.pop(target, kinds) else {
            lane.has_turn = true;
            self.over_lane_share.push_back(target);
            return None;
        };
        self.open[usize::from(turn.is_retry)] += 1;
        *self.open_of.entry(scope).or_default() += 1;
        self.in_flight += turn.len();
        self.queued -= turn.len();
        self.queued_bytes -= bytes;
        self.note_sent(target, now);
        self.give_turn(target, now);
        debug_assert_eq!(self.fault_at(target), None);
        Some(turn)
    }

    /// Gives a turn to one lane over its share and to one of a scope over its share. Returns whether there was
    /// one.
    fn readmit(&mut self) -> bool {
        let of_lanes = self.over_lane_share.pop_front();
        let of_scopes = self.over_scope_share.pop();
        let found = of_lanes.is_some() || of_scopes.is_some();
        of_lanes.into_iter().chain(of_scopes).for_each(|target| self.append_turn(target));
        found
    }

    /// Ends an attempt that [`next`](Self::next) began; its outcome is still to be recorded. `outcome` is `None` if no
    /// attempt was made, and `begun` is its start.
    pub(crate) fn end_attempt(
        &mut self,
        target: TargetId,
        is_retry: bool,
        outcome: Option<&Outcome>,
        begun: Instant,
        now: Now,
    ) -> AttemptEffect<D> {
        let nothing = AttemptEffect { held_before: None, hold: None, evict: Vec::new() };
        self.open[usize::from(is_retry)] = self.open[usize::from(is_retry)].saturating_sub(1);
        let breaker = self.breaker;
        let Some(lane) = self.lanes.get_mut(&target) else { return nothing };
        lane.open = lane.open.saturating_sub(1);
        let scope = lane.policy.scope;
        if let Some(open) = self.open_of.get_mut(&scope) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                self.open_of.remove(&scope);
            }
        }
        let held_before = lane.hold_reason();
        let hold = outcome.and_then(|outcome| lane.attempted(outcome, begun, breaker, now));
        let evict = if hold.is_some() { self.evict_if_held(target, now.monotonic) } else { Vec::new() };
        if hold == Some(None) {
            // Deliveries in the store may be sent again.
            self.needs_refill = true;
        }
        self.give_turn(target, now.monotonic);
        debug_assert_eq!(self.fault_at(target), None);
        AttemptEffect { held_before, hold, evict }
    }

    /// Notes that an [ended](Self::end_attempt) delivery is recorded. `moves_on` tells whether the next delivery of its
    /// backlog may be sent. Returns the deliveries that must wait in the store instead.
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
        debug_assert!(self.lanes.len() > MAX_CHECKED || self.fault().is_none(), "{:?}", self.fault());
        evict
    }

    /// Removes and returns the waiting deliveries that `keep` rejects, each with its target.
    pub(crate) fn evict(&mut self, keep: impl Fn(&LanePolicy, &D) -> bool, now: Instant) -> Vec<(TargetId, D)> {
        let mut all = Vec::new();
        for (target, lane) in &mut self.lanes {
            let before = (lane.queued, lane.queued_bytes);
            all.extend(lane.evict(&keep).into_iter().map(|delivery| (*target, delivery)));
            self.queued -= before.0 - lane.queued;
            self.queued_bytes -= before.1 - lane.queued_bytes;
        }
        // Earlier sends still count against a rate, even if nothing is left.
        let idle: Vec<TargetId> = self.lanes.iter().filter(|(_, lane)| lane.is_idle()).map(|(target, _)| *target).collect();
        idle.into_iter().for_each(|target| self.forget_if_idle(target, now));
        all
    }

    /// Notes that an evicted delivery of a backlog is in the store again, or lost to this process.
    pub(crate) fn requeue(&mut self, target: TargetId, backlog: Backlog, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(&target) {
            self.needs_refill |= lane.requeue(backlog);
            self.forget_if_idle(target, now);
        }
    }

    /// Returns the policies of lanes with deliveries in this process.
    pub(crate) fn policies_at_work(&self) -> impl Iterator<Item = &LanePolicy> {
        self.lanes.values().filter(|lane| lane.is_at_work()).map(|lane| &*lane.policy)
    }

    /// Returns when a rate next allows a send.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Returns whether [`next_timer`](Self::next_timer) has become earlier since the last call.
    pub(crate) fn take_timer_moved(&mut self) -> bool {
        std::mem::take(&mut self.timer_moved)
    }

    /// Returns whether the store should be asked for more, and clears the request.
    pub(crate) fn take_needs_refill(&mut self) -> bool {
        std::mem::take(&mut self.needs_refill)
    }

    /// Returns the environment's lanes that are not empty; `due_of` returns a delivery's due time.
    pub(crate) fn views(&self, environment: EnvironmentId, due_of: impl Fn(&D) -> Timestamp, now: Now) -> Vec<LaneView> {
        let lanes = self.lanes.iter().filter(|(_, lane)| lane.policy.environment == environment);
        let views = lanes.map(|(target, lane)| lane.view(*target, &due_of, now));
        views.filter(|view| view.queued > 0 || view.in_flight > 0 || view.hold.is_some()).collect()
    }

    /// Counts the lanes by state, and finds the delivery that waits longest without a hold.
    pub(crate) fn census(&self, due_of: impl Fn(&D) -> Timestamp, now: Now) -> Census {
        let mut census = Census {
            in_flight: self.in_flight,
            in_flight_limit: self.limits.open,
            queued: self.queued,
            queued_limit: self.limits.queued,
            ..Census::default()
        };
        for lane in self.lanes.values() {
            lane.count_in(&mut census, &due_of, now);
        }
        census
    }

    /// Returns the number of waiting deliveries.
    pub(crate) const fn queued(&self) -> usize {
        self.queued
    }

    /// Returns the number of deliveries in flight or not yet recorded.
    pub(crate) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns the first broken invariant of a lane.
    fn fault_at(&self, target: TargetId) -> Option<&'static str> {
        let (permits, unrecorded) = (self.limits.open_per_target, self.limits.open_per_target * UNRECORDED_PER_SLOT);
        self.lanes.get(&target).and_then(|lane| invariants::fault_of_lane(&lane.book(), permits, unrecorded))
    }

    /// Returns the first broken invariant of all lanes.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let totals = invariants::Totals { queued: self.queued, open: self.open.iter().sum(), in_flight: self.in_flight };
        let figures: Vec<_> = self.lanes.values().map(Lane::book).collect();
        let of_lanes = self.lanes.keys().find_map(|target| self.fault_at(*target));
        of_lanes.or_else(|| invariants::fault_of_totals(totals, &figures))
    }

    fn evict_if_held(&mut self, target: TargetId, now: Instant) -> Vec<D> {
        let Some(lane) = self.lanes.get_mut(&target) else { return Vec::new() };
        if !lane.is_shut(now) {
            return Vec::new();
        }
        let before = (lane.queued, lane.queued_bytes);
        let evict = lane.evict(&|_, _| false);
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
        if !lane.has_turn && lane.may_send(self.limits.open_per_target, UNRECORDED_PER_SLOT, now) && self.rate_allows(target, now) {
            self.append_turn(target);
        }
    }

    fn append_turn(&mut self, target: TargetId) {
        let Some(lane) = self.lanes.get_mut(&target) else { return };
        lane.has_turn = true;
        let (environment, scope) = (lane.policy.environment, lane.policy.scope);
        let share = self.turns_within.entry(environment).or_default();
        if share.turns.is_empty() {
            match self.interrupted.take_if(|(of, _)| *of == environment) {
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
        share.turns.push(scope, target);
    }

    fn take_turn(&mut self) -> Option<TargetId> {
        loop {
            let environment = self.turns.pop_front()?;
            let Some(share) = self.turns_within.get_mut(&environment) else { continue };
            let target = share.turns.pop();
            share.left = share.left.saturating_sub(1);
            self.interrupted = None;
            if share.turns.is_empty() {
                self.interrupted = (share.left > 0).then_some((environment, share.left));
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

    /// Returns whether the lane's rates allow a send now; otherwise sets a timer for its turn.
    fn rate_allows(&mut self, target: TargetId, now: Instant) -> bool {
        let Some(lane) = self.lanes.get_mut(&target) else { return false };
        let of_lane = lane.policy.rate.map(|rate| lane.window.next_at(rate, now));
        let scope = lane.policy.scope;
        let of_scope = lane.policy.scope_rate.map(|rate| self.scopes.entry(scope).or_default().next_at(rate, now));
        match of_lane.max(of_scope).filter(|at| *at > now) {
            Some(at) => {
                self.set_timer(target, at);
                false
            }
            None => true,
        }
    }

    fn note_sent(&mut self, target: TargetId, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&target) else { return };
        if lane.policy.rate.is_some() {
            lane.window.go(now);
        }
        if lane.policy.scope_rate.is_some() {
            self.scopes.entry(lane.policy.scope).or_default().go(now);
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

    /// Returns their turns to the lanes whose block has ended.
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

    /// Removes an empty lane, once its earlier sends no longer count against a rate.
    fn forget_if_idle(&mut self, target: TargetId, now: Instant) {
        let Some(lane) = self.lanes.get(&target) else { return };
        if !lane.is_idle() {
            return;
        }
        let of_scope = self.scopes.get(&lane.policy.scope).and_then(Window::counts_until);
        let counts_until = lane.window.counts_until().max(of_scope).filter(|until| *until > now);
        match counts_until {
            Some(until) => self.set_timer(target, until),
            None => {
                let scope = lane.policy.scope;
                if lane.policy.scope_rate.is_some() {
                    self.scopes.remove(&scope);
                }
                if let Some(timer) = lane.timer {
                    self.timers.remove(&(timer, target));
                }
                self.lanes.remove(&target);
            }
        }
    }
}
