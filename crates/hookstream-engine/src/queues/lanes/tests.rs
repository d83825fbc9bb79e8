//! Tests of the lanes.

use std::{num::NonZeroU32, time::Duration};

use hookstream_model::{
    base::time::Timestamp,
    delivery::{
        hold::HoldReason,
        outcome::{Failure, FailureKind, ReceiverResponse},
        retry::RetryAfter,
    },
};

use super::*;

const WALL: Timestamp = Timestamp::from_millis(1_780_000_000_000);

type Delivery = (u8, u32);

/// Lanes, with a clock that tests advance.
struct Fixture {
    lanes: Lanes<Delivery>,
    begin: Instant,
    elapsed: Duration,
}

impl Fixture {
    fn new(options: &Options) -> Self {
        Self { lanes: Lanes::new(options), begin: Instant::now(), elapsed: Duration::ZERO }
    }

    fn small() -> Self {
        Self::new(&Options {
            max_in_flight: 6,
            max_in_flight_per_target: 2,
            max_queued: 16,
            max_queued_per_target: 4,
            max_queued_bytes: 100,
            ..Options::default()
        })
    }

    fn now(&self) -> Now {
        Now { wall: WALL + self.elapsed, monotonic: self.begin + self.elapsed }
    }

    fn pass(&mut self, millis: u64) {
        self.elapsed += Duration::from_millis(millis);
    }

    fn offer(&mut self, lane: u8, n: u32, policy: &LanePolicy) {
        self.offer_at(lane, n, policy, Slot { bytes: 1, is_retry: false, backlog: None });
    }

    fn offer_at(&mut self, lane: u8, n: u32, policy: &LanePolicy, slot: Slot) {
        let now = self.now();
        self.lanes.offer(target(lane), (lane, n), slot, &Arc::new(policy.clone()), None, now);
    }

    fn fill(&mut self, lane: u8, count: u32) {
        (0..count).for_each(|n| self.offer(lane, n, &policy()));
    }

    fn next(&mut self) -> Option<Batch<Delivery>> {
        self.lanes.next(self.now().monotonic)
    }

    /// Starts all attempts that may begin now.
    fn begin(&mut self) -> Vec<Delivery> {
        std::iter::from_fn(|| self.next()).map(|batch| batch.delivery).collect()
    }

    fn answer(&mut self, lane: u8, outcome: &Outcome) -> AttemptEffect<Delivery> {
        let now = self.now();
        self.lanes.end_attempt(target(lane), false, Some(outcome), now.monotonic, now)
    }

    /// Ends an attempt with success, and records it.
    fn end(&mut self, lane: u8) {
        self.answer(lane, &arrived());
        self.lanes.finish(target(lane), None, true, self.now().monotonic);
    }
}

fn target(n: u8) -> TargetId {
    TargetId::from_bytes([n; 16])
}

fn policy() -> LanePolicy {
    LanePolicy {
        target: target(1),
        version: 1,
        environment: EnvironmentId::from_bytes([1; 16]),
        scope: LimitScopeId::from_bytes([1; 16]),
        rate: None,
        scope_rate: None,
        is_ordered: false,
        gather: None,
        is_paused: false,
        hold: None,
    }
}

fn arrived() -> Outcome {
    Outcome::accepted(ReceiverResponse::default())
}

fn failed() -> Outcome {
    Outcome::Retryable(Failure::new(FailureKind::HttpStatus, "no"))
}

#[test]
fn lanes_take_turns_and_keep_their_order() {
    let mut fixture = Fixture::small();
    fixture.fill(1, 3);
    fixture.fill(2, 1);
    fixture.fill(3, 1);
    assert_eq!(fixture.begin(), [(1, 0), (2, 0), (3, 0)]);
    fixture.end(3);
    fixture.end(1);
    assert_eq!(fixture.begin(), [(1, 1)]);
    fixture.end(2);
    assert_eq!(fixture.begin(), [(1, 2)]);
}

