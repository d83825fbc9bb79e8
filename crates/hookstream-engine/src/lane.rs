//! Lanes: what is due for each target waits in a lane of its own, and the lanes take turns.
//!
//! Nothing here waits or sends. A lane is the place where a target's room is decided; its rate, its
//! breaker and its order will be decided here too.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use hookstream_model::{ids::TargetId, time::Timestamp};

use crate::Options;

/// All lanes of a process.
#[derive(Debug)]
pub(crate) struct Lanes<D> {
    lanes: HashMap<TargetId, Lane<D>>,
    /// The lanes that have something to send and room to, in the order of their turns.
    turns: VecDeque<TargetId>,
    /// Tries under way.
    open: usize,
    /// Tries under way or not yet recorded.
    in_flight: usize,
    queued: usize,
    queued_bytes: usize,
    limits: Limits,
}

#[derive(Debug)]
struct Limits {
    open: usize,
    open_per_target: usize,
    queued: usize,
    queued_per_target: usize,
    queued_bytes: usize,
}

#[derive(Debug)]
struct Lane<D> {
    queue: VecDeque<(D, usize)>,
    open: usize,
    in_flight: usize,
    has_turn: bool,
    /// Deliveries sent away since the lane last had room to spare.
    turned_away: usize,
    pace: Pace,
}

impl<D> Default for Lane<D> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), open: 0, in_flight: 0, has_turn: false, turned_away: 0, pace: Pace::default() }
    }
}

/// How many tries a target answers in a second, as it was lately.
#[derive(Debug, Default)]
struct Pace {
    per_second: f64,
    since: Option<Timestamp>,
    answered: u32,
}

/// Over how long a pace is measured.
const PACE_WINDOW: Duration = Duration::from_millis(200);
/// What is assumed of a target that has not answered yet.
const PACE_UNKNOWN: f64 = 10.0;

impl Pace {
    fn answered(&mut self, now: Timestamp) {
        let since = *self.since.get_or_insert(now);
        self.answered += 1;
        let elapsed = now.since(since);
        if elapsed >= PACE_WINDOW {
            let latest = f64::from(self.answered) / elapsed.as_secs_f64();
            self.per_second = if self.per_second > 0.0 { (self.per_second + latest) / 2.0 } else { latest };
            (self.since, self.answered) = (Some(now), 0);
        }
    }

    /// How long so many deliveries take.
    fn time_for(&self, deliveries: usize) -> Duration {
        let per_second = if self.per_second > 0.0 { self.per_second } else { PACE_UNKNOWN };
        Duration::try_from_secs_f64(deliveries as f64 / per_second).unwrap_or(Duration::MAX)
    }
}

/// The shortest and the longest time for which a full lane sends a delivery away.
const TURNED_AWAY: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(60)];
/// Outcomes on their way to be recorded, for each try that may be under way: recording groups them,
/// and a target need not wait for it.
const UNRECORDED: usize = 4;

