//! Invariants of a history: pure functions over plain data.
//!
//! Each returns its faults in words; none knows how the engine works.

use std::collections::{BTreeMap, BTreeSet};

use hookstream_model::{
    base::ids::{EndpointId, MessageId},
    delivery::{ordering::OnFailure, state::DeliveryState},
};

use super::history::{AcceptedMessage, Attempt, Delivery, EndpointPast, HistoryEvent, How, LARGEST_BATCH, Loss, Moment, Past};

/// Time within which another node may not know a change: nodes ask each second, and again after a failure.
const KNOWN_WITHIN_MS: u64 = 8_000;
/// Time within which an attempt decided earlier may still be on its way.
const ON_ITS_WAY_MS: u64 = 30;
/// Maximum number of unrecorded outcomes of a target, per attempt that may be in flight.
const UNRECORDED: usize = 4;

/// Final state of an accepted message; `deliveries` is `None` if the message does not exist.
#[derive(Debug, Clone)]
pub(super) struct FinalState {
    pub(super) message: MessageId,
    pub(super) deliveries: Option<Vec<(EndpointId, DeliveryState)>>,
}

/// Checks everything that must hold at any moment.
pub(super) fn faults_of(past: &Past) -> Vec<String> {
    let by_delivery = ByDelivery::of(past);
    let checks = [
        settled_deliveries_stay_settled(past, &by_delivery),
        deliveries_are_in_flight_once(past, &by_delivery),
        repeated_arrivals_are_bounded(past, &by_delivery),
        concurrency_limits_hold(past),
        rates_hold(past),
        orders_hold(past, &by_delivery),
        ordered_backlogs_have_one_in_flight(past, &by_delivery),
        deleted_endpoints_get_nothing(past),
        stale_owners_settle_nothing(past),
        idempotency_keys_have_one_message(past),
    ];
    checks.into_iter().flatten().collect()
}

/// Events of each delivery.
struct ByDelivery<'a> {
    attempts: BTreeMap<Delivery, Vec<&'a Attempt>>,
    changes: BTreeMap<Delivery, Vec<&'a HistoryEvent>>,
}

impl<'a> ByDelivery<'a> {
    fn of(past: &'a Past) -> Self {
        let mut by_delivery = Self { attempts: BTreeMap::new(), changes: BTreeMap::new() };
        for one in &past.attempts {
            by_delivery.attempts.entry(one.delivery).or_default().push(one);
        }
        for change in &past.changes {
            by_delivery.changes.entry(change.delivery).or_default().push(change);
        }
        by_delivery
    }

    fn changes(&self, delivery: Delivery) -> &[&'a HistoryEvent] {
        self.changes.get(&delivery).map_or(&[], Vec::as_slice)
    }

    /// Returns whether a delivery changed in this way within a time.
    fn became(&self, delivery: Delivery, how: How, after: Moment, before: Moment) -> bool {
        self.changes(delivery).iter().any(|change| change.how == how && change.at > after && change.at < before)
    }
}

/// Returns whether the node of the first attempt lost track of it before the second, or one of the attempts was decided
/// before its node was frozen.
fn is_lost_between(past: &Past, first: &Attempt, second: &Attempt) -> bool {
    let is_lost = past.losses.iter().any(|(at, of, _)| *of == first.node && *at > first.begun && *at < second.begun);
    is_lost || was_thawed(past, first) || was_thawed(past, second)
}

/// Returns whether an attempt was decided before its node was frozen.
fn was_thawed(past: &Past, one: &Attempt) -> bool {
    let is_before = |at: Moment| at < one.begun && one.begun.ms <= at.ms + ON_ITS_WAY_MS;
    past.losses.iter().any(|(at, of, loss)| *of == one.node && *loss == Loss::Thawed && is_before(*at))
}

/// No delivery is sent again after its success or its end is committed, unless it was requeued.
fn settled_deliveries_stay_settled(past: &Past, by_delivery: &ByDelivery<'_>) -> Vec<String> {
    let is_settled = |one: &&Attempt| {
        let mut before = by_delivery.changes(one.delivery).iter().filter(|change| change.at < one.begun);
        let last = before.rfind(|change| matches!(change.how, How::Succeeded | How::Ended | How::Requeued));
        last.is_some_and(|last| last.how != How::Requeued)
    };
    let faulty = past.attempts.iter().filter(is_settled).filter(|one| !was_thawed(past, one));
    faulty.map(|one| format!("{:?} was sent at {:?} by node {} though it was settled", one.delivery, one.begun, one.node)).collect()
}