#[test]
fn environments_take_turns_independent_of_their_lane_count() {
    let mut fixture = Fixture::new(&Options::default());
    let other = LanePolicy { environment: EnvironmentId::from_bytes([2; 16]), ..policy() };
    (0..50).for_each(|lane| fixture.offer(lane, 0, &policy()));
    (0..3).for_each(|n| fixture.offer(100, n, &other));
    let begun = fixture.begin();
    let positions: Vec<_> = begun.iter().enumerate().filter(|(_, (lane, _))| *lane == 100).map(|(place, _)| place).collect();
    assert_eq!(positions, [1, 3, 5]);
}

#[test]
fn applications_take_turns_independent_of_their_lane_count() {
    let mut fixture = Fixture::new(&Options::default());
    let other = LanePolicy { scope: LimitScopeId::from_bytes([2; 16]), ..policy() };
    (0..50).for_each(|lane| fixture.offer(lane, 0, &policy()));
    (100..103).for_each(|lane| fixture.offer(lane, 0, &other));
    let begun = fixture.begin();
    let positions: Vec<_> = begun.iter().enumerate().filter(|(_, (lane, _))| *lane >= 100).map(|(place, _)| place).collect();
    assert_eq!(positions, [1, 3, 5]);
}

#[test]
fn hanging_application_leaves_slots_to_others() {
    let mut fixture = Fixture::new(&Options { max_in_flight: 64, max_in_flight_per_target: 2, ..Options::default() });
    (0..200).for_each(|lane| fixture.fill(lane, 1));
    let hanging = fixture.begin();
    assert!((45..57).contains(&hanging.len()), "{}", hanging.len());
    let other = LanePolicy { scope: LimitScopeId::from_bytes([2; 16]), ..policy() };
    fixture.offer(250, 0, &other);
    assert_eq!(fixture.begin(), [(250, 0)], "another scope's goes at once");
    // Each attempt that ends makes room for a waiting one, once each.
    let mut seen: Vec<_> = hanging.iter().map(|(lane, _)| *lane).collect();
    let mut open = seen.clone();
    while let Some(lane) = open.pop() {
        fixture.end(lane);
        let begun: Vec<_> = fixture.begin().iter().map(|(lane, _)| *lane).collect();
        seen.extend(&begun);
        open.extend(begun);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..200).collect::<Vec<_>>());
}

#[test]
fn paused_lane_evicts_its_deliveries_and_sends_after_resume() {
    let mut fixture = Fixture::small();
    let paused = Arc::new(LanePolicy { is_paused: true, version: 2, ..policy() });
    fixture.fill(1, 3);
    let now = fixture.now();
    assert_eq!(fixture.lanes.set_policy(target(1), &paused, now).len(), 3, "the rest waits in the store");
    fixture.offer(1, 7, &paused);
    fixture.fill(2, 1);
    assert_eq!(fixture.begin(), [(2, 0)]);
    let resumed = Arc::new(LanePolicy { version: 3, ..policy() });
    assert_eq!(fixture.lanes.set_policy(target(1), &resumed, now), []);
    assert_eq!(fixture.begin(), [(1, 7)]);
}

#[test]
fn environment_has_as_many_turns_in_a_row_as_its_weight() {
    let mut fixture = Fixture::new(&Options::default());
    let heavy = LanePolicy { environment: EnvironmentId::from_bytes([2; 16]), ..policy() };
    fixture.lanes.set_weights(HashMap::from([(heavy.environment, 3)]));
    (0..20).for_each(|lane| fixture.offer(lane, 0, &policy()));
    (100..109).for_each(|lane| fixture.offer(lane, 0, &heavy));
    let begun: Vec<_> = fixture.begin().iter().map(|(lane, _)| *lane >= 100).collect();
    let expected = [&[false, true, true, true].repeat(3)[..], &[false].repeat(17)].concat();
    assert_eq!(begun, expected);
    // One lane is enough.
    let mut fixture = Fixture::new(&Options::default());
    fixture.lanes.set_weights(HashMap::from([(heavy.environment, 3)]));
    (0..3).for_each(|lane| fixture.offer(lane, 0, &policy()));
    (0..6).for_each(|n| fixture.offer(100, n, &heavy));
    let begun: Vec<_> = fixture.begin().iter().map(|(lane, _)| *lane >= 100).collect();
    assert_eq!(begun, [false, true, true, true, false, true, true, true, false]);
}