impl<D> Lanes<D> {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            open: 0,
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
        }
    }

    /// Whether a delivery to `target` may wait in memory.
    pub(crate) fn has_room(&self, target: TargetId) -> bool {
        self.queued < self.limits.queued
            && self.queued_bytes < self.limits.queued_bytes
            && self.lanes.get(&target).is_none_or(|lane| lane.queue.len() < self.limits.queued_per_target)
    }

    /// How many deliveries and bytes may be claimed from the store; none until half of the room is
    /// free, so that each claim is worth its transaction.
    pub(crate) fn room_to_claim(&self) -> Option<(usize, usize)> {
        let room = self.limits.queued.saturating_sub(self.queued);
        let bytes = self.limits.queued_bytes.saturating_sub(self.queued_bytes);
        (room >= self.limits.queued / 2 && bytes >= self.limits.queued_bytes / 2).then_some((room, bytes))
    }

    /// Takes a delivery of so many bytes that is due.
    pub(crate) fn offer(&mut self, target: TargetId, delivery: D, bytes: usize) {
        self.queued += 1;
        self.queued_bytes += bytes;
        self.lanes.entry(target).or_default().queue.push_back((delivery, bytes));
        self.give_turn(target);
    }

    /// The next delivery to try, from the lane whose turn it is; `None` where nothing may be tried now.
    pub(crate) fn next(&mut self) -> Option<D> {
        if self.open >= self.limits.open || self.in_flight >= self.limits.open * UNRECORDED {
            return None;
        }
        let target = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&target).expect("a lane with a turn is not removed");
        lane.has_turn = false;
        let (delivery, bytes) = lane.queue.pop_front().expect("a lane with a turn has something to send");
        lane.open += 1;
        lane.in_flight += 1;
        if lane.queue.len() <= self.limits.queued_per_target / 2 {
            lane.turned_away = 0;
        }
        self.open += 1;
        self.in_flight += 1;
        self.queued -= 1;
        self.queued_bytes -= bytes;
        self.give_turn(target);
        Some(delivery)
    }

    /// A try that [`next`](Self::next) began is over; it is yet to be recorded.
    pub(crate) fn answered(&mut self, target: TargetId, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(&target) else { return };
        lane.open = lane.open.saturating_sub(1);
        lane.pace.answered(now);
        self.open = self.open.saturating_sub(1);
        self.give_turn(target);
    }

    /// What is [`answered`](Self::answered) is recorded.
    pub(crate) fn finish(&mut self, target: TargetId) {
        let Some(lane) = self.lanes.get_mut(&target) else { return };
        lane.in_flight = lane.in_flight.saturating_sub(1);
        self.in_flight = self.in_flight.saturating_sub(1);
        if lane.in_flight == 0 && lane.queue.is_empty() {
            self.lanes.remove(&target);
        } else {
            self.give_turn(target);
        }
    }

    /// For how long a delivery goes back to the store because its lane is full: until what is before
    /// it should be done at the target's pace, so that a backlog spreads out and does not crowd the
    /// claims of others.
    pub(crate) fn turn_away(&mut self, target: TargetId) -> Duration {
        let [shortest, longest] = TURNED_AWAY;
        let lane = self.lanes.entry(target).or_default();
        lane.turned_away += 1;
        lane.pace.time_for(lane.queue.len() / 2 + lane.turned_away).clamp(shortest, longest)
    }

    /// Lets go of what waits and is not to be kept. Returns how many.
    pub(crate) fn let_go(&mut self, keep: impl Fn(&D) -> bool) -> usize {
        let before = self.queued;
        for lane in self.lanes.values_mut() {
            lane.queue.retain(|(delivery, bytes)| {
                let is_kept = keep(delivery);
                if !is_kept {
                    self.queued -= 1;
                    self.queued_bytes -= bytes;
                }
                is_kept
            });
            lane.has_turn &= !lane.queue.is_empty();
        }
        self.lanes.retain(|_, lane| lane.in_flight > 0 || !lane.queue.is_empty());
        let lanes = &self.lanes;
        self.turns.retain(|target| lanes.get(target).is_some_and(|lane| lane.has_turn));
        before - self.queued
    }

    /// What waits for its turn.
    pub(crate) const fn queued(&self) -> usize {
        self.queued
    }

    /// Tries under way or not yet recorded.
    pub(crate) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn give_turn(&mut self, target: TargetId) {
        let Some(lane) = self.lanes.get_mut(&target) else { return };
        let may_send = lane.open < self.limits.open_per_target && lane.in_flight < self.limits.open_per_target * UNRECORDED;
        if !lane.has_turn && !lane.queue.is_empty() && may_send {
            lane.has_turn = true;
            self.turns.push_back(target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(n: u8) -> TargetId {
        TargetId::from_bytes([n; 16])
    }

    fn lanes() -> Lanes<(u8, u32)> {
        Lanes::new(&Options {
            max_in_flight: 6,
            max_in_flight_per_target: 2,
            max_queued: 8,
            max_queued_per_target: 4,
            max_queued_bytes: 100,
            ..Options::default()
        })
    }

    const NOW: Timestamp = Timestamp::from_millis(1_780_000_000_000);

    /// A try is over and recorded.
    fn end(lanes: &mut Lanes<(u8, u32)>, lane: u8) {
        lanes.answered(target(lane), NOW);
        lanes.finish(target(lane));
    }

    fn fill(lanes: &mut Lanes<(u8, u32)>, lane: u8, count: u32) {
        for n in 0..count {
            lanes.offer(target(lane), (lane, n), 1);
        }
    }

    #[test]
    fn lanes_take_turns_and_keep_their_order() {
        let mut lanes = lanes();
        fill(&mut lanes, 1, 3);
        fill(&mut lanes, 2, 1);
        fill(&mut lanes, 3, 1);
        let taken: Vec<_> = std::iter::from_fn(|| lanes.next()).collect();
        assert_eq!(taken, [(1, 0), (2, 0), (3, 0), (1, 1)]);
        end(&mut lanes, 1);
        assert_eq!(lanes.next(), Some((1, 2)));
        assert_eq!(lanes.next(), None);
    }

    #[test]
    fn what_is_let_go_leaves_no_trace_in_the_turns() {
        let mut lanes = lanes();
        fill(&mut lanes, 1, 3);
        fill(&mut lanes, 2, 1);
        assert_eq!(lanes.next(), Some((1, 0)));
        assert_eq!(lanes.let_go(|(lane, n)| *lane == 1 && *n == 2), 2);
        assert_eq!(lanes.queued(), 1);
        assert_eq!(lanes.next(), Some((1, 2)));
        assert_eq!(lanes.next(), None);
        end(&mut lanes, 1);
        end(&mut lanes, 1);
        fill(&mut lanes, 2, 1);
        assert_eq!(lanes.next(), Some((2, 0)));
    }

    #[test]
    fn one_target_uses_at_most_its_own_permits() {
        let mut lanes = lanes();
        fill(&mut lanes, 1, 4);
        assert_eq!(std::iter::from_fn(|| lanes.next()).count(), 2);
        fill(&mut lanes, 2, 1);
        assert_eq!(lanes.next(), Some((2, 0)));
    }

    #[test]
    fn all_targets_together_use_at_most_the_installations_permits() {
        let mut lanes = lanes();
        for lane in 1..=4 {
            fill(&mut lanes, lane, 2);
        }
        assert_eq!(std::iter::from_fn(|| lanes.next()).count(), 6);
        end(&mut lanes, 1);
        assert_eq!(std::iter::from_fn(|| lanes.next()).count(), 1);
        assert_eq!(lanes.in_flight(), 6);
    }

    #[test]
    fn memory_is_bounded_per_target_and_in_all() {
        let mut lanes = lanes();
        fill(&mut lanes, 1, 4);
        assert!(!lanes.has_room(target(1)));
        assert!(lanes.has_room(target(2)));
        assert_eq!(lanes.room_to_claim(), Some((4, 96)));
        fill(&mut lanes, 2, 4);
        assert!(!lanes.has_room(target(3)));
        assert_eq!(lanes.room_to_claim(), None);
        lanes.next();
        assert!(lanes.has_room(target(1)));
        lanes.offer(target(1), (1, 9), 100);
        assert!(!lanes.has_room(target(3)), "the bytes are bounded too");
    }

    #[test]
    fn a_full_lane_sends_its_backlog_away_at_its_targets_pace() {
        let mut lanes = lanes();
        fill(&mut lanes, 1, 4);
        let waits: Vec<_> = (0..1_000).map(|_| lanes.turn_away(target(1)).as_millis()).collect();
        assert_eq!(waits[..3], [300, 400, 500], "ten a second where nothing is known");
        assert_eq!(waits[999], 60_000);
        // 400 answers in 200 ms are 2,000 a second.
        for n in 0..=400_u64 {
            lanes.answered(target(1), NOW + Duration::from_micros(n * 500));
        }
        lanes.next();
        lanes.next();
        assert_eq!(lanes.turn_away(target(1)), TURNED_AWAY[0], "a lane with room to spare has forgotten its backlog");
        let wait = (0..4_000).map(|_| lanes.turn_away(target(1))).last().expect("a wait");
        assert!(wait > Duration::from_millis(1_900) && wait < Duration::from_millis(2_100), "{wait:?}");
    }

    #[test]
    fn a_target_need_not_wait_for_its_outcomes_to_be_recorded_but_they_are_bounded() {
        let mut lanes = Lanes::new(&Options { max_in_flight_per_target: 2, ..Options::default() });
        fill(&mut lanes, 1, 100);
        let mut tried = 0;
        while lanes.next().is_some() {
            tried += 1;
            lanes.answered(target(1), NOW);
        }
        assert_eq!(tried, 2 * UNRECORDED);
        lanes.finish(target(1));
        assert!(lanes.next().is_some());
    }

    #[test]
    fn an_empty_lane_is_forgotten() {
        let mut lanes = lanes();
        fill(&mut lanes, 1, 1);
        lanes.next();
        end(&mut lanes, 1);
        assert_eq!((lanes.lanes.len(), lanes.in_flight(), lanes.queued, lanes.queued_bytes), (0, 0, 0, 0));
    }
}