/// A delivery is in flight once, unless the node that sent it has lost it since.
fn deliveries_are_in_flight_once(past: &Past, by_delivery: &ByDelivery<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for attempts in by_delivery.attempts.values() {
        for pair in attempts.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            let is_at_once = first.ended.is_none_or(|ended| ended > second.begun);
            if is_at_once && !is_lost_between(past, first, second) {
                faults.push(format!("{:?} was in flight twice: at nodes {} and {}", first.delivery, first.node, second.node));
            }
        }
    }
    faults
}

/// Repeated arrivals need a node that lost track of an unrecorded one, and their number is bounded.
fn repeated_arrivals_are_bounded(past: &Past, by_delivery: &ByDelivery<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut again: BTreeMap<(u32, EndpointId), usize> = BTreeMap::new();
    for (delivery, attempts) in &by_delivery.attempts {
        let arrived: Vec<_> = attempts.iter().filter(|one| one.accepted).collect();
        for pair in arrived.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            if by_delivery.became(*delivery, How::Requeued, first.begun, second.begun) {
                continue;
            }
            if !is_lost_between(past, first, second) {
                faults.push(format!("{delivery:?} arrived again though node {} had lost nothing", first.node));
            }
            let node = if was_thawed(past, second) { second.node } else { first.node };
            *again.entry((node, delivery.1)).or_default() += 1;
        }
    }
    for ((node, endpoint), again) in again {
        let losses = past.losses.iter().filter(|(_, of, _)| *of == node).count();
        // An attempt begins while one slot is free; the rest of its batch may exceed the limit.
        if again > losses * (past.permits * UNRECORDED + usize::try_from(LARGEST_BATCH).unwrap_or(usize::MAX)) {
            faults.push(format!("{again} deliveries to {endpoint} arrived again after {losses} losses of node {node}"));
        }
    }
    faults
}

/// A target never exceeds its concurrency limit.
fn concurrency_limits_hold(past: &Past) -> Vec<String> {
    let mut edges: BTreeMap<(u32, EndpointId), Vec<(Moment, bool)>> = BTreeMap::new();
    for one in past.attempts.iter().filter(|one| !one.is_batched) {
        let of_target = edges.entry((one.node, one.delivery.1)).or_default();
        of_target.push((one.begun, true));
        of_target.extend(one.ended.map(|ended| (ended, false)));
    }
    let mut faults = Vec::new();
    for ((node, endpoint), mut edges) in edges {
        edges.sort();
        let (mut open, mut most) = (0_usize, 0);
        for (_, begins) in edges {
            open = if begins { open + 1 } else { open.saturating_sub(1) };
            most = most.max(open);
        }
        if most > past.permits {
            faults.push(format!("node {node} had {most} attempts to {endpoint} in flight"));
        }
    }
    faults
}

/// No window of one second exceeds the rate, over all nodes.
fn rates_hold(past: &Past) -> Vec<String> {
    let mut faults = Vec::new();
    for endpoint in &past.endpoints {
        let went = past.attempts.iter().filter(|one| !one.is_batched && one.delivery.1 == endpoint.id).map(|one| one.begun.ms);
        faults.extend(beyond_rate(past, &went.collect::<Vec<_>>(), |from, to| allowed(endpoint, from, to), endpoint.id));
    }
    for (application, rate) in &past.application_rates {
        let of_application: BTreeSet<_> =
            past.endpoints.iter().filter(|endpoint| endpoint.application == *application).map(|endpoint| endpoint.id).collect();
        let went = past.attempts.iter().filter(|one| !one.is_batched && of_application.contains(&one.delivery.1)).map(|one| one.begun.ms);
        let rate = usize::try_from(*rate).ok();
        faults.extend(beyond_rate(past, &went.collect::<Vec<_>>(), |_, _| rate, application));
    }
    faults
}