#[test]
fn one_target_uses_at_most_its_own_permits() {
    let mut fixture = Fixture::small();
    fixture.fill(1, 4);
    assert_eq!(fixture.begin().len(), 2);
    fixture.fill(2, 1);
    assert_eq!(fixture.begin(), [(2, 0)]);
}

#[test]
fn many_hanging_lanes_leave_a_slot_for_the_next() {
    let mut fixture = Fixture::new(&Options { max_in_flight: 100, max_in_flight_per_target: 20, ..Options::default() });
    (0..20).for_each(|lane| fixture.fill(lane, 40));
    while fixture.next().is_some() {}
    let begun = fixture.lanes.open[0];
    assert!((60..88).contains(&begun), "{begun}");
    fixture.fill(250, 1);
    assert_eq!(fixture.next().map(|batch| batch.delivery), Some((250, 0)), "at once, with many lanes over their share");
    // Lanes over their share continue when there is more.
    for lane in 0..20 {
        while fixture.lanes.lanes[&target(lane)].open > 0 {
            fixture.end(lane);
        }
    }
    let mut begun = 0;
    while fixture.next().is_some() {
        begun += 1;
    }
    assert!(begun > 60, "{begun}");
}

#[test]
fn first_attempts_and_retries_leave_slots_to_each_other() {
    for flood_is_retry in [true, false] {
        let mut fixture = Fixture::new(&Options { max_in_flight: 64, max_in_flight_per_target: 64, ..Options::default() });
        for lane in 0..100 {
            for n in 0..10 {
                fixture.offer_at(lane, n, &policy(), Slot { bytes: 1, is_retry: flood_is_retry, backlog: None });
            }
        }
        while fixture.next().is_some() {}
        let of_flood = fixture.lanes.open[usize::from(flood_is_retry)];
        assert!(of_flood <= 64 - 64 / RESERVED, "{of_flood}");
        fixture.offer_at(200, 0, &policy(), Slot { bytes: 1, is_retry: !flood_is_retry, backlog: None });
        let found = (0..20).find_map(|_| fixture.next()).map(|batch| batch.delivery);
        assert_eq!(found, Some((200, 0)));
    }
}

#[test]
fn first_attempts_and_retries_of_a_lane_take_turns() {
    let mut fixture = Fixture::new(&Options { max_in_flight: 1_000, ..Options::default() });
    (0..3).for_each(|n| fixture.offer_at(1, n, &policy(), Slot { bytes: 1, is_retry: true, backlog: None }));
    (10..13).for_each(|n| fixture.offer_at(1, n, &policy(), Slot { bytes: 1, is_retry: false, backlog: None }));
    assert_eq!(fixture.begin(), [(1, 10), (1, 0), (1, 11), (1, 1), (1, 12), (1, 2)]);
}

#[test]
fn memory_is_bounded_per_target_and_in_total() {
    let mut fixture = Fixture::small();
    fixture.fill(1, 4);
    assert!(!fixture.lanes.has_room(target(1), &policy()));
    assert!(fixture.lanes.has_room(target(2), &policy()));
    assert_eq!(fixture.lanes.room_to_claim(), Some((12, 96)));
    (2..=4).for_each(|lane| fixture.fill(lane, 4));
    assert!(!fixture.lanes.has_room(target(5), &policy()));
    assert_eq!(fixture.lanes.room_to_claim(), None);
    fixture.next();
    assert!(fixture.lanes.has_room(target(5), &policy()));
    fixture.offer_at(5, 0, &policy(), Slot { bytes: 100, is_retry: false, backlog: None });
    assert!(!fixture.lanes.has_room(target(6), &policy()), "the bytes are bounded too");
}

#[test]
fn unrecorded_outcomes_do_not_block_a_target_and_are_bounded() {
    let mut fixture = Fixture::new(&Options { max_in_flight_per_target: 2, ..Options::default() });
    fixture.fill(1, 100);
    let mut attempts = 0;
    while fixture.next().is_some() {
        attempts += 1;
        fixture.answer(1, &arrived());
    }
    assert_eq!(attempts, 2 * UNRECORDED_PER_SLOT);
    fixture.lanes.finish(target(1), None, true, fixture.now().monotonic);
    assert!(fixture.next().is_some());
}

#[test]
fn empty_lane_is_removed() {
    let mut fixture = Fixture::small();
    fixture.fill(1, 1);
    fixture.next();
    fixture.end(1);
    let lanes = &fixture.lanes;
    assert_eq!((lanes.lanes.len(), lanes.in_flight(), lanes.queued, lanes.queued_bytes), (0, 0, 0, 0));
    assert_eq!((lanes.timers.len(), lanes.turns.len(), lanes.turns_within.len()), (0, 0, 0));
}

#[test]
fn evicted_deliveries_leave_no_turns() {
    let mut fixture = Fixture::small();
    fixture.fill(1, 3);
    fixture.fill(2, 1);
    assert_eq!(fixture.next().map(|batch| batch.delivery), Some((1, 0)));
    let mut evict = fixture.lanes.evict(|_, (lane, n)| *lane == 1 && *n == 2, fixture.begin);
    evict.sort_unstable();
    assert_eq!(evict, [(target(1), (1, 1)), (target(2), (2, 0))]);
    assert_eq!((fixture.lanes.queued(), fixture.lanes.queued_bytes), (1, 1));
    assert_eq!(fixture.begin(), [(1, 2)]);
    fixture.end(1);
    fixture.end(1);
    fixture.fill(2, 1);
    assert_eq!(fixture.begin(), [(2, 0)]);
    fixture.end(2);
    fixture.fill(3, 1);
    fixture.lanes.evict(|_, _| false, fixture.begin);
    assert_eq!(fixture.begin(), []);
    assert_eq!((fixture.lanes.lanes.len(), fixture.lanes.turns.len(), fixture.lanes.turns_within.len()), (0, 0, 0));
}

#[test]
fn rate_delays_until_its_timer() {
    let mut fixture = Fixture::new(&Options::default());
    let limited = LanePolicy { rate: NonZeroU32::new(3), ..policy() };
    (0..10).for_each(|n| fixture.offer(1, n, &limited));
    assert_eq!(fixture.begin().len(), 3);
    assert!(fixture.lanes.take_timer_moved());
    assert_eq!(fixture.lanes.next_timer(), Some(fixture.begin + rate::SECOND));
    (0..3).for_each(|_| fixture.end(1));
    fixture.pass(1_000);
    assert_eq!(fixture.begin().len(), 0);
    fixture.pass(10);
    assert_eq!(fixture.begin().len(), 3);
    // A new policy counts at once.
    fixture.lanes.set_policy(target(1), &Arc::new(LanePolicy { rate: None, version: 2, ..policy() }), fixture.now());
    assert_eq!(fixture.begin().len(), 4);
}

#[test]
fn earlier_sends_count_after_the_lane_was_empty() {
    let mut fixture = Fixture::new(&Options::default());
    let limited = LanePolicy { rate: NonZeroU32::new(1), ..policy() };
    fixture.offer(1, 0, &limited);
    assert_eq!(fixture.begin().len(), 1);
    fixture.end(1);
    fixture.offer(1, 1, &limited);
    assert_eq!(fixture.begin().len(), 0);
    fixture.pass(1_010);
    assert_eq!(fixture.begin().len(), 1);
    fixture.end(1);
    fixture.pass(1_010);
    assert_eq!(fixture.begin().len(), 0);
    assert_eq!((fixture.lanes.lanes.len(), fixture.lanes.timers.len()), (0, 0), "nothing counts any more");
}

#[test]
fn earlier_sends_count_after_an_eviction() {
    let mut fixture = Fixture::new(&Options::default());
    let limited = LanePolicy { rate: NonZeroU32::new(1), ..policy() };
    fixture.offer(1, 0, &limited);
    assert_eq!(fixture.begin().len(), 1);
    fixture.end(1);
    // As if other backlogs moved to another node.
    fixture.lanes.evict(|_, _| false, fixture.now().monotonic);
    fixture.offer(1, 1, &limited);
    assert_eq!(fixture.begin().len(), 0);
    fixture.pass(1_010);
    assert_eq!(fixture.begin().len(), 1);
}