fn beyond_rate(past: &Past, went: &[u64], allowed: impl Fn(u64, u64) -> Option<usize>, subject: impl std::fmt::Display) -> Option<String> {
    let mut until = 0;
    for (from, begun) in went.iter().enumerate() {
        while until < went.len() && went[until] < begun + 1_000 {
            until += 1;
        }
        // A frozen node does not know for how long: attempts begun before are sent when it continues.
        let was_frozen =
            || past.losses.iter().any(|(at, _, loss)| *loss == Loss::Thawed && at.ms <= begun + 1_000 && at.ms + 1_000 >= *begun);
        let in_a_second = until - from;
        if allowed(*begun, begun + 1_000).is_some_and(|allowed| in_a_second > allowed) && !was_frozen() {
            return Some(format!("{in_a_second} attempts of {subject} in the second from {begun} ms on"));
        }
    }
    None
}

/// Returns the highest rate that a node may have known; `None` if one of them is unlimited.
fn allowed(endpoint: &EndpointPast, from: u64, to: u64) -> Option<usize> {
    let ends = endpoint.rates.iter().skip(1).map(|(at, _)| at.ms).chain([u64::MAX]);
    let known =
        endpoint.rates.iter().zip(ends).filter(|((begins, _), ends)| begins.ms <= to && ends.saturating_add(KNOWN_WITHIN_MS) >= from);
    let rates: Option<Vec<u32>> = known.map(|((_, rate), _)| *rate).collect();
    rates.and_then(|rates| rates.into_iter().max()).and_then(|rate| usize::try_from(rate).ok())
}

/// In an ordered backlog, a message sent after the response to another does not arrive before it, unless the earlier
/// one failed or ended and lets others pass. The wall clock has no influence.
fn orders_hold(past: &Past, by_delivery: &ByDelivery<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for endpoint in past.endpoints.iter().filter(|endpoint| endpoint.ordered.is_some()) {
        let first_arrival = |message: &AcceptedMessage| {
            let attempts = by_delivery.attempts.get(&(message.id, endpoint.id))?;
            attempts.iter().filter(|one| one.accepted).filter_map(|one| one.ended).min()
        };
        let accepted = past.accepted.iter().filter(|message| message.application == endpoint.application);
        let accepted: Vec<_> = accepted.map(|message| (message, first_arrival(message))).collect();
        for (later, arrived) in &accepted {
            let Some(arrived) = arrived else { continue };
            let earlier = accepted.iter().filter(|(earlier, _)| is_before(endpoint, earlier, later));
            let passed = earlier.filter(|(_, first)| first.is_none_or(|first| first > *arrived));
            for (earlier, _) in passed.filter(|(earlier, _)| !let_pass(by_delivery, endpoint, earlier.id, *arrived)) {
                faults.push(format!("{} arrived at {} before {}, which was accepted before it", later.id, endpoint.id, earlier.id));
            }
        }
    }
    faults
}

fn is_before(endpoint: &EndpointPast, earlier: &AcceptedMessage, later: &AcceptedMessage) -> bool {
    let is_same_backlog = !endpoint.by_key || earlier.key == later.key;
    // Each day has its own file: if the clock is set back over midnight, the days keep their order.
    let is_same_day_or_before = earlier.id.timestamp().day() <= later.id.timestamp().day();
    is_same_backlog && is_same_day_or_before && earlier.responded < later.sent
}

/// Returns whether others may pass a delivery by then.
fn let_pass(by_delivery: &ByDelivery<'_>, endpoint: &EndpointPast, message: MessageId, by: Moment) -> bool {
    let passes = |how: How| match how {
        How::Ended => true,
        How::Retried => endpoint.ordered == Some(OnFailure::Park),
        How::Succeeded | How::Postponed | How::Requeued => false,
    };
    by_delivery.changes((message, endpoint.id)).iter().any(|change| change.at < by && passes(change.how))
}

/// An ordered backlog has one delivery in flight at a time.
fn ordered_backlogs_have_one_in_flight(past: &Past, by_delivery: &ByDelivery<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for endpoint in past.endpoints.iter().filter(|endpoint| endpoint.ordered.is_some()) {
        let is_parked = |one: &Attempt| {
            let start = Moment::default();
            endpoint.ordered == Some(OnFailure::Park) && by_delivery.became(one.delivery, How::Retried, start, one.begun)
        };
        let mut backlogs: BTreeMap<u8, Vec<&Attempt>> = BTreeMap::new();
        for one in past.attempts.iter().filter(|one| one.delivery.1 == endpoint.id && !is_parked(one)) {
            backlogs.entry(if endpoint.by_key { one.key } else { 0 }).or_default().push(one);
        }
        for pair in backlogs.values().flat_map(|attempts| attempts.windows(2)) {
            let (first, second) = (pair[0], pair[1]);
            let is_at_once = first.ended.is_none_or(|ended| ended > second.begun);
            if is_at_once && !second.is_batched && !is_lost_between(past, first, second) {
                faults.push(format!("{:?} and {:?} of one backlog were in flight at once", first.delivery, second.delivery));
            }
        }
    }
    faults
}