#[test]
fn regained_backlog_starts_with_a_full_second() {
    let mut fixture = Fixture::new(&Options::default());
    let limited = Arc::new(LanePolicy { rate: NonZeroU32::new(1), scope_rate: NonZeroU32::new(1), ..policy() });
    let slot = Slot { bytes: 1, is_retry: false, backlog: None };
    let offer = |fixture: &mut Fixture, n| {
        let now = fixture.now();
        fixture.lanes.offer(target(1), (1, n), slot, &limited, Some(now.monotonic), now);
    };
    offer(&mut fixture, 0);
    fixture.pass(1_010);
    assert_eq!(fixture.begin().len(), 1);
    // The failure keeps the lane; meanwhile another node had the backlog.
    fixture.answer(1, &failed());
    fixture.lanes.finish(target(1), None, true, fixture.now().monotonic);
    fixture.pass(60_000);
    offer(&mut fixture, 1);
    assert_eq!(fixture.begin().len(), 0);
    fixture.pass(1_010);
    assert_eq!(fixture.begin().len(), 1);
}

#[test]
fn past_timer_fires_once() {
    let mut fixture = Fixture::new(&Options::default());
    let limited = LanePolicy { rate: NonZeroU32::new(1), ..policy() };
    (0..2).for_each(|n| fixture.offer(1, n, &limited));
    assert_eq!(fixture.begin().len(), 1);
    fixture.end(1);
    fixture.pass(1_010);
    fixture.lanes.fire_timers(fixture.now().monotonic);
    assert_eq!(fixture.lanes.next_timer(), None);
    assert_eq!(fixture.begin(), [(1, 1)]);
}

#[test]
fn scope_rate_covers_all_its_lanes() {
    let mut fixture = Fixture::new(&Options::default());
    let limited = LanePolicy { scope_rate: NonZeroU32::new(5), ..policy() };
    for lane in 1..=4 {
        (0..3).for_each(|n| fixture.offer(lane, n, &limited));
    }
    let other = LanePolicy { scope: LimitScopeId::from_bytes([2; 16]), ..policy() };
    fixture.offer(9, 0, &other);
    let begun = fixture.begin();
    assert_eq!(begun.len(), 6);
    assert!(begun.contains(&(9, 0)));
    let mut went = 5;
    while went < 12 {
        assert!(fixture.lanes.next_timer().is_some());
        fixture.pass(1_010);
        let begun = fixture.begin().len();
        assert!((1..=5).contains(&begun));
        went += begun;
    }
    assert_eq!(went, 12);
}

#[test]
fn lane_of_a_new_shard_waits_for_earlier_sends() {
    let mut fixture = Fixture::new(&Options::default());
    let limited = Arc::new(LanePolicy { rate: NonZeroU32::new(5), ..policy() });
    let (now, slot) = (fixture.now(), Slot { bytes: 1, is_retry: false, backlog: None });
    fixture.lanes.offer(target(1), (1, 0), slot, &limited, Some(now.monotonic), now);
    assert_eq!(fixture.begin().len(), 0);
    fixture.pass(1_010);
    assert_eq!(fixture.begin().len(), 1);
}

#[test]
fn open_breaker_evicts_the_lane_and_probes_with_one() {
    let mut fixture = Fixture::new(&Options::default());
    fixture.fill(1, 20);
    let begun = fixture.begin().len();
    assert_eq!(begun, 20);
    (20..30).for_each(|n| fixture.offer_at(1, n, &policy(), Slot { bytes: 1, is_retry: false, backlog: None }));
    fixture.begin();
    (30..100).for_each(|n| fixture.offer(1, n, &policy()));
    for n in 1..=4 {
        assert!(fixture.answer(1, &failed()).hold.is_none(), "{n}");
    }
    let opened = fixture.answer(1, &failed());
    let hold = Hold::new(HoldReason::Failing, WALL, WALL + Duration::from_secs(60));
    assert_eq!(opened.hold, Some(Some(hold)));
    assert!(!opened.evict.is_empty());
    assert_eq!(fixture.lanes.queued(), 0);
    (0..25).for_each(|_| assert!(fixture.answer(1, &failed()).hold.is_none(), "attempts in flight change nothing"));
    (0..30).for_each(|_| drop(fixture.lanes.finish(target(1), None, true, fixture.now().monotonic)));
    let backlog = Backlog::of_target(policy().scope, target(1));
    assert_eq!(fixture.lanes.wants_from(target(1), backlog, &policy(), fixture.now()), 0);

    fixture.pass(60_000);
    assert_eq!(fixture.lanes.wants_from(target(1), backlog, &policy(), fixture.now()), 1);
    fixture.fill(1, 3);
    assert_eq!(fixture.begin().len(), 1, "one probe");
    let again = fixture.answer(1, &failed());
    assert_eq!(again.hold.flatten().map(|hold| hold.until), Some(WALL + Duration::from_secs(120)));
    assert_eq!(again.evict.len(), 2);
    fixture.lanes.finish(target(1), None, true, fixture.now().monotonic);

    fixture.pass(60_000);
    (0..20).for_each(|n| fixture.offer(1, n, &policy()));
    let mut rounds = Vec::new();
    for _ in 0..4 {
        let begun = fixture.begin().len();
        rounds.push(begun);
        (0..begun).for_each(|_| fixture.end(1));
    }
    assert_eq!(rounds, [1, 1, 2, 4], "one probe, then slowly at first");
}

#[test]
fn retry_after_holds_the_lane_and_ends_by_itself() {
    let mut fixture = Fixture::new(&Options::default());
    fixture.fill(1, 2);
    fixture.begin();
    fixture.fill(1, 2);
    // The second attempt is in flight too, because only its turn delayed it.
    let busy = Outcome::Retryable(Failure::new(FailureKind::HttpStatus, "busy").overloaded(Some(RetryAfter::Seconds(30))));
    let held = fixture.answer(1, &busy);
    assert_eq!(held.hold.flatten().map(|hold| (hold.until, hold.reason)), Some((WALL + Duration::from_secs(30), HoldReason::RetryAfter)));
    assert_eq!(held.evict.len(), 2);
    assert!(fixture.answer(1, &arrived()).hold.is_none(), "a success in flight does not end the hold");
    (0..2).for_each(|_| drop(fixture.lanes.finish(target(1), None, true, fixture.now().monotonic)));
    fixture.fill(1, 5);
    assert_eq!(fixture.begin().len(), 0);
    assert_eq!(fixture.lanes.next_timer(), Some(fixture.begin + Duration::from_secs(30)));
    fixture.pass(30_000);
    assert_eq!(fixture.begin().len(), 1, "slowly at first");
    assert_eq!(fixture.lanes.held_until(target(1)), None);
}

#[test]
fn unsaved_hold_wins_over_the_stored_one() {
    let mut fixture = Fixture::new(&Options::default());
    let never = LanePolicy { rate: None, ..policy() };
    fixture.fill(1, 5);
    fixture.begin();
    (0..5).for_each(|_| drop(fixture.answer(1, &failed())));
    // Same scope, read before the hold was written.
    fixture.lanes.set_policy(target(1), &Arc::new(LanePolicy { version: 1, ..never.clone() }), fixture.now());
    assert!(fixture.lanes.held_until(target(1)).is_some());
    fixture.lanes.saved(target(1));
    fixture.lanes.set_policy(target(1), &Arc::new(LanePolicy { version: 2, ..never.clone() }), fixture.now());
    assert_eq!(fixture.lanes.held_until(target(1)), None, "a user has closed it");
    let hold = Some(Hold::new(HoldReason::Failing, WALL, WALL + Duration::from_secs(9)));
    fixture.lanes.set_policy(target(1), &Arc::new(LanePolicy { version: 1, hold, ..never }), fixture.now());
    assert_eq!(fixture.lanes.held_until(target(1)), None, "an older policy changes nothing");
}