/// No attempt begins after the response to its endpoint's deletion, beyond those on their way.
fn deleted_endpoints_get_nothing(past: &Past) -> Vec<String> {
    let is_sent_after = |one: &&Attempt| {
        let Some((deleted, informed)) = past.endpoint(one.delivery.1).and_then(|endpoint| endpoint.deleted) else { return false };
        let grace = if !past.is_shared || informed == Some(one.node) { ON_ITS_WAY_MS } else { KNOWN_WITHIN_MS };
        let was_frozen = past
            .losses
            .iter()
            .any(|(at, of, loss)| *of == one.node && *loss == Loss::Thawed && *at > deleted && one.begun.ms < at.ms + KNOWN_WITHIN_MS);
        one.begun.ms > deleted.ms + grace && !was_frozen
    };
    let faulty = past.attempts.iter().filter(is_sent_after);
    faulty.map(|one| format!("{:?} was sent at {:?} though its endpoint was deleted", one.delivery, one.begun)).collect()
}

/// A settlement of an expired owner has no effect.
fn stale_owners_settle_nothing(past: &Past) -> Vec<String> {
    let faulty = past.stale_settlements.iter().filter(|(_, counted)| *counted > 0);
    faulty.map(|(at, counted)| format!("{counted} settlements of a stale owner counted at {at:?}")).collect()
}

/// An idempotency key stands for one message, even if sent repeatedly.
fn idempotency_keys_have_one_message(past: &Past) -> Vec<String> {
    let mut by_key: BTreeMap<&str, BTreeSet<MessageId>> = BTreeMap::new();
    for message in &past.accepted {
        if let Some(key) = &message.idempotency {
            by_key.entry(key).or_default().insert(message.id);
        }
    }
    let faulty = by_key.into_iter().filter(|(_, ids)| ids.len() > 1);
    faulty.map(|(key, ids)| format!("{key} was accepted as {} messages", ids.len())).collect()
}

/// In the end, each accepted message exists with a delivery for each endpoint of its time; each delivery has arrived or
/// ended for a true reason, and none is pending.
pub(super) fn all_messages_are_accounted_for(past: &Past, final_states: &[FinalState]) -> Vec<String> {
    let mut faults = Vec::new();
    let by_delivery = ByDelivery::of(past);
    for found in final_states {
        let message = found.message;
        let Some(deliveries) = &found.deliveries else {
            faults.push(format!("{message} was accepted and is not there"));
            continue;
        };
        let Some(accepted) = past.accepted.iter().find(|accepted| accepted.id == message) else { continue };
        let expected = past.endpoints.iter().filter(|endpoint| {
            endpoint.application == accepted.application && endpoint.deleted.is_none_or(|(at, _)| at > accepted.responded)
        });
        let missing = expected.filter(|endpoint| !deliveries.iter().any(|(target, _)| *target == endpoint.id));
        faults.extend(missing.map(|endpoint| format!("{message} has no delivery to {}", endpoint.id)));
        let wrong = deliveries.iter().filter(|(target, state)| !is_accounted_for(past, &by_delivery, (message, *target), *state));
        faults.extend(wrong.map(|(target, state)| format!("{message} to {target} is recorded as {state:?}, which did not happen")));
    }
    faults
}

fn is_accounted_for(past: &Past, by_delivery: &ByDelivery<'_>, delivery: Delivery, state: DeliveryState) -> bool {
    let attempts = by_delivery.attempts.get(&delivery).map_or(&[] as &[_], Vec::as_slice);
    let Some(endpoint) = past.endpoint(delivery.1) else { return false };
    match state {
        DeliveryState::Pending { .. } => false,
        DeliveryState::Succeeded => attempts.iter().any(|one| one.accepted),
        DeliveryState::Exhausted { .. } => attempts.iter().any(|one| !one.accepted),
        DeliveryState::Skipped { .. } => endpoint.was_disabled,
        DeliveryState::Cancelled { .. } => endpoint.deleted.is_some(),
    }
}