#[test]
fn ordered_backlog_has_one_in_flight_and_failure_blocks_it() {
    let mut fixture = Fixture::new(&Options::default());
    let ordered = LanePolicy { is_ordered: true, ..policy() };
    let backlogs = [b"a", b"b"].map(|key| Backlog::of_key(policy().scope, target(1), key));
    for n in 0..3 {
        for (index, backlog) in (0..).zip(backlogs) {
            fixture.offer_at(1, n * 10 + index, &ordered, Slot { bytes: 1, is_retry: false, backlog: Some(backlog) });
        }
    }
    assert_eq!(fixture.begin(), [(1, 0), (1, 1)], "one of each");
    assert_eq!(fixture.lanes.wants_from(target(1), backlogs[0], &ordered, fixture.now()), 0);
    fixture.answer(1, &arrived());
    assert_eq!(fixture.begin(), [], "the attempt is not recorded yet");
    assert_eq!(fixture.lanes.finish(target(1), Some(backlogs[0]), true, fixture.now().monotonic), []);
    assert_eq!(fixture.begin(), [(1, 10)]);
    fixture.answer(1, &failed());
    assert_eq!(fixture.lanes.finish(target(1), Some(backlogs[1]), false, fixture.now().monotonic), [(1, 11), (1, 21)]);
    for _ in 0..2 {
        assert_eq!(fixture.lanes.wants_from(target(1), backlogs[1], &ordered, fixture.now()), 0, "some are not in the store again");
        fixture.lanes.requeue(target(1), backlogs[1], fixture.now().monotonic);
    }
    assert!(fixture.lanes.wants_from(target(1), backlogs[1], &ordered, fixture.now()) > 0);
    fixture.answer(1, &arrived());
    fixture.lanes.finish(target(1), Some(backlogs[0]), true, fixture.now().monotonic);
    assert_eq!(fixture.begin(), [(1, 20)]);
    fixture.answer(1, &arrived());
    fixture.lanes.finish(target(1), Some(backlogs[0]), true, fixture.now().monotonic);
    assert_eq!((fixture.lanes.queued(), fixture.lanes.in_flight(), fixture.lanes.lanes.len()), (0, 0, 0));
    assert!(fixture.lanes.wants_from(target(1), backlogs[0], &ordered, fixture.now()) > 1);
}

#[test]
fn deleted_target_loses_its_hold() {
    let mut fixture = Fixture::new(&Options::default());
    fixture.fill(1, 5);
    fixture.begin();
    (0..5).for_each(|_| drop(fixture.answer(1, &failed())));
    (0..5).for_each(|_| drop(fixture.lanes.finish(target(1), None, true, fixture.now().monotonic)));
    fixture.fill(1, 3);
    assert_eq!(fixture.begin().len(), 0);
    fixture.lanes.clear_hold(policy().scope, |_| true, fixture.now().monotonic);
    assert_eq!(fixture.begin().len(), 0);
    fixture.lanes.clear_hold(policy().scope, |_| false, fixture.now().monotonic);
    assert_eq!(fixture.begin().len(), 3);
}

fn gathering(most: usize, bytes: usize, wait_ms: u64) -> LanePolicy {
    LanePolicy { gather: Some(Gather { most, bytes, wait: Duration::from_millis(wait_ms) }), ..policy() }
}

impl Fixture {
    /// Returns the size of each batch that may begin now.
    fn begin_batches(&mut self) -> Vec<usize> {
        std::iter::from_fn(|| self.next()).map(|batch| batch.len()).collect()
    }
}

#[test]
fn deliveries_gather_until_full_or_first_has_waited() {
    let mut fixture = Fixture::new(&Options::default());
    let policy = gathering(3, 1_000, 500);
    (0..2).for_each(|n| fixture.offer(1, n, &policy));
    assert!(fixture.begin_batches().is_empty());
    assert_eq!(fixture.lanes.next_timer(), Some(fixture.begin + Duration::from_millis(500)));
    fixture.offer(1, 2, &policy);
    assert_eq!(fixture.begin_batches(), [3], "there are enough");
    assert_eq!((fixture.lanes.queued(), fixture.lanes.in_flight()), (0, 3));
    (3..5).for_each(|n| fixture.offer(1, n, &policy));
    fixture.pass(499);
    assert!(fixture.begin_batches().is_empty());
    fixture.pass(1);
    assert_eq!(fixture.begin_batches(), [2], "the first has waited");
    // One attempt each, of any size.
    fixture.answer(1, &arrived());
    fixture.answer(1, &arrived());
    (0..5).for_each(|_| drop(fixture.lanes.finish(target(1), None, true, fixture.now().monotonic)));
    assert_eq!((fixture.lanes.queued(), fixture.lanes.in_flight(), fixture.lanes.lanes.len()), (0, 0, 0));
}

#[test]
fn batch_stays_within_bytes_and_has_at_least_one_delivery() {
    let mut fixture = Fixture::new(&Options::default());
    let policy = gathering(10, 100, 0);
    for (n, bytes) in (0..).zip([60, 30, 20, 300, 5]) {
        fixture.offer_at(1, n, &policy, Slot { bytes, is_retry: n == 2, backlog: None });
    }
    assert_eq!(fixture.begin_batches().iter().sum::<usize>(), 5);
    let waits = gathering(10, 100, 1_000);
    fixture.offer_at(2, 0, &waits, Slot { bytes: 99, is_retry: false, backlog: None });
    assert!(fixture.begin_batches().is_empty());
    fixture.offer_at(2, 1, &waits, Slot { bytes: 99, is_retry: false, backlog: None });
    assert_eq!(fixture.begin_batches(), [1], "the second does not fit, and waits in turn");
    fixture.pass(1_000);
    assert_eq!(fixture.begin_batches(), [1]);
}

#[test]
fn ordered_backlog_gives_one_batch_and_waits_for_all_of_it() {
    let mut fixture = Fixture::new(&Options::default());
    let ordered = LanePolicy { is_ordered: true, ..gathering(3, 1_000, 0) };
    let backlogs = [b"a", b"b"].map(|key| Backlog::of_key(policy().scope, target(1), key));
    for n in 0..4 {
        fixture.offer_at(1, n, &ordered, Slot { bytes: 1, is_retry: false, backlog: Some(backlogs[0]) });
    }
    fixture.offer_at(1, 9, &ordered, Slot { bytes: 1, is_retry: false, backlog: Some(backlogs[1]) });
    let first = fixture.next().expect("an attempt");
    assert_eq!((first.delivery, first.backlog), ((1, 0), Some(backlogs[0])));
    assert_eq!(first.others, [((1, 1), Some(backlogs[0])), ((1, 2), Some(backlogs[0]))]);
    let second = fixture.next().expect("the other backlog is free");
    assert_eq!((second.delivery, second.others.len()), ((1, 9), 0));
    assert_eq!(fixture.next(), None);
    fixture.answer(1, &arrived());
    for _ in 0..2 {
        fixture.lanes.finish(target(1), Some(backlogs[0]), true, fixture.now().monotonic);
        assert_eq!(fixture.next(), None, "one of the batch is not recorded yet");
    }
    fixture.lanes.finish(target(1), Some(backlogs[0]), true, fixture.now().monotonic);
    assert_eq!(fixture.begin(), [(1, 3)]);
    // After a failure, the whole batch and the deliveries behind it wait in the store.
    fixture.answer(1, &failed());
    assert_eq!(fixture.lanes.finish(target(1), Some(backlogs[0]), false, fixture.now().monotonic), []);
    assert!(fixture.lanes.wants_from(target(1), backlogs[0], &ordered, fixture.now()) >= 3);
}

#[test]
fn breaker_probes_with_one_delivery() {
    let mut fixture = Fixture::new(&Options::default());
    let hold = Some(Hold::new(HoldReason::Failing, WALL, WALL + Duration::from_secs(5)));
    let policy = LanePolicy { hold, ..gathering(10, 1_000, 0) };
    (0..4).for_each(|n| fixture.offer(1, n, &policy));
    assert!(fixture.begin_batches().is_empty());
    fixture.pass(5_000);
    assert_eq!(fixture.begin_batches(), [1]);
    fixture.answer(1, &arrived());
    assert_eq!(fixture.begin_batches(), [3]);
}
